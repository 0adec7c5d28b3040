//! A statement from its message.

use std::time::Duration;

use vitalog_wire::vitalog::v1::{QueryFormat, QueryLimits, QueryRequest};

use super::parameters::parameters_of;
use crate::fault::{Fault, Reason};
use crate::statements::{Ask, Caller, Limits, positive};

/// The statement of `request`, sent by `caller`.
///
/// # Errors
/// A value, a limit or an id that is none.
pub(super) fn ask_of(request: QueryRequest, caller: Caller) -> Result<Ask, Fault> {
    Ok(Ask {
        parameters: parameters_of(request.parameters)?,
        as_of_seq: request.as_of_seq,
        min_seq: request.min_seq,
        limits: limits_of(request.limits.unwrap_or_default())?,
        id: request.query_id,
        ..Ask::new(request.sql, caller)
    })
}

/// The format of the answer, which is named where the request names none.
///
/// # Errors
/// A format of a later version.
pub(super) fn format_of(request: &QueryRequest) -> Result<QueryFormat, Fault> {
    match QueryFormat::try_from(request.format) {
        Ok(QueryFormat::Unspecified | QueryFormat::Arrow) => Ok(QueryFormat::Arrow),
        Ok(QueryFormat::JsonRows) => Ok(QueryFormat::JsonRows),
        Err(_) => {
            let message = format!("{} is no format that this server knows", request.format);
            Err(Fault::of_field(Reason::InvalidRequest, "format", message))
        }
    }
}

fn limits_of(limits: QueryLimits) -> Result<Limits, Fault> {
    let memory = positive("limits.max_memory_bytes", limits.max_memory_bytes)?;
    let timeout = positive("limits.timeout_ms", limits.timeout_ms)?;
    Ok(Limits {
        rows: positive("limits.max_rows", limits.max_rows)?,
        bytes: positive("limits.max_bytes", limits.max_bytes)?,
        time: timeout.map(Duration::from_millis),
        memory_bytes: memory.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Principal;
    use crate::statements::Surface;

    fn asked(limits: QueryLimits) -> Result<Ask, Fault> {
        let request = QueryRequest {
            limits: Some(limits),
            ..QueryRequest::default()
        };
        ask_of(
            request,
            Caller::of(Surface::Grpc, &Principal::anyone(), None),
        )
    }

    #[test]
    fn limits_are_at_least_one() {
        let ask = asked(QueryLimits {
            max_rows: Some(1),
            max_bytes: None,
            max_memory_bytes: Some(u64::MAX),
            timeout_ms: Some(250),
        });
        let limits = ask.expect("limits").limits;
        assert_eq!((limits.rows, limits.bytes), (Some(1), None));
        assert_eq!(limits.time, Some(Duration::from_millis(250)));
        assert_eq!(limits.memory_bytes, Some(usize::MAX));
        let fault = asked(QueryLimits {
            timeout_ms: Some(0),
            ..QueryLimits::default()
        });
        let fault = fault.expect_err("no time at all");
        assert!(fault.message().starts_with("limits.timeout_ms: "));
    }

    #[test]
    fn a_format_that_is_not_known_is_no_default() {
        let of = |format| {
            let request = QueryRequest {
                format,
                ..QueryRequest::default()
            };
            format_of(&request).map_err(|fault| fault.reason)
        };
        assert_eq!(of(0), Ok(QueryFormat::Arrow));
        assert_eq!(of(2), Ok(QueryFormat::JsonRows));
        assert_eq!(of(9), Err(Reason::InvalidRequest));
    }
}
