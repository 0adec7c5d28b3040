//! From an error of the planner or an operator to one that its reader can act on: kind, plain
//! words, the place in the SQL, and a near name.
//!
//! It owns the knowledge of how DataFusion words its errors; nothing else looks into them.

use std::collections::BTreeSet;
use std::error::Error;

use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError, Span};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use vitalog_store::StoreError;

use crate::engine::Access;
use crate::error::{Position, QueryError, QueryErrorKind};
use crate::relation::Relation;
use crate::statement::{is_file_function, is_file_name};
use crate::tables::TableName;
use crate::views::BUILT_IN;

/// The names that a statement may use beside its columns.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    functions: BTreeSet<String>,
    table_functions: BTreeSet<String>,
}

impl Vocabulary {
    pub fn of(state: &SessionState) -> Self {
        let scalars = state.scalar_functions().keys();
        let aggregates = state.aggregate_functions().keys();
        let windows = state.window_functions().keys();
        let table_functions = state.table_functions().keys().cloned();
        let relations = Relation::ALL.map(|relation| relation.name().to_owned());
        Self {
            functions: scalars.chain(aggregates).chain(windows).cloned().collect(),
            table_functions: table_functions.chain(relations).collect(),
        }
    }
}

/// What is needed to explain the errors of one statement.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub sql: String,
    pub access: Access,
    pub vocabulary: std::sync::Arc<Vocabulary>,
}

impl Diagnosis {
    pub fn diagnose(&self, error: &DataFusionError) -> QueryError {
        let root = root_of(error);
        if let Some(ours) = root.ours {
            return ours;
        }
        let place = root.span.and_then(position_of_span);
        let found = match root.error {
            DataFusionError::SQL(error, _) => return self.of_parser(error),
            DataFusionError::SchemaError(error, _) => self.of_schema(error),
            DataFusionError::Plan(message) => self.of_plan(message),
            other => Found::new(kind_of(other), message_of(other)),
        };
        let found_place = || {
            found
                .position
                .or_else(|| self.place_of(found.name.as_deref()?))
        };
        let error = QueryError::new(found.kind, found.message.clone());
        let error = error.with_suggestion(found.suggestion.clone());
        match place.or_else(found_place) {
            Some(position) => error.at(&self.sql, position),
            None => error,
        }
    }

    fn of_parser(&self, error: &ParserError) -> QueryError {
        let (ParserError::ParserError(text) | ParserError::TokenizerError(text)) = error else {
            return QueryError::invalid("the statement is nested too deeply");
        };
        let Some((message, place)) = text.rsplit_once(" at Line: ") else {
            return QueryError::invalid(text);
        };
        let position = place.split_once(", Column: ").and_then(|(line, column)| {
            Some(Position {
                line: line.trim().parse().ok()?,
                column: column.trim().parse().ok()?,
            })
        });
        match position {
            Some(position) => QueryError::invalid(message).at(&self.sql, position),
            None => QueryError::invalid(text),
        }
    }

    fn of_schema(&self, error: &SchemaError) -> Found {
        match error {
            SchemaError::FieldNotFound {
                field,
                valid_fields,
            } => {
                let shown = field.flat_name();
                Found {
                    suggestion: near_column(field, valid_fields),
                    position: field.spans().first().and_then(position_of_span),
                    name: Some(field.name().to_owned()),
                    ..Found::invalid(format!("there is no column {shown}"))
                }
            }
            SchemaError::AmbiguousReference { field } => Found {
                position: field.spans().first().and_then(position_of_span),
                name: Some(field.name().to_owned()),
                ..Found::invalid(format!(
                    "column {} is ambiguous: write it with its table",
                    field.flat_name()
                ))
            },
            other => Found::invalid(other.to_string()),
        }
    }

    fn of_plan(&self, message: &str) -> Found {
        if let Some(name) = between(message, "table function '", "' not found") {
            return self.of_table_function(name);
        }
        if let Some(name) = between(message, "table '", "' not found") {
            return self.of_table(name);
        }
        if let Some(name) = between(message, "Invalid function '", "'") {
            return Found {
                suggestion: near(name, self.vocabulary.functions.iter().map(String::as_str)),
                name: Some(name.to_owned()),
                ..Found::invalid(format!("there is no function {name}"))
            };
        }
        Found::invalid(message)
    }

