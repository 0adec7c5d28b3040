//! An event as it arrives, before anything about it is known to be true.

use crate::limits::{EVENT_BYTES_MAX, FUTURE_US_MAX, ID_BYTES_MAX};
use crate::rejection::RejectionCode;
use crate::schema::{ACCOUNT_ID, EVENT, EVENT_ID, EVENT_TIME, USER_ID, VALUE};
use crate::time::format_timestamp_us;
use crate::{GROUP_EVENT, IDENTIFY_EVENT};

/// One event of a request or a file, borrowed, not yet validated.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EventDraft<'a> {
    /// The idempotency key; callers fill it in where the client gave none (see [`crate::content_id`]).
    pub event_id: Option<&'a str>,
    /// Microseconds since 1970 UTC.
    pub event_time_us: Option<i64>,
    /// Whether the server supplied `event_time_us`; such a time is no part of the content.
    pub time_is_stamped: bool,
    /// The event's name.
    pub event: Option<&'a str>,
    /// The account.
    pub account_id: Option<&'a str>,
    /// The person.
    pub user_id: Option<&'a str>,
    /// The measure.
    pub value: Option<f64>,
    /// JSON text, not yet canonical.
    pub properties: Option<&'a str>,
}

/// Field, code and sentence of what is wrong with a draft.
pub(crate) type Fault = (&'static str, RejectionCode, String);

/// The required scalars of a draft that passed.
pub(crate) struct Checked<'a> {
    pub event_id: &'a str,
    pub event_time_us: i64,
    pub event: &'a str,
}

impl<'a> EventDraft<'a> {
    /// Checks everything but `properties`.
    pub(crate) fn check(&self, now_us: i64) -> Result<Checked<'a>, Fault> {
        let event_id = check_text(EVENT_ID, self.event_id, ID_BYTES_MAX)?;
        let event = check_text(EVENT, self.event, EVENT_BYTES_MAX)?;
        let event_time_us = check_time(self.event_time_us, now_us)?;
        check_optional_id(ACCOUNT_ID, self.account_id)?;
        check_optional_id(USER_ID, self.user_id)?;
        if let Some(value) = self.value.filter(|value| !value.is_finite()) {
            let message = format!("{value} is no finite number");
            return Err((VALUE, RejectionCode::NotANumber, message));
        }
        self.check_reserved(event)?;
        Ok(Checked {
            event_id,
            event_time_us,
            event,
        })
    }

    fn check_reserved(&self, event: &str) -> Result<(), Fault> {
        if !event.starts_with('$') {
            return Ok(());
        }
        match event {
            GROUP_EVENT if self.account_id.is_some() => Ok(()),
            IDENTIFY_EVENT if self.user_id.is_some() => Ok(()),
            GROUP_EVENT => Err(missing(ACCOUNT_ID, "a $group event needs an account_id")),
            IDENTIFY_EVENT => Err(missing(USER_ID, "an $identify event needs a user_id")),
            _ => {
                let message = format!(
                    "{event:?} is reserved: of the names that start with '$' only {GROUP_EVENT} \
                     and {IDENTIFY_EVENT} are taken"
                );
                Err((EVENT, RejectionCode::ReservedName, message))
            }
        }
    }
}

fn missing(field: &'static str, message: &str) -> Fault {
    (field, RejectionCode::Missing, message.to_owned())
}

fn check_text<'a>(
    field: &'static str,
    text: Option<&'a str>,
    bytes_max: usize,
) -> Result<&'a str, Fault> {
    let Some(text) = text else {
        return Err(missing(field, "the field is required"));
    };
    if text.is_empty() {
        return Err((field, RejectionCode::Empty, "the text is empty".to_owned()));
    }
    check_length(field, text, bytes_max)?;
    Ok(text)
}

fn check_optional_id(field: &'static str, text: Option<&str>) -> Result<(), Fault> {
    match text {
        None => Ok(()),
        Some("") => {
            let message = "the text is empty; leave the field out for none".to_owned();
            Err((field, RejectionCode::Empty, message))
        }
        Some(text) => check_length(field, text, ID_BYTES_MAX),
    }
}

fn check_length(field: &'static str, text: &str, bytes_max: usize) -> Result<(), Fault> {
    if text.len() <= bytes_max {
        return Ok(());
    }
    let message = format!("{} bytes, at most {bytes_max} are taken", text.len());
    Err((field, RejectionCode::TooLong, message))
}

fn check_time(time_us: Option<i64>, now_us: i64) -> Result<i64, Fault> {
    let Some(time_us) = time_us else {
        return Err(missing(EVENT_TIME, "the field is required"));
    };
    if time_us < 0 {
        let message = format!("{} lies before 1970", format_timestamp_us(time_us));
        return Err((EVENT_TIME, RejectionCode::BeforeEpoch, message));
    }
    if time_us > now_us.saturating_add(FUTURE_US_MAX) {
        let message = format!(
            "{} lies more than 24 hours ahead of the clock ({})",
            format_timestamp_us(time_us),
            format_timestamp_us(now_us)
        );
        return Err((EVENT_TIME, RejectionCode::InFuture, message));
    }
    Ok(time_us)
}
