//! The functions of the session, and the relations that stand in `FROM` like functions, as people
//! and programs read about them.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Documentation, Signature};
use vitalog_functions::json_documentation;

use crate::relation::Relation;

/// What a function works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FunctionKind {
    /// One row in, one value out.
    Scalar,
    /// Many rows in, one value out; works over windows, too.
    Aggregate,
    /// A value for each row, from the rows around it.
    Window,
    /// Stands in `FROM`.
    Table,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionDescription {
    /// The name by which SQL calls it; an alias is an entry of its own.
    pub name: String,
    /// What it works on.
    pub kind: FunctionKind,
    /// Name and arguments, as written.
    pub signature: String,
    /// What it does; empty where nobody wrote it down.
    pub description: String,
    /// SQL with its result.
    pub example: Option<String>,
}

/// A relation: it is called in `FROM` with named arguments, and planned into an ordinary plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationDescription {
    /// The name by which SQL calls it.
    pub name: String,
    /// Name and arguments, as written.
    pub signature: String,
    /// What one row is, and what it is for.
    pub description: String,
    /// SQL with its result.
    pub example: Option<String>,
    /// In order.
    pub arguments: Vec<RelationArgument>,
    /// The columns of its rows.
    pub columns: SchemaRef,
    /// What each column means, in their order.
    pub column_comments: Vec<String>,
}

/// An argument of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationArgument {
    /// The name, as in `name => value`.
    pub name: String,
    /// The type that a value is cast to.
    pub data_type: DataType,
    /// What holds when it is left out, in SQL; `None` where it must be given.
    pub default: Option<String>,
    /// What it means.
    pub description: String,
}

/// Every relation, by name.
pub(crate) fn relations() -> Vec<RelationDescription> {
    Relation::ALL.into_iter().map(relation_text).collect()
}

fn relation_text(relation: Relation) -> RelationDescription {
    let arguments: Vec<RelationArgument> = relation
        .arguments()
        .iter()
        .map(|argument| {
            let text = argument.text();
            RelationArgument {
                name: text.name.to_owned(),
                data_type: text.data_type,
                default: Some(relation.default_of(*argument).to_owned()),
                description: text.meaning.to_owned(),
            }
        })
        .collect();
    let named: Vec<String> = arguments
        .iter()
        .map(|argument| format!("{} => …", argument.name))
        .collect();
    RelationDescription {
        name: relation.name().to_owned(),
        signature: format!("{}([{}])", relation.name(), named.join("] [, ")),
        description: relation.description().to_owned(),
        example: Some(relation.example().to_owned()),
        arguments,
        columns: relation.schema(),
        column_comments: relation
            .columns()
            .iter()
            .map(|(_, _, meaning)| (*meaning).to_owned())
            .collect(),
    }
}

/// Every function of `state` and every relation, by name and kind.
pub(crate) fn functions(
    state: &SessionState,
    relations: &[RelationDescription],
) -> Vec<FunctionDescription> {
    let scalars = state.scalar_functions().iter().map(|(name, function)| {
        let documentation = function.documentation();
        let documentation = documentation.or_else(|| json_documentation(function.name()));
        let known = (function.name(), function.signature(), documentation);
        describe(name, FunctionKind::Scalar, known)
    });
    let aggregates = state.aggregate_functions().iter().map(|(name, function)| {
        let known = (
            function.name(),
            function.signature(),
            function.documentation(),
        );
        describe(name, FunctionKind::Aggregate, known)
    });
    let windows = state.window_functions().iter().map(|(name, function)| {
        let known = (
            function.name(),
            function.signature(),
            function.documentation(),
        );
        describe(name, FunctionKind::Window, known)
    });
    let tables = state
        .table_functions()
        .keys()
        .map(|name| FunctionDescription {
            name: name.clone(),
            kind: FunctionKind::Table,
            signature: format!("{name}(…)"),
            description: String::new(),
            example: None,
        });
    let mut functions: Vec<FunctionDescription> = scalars
        .chain(aggregates)
        .chain(windows)
        .chain(tables)
        .chain(relations.iter().map(describe_relation))
        .collect();
    functions.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
    functions
}

/// A relation with its arguments and columns, which no type of a signature tells.
fn describe_relation(relation: &RelationDescription) -> FunctionDescription {
    let mut description = relation.description.trim().to_owned();
    for argument in &relation.arguments {
        let RelationArgument {
            name,
            data_type,
            default,
            description: meaning,
        } = argument;
        let default = default.as_ref();
        let default = default.map_or_else(String::new, |value| format!(", {value} by default"));
        description.push_str(&format!("\n- `{name}` ({data_type}{default}): {meaning}"));
    }
    let columns: Vec<&str> = relation
        .columns
        .fields()
        .iter()
        .map(|column| column.name().as_str())
        .collect();
    description.push_str(&format!("\nColumns: {}.", columns.join(", ")));
    FunctionDescription {
        name: relation.name.clone(),
        kind: FunctionKind::Table,
        signature: relation.signature.clone(),
        description,
        example: relation.example.clone(),
    }
}

fn describe(
    name: &str,
    kind: FunctionKind,
    (canonical, signature, documentation): (&str, &Signature, Option<&Documentation>),
) -> FunctionDescription {
    let written = documentation.map_or_else(
        || {
            format!(
                "{name}({})",
                signature.type_signature.to_string_repr().join(", ")
            )
        },
        |documentation| documentation.syntax_example.clone(),
    );
    let mut description =
        documentation.map_or_else(String::new, |text| text.description.trim().to_owned());
    if name != canonical {
        description = format!("Another name of `{canonical}`. {description}")
            .trim()
            .to_owned();
    }
    FunctionDescription {
        name: name.to_owned(),
        kind,
        signature: written,
        description,
        example: documentation.and_then(|documentation| documentation.sql_example.clone()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{Field, Schema};
    use datafusion::execution::SessionStateBuilder;

    use super::*;

    #[test]
    fn relations_stand_among_the_functions() {
        let state = SessionStateBuilder::new_with_default_features().build();
        let relation = RelationDescription {
            name: "between_these".to_owned(),
            signature: "between_these([model])".to_owned(),
            description: "One row an account.".to_owned(),
            example: Some("SELECT 1".to_owned()),
            arguments: vec![RelationArgument {
                name: "model".to_owned(),
                data_type: DataType::Utf8,
                default: Some("'default'".to_owned()),
                description: "Which model.".to_owned(),
            }],
            columns: Arc::new(Schema::new(vec![
                Field::new("account_id", DataType::Utf8, true),
                Field::new("score", DataType::Float64, true),
            ])),
            column_comments: Vec::new(),
        };
        let all = functions(&state, &[relation]);
        assert!(all.is_sorted_by_key(|one| (one.name.clone(), one.kind)));
        let found: Vec<_> = all
            .iter()
            .filter(|one| one.name == "between_these")
            .collect();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].kind, FunctionKind::Table);
        assert_eq!(
            found[0].description,
            "One row an account.\n- `model` (Utf8, 'default' by default): Which model.\n\
             Columns: account_id, score."
        );
    }
}