    fn of_table(&self, qualified: &str) -> Found {
        let parts: Vec<&str> = qualified.splitn(3, '.').collect();
        let name = *parts.last().unwrap_or(&qualified);
        if is_file_name(name) {
            let message = match self.access {
                Access::Local => format!("there is no file {name} that can be read as a table"),
                Access::ReadOnly => format!("reading the file '{name}' is refused"),
            };
            return Found {
                name: Some(name.to_owned()),
                ..Found::invalid(message)
            };
        }
        if Relation::of(name).is_some() {
            return Found {
                name: Some(name.to_owned()),
                ..Found::invalid(format!("{name} is called with brackets, as in {name}()"))
            };
        }
        let tables = TableName::ALL.iter().map(|table| table.as_str());
        let views = BUILT_IN.iter().map(|(view, _)| *view);
        Found {
            suggestion: near(name, tables.chain(views)),
            name: Some(name.to_owned()),
            ..Found::invalid(format!("there is no table {name}"))
        }
    }

    fn of_table_function(&self, name: &str) -> Found {
        let named = Some(name.to_owned());
        if !is_file_function(name) {
            let known = self.vocabulary.table_functions.iter().map(String::as_str);
            let suggestion = near(name, known);
            let message = format!("there is no table function {name}");
            return Found {
                name: named,
                suggestion,
                ..Found::invalid(message)
            };
        }
        let message = match self.access {
            Access::ReadOnly => {
                format!(
                    "the file function {name} is refused: SQL over the wire only reads the tables"
                )
            }
            Access::Local => {
                format!(
                    "there is no function {name}; a file is read by its path: FROM 'file.parquet'"
                )
            }
        };
        Found {
            name: named,
            ..Found::invalid(message)
        }
    }

    /// Where a name first stands in the SQL as a word or in quotes.
    fn place_of(&self, name: &str) -> Option<Position> {
        let tokens = Tokenizer::new(&GenericDialect {}, &self.sql)
            .tokenize_with_location()
            .ok()?;
        let token = tokens.into_iter().find(|token| match &token.token {
            Token::Word(word) => word.value.eq_ignore_ascii_case(name),
            Token::SingleQuotedString(text) => text == name,
            _ => false,
        })?;
        position(token.span.start.line, token.span.start.column)
    }
}

/// What is known of an error before its place is looked for.
struct Found {
    kind: QueryErrorKind,
    message: String,
    suggestion: Option<String>,
    position: Option<Position>,
    /// The name it is about.
    name: Option<String>,
}

impl Found {
    fn new(kind: QueryErrorKind, message: impl Into<String>) -> Self {
        let (suggestion, position, name) = (None, None, None);
        Self {
            kind,
            message: message.into(),
            suggestion,
            position,
            name,
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(QueryErrorKind::Invalid, message)
    }
}

/// The innermost error, the first span on the way to it, and our own error where it is one.
struct Root<'a> {
    error: &'a DataFusionError,
    span: Option<Span>,
    ours: Option<QueryError>,
}

fn root_of(error: &DataFusionError) -> Root<'_> {
    let mut root = Root {
        error,
        span: None,
        ours: None,
    };
    loop {
        let inner: &(dyn Error + 'static) = match root.error {
            DataFusionError::Context(_, inner) => {
                root.error = inner;
                continue;
            }
            DataFusionError::Diagnostic(diagnostic, inner) => {
                root.span = root.span.or(diagnostic.span);
                root.error = inner;
                continue;
            }
            DataFusionError::Shared(inner) => {
                root.error = inner;
                continue;
            }
            DataFusionError::Collection(errors) => match errors.first() {
                Some(first) => {
                    root.error = first;
                    continue;
                }
                None => return root,
            },
            DataFusionError::External(inner) => inner.as_ref(),
            DataFusionError::ArrowError(inner, _) => match inner.as_ref() {
                ArrowError::ExternalError(inner) => inner.as_ref(),
                _ => return root,
            },
            _ => return root,
        };
        if let Some(inner) = inner.downcast_ref::<DataFusionError>() {
            root.error = inner;
            continue;
        }
        root.ours = inner
            .downcast_ref::<QueryError>()
            .cloned()
            .or_else(|| inner.downcast_ref::<StoreError>().map(QueryError::from));
        return root;
    }
}

