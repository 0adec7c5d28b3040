//! The deadline and the right of a caller, over the whole of an answer.
//!
//! The transport watches `grpc-timeout` only until an answer begins, and a token is looked at then;
//! a stream may go on for long after. Invariants: an answer that is [`held`] ends at its deadline
//! with a status that says so, whatever made it, as soon as its reader takes anything; none of its
//! messages goes to a caller whose token was taken out.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;

use crate::auth::Right;
use crate::fault::{Fault, Reason};

/// Longest margin of [`in_time`].
const MARGIN: Duration = Duration::from_millis(5);

/// An answer and when it ends.
pub(crate) struct Deadline {
    /// `None` once it has ended.
    answer: Option<Body>,
    /// `None` lets it go on for ever.
    end: Option<Pin<Box<Sleep>>>,
    /// `None` where none is asked for.
    right: Option<Right>,
}

impl Deadline {
    /// What a caller is told whose deadline has passed.
    pub fn passed() -> Fault {
        Fault::new(
            Reason::DeadlineExceeded,
            "the deadline of the call has passed",
        )
    }

    /// Why the answer ends now, if it does.
    fn over(&mut self, context: &mut Context<'_>) -> Option<Fault> {
        let end = self.end.as_mut();
        if end.is_some_and(|end| end.as_mut().poll(context).is_ready()) {
            return Some(Self::passed());
        }
        let right = Right::check(self.right.as_mut());
        right.err().map(Fault::from)
    }
}

/// A moment before `allowed` is over: an answer that comes later meets nobody.
pub(crate) fn in_time(allowed: Duration) -> Duration {
    allowed - MARGIN.min(allowed / 8)
}

/// `answer`, which ends at `end`, and when `right` is gone.
pub(crate) fn held(
    answer: http::Response<Body>,
    end: Option<Instant>,
    right: Option<Right>,
) -> http::Response<Body> {
    // A status without messages is all of its answer.
    let is_status = answer.extensions().get::<Status>().is_some();
    if is_status || (end.is_none() && right.is_none()) {
        return answer;
    }
    answer.map(|answer| {
        Body::new(Deadline {
            answer: Some(answer),
            end: end.map(|end| Box::pin(tokio::time::sleep_until(end))),
            right,
        })
    })
}

impl http_body::Body for Deadline {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.answer.is_some()
            && let Some(fault) = this.over(context)
        {
            this.answer = None;
            let mut trailers = http::HeaderMap::new();
            Status::from(fault).add_header(&mut trailers)?;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        }
        let Some(answer) = &mut this.answer else {
            return Poll::Ready(None);
        };
        let frame = Pin::new(answer).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            this.answer = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        let answer = self.answer.as_ref();
        answer.is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let answer = self.answer.as_ref();
        answer.map(http_body::Body::size_hint).unwrap_or_default()
    }
}

/// The time that a client gives a call, from its `grpc-timeout` header: up to eight digits and a
/// unit.
pub(crate) fn allowed(headers: &http::HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body::Body as _;
    use tonic::Code;

    use super::*;
    use crate::fault::ERROR_DOMAIN;

    #[test]
    fn the_timeout_header_is_read_as_grpc_defines_it() {
        let cases = [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("250m", Some(Duration::from_millis(250))),
            ("7u", Some(Duration::from_micros(7))),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("5", None),
            ("+5S", None),
            ("999999999S", None),
        ];
        for (text, expected) in cases {
            let mut headers = http::HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().expect("ASCII"));
            assert_eq!(allowed(&headers), expected, "{text}");
        }
        assert_eq!(allowed(&http::HeaderMap::new()), None);
    }

    #[test]
    fn an_answer_is_due_before_its_deadline() {
        for allowed in [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_secs(9),
        ] {
            assert!(in_time(allowed) <= allowed);
        }
        assert_eq!(in_time(Duration::from_millis(8)), Duration::from_millis(7));
    }

    /// An answer that never ends.
    struct Endless;

    impl http_body::Body for Endless {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(
            self: Pin<&mut Self>,
            _context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_gets_one_with_its_reason() {
        use tonic_types::StatusExt;
        let endless = http::Response::new(Body::new(Endless));
        let end = Instant::now() + Duration::from_millis(20);
        let mut body = held(endless, Some(end), None).into_body();
        let trailers = loop {
            let frame = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
            match frame
                .expect("it has no end")
                .expect("no error")
                .into_trailers()
            {
                Ok(trailers) => break trailers,
                // Others run, the clock among them.
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let status = Status::from_header_map(&trailers).expect("a status");
        assert_eq!(status.code(), Code::DeadlineExceeded);
        let details = status.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!(info.reason, "DEADLINE_EXCEEDED");
        assert_eq!(info.domain, ERROR_DOMAIN);
        assert!(body.is_end_stream());
        let after = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert!(after.is_none());
    }
}
