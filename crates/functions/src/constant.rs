//! Arguments that must be, or may be, the same for every row.
//!
//! A percentile, a curve, a time zone or a catalogue is known before the first row. It is checked
//! twice: at planning when it is a literal (so that `EXPLAIN` already refuses it), and when an
//! accumulator is made. Invariant: both use the same check and give the same message.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion_common::{Result, ScalarValue, plan_datafusion_err, plan_err};
use datafusion_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, PartitionEvaluatorArgs,
    WindowFunctionSimplification,
};
use datafusion_expr::{ColumnarValue, Expr};
use vitalog_measure::Curve;
use vitalog_measure::calendar::DAY_US;
use vitalog_measure::score::{PERCENTILE_DEFAULT, check_percentile};

use crate::local_days::Zone;
use crate::parameters::refused;

/// Arguments as far as they are known: `None` where an argument is a column.
pub(crate) type Known = [Option<ScalarValue>];

/// Checks what is known of a call's arguments. Unknown ones pass.
pub(crate) type Check = fn(&Known) -> Result<()>;

/// The literals among expressions.
fn literals(arguments: &[Expr]) -> Vec<Option<ScalarValue>> {
    let literal = |argument: &Expr| match argument {
        Expr::Literal(value, _) => Some(unfolded(value.clone())),
        _ => None,
    };
    arguments.iter().map(literal).collect()
}

/// A planning hook that checks an aggregate's literals, and folds those at `indices`.
///
/// A literal argument is written out for every row of every batch, a list with all its elements,
/// which takes longer than all else. Folded into a dictionary of one value it is shared keys.
pub(crate) fn check_aggregate(
    check: Check,
    indices: &'static [usize],
) -> AggregateFunctionSimplification {
    Box::new(move |mut call, _| {
        check(&literals(&call.params.args))?;
        for &index in indices {
            if let Some(Expr::Literal(value, _)) = call.params.args.get_mut(index) {
                *value = folded(value.clone());
            }
        }
        Ok(Expr::AggregateFunction(call))
    })
}

fn folded(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Dictionary(..) => value,
        plain => ScalarValue::Dictionary(Box::new(DataType::Int8), Box::new(plain)),
    }
}

fn unfolded(value: ScalarValue) -> ScalarValue {
    match value {
        ScalarValue::Dictionary(_, plain) => *plain,
        plain => plain,
    }
}

/// A planning hook that checks a window function's literals and changes nothing.
pub(crate) fn check_window(check: Check) -> WindowFunctionSimplification {
    Box::new(move |call, _| {
        check(&literals(&call.params.args))?;
        Ok(Expr::WindowFunction(Box::new(call)))
    })
}

/// What is known of a scalar function's arguments at planning.
pub(crate) fn of_scalar(arguments: &[Option<&ScalarValue>]) -> Vec<Option<ScalarValue>> {
    arguments.iter().map(|argument| argument.cloned()).collect()
}

/// The constants among an aggregate's arguments.
pub(crate) fn of_aggregate(args: &AccumulatorArgs) -> Vec<Option<ScalarValue>> {
    let rows = RecordBatch::new_empty(Arc::new(args.schema.clone()));
    args.exprs
        .iter()
        .map(|expr| scalar(expr.evaluate(&rows)))
        .collect()
}

/// The constants among a window function's arguments.
pub(crate) fn of_window(args: &PartitionEvaluatorArgs) -> Vec<Option<ScalarValue>> {
    let rows = RecordBatch::new_empty(Arc::new(Schema::empty()));
    args.input_exprs()
        .iter()
        .map(|expr| scalar(expr.evaluate(&rows)))
        .collect()
}

/// The value of an expression over no rows, if it needs none: a column needs rows.
fn scalar(value: Result<ColumnarValue>) -> Option<ScalarValue> {
    match value {
        Ok(ColumnarValue::Scalar(value)) => Some(unfolded(value)),
        _ => None,
    }
}

/// An argument that must be known; `None` when it was left out or is NULL.
pub(crate) fn required(
    known: &Known,
    index: usize,
    function: &'static str,
    argument: &'static str,
) -> Result<Option<ScalarValue>> {
    match known.get(index) {
        None => Ok(None),
        Some(Some(value)) => Ok((!value.is_null()).then(|| value.clone())),
        Some(None) => plan_err!("{function}: {argument} must be a constant, not a column"),
    }
}

/// A known argument as a number; `None` when it is unknown, left out or NULL.
pub(crate) fn number(known: &Known, index: usize) -> Result<Option<f64>> {
    let Some(Some(value)) = known.get(index) else {
        return Ok(None);
    };
    match value.cast_to(&DataType::Float64)? {
        ScalarValue::Float64(value) => Ok(value),
        other => plan_err!("expected a number, got {other}"),
    }
}

/// A known argument as a length of time in µs; `None` when it is unknown, left out or NULL.
///
/// A number counts days, and so does the day of an interval: 24 hours.
///
/// # Errors
/// For months, which have no fixed length, and for what is not above 0.
pub(crate) fn length_us(
    known: &Known,
    index: usize,
    function: &'static str,
    argument: &'static str,
) -> Result<Option<f64>> {
    let length_us = match known.get(index) {
        None | Some(None) => return Ok(None),
        Some(Some(value)) if value.is_null() => return Ok(None),
        Some(Some(ScalarValue::IntervalMonthDayNano(Some(length)))) => {
            if length.months != 0 {
                return plan_err!(
                    "{function}: {argument} must be given in days or less, \
                     a month has no fixed length"
                );
            }
            f64::from(length.days) * DAY_US as f64 + length.nanoseconds as f64 / 1_000.0
        }
        Some(Some(_)) => number(known, index)?.map_or(f64::NAN, |days| days * DAY_US as f64),
    };
    if length_us > 0.0 && length_us.is_finite() {
        Ok(Some(length_us))
    } else {
        let days = length_us / DAY_US as f64;
        plan_err!("{function}: {argument} must be longer than nothing, got {days} days")
    }
}

/// Refuses DISTINCT where the values alone do not make an answer, or where it would need them all.
pub(crate) fn no_distinct(args: &AccumulatorArgs, function: &'static str) -> Result<()> {
    if args.is_distinct {
        return plan_err!(
            "{function}: DISTINCT is not supported here, take the distinct rows in a subquery"
        );
    }
    Ok(())
}

/// A known argument as text; `None` when it is unknown, left out or NULL.
pub(crate) fn text(known: &Known, index: usize) -> Option<String> {
    let value = known.get(index)?.as_ref()?;
    value.try_as_str().flatten().map(str::to_owned)
}

/// Checks the percentile at `index`, if known, and returns it or the default.
pub(crate) fn percentile(known: &Known, index: usize, function: &'static str) -> Result<f64> {
    let p = number(known, index)?.unwrap_or(PERCENTILE_DEFAULT);
    check_percentile(p).map_err(refused(function, "p"))
}

/// Checks the percentile at `index` and the curve after it, as far as they are known.
pub(crate) fn curve(known: &Known, index: usize, function: &'static str) -> Result<Curve> {
    let p = percentile(known, index, function)?;
    Curve::new(p, number(known, index + 1)?).map_err(refused(function, "curve"))
}

/// Checks the time zone at `index`, if known, and returns it or UTC.
pub(crate) fn zone(known: &Known, index: usize, function: &'static str) -> Result<Zone> {
    let Some(name) = text(known, index) else {
        return Ok(Zone::Utc);
    };
    Zone::from_str(&name).map_err(|reason| plan_datafusion_err!("{function}: tz {reason}"))
}
