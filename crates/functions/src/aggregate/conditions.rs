//! Lists of conditions, read as sets of bits.
//!
//! Owns the limit on how many conditions a list has, and its check: at planning where the list is
//! written out in the call, else at its row. Invariant: bit i is set where element i is true; false
//! and NULL are alike.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray};
use datafusion_common::{Result, ScalarValue, exec_err, plan_err};
use datafusion_expr::Expr;
use datafusion_expr::function::AggregateFunctionSimplification;
use vitalog_measure::retention::CONDITIONS_MAX;

use crate::constant::{self, Check};

/// Which argument of which function a list is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConditionList {
    pub(crate) function: &'static str,
    pub(crate) argument: &'static str,
    pub(crate) index: usize,
}

impl ConditionList {
    /// A planning hook that checks literals and the number of conditions.
    pub(crate) fn check_aggregate(self, check: Check) -> AggregateFunctionSimplification {
        let check_literals = constant::check_aggregate(check, &[]);
        Box::new(move |call, context| {
            let conditions = call.params.args.get(self.index).and_then(written_length);
            if let Some(count) = conditions
                && count > CONDITIONS_MAX
            {
                let Self {
                    function, argument, ..
                } = self;
                return plan_err!(
                    "{function}: {argument} must be at most {CONDITIONS_MAX}, got {count}"
                );
            }
            check_literals(call, context)
        })
    }

    /// Reads a column of lists.
    pub(crate) fn read(self, column: &ArrayRef) -> Conditions<'_> {
        let lists = column.as_list::<i32>();
        Conditions {
            of: self,
            lists,
            values: lists.values().as_boolean(),
        }
    }
}

/// How many elements a list has that is written out.
fn written_length(list: &Expr) -> Option<usize> {
    match list {
        Expr::ScalarFunction(call) if call.name() == "make_array" => Some(call.args.len()),
        Expr::Literal(ScalarValue::List(list), _) if list.is_valid(0) => {
            Some(list.value_length(0) as usize)
        }
        Expr::Cast(cast) => written_length(&cast.expr),
        _ => None,
    }
}

/// A column of lists of conditions.
pub(crate) struct Conditions<'a> {
    of: ConditionList,
    lists: &'a ListArray,
    values: &'a BooleanArray,
}

impl Conditions<'_> {
    /// The conditions that a row meets, and how many it has; `None` for NULL.
    ///
    /// # Errors
    /// Where there are more than [`CONDITIONS_MAX`].
    #[inline]
    pub(crate) fn at(&self, row: usize) -> Result<Option<(u32, usize)>> {
        if self.lists.is_null(row) {
            return Ok(None);
        }
        let start = self.lists.value_offsets()[row] as usize;
        let count = self.lists.value_length(row) as usize;
        if count > CONDITIONS_MAX {
            let ConditionList {
                function, argument, ..
            } = self.of;
            return exec_err!(
                "{function}: {argument} must be at most {CONDITIONS_MAX}, got {count}"
            );
        }
        let met = (0..count).fold(0u32, |met, index| {
            let is_met = self.values.value(start + index) && self.values.is_valid(start + index);
            met | u32::from(is_met) << index
        });
        Ok(Some((met, count)))
    }
}
