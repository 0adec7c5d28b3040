//! What there is to ask, as the prompt completes and lists it.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use vitalog_query::{FunctionDescription, FunctionKind, TableDescription};
use vitalog_wire::vitalog::v1;

/// Tables and functions of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalog {
    /// By name.
    pub tables: Vec<Table>,
    /// By name and kind.
    pub functions: Vec<Function>,
    /// Names of health models, each once.
    pub models: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub name: String,
    pub comment: String,
    pub columns: Vec<Column>,
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    /// As Arrow writes it.
    pub data_type: String,
    pub is_nullable: bool,
    pub comment: String,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub name: String,
    /// `scalar`, `aggregate`, `window`, `table`, or empty where the server knows another.
    pub kind: &'static str,
    pub signature: String,
    pub description: String,
    /// Empty where there is none.
    pub example: String,
}

impl Catalog {
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables
            .iter()
            .find(|table| table.name.eq_ignore_ascii_case(name))
    }

    /// Name and meaning of each table.
    pub fn table_rows(&self) -> RecordBatch {
        let rows = self
            .tables
            .iter()
            .map(|table| [table.name.as_str(), &table.comment]);
        text_batch(["table", "comment"], rows)
    }

    /// The columns of one table, or of all; `None` where there is no such table.
    pub fn column_rows(&self, name: Option<&str>) -> Option<RecordBatch> {
        let null = |column: &Column| if column.is_nullable { "yes" } else { "no" };
        let Some(name) = name else {
            let rows = self.tables.iter().flat_map(|table| {
                table.columns.iter().map(move |column| {
                    [
                        &table.name,
                        &column.name,
                        &column.data_type,
                        null(column),
                        &column.comment,
                    ]
                })
            });
            return Some(text_batch(
                ["table", "column", "type", "null", "comment"],
                rows,
            ));
        };
        let rows = self.table(name)?.columns.iter().map(|column| {
            [
                column.name.as_str(),
                &column.data_type,
                null(column),
                &column.comment,
            ]
        });
        Some(text_batch(["column", "type", "null", "comment"], rows))
    }

    /// The functions whose name `pattern` matches: a part of the name, or with `*` or `%` for any
    /// characters the whole name.
    pub fn functions_like(&self, pattern: &str) -> Vec<&Function> {
        let pattern = pattern.to_lowercase().replace('%', "*");
        let is_like = |name: &str| match pattern.contains('*') {
            true => matches_parts(name, &pattern),
            false => name.contains(&pattern),
        };
        self.functions
            .iter()
            .filter(|function| is_like(&function.name.to_lowercase()))
            .collect()
    }
}

/// Name, kind and signature of each function.
pub(super) fn function_rows(functions: &[&Function]) -> RecordBatch {
    let rows = functions
        .iter()
        .map(|function| [function.name.as_str(), function.kind, &function.signature]);
    text_batch(["function", "kind", "signature"], rows)
}