fn kind_of(error: &DataFusionError) -> QueryErrorKind {
    match error {
        DataFusionError::ResourcesExhausted(_) => QueryErrorKind::Limit,
        DataFusionError::IoError(error) => kind_of_io(error),
        DataFusionError::ObjectStore(error) => match error.as_ref() {
            datafusion::object_store::Error::NotFound { .. } => QueryErrorKind::Invalid,
            _ => QueryErrorKind::Data,
        },
        DataFusionError::ParquetError(_) => QueryErrorKind::Data,
        DataFusionError::ArrowError(error, _) => match error.as_ref() {
            ArrowError::MemoryError(_) => QueryErrorKind::Limit,
            ArrowError::IoError(_, error) => kind_of_io(error),
            ArrowError::SchemaError(_) | ArrowError::CDataInterface(_) => QueryErrorKind::Internal,
            // Division by zero, overflow, text that is no number: the rows and the SQL disagree.
            _ => QueryErrorKind::Invalid,
        },
        DataFusionError::Internal(_)
        | DataFusionError::ExecutionJoin(_)
        | DataFusionError::External(_)
        | DataFusionError::Ffi(_) => QueryErrorKind::Internal,
        _ => QueryErrorKind::Invalid,
    }
}

fn kind_of_io(error: &std::io::Error) -> QueryErrorKind {
    match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => {
            QueryErrorKind::Invalid
        }
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            QueryErrorKind::Limit
        }
        _ => QueryErrorKind::Data,
    }
}

fn message_of(error: &DataFusionError) -> String {
    match error {
        DataFusionError::Internal(message) => message.clone(),
        DataFusionError::NotImplemented(message) => format!("not supported: {message}"),
        DataFusionError::ResourcesExhausted(message) if message.starts_with("the statement") => {
            message.clone()
        }
        DataFusionError::ResourcesExhausted(message) => {
            format!("the statement needs more than there is: {message}")
        }
        other => other.message().into_owned(),
    }
}

fn position(line: u64, column: u64) -> Option<Position> {
    let (line, column) = (usize::try_from(line).ok()?, usize::try_from(column).ok()?);
    (line > 0 && column > 0).then_some(Position { line, column })
}

fn position_of_span(span: Span) -> Option<Position> {
    position(span.start.line, span.start.column)
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let start = text.find(before)? + before.len();
    let length = text[start..].find(after)?;
    Some(&text[start..start + length])
}

/// The column nearest to one that does not exist, as it must be written.
fn near_column(field: &Column, valid: &[Column]) -> Option<String> {
    let names: BTreeSet<&str> = valid.iter().map(Column::name).collect();
    if names.contains(field.name()) {
        // The name is right and the table is not.
        let found = valid.iter().find(|column| column.name() == field.name())?;
        return Some(found.quoted_flat_name());
    }
    let near = near(field.name(), names.into_iter())?;
    Some(Column::new_unqualified(near).quoted_flat_name())
}

/// The name nearest to `name`, where one is near: at most a third of its letters differ.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let wanted = name.to_lowercase();
    let limit = (wanted.chars().count() / 3).max(1);
    known
        .map(|known| {
            (
                strsim::damerau_levenshtein(&wanted, &known.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_near() {
        let tables = || TableName::ALL.iter().map(|table| table.as_str());
        assert_eq!(near("evnts", tables()).as_deref(), Some("events"));
        assert_eq!(near("Event", tables()).as_deref(), Some("events"));
        assert_eq!(near("membership", tables()).as_deref(), Some("memberships"));
        assert_eq!(near("invoices", tables()), None);
    }

    #[test]
    fn a_column_of_another_table_is_shown_with_its_table() {
        let valid = [
            Column::new(Some("events"), "user_id"),
            Column::new(Some("events"), "value"),
        ];
        let wanted = Column::new(Some("users"), "user_id");
        assert_eq!(
            near_column(&wanted, &valid).as_deref(),
            Some("events.user_id")
        );
        let wanted = Column::new_unqualified("valu");
        assert_eq!(near_column(&wanted, &valid).as_deref(), Some("value"));
    }

    #[test]
    fn errors_of_the_store_keep_their_kind_through_the_layers() {
        let inner = DataFusionError::External(Box::new(StoreError::Closed));
        let outer =
            DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(inner))), None)
                .context("while scanning");
        let ours = root_of(&outer).ours.expect("an error of the store");
        assert_eq!(ours.kind(), QueryErrorKind::Closed);
    }
}
