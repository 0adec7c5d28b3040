//! Values that are bound to the placeholders of a statement: `$1` is the first.

use std::collections::BTreeSet;

use arrow::array::{Array, ArrayRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, LogicalPlan};

use crate::error::QueryError;
use crate::plain::plain_array;

/// The highest number of a placeholder.
const NUMBER_MAX: usize = 10_000;

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
    /// A value of any type that Arrow has; see [`Parameter::of_array`].
    Arrow(ArrowValue),
}

/// One value of any Arrow type, without a dictionary or a union around it.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrowValue {
    scalar: ScalarValue,
}

impl Parameter {
    /// The value in `row` of `array`. Dictionaries, runs and unions give the value that they hold;
    /// a null of any type is NULL of that type. Cost: a copy of the value.
    ///
    /// # Errors
    /// A row past the end; a type that SQL has no values of.
    pub fn of_array(array: &ArrayRef, row: usize) -> Result<Self, QueryError> {
        if row >= array.len() {
            let found = array.len();
            return Err(QueryError::invalid(format!("row {row} of {found} rows")));
        }
        let scalar = ScalarValue::try_from_array(array, row).map(unwrapped);
        let scalar = scalar.map_err(|error| {
            let found = array.data_type();
            QueryError::invalid(format!("a value of type {found}: {}", error.message()))
        })?;
        Ok(match scalar {
            ScalarValue::Null => Self::Null,
            scalar => Self::Arrow(ArrowValue { scalar }),
        })
    }

    /// The value as an array of one row with a plain type, from which [`Self::of_array`] makes it
    /// again.
    ///
    /// # Errors
    /// An unsigned integer past the range of BIGINT; a type without arrays.
    pub fn to_array(&self) -> Result<ArrayRef, QueryError> {
        let array = self.to_scalar().to_array();
        let plain = array.and_then(|array| plain_array(&array));
        plain.map_err(|error| QueryError::invalid(error.message().into_owned()))
    }

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
            Self::Arrow(value) => value.scalar.clone(),
        }
    }
}

/// The value inside dictionaries, runs and unions.
fn unwrapped(scalar: ScalarValue) -> ScalarValue {
    match scalar {
        ScalarValue::Dictionary(_, value) | ScalarValue::RunEndEncoded(_, _, value) => {
            unwrapped(*value)
        }
        ScalarValue::Union(Some((_, value)), _, _) => unwrapped(*value),
        ScalarValue::Union(None, _, _) => ScalarValue::Null,
        other => other,
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
        let number = number_of(name).ok();
        number.is_some_and(|number| (1..=parameters.len()).contains(&number))
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

/// The number of the placeholder `name`, from 1.
///
/// # Errors
/// It has a name instead, or a number past those that statements have values for.
pub(crate) fn number_of(name: &str) -> Result<usize, DataFusionError> {
    let number = name
        .strip_prefix('$')
        .and_then(|number| number.parse().ok());
    number
        .filter(|number| (1..=NUMBER_MAX).contains(number))
        .ok_or_else(|| {
            invalid(format!(
                "placeholder {name}: expected $1 to ${NUMBER_MAX}, or ?"
            ))
        })
}

/// The names of the placeholders of `plan`.
pub(crate) fn placeholders(plan: &LogicalPlan) -> Result<BTreeSet<String>, DataFusionError> {
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