/// Whether the parts of `pattern` between its asterisks follow one another in all of `name`.
fn matches_parts(name: &str, pattern: &str) -> bool {
    let (first, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(mut name) = name
        .strip_prefix(first)
        .and_then(|name| name.strip_suffix(last))
    else {
        return false;
    };
    middle.split('*').all(|part| {
        let found = name.find(part);
        name = found.map_or("", |at| &name[at + part.len()..]);
        found.is_some()
    })
}

fn text_batch<'t, const N: usize>(
    names: [&str; N],
    rows: impl Iterator<Item = [&'t str; N]>,
) -> RecordBatch {
    let rows: Vec<[&str; N]> = rows.collect();
    let columns = names.iter().enumerate().map(|(index, name)| {
        let values = rows.iter().map(|row| row[index]);
        let column: ArrayRef = Arc::new(StringArray::from_iter_values(values));
        (*name, column)
    });
    RecordBatch::try_from_iter(columns).expect("columns made from the same rows")
}

impl From<TableDescription> for Table {
    fn from(table: TableDescription) -> Self {
        let columns = table.columns.into_iter().map(|column| Column {
            name: column.name,
            data_type: column.data_type.to_string(),
            is_nullable: column.is_nullable,
            comment: column.comment,
        });
        Self {
            name: table.name,
            comment: table.comment,
            columns: columns.collect(),
        }
    }
}

impl From<FunctionDescription> for Function {
    fn from(function: FunctionDescription) -> Self {
        let kind = match function.kind {
            FunctionKind::Scalar => "scalar",
            FunctionKind::Aggregate => "aggregate",
            FunctionKind::Window => "window",
            FunctionKind::Table => "table",
        };
        Self {
            name: function.name,
            kind,
            signature: function.signature,
            description: function.description,
            example: function.example.unwrap_or_default(),
        }
    }
}

impl From<v1::Table> for Table {
    fn from(table: v1::Table) -> Self {
        let columns = table.columns.into_iter().map(|column| Column {
            name: column.name,
            data_type: column.data_type,
            is_nullable: column.nullable,
            comment: column.comment,
        });
        Self {
            name: table.name,
            comment: table.comment,
            columns: columns.collect(),
        }
    }
}

impl From<v1::Function> for Function {
    fn from(function: v1::Function) -> Self {
        let kind = match function.kind() {
            v1::FunctionKind::Scalar => "scalar",
            v1::FunctionKind::Aggregate => "aggregate",
            v1::FunctionKind::Window => "window",
            v1::FunctionKind::Table => "table",
            v1::FunctionKind::Unspecified => "",
        };
        Self {
            name: function.name,
            kind,
            signature: function.signature,
            description: function.description,
            example: function.example,
        }
    }
}

/// Each of `names` once, in order.
pub(super) fn model_names(names: impl Iterator<Item = String>) -> Vec<String> {
    let names: BTreeSet<String> = names.collect();
    names.into_iter().collect()
}

#[cfg(test)]
pub(super) fn sample() -> Catalog {
    let column = |name: &str| Column {
        name: name.to_owned(),
        data_type: "Utf8".to_owned(),
        is_nullable: true,
        comment: String::new(),
    };
    let table = |name: &str, columns: &[&str]| Table {
        name: name.to_owned(),
        comment: format!("One row a thing of {name}."),
        columns: columns.iter().map(|name| column(name)).collect(),
    };
    let function = |name: &str, kind| Function {
        name: name.to_owned(),
        kind,
        signature: format!("{name}(a)"),
        description: format!("Returns the {name}."),
        example: format!("SELECT {name}(1);"),
    };
    Catalog {
        tables: vec![
            table("accounts", &["account_id", "name"]),
            table("events", &["event_id", "event_time", "account_id"]),
        ],
        functions: vec![
            function("count", "aggregate"),
            function("health_band", "scalar"),
            function("health_score", "scalar"),
            function("health_scores", "table"),
        ],
        models: vec!["default".to_owned(), "trial-plan".to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_found_by_part_or_pattern() {
        let catalog = sample();
        let found = |pattern: &str| -> Vec<String> {
            catalog
                .functions_like(pattern)
                .into_iter()
                .map(|one| one.name.clone())
                .collect()
        };
        assert_eq!(found("HEALTH_S"), ["health_score", "health_scores"]);
        assert_eq!(found("h*score"), ["health_score"]);
        assert_eq!(found("%_b%"), ["health_band"]);
        assert_eq!(found("*h*h*s*"), ["health_score", "health_scores"]);
        assert_eq!(found("c*count"), [""; 0]);
        assert_eq!(found("*").len(), 4);
    }

    #[test]
    fn columns_of_one_table_or_of_all() {
        let catalog = sample();
        assert_eq!(
            catalog.column_rows(None).map(|rows| rows.num_rows()),
            Some(5)
        );
        assert_eq!(
            catalog
                .column_rows(Some("Events"))
                .map(|rows| rows.num_rows()),
            Some(3)
        );
        assert!(catalog.column_rows(Some("nothing")).is_none());
        assert_eq!(catalog.table_rows().num_rows(), 2);
    }
}
