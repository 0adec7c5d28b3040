//! Why a call fails, in words that programs branch on: the same over gRPC and over HTTP.
//!
//! Invariant: each [`Reason`] has exactly one gRPC code and one HTTP status.

use std::time::Duration;

use axum::http::StatusCode;
use tonic::Code;

/// The domain of every reason.
pub const ERROR_DOMAIN: &str = "vitalog.dev";

/// Why a call failed, for programs to branch on. New reasons may be added; their words never
/// change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A field of the request breaks its rule; `BadRequest` names it.
    InvalidRequest,
    /// The bytes of the request are no message of its type.
    MalformedMessage,
    /// `arrow_ipc` is no Arrow IPC stream of one uncompressed batch, or a column has a wrong type.
    InvalidArrow,
    /// `arrow_ipc` has a column that events do not have.
    UnknownColumn,
    /// The statement is wrong or does more than read; `BadRequest` has the place.
    InvalidSql,
    /// `as_of_seq` lies past the last durable event.
    SeqPastEnd,
    /// The answer would need days that the retention dropped.
    Retention,
    /// The text of a health model is wrong; `BadRequest` has its faults.
    ModelInvalid,
    /// A token was not made by this server for this request.
    InvalidToken,
    /// An offset lies past the end of a file.
    OffsetPastEnd,
    /// There is no such table.
    TableNotFound,
    /// There is no such health model, or not this version of it.
    ModelNotFound,
    /// There is no such named view, or not this version of it.
    ViewNotFound,
    /// The picture has no such account, user or member.
    EntityNotFound,
    /// There is no published snapshot of that id, or none of that table.
    SnapshotNotFound,
    /// The published snapshot was deleted, has expired or was revoked.
    SnapshotGone,
    /// The published snapshot has no such file.
    FileNotFound,
    /// There is nothing at this path; over HTTP.
    PathNotFound,
    /// The path takes other methods; over HTTP.
    MethodNotAllowed,
    /// The request names another host than the one that is served; over HTTP.
    WrongHost,
    /// No token that is known was sent, nor a signature that holds.
    Unauthenticated,
    /// The token lacks the scope that the call needs.
    PermissionDenied,
    /// The server has no key to sign URLs with.
    SigningUnavailable,
    /// The request is larger than its limit.
    RequestTooLarge,
    /// One row of an answer is larger than a message may be.
    RowTooLarge,
    /// The scores are too many to be kept as a picture.
    PictureTooLarge,
    /// The statement needed more memory or time than it may have.
    QueryLimit,
    /// The disk is full; nothing was appended.
    DiskFull,
    /// The server has as much to do as it takes on.
    Busy,
    /// Whether the append is durable cannot be known: send the same request again.
    OutcomeUnknown,
    /// The store cannot answer now.
    StoreUnavailable,
    /// The server is leaving.
    ShuttingDown,
    /// The deadline that the caller set has passed.
    DeadlineExceeded,
    /// Bytes on disk are damaged.
    DataDamaged,
    /// A bug.
    Internal,
    /// The answer has more rows or bytes than its limit.
    ResultTooLarge,
    /// A statement of the id that the client chose is running.
    QueryIdTaken,
    /// There is no such statement, running or just ended.
    QueryNotFound,
    /// The statement was ended by a call.
    Cancelled,
    /// The call is of a protocol that is served, and not itself.
    NotSupported,
    /// Some rows of an upload were rejected; the others are in.
    RowsRejected,
    /// The batch of this number of a writer is durable already.
    NumberDurable,
    /// A batch before this one of a writer is missing.
    NumberGap,
    /// The store knows as many writers as it may.
    WritersFull,
    /// A stream sent more bytes than it was granted.
    CreditExceeded,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 45] = [
        Self::InvalidRequest,
        Self::MalformedMessage,
        Self::InvalidArrow,
        Self::UnknownColumn,
        Self::InvalidSql,
        Self::ModelInvalid,
        Self::InvalidToken,
        Self::SeqPastEnd,
        Self::Retention,
        Self::OffsetPastEnd,
        Self::TableNotFound,
        Self::ModelNotFound,
        Self::ViewNotFound,
        Self::EntityNotFound,
        Self::SnapshotNotFound,
        Self::SnapshotGone,
        Self::FileNotFound,
        Self::PathNotFound,
        Self::MethodNotAllowed,
        Self::WrongHost,
        Self::Unauthenticated,
        Self::PermissionDenied,
        Self::SigningUnavailable,
        Self::RequestTooLarge,
        Self::RowTooLarge,
        Self::PictureTooLarge,
        Self::QueryLimit,
        Self::DiskFull,
        Self::Busy,
        Self::OutcomeUnknown,
        Self::StoreUnavailable,
        Self::ShuttingDown,
        Self::DeadlineExceeded,
        Self::DataDamaged,
        Self::Internal,
        Self::ResultTooLarge,
        Self::QueryIdTaken,
        Self::QueryNotFound,
        Self::Cancelled,
        Self::NotSupported,
        Self::RowsRejected,
        Self::NumberDurable,
        Self::NumberGap,
        Self::WritersFull,
        Self::CreditExceeded,
    ];

    /// The reason as `ErrorInfo` carries it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "INVALID_REQUEST",
            Self::MalformedMessage => "MALFORMED_MESSAGE",
            Self::InvalidArrow => "INVALID_ARROW",
            Self::UnknownColumn => "UNKNOWN_COLUMN",
            Self::InvalidSql => "INVALID_SQL",
            Self::SeqPastEnd => "SEQ_PAST_END",
            Self::Retention => "RETENTION",
            Self::OffsetPastEnd => "OFFSET_PAST_END",
            Self::ModelInvalid => "MODEL_INVALID",
            Self::InvalidToken => "INVALID_TOKEN",
            Self::TableNotFound => "TABLE_NOT_FOUND",
            Self::ModelNotFound => "MODEL_NOT_FOUND",
            Self::ViewNotFound => "VIEW_NOT_FOUND",
            Self::EntityNotFound => "ENTITY_NOT_FOUND",
            Self::SnapshotNotFound => "SNAPSHOT_NOT_FOUND",
            Self::SnapshotGone => "SNAPSHOT_GONE",
            Self::FileNotFound => "FILE_NOT_FOUND",
            Self::PathNotFound => "PATH_NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::WrongHost => "WRONG_HOST",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::SigningUnavailable => "SIGNING_UNAVAILABLE",
            Self::RequestTooLarge => "REQUEST_TOO_LARGE",
            Self::RowTooLarge => "ROW_TOO_LARGE",
            Self::PictureTooLarge => "PICTURE_TOO_LARGE",
            Self::QueryLimit => "QUERY_LIMIT",
            Self::DiskFull => "DISK_FULL",
            Self::Busy => "BUSY",
            Self::OutcomeUnknown => "OUTCOME_UNKNOWN",
            Self::StoreUnavailable => "STORE_UNAVAILABLE",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::DataDamaged => "DATA_DAMAGED",
            Self::Internal => "INTERNAL",
            Self::ResultTooLarge => "RESULT_TOO_LARGE",
            Self::QueryIdTaken => "QUERY_ID_TAKEN",
            Self::QueryNotFound => "QUERY_NOT_FOUND",
            Self::Cancelled => "CANCELLED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::RowsRejected => "ROWS_REJECTED",
            Self::NumberDurable => "NUMBER_DURABLE",
            Self::NumberGap => "NUMBER_GAP",
            Self::WritersFull => "WRITERS_FULL",
            Self::CreditExceeded => "CREDIT_EXCEEDED",
        }
    }

    /// The gRPC code of calls that fail for this reason.
    #[must_use]
    pub fn code(self) -> Code {
        match self {
            Self::InvalidRequest
            | Self::MalformedMessage
            | Self::InvalidArrow
            | Self::UnknownColumn
            | Self::InvalidSql
            | Self::ModelInvalid
            | Self::InvalidToken
            | Self::RowsRejected => Code::InvalidArgument,
            Self::SeqPastEnd | Self::Retention | Self::OffsetPastEnd | Self::NumberGap => {
                Code::OutOfRange
            }
            Self::NumberDurable => Code::AlreadyExists,
            Self::TableNotFound
            | Self::ModelNotFound
            | Self::ViewNotFound
            | Self::EntityNotFound
            | Self::SnapshotNotFound
            | Self::SnapshotGone
            | Self::FileNotFound
            | Self::PathNotFound
            | Self::QueryNotFound => Code::NotFound,
            Self::QueryIdTaken => Code::AlreadyExists,
            Self::Cancelled => Code::Cancelled,
            Self::MethodNotAllowed | Self::NotSupported => Code::Unimplemented,
            Self::WrongHost | Self::PermissionDenied => Code::PermissionDenied,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::SigningUnavailable => Code::FailedPrecondition,
            Self::RequestTooLarge
            | Self::RowTooLarge
            | Self::PictureTooLarge
            | Self::QueryLimit
            | Self::ResultTooLarge
            | Self::DiskFull
            | Self::Busy
            | Self::WritersFull
            | Self::CreditExceeded => Code::ResourceExhausted,
            Self::OutcomeUnknown | Self::StoreUnavailable | Self::ShuttingDown => Code::Unavailable,
            Self::DeadlineExceeded => Code::DeadlineExceeded,
            Self::DataDamaged => Code::DataLoss,
            Self::Internal => Code::Internal,
        }
    }

    /// How long to wait before the same request may succeed; `None` where it never will by
    /// itself.
    #[must_use]
    pub fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_millis(500)),
            Self::OutcomeUnknown | Self::StoreUnavailable | Self::ShuttingDown => {
                Some(Duration::from_secs(1))
            }
            Self::DiskFull => Some(Duration::from_secs(30)),
            _ => None,
        }
    }

    /// The HTTP status of requests that fail for this reason.
    #[must_use]
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::SnapshotGone => StatusCode::GONE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongHost => StatusCode::MISDIRECTED_REQUEST,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotSupported => StatusCode::NOT_IMPLEMENTED,
            // The statement was understood; it is what it asks for that cannot be given.
            Self::SeqPastEnd
            | Self::Retention
            | Self::QueryLimit
            | Self::ResultTooLarge
            | Self::RowTooLarge => StatusCode::UNPROCESSABLE_ENTITY,
            _ => match self.code() {
                Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
                Code::OutOfRange => StatusCode::RANGE_NOT_SATISFIABLE,
                Code::NotFound => StatusCode::NOT_FOUND,
                Code::AlreadyExists | Code::Cancelled => StatusCode::CONFLICT,
                Code::Unauthenticated => StatusCode::UNAUTHORIZED,
                Code::PermissionDenied => StatusCode::FORBIDDEN,
                Code::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
                Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
                Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct() {
        let words: std::collections::HashSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn statuses_say_what_the_codes_say() {
        for (reason, status) in [
            (Reason::SnapshotGone, 410),
            (Reason::SnapshotNotFound, 404),
            (Reason::Unauthenticated, 401),
            (Reason::PermissionDenied, 403),
            (Reason::MethodNotAllowed, 405),
            (Reason::Busy, 503),
            (Reason::ShuttingDown, 503),
            (Reason::InvalidRequest, 400),
            (Reason::DataDamaged, 500),
            (Reason::InvalidSql, 400),
            (Reason::SeqPastEnd, 422),
            (Reason::QueryIdTaken, 409),
        ] {
            assert_eq!(reason.status().as_u16(), status, "{reason:?}");
        }
        let is_error = |reason: Reason| reason.status().as_u16() >= 400;
        assert!(Reason::ALL.into_iter().all(is_error));
    }
}
