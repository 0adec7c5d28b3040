//! Values that are bound to the placeholders of a statement: `$1` is the first.

use std::collections::BTreeSet;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::QueryError;

/// A bound value.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// NULL of any type.
    Null,
    /// BOOLEAN.
    Boolean(bool),
    /// BIGINT.
    Integer(i64),
    /// DOUBLE.
    Double(f64),
    /// TEXT.
    Text(String),
    /// TIMESTAMP, microseconds since 1970, UTC.
    TimestampUs(i64),
    /// DATE, days since 1970.
    Date(i32),
}

impl Parameter {
    fn to_scalar(&self) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::Null,
            Self::Boolean(value) => ScalarValue::Boolean(Some(*value)),
            Self::Integer(value) => ScalarValue::Int64(Some(*value)),
            Self::Double(value) => ScalarValue::Float64(Some(*value)),
            Self::Text(value) => ScalarValue::Utf8(Some(value.clone())),
            Self::TimestampUs(value) => {
                ScalarValue::TimestampMicrosecond(Some(*value), Some("UTC".into()))
            }
            Self::Date(value) => ScalarValue::Date32(Some(*value)),
        }
    }
}

/// `plan` with its placeholders replaced.
///
/// # Errors
/// A placeholder without a value, and a value without a placeholder.
pub(crate) fn bind(
    plan: LogicalPlan,
    parameters: &[Parameter],
) -> Result<LogicalPlan, DataFusionError> {
    let names = placeholders(&plan)?;
    let is_bound = |name: &String| {
        let number = name
            .strip_prefix('$')
            .and_then(|number| number.parse().ok());
        number.is_some_and(|number: usize| (1..=parameters.len()).contains(&number))
    };
    if let Some(unbound) = names.iter().find(|name| !is_bound(name)) {
        let given = parameters.len();
        return Err(invalid(format!(
            "placeholder {unbound} has no value; {given} parameters were given"
        )));
    }
    let used = |number: &usize| names.contains(&format!("${number}"));
    if let Some(unused) = (1..=parameters.len()).find(|number| !used(number)) {
        return Err(invalid(format!(
            "parameter {unused} was given, and the statement has no ${unused}"
        )));
    }
    if names.is_empty() {
        return Ok(plan);
    }
    let values: Vec<ScalarValue> = parameters.iter().map(Parameter::to_scalar).collect();
    plan.replace_params_with_values(&ParamValues::from(values))
}

fn placeholders(plan: &LogicalPlan) -> Result<BTreeSet<String>, DataFusionError> {
    use datafusion::common::tree_node::TreeNode;
    let mut names = BTreeSet::new();
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(placeholder) = expr {
                    names.insert(placeholder.id.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(names)
}

fn invalid(message: String) -> DataFusionError {
    QueryError::invalid(message).into()
}
