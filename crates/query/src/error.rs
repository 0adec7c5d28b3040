//! What can go wrong with a statement, said so that its author can mend it.
//!
//! One type for everything above the store: a kind that tells a program what to do, a message for
//! people, and where it is known the place in the SQL and a near name. How foreign errors become
//! this one stands in `diagnosis`.

use std::fmt;

use datafusion::error::DataFusionError;
use vitalog_store::{StoreError, StoreErrorKind};

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueryErrorKind {
    /// The statement is wrong or refused: change it.
    Invalid,
    /// The answer would need days that the retention dropped: ask about later ones.
    Retention,
    /// A limit of memory, time or size: ask for less.
    Limit,
    /// The store is busy: retry.
    Unavailable,
    /// The engine or the store is closed.
    Closed,
    /// Bytes on disk are damaged: restore or investigate.
    Data,
    /// A bug.
    Internal,
}

/// A place in the text of a statement, in characters, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

/// An error of the query engine. Its `Display` shows the line of SQL with a caret under the place,
/// where that is known.
#[derive(Clone, Debug)]
pub struct QueryError {
    kind: QueryErrorKind,
    /// What is wrong, in one sentence without place and suggestion.
    pub message: String,
    /// Where in the SQL.
    pub position: Option<Position>,
    /// A name that exists and is near to the one that does not.
    pub suggestion: Option<String>,
    /// The part of the line that is shown, and the characters before the caret.
    excerpt: Option<(String, usize)>,
}

/// Most characters of a line that are shown on each side of the caret.
const EXCERPT_CHARS: usize = 60;

impl QueryError {
    /// An error without a place.
    #[must_use]
    pub fn new(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            position: None,
            suggestion: None,
            excerpt: None,
        }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::Invalid, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::Internal, message)
    }

    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> QueryErrorKind {
        self.kind
    }

    /// The same error at `position` of `sql`.
    #[must_use]
    pub(crate) fn at(mut self, sql: &str, position: Position) -> Self {
        self.position = Some(position);
        self.excerpt = excerpt(sql, position);
        self
    }

    #[must_use]
    pub(crate) fn with_suggestion(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

/// The part of the line around `position` and the number of characters before it; `None` where
/// the text has no such line.
fn excerpt(sql: &str, position: Position) -> Option<(String, usize)> {
    let line = sql.lines().nth(position.line.checked_sub(1)?)?;
    let column = position.column.checked_sub(1)?.min(line.chars().count());
    let skipped = column.saturating_sub(EXCERPT_CHARS);
    let shown: String = line.chars().skip(skipped).take(2 * EXCERPT_CHARS).collect();
    Some((shown, column - skipped))
}

impl fmt::Display for QueryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, "; did you mean {suggestion}?")?;
        }
        let (Some(position), Some((line, before))) = (self.position, &self.excerpt) else {
            return Ok(());
        };
        // Tabs stay tabs, so that the caret stands under its character.
        let indent: String = line
            .chars()
            .take(*before)
            .map(|char| if char == '\t' { '\t' } else { ' ' })
            .collect();
        let Position {
            line: number,
            column,
        } = position;
        write!(
            formatter,
            "\n  at line {number}, column {column}:\n    {line}\n    {indent}^"
        )
    }
}

impl std::error::Error for QueryError {}

/// On its way through the engine; `diagnosis` takes it out again.
impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

impl From<&StoreError> for QueryError {
    fn from(error: &StoreError) -> Self {
        let kind = match error.kind() {
            StoreErrorKind::Invalid => QueryErrorKind::Invalid,
            StoreErrorKind::Limit => QueryErrorKind::Limit,
            StoreErrorKind::Unavailable => QueryErrorKind::Unavailable,
            StoreErrorKind::Closed => QueryErrorKind::Closed,
            StoreErrorKind::Data => QueryErrorKind::Data,
            StoreErrorKind::Internal => QueryErrorKind::Internal,
        };
        Self::new(kind, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_place() {
        let sql = "SELECT a,\n\tbb FROM events";
        let error = QueryError::invalid("No column bb")
            .at(sql, Position { line: 2, column: 2 })
            .with_suggestion(Some("b".to_owned()));
        assert_eq!(
            error.to_string(),
            "No column bb; did you mean b?\n  at line 2, column 2:\n    \tbb FROM events\n    \t^"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place() {
        let sql = format!("{}x{}", "a".repeat(500), "b".repeat(500));
        let error = QueryError::invalid("m").at(
            &sql,
            Position {
                line: 1,
                column: 501,
            },
        );
        let shown = error.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        let caret = lines[3].chars().count() - 1;
        assert_eq!(lines[2].chars().nth(caret), Some('x'), "{shown}");
        assert!(lines[2].len() < 140);
    }

    #[test]
    fn a_place_outside_the_text_shows_none() {
        let error = QueryError::invalid("m").at("SELECT", Position { line: 3, column: 1 });
        assert_eq!(error.to_string(), "m");
        let error = QueryError::invalid("m").at(
            "SELECT",
            Position {
                line: 1,
                column: 99,
            },
        );
        assert!(error.to_string().ends_with("\n    SELECT\n          ^"));
    }
}
