//! What a call answers when it fails: the one place that turns kinds of errors into gRPC codes.
//!
//! Every failure carries `google.rpc.ErrorInfo` with a stable [`Reason`] of the domain
//! [`ERROR_DOMAIN`], `BadRequest` with the field at fault or the place in the SQL, and `RetryInfo`
//! where the same request may succeed later.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};
use vitalog_event::format_timestamp_us;
use vitalog_query::{ModelError, ModelFault, QueryError, QueryErrorKind};
use vitalog_store::{Revocation, RevocationReason, StoreError, StoreErrorKind};

use crate::auth::Denied;
use crate::limits::{ERROR_MESSAGE_BYTES_MAX, VIOLATION_BYTES_MAX};
use crate::nearest::nearest;
pub use crate::reason::{ERROR_DOMAIN, Reason};

/// A failed call, before it becomes a `Status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub reason: Reason,
    message: String,
    /// Fields at fault, each with what is wrong.
    violations: Vec<(String, String)>,
    facts: Vec<(&'static str, String)>,
}

impl Fault {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            violations: Vec::new(),
            facts: Vec::new(),
        }
    }

    /// A fault of one field of the request.
    pub fn of_field(reason: Reason, field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let violations = vec![(field.to_owned(), message.clone())];
        Self {
            violations,
            ..Self::new(reason, format!("{field}: {message}"))
        }
    }

    /// The same fault with `context` before its message.
    pub fn with_context(mut self, context: &str) -> Self {
        self.message.insert_str(0, context);
        self
    }

    /// The same fault with one more fact in the metadata of its `ErrorInfo`.
    pub fn with_fact(mut self, key: &'static str, value: &impl ToString) -> Self {
        self.facts.push((key, value.to_string()));
        self
    }

    /// A name that is not there, with the nearest of those that are.
    pub fn not_found<'a>(
        reason: Reason,
        (field, what, name): (&str, &str, &str),
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        let near = nearest(name, known);
        let advice = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
        let fault = Self::of_field(
            reason,
            field,
            format!("there is no {what} {name:?}{advice}"),
        );
        match near {
            Some(near) => fault.with_fact("suggestion", &near),
            None => fault,
        }
    }

    /// A statement of the server's own that failed: its text means nothing to the caller.
    pub fn of_own_statement(error: &QueryError) -> Self {
        let reason = match reason_of(error) {
            Reason::InvalidSql => Reason::InvalidRequest,
            reason => reason,
        };
        Self::new(reason, error.message.clone())
    }

    pub fn shutting_down() -> Self {
        Self::new(
            Reason::ShuttingDown,
            "the server is shutting down; try another, or again later",
        )
    }

    pub fn cancelled() -> Self {
        Self::new(Reason::Cancelled, "the statement was cancelled by a call")
    }

    pub fn busy(what: &str) -> Self {
        Self::new(
            Reason::Busy,
            format!("too many {what} at once; try again later"),
        )
    }

    /// A published snapshot that is gone.
    pub fn of_revocation(gone: &Revocation) -> Self {
        let id = &gone.id;
        let message = match gone.reason {
            RevocationReason::Erased => {
                format!("the snapshot {id} was revoked: it held an account or user that was erased")
            }
            RevocationReason::Deleted => format!("the snapshot {id} was deleted"),
            RevocationReason::Expired => format!("the snapshot {id} has expired"),
        };
        Self::new(Reason::SnapshotGone, message)
            .with_fact("why", &gone.reason.as_str())
            .with_fact("since", &format_timestamp_us(gone.at_us))
    }

    /// What went wrong, for people.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the log, with the text, of what only the operator can mend; of nothing else, as a text
    /// may quote what a caller sent.
    pub fn log(&self) {
        if matches!(self.reason, Reason::Internal | Reason::DataDamaged) {
            tracing::error!(reason = self.reason.as_str(), "{}", self.message);
        }
    }

    /// More of it, for programs.
    pub fn facts(&self) -> &[(&'static str, String)] {
        &self.facts
    }

    /// A blocking task that panicked; the panic itself was printed where it happened.
    pub fn of_task(error: &tokio::task::JoinError) -> Self {
        Self::new(
            Reason::Internal,
            format!("a task of this call ended early: {error}"),
        )
    }

    /// A stream that panicked; the panic itself was printed where it happened.
    pub fn of_panic() -> Self {
        Self::new(
            Reason::Internal,
            "the stream ended early: its task panicked",
        )
    }
}

