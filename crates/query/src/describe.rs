//! The functions of the session as people and programs read about them.

use datafusion::execution::SessionState;
use datafusion::logical_expr::{Documentation, Signature};

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

/// Every function of `state`, by name and kind.
pub(crate) fn functions(state: &SessionState) -> Vec<FunctionDescription> {
    let scalars = state.scalar_functions().iter().map(|(name, function)| {
        let documentation = function.documentation();
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
        .collect();
    functions.sort_by(|left, right| (&left.name, left.kind).cmp(&(&right.name, right.kind)));
    functions
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
