//! Why an event was not taken: its index, the field, a stable code and a sentence.

use std::fmt;

/// A stable code for one reason of rejection; clients may match on [`RejectionCode::as_str`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectionCode {
    /// A required field is absent or null.
    Missing,
    /// A text field that must not be empty is.
    Empty,
    /// A text is longer than its limit.
    TooLong,
    /// A number is NaN or infinite, or a time cannot be read.
    NotANumber,
    /// A field cannot be read as its type.
    WrongType,
    /// `event_time` lies before 1970.
    BeforeEpoch,
    /// `event_time` lies more than 24 hours ahead of the server's clock.
    InFuture,
    /// The name starts with `$` and is none of the reserved names.
    ReservedName,
    /// `properties` is no JSON object, repeats a key, or nests too deep.
    InvalidProperties,
    /// Bytes that are not UTF-8.
    InvalidUtf8,
    /// The whole line or row cannot be parsed.
    Malformed,
    /// The same id on the same day and account was stored with other content.
    Conflict,
    /// The event lies before the days that the store keeps.
    PastRetention,
}

impl RejectionCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::Empty,
        Self::TooLong,
        Self::NotANumber,
        Self::WrongType,
        Self::BeforeEpoch,
        Self::InFuture,
        Self::ReservedName,
        Self::InvalidProperties,
        Self::InvalidUtf8,
        Self::Malformed,
        Self::Conflict,
        Self::PastRetention,
    ];

    /// The code that clients see as `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }

    /// The code as clients see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::NotANumber => "not_a_number",
            Self::WrongType => "wrong_type",
            Self::BeforeEpoch => "before_1970",
            Self::InFuture => "in_future",
            Self::ReservedName => "reserved_name",
            Self::InvalidProperties => "invalid_properties",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Malformed => "malformed",
            Self::Conflict => "conflict",
            Self::PastRetention => "past_retention",
        }
    }
}

impl fmt::Display for RejectionCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One event that was not taken; the rest of its batch goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Position in the input, from 0.
    pub index: usize,
    /// The column at fault.
    pub field: &'static str,
    /// The stable reason.
    pub code: RejectionCode,
    /// What was found and what was expected, for a person.
    pub message: String,
}

impl Rejection {
    /// Bytes of field, code and message: less than any form in which they are told.
    pub(crate) fn text_bytes(&self) -> usize {
        self.field.len() + self.code.as_str().len() + self.message.len()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            index,
            field,
            code,
            message,
        } = self;
        write!(
            formatter,
            "event {index}, field {field}: {message} ({code})"
        )
    }
}