impl From<Fault> for Status {
    fn from(fault: Fault) -> Self {
        fault.log();
        let Fault {
            reason,
            message,
            violations,
            facts,
        } = fault;
        let facts: HashMap<String, String> = facts
            .into_iter()
            .map(|(key, value)| (key.to_owned(), shortened(value)))
            .collect();
        let mut details = ErrorDetails::new();
        details.set_error_info(reason.as_str(), ERROR_DOMAIN, facts);
        for (field, description) in violations {
            details.add_bad_request_violation(field, shortened(description));
        }
        if let Some(delay) = reason.retry_after() {
            details.set_retry_info(Some(delay));
        }
        Self::with_error_details(reason.code(), shortened(message), details)
    }
}

/// At most [`ERROR_MESSAGE_BYTES_MAX`] bytes of `text`, cut between characters.
fn shortened(mut text: String) -> String {
    if text.len() > ERROR_MESSAGE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(ERROR_MESSAGE_BYTES_MAX));
        text.push('…');
    }
    text
}

impl From<Denied> for Fault {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Unknown => Self::new(
                Reason::Unauthenticated,
                "a bearer token is needed, and none that is known was sent",
            ),
            Denied::Lacks { name, scope } => Self::new(
                Reason::PermissionDenied,
                format!("the token {name:?} lacks the scope {scope}"),
            ),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        let reason = match (&error, error.kind()) {
            (StoreError::Poisoned(_), _) => Reason::OutcomeUnknown,
            (StoreError::Full(_) | StoreError::Disk(_), StoreErrorKind::Limit) => Reason::DiskFull,
            (StoreError::NumberDurable { .. }, _) => Reason::NumberDurable,
            (StoreError::NumberGap { .. }, _) => Reason::NumberGap,
            (StoreError::WritersFull { .. }, _) => Reason::WritersFull,
            (_, StoreErrorKind::Invalid) => Reason::InvalidRequest,
            (_, StoreErrorKind::Limit) => Reason::Busy,
            (_, StoreErrorKind::Unavailable) => Reason::StoreUnavailable,
            (_, StoreErrorKind::Closed) => Reason::ShuttingDown,
            (_, StoreErrorKind::Data) => Reason::DataDamaged,
            (_, StoreErrorKind::Internal) => Reason::Internal,
        };
        let fault = Self::new(reason, error.to_string());
        match error {
            StoreError::NumberDurable { last_number, .. }
            | StoreError::NumberGap { last_number, .. } => {
                fault.with_fact("last_number", &last_number)
            }
            _ => fault,
        }
    }
}

fn reason_of(error: &QueryError) -> Reason {
    match error.kind() {
        QueryErrorKind::Invalid => Reason::InvalidSql,
        QueryErrorKind::Retention => Reason::Retention,
        QueryErrorKind::Limit => Reason::QueryLimit,
        QueryErrorKind::Unavailable => Reason::StoreUnavailable,
        QueryErrorKind::Closed => Reason::ShuttingDown,
        QueryErrorKind::Data => Reason::DataDamaged,
        QueryErrorKind::Internal => Reason::Internal,
    }
}

impl From<QueryError> for Fault {
    fn from(error: QueryError) -> Self {
        let reason = reason_of(&error);
        let mut fault = Self::new(reason, error.to_string());
        if reason == Reason::InvalidSql {
            let place = error.position.map_or_else(String::new, |position| {
                format!("line {}, column {}: ", position.line, position.column)
            });
            fault.violations = vec![("sql".to_owned(), format!("{place}{}", error.message))];
        }
        if let Some(position) = error.position {
            fault = fault
                .with_fact("line", &position.line)
                .with_fact("column", &position.column);
        }
        if let Some(suggestion) = error.suggestion {
            fault = fault.with_fact("suggestion", &suggestion);
        }
        fault
    }
}

impl From<ModelError> for Fault {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Faults(faults) => Self::of_model(&faults),
            ModelError::Query(error) => error.into(),
        }
    }
}

impl Fault {
    /// A wrong model, with as many of its faults as may travel.
    fn of_model(faults: &[ModelFault]) -> Self {
        let first = faults.first().map_or_else(String::new, said);
        let message = match faults.len() {
            1 => format!("the model is wrong: {first}"),
            count => format!("the model has {count} faults, the first: {first}"),
        };
        let mut fault = Self::new(Reason::ModelInvalid, message).with_fact("faults", &faults.len());
        let mut bytes = 0;
        for one in faults {
            let description = shortened(said(one));
            bytes += description.len();
            if bytes > VIOLATION_BYTES_MAX {
                break;
            }
            fault.violations.push(("toml".to_owned(), description));
        }
        fault
    }
}

/// A fault of a model as a sentence with its line.
fn said(fault: &ModelFault) -> String {
    match fault.line {
        0 => fault.message.clone(),
        line => format!("line {line}: {}", fault.message),
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn a_status_carries_reason_field_and_advice() {
        let fault = Fault::of_field(Reason::InvalidRequest, "request_id", "too long")
            .with_fact("bytes", &200);
        let status = Status::from(fault);
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(status.message(), "request_id: too long");
        let details = status.get_error_details();
        let info = details.error_info().expect("an ErrorInfo");
        assert_eq!(
            (info.reason.as_str(), info.domain.as_str()),
            ("INVALID_REQUEST", ERROR_DOMAIN)
        );
        assert_eq!(info.metadata["bytes"], "200");
        let violations = &details
            .bad_request()
            .expect("a BadRequest")
            .field_violations;
        assert_eq!(violations[0].field, "request_id");
        assert!(
            details.retry_info().is_none(),
            "the same request fails again"
        );
        let busy = Status::from(Fault::busy("appends")).get_error_details();
        assert!(
            busy.retry_info()
                .and_then(|info| info.retry_delay)
                .is_some()
        );
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let status = Status::from(Fault::new(Reason::InvalidSql, "é".repeat(10_000)));
        assert!(status.message().len() <= ERROR_MESSAGE_BYTES_MAX + '…'.len_utf8());
        assert!(status.message().ends_with('…'));
    }

    #[test]
    fn every_kind_of_the_store_has_its_reason() {
        let failed = |kind| StoreError::Failed {
            kind,
            message: "m".to_owned(),
        };
        let cases = [
            (
                StoreError::Poisoned("io".to_owned()),
                Reason::OutcomeUnknown,
            ),
            (StoreError::Full("0 bytes".to_owned()), Reason::DiskFull),
            (
                StoreError::Limit {
                    what: "batches",
                    found: 1,
                    limit: 1,
                },
                Reason::Busy,
            ),
            (StoreError::Closed, Reason::ShuttingDown),
            (StoreError::WritersFull { limit: 1 }, Reason::WritersFull),
            (
                failed(StoreErrorKind::Unavailable),
                Reason::StoreUnavailable,
            ),
            (failed(StoreErrorKind::Data), Reason::DataDamaged),
            (failed(StoreErrorKind::Internal), Reason::Internal),
        ];
        for (error, reason) in cases {
            assert_eq!(Fault::from(error).reason, reason);
        }
    }

    #[test]
    fn a_wrong_model_names_its_faults_and_how_many_there_are() {
        let faults = (0..500)
            .map(|line| ModelFault {
                line,
                message: format!("no event {}", "x".repeat(60)),
            })
            .collect();
        let status = Status::from(Fault::from(ModelError::Faults(faults)));
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("500 faults"));
        let details = status.get_error_details();
        assert_eq!(
            details.error_info().expect("an ErrorInfo").metadata["faults"],
            "500"
        );
        let violations = &details
            .bad_request()
            .expect("a BadRequest")
            .field_violations;
        assert!(violations[0].description.starts_with("no event"));
        assert!(violations[1].description.starts_with("line 1: no event"));
        assert!(violations.iter().all(|one| one.field == "toml"));
        assert!(status.details().len() < 2 * VIOLATION_BYTES_MAX);
    }
}
