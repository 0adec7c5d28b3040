//! Two lists that belong together, element by element.
//!
//! Owns the reading of a row as pairs, and the check that both lists are equally long. Invariant: a
//! NULL list makes no pairs at all, a NULL element is one half of a pair.

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::datatypes::Float64Type;
use datafusion_common::{Result, ScalarValue, exec_err};

use crate::constant::Known;
use crate::parameters::number_list;

/// An element of each list.
pub(crate) type Pair = (Option<f64>, Option<f64>);

/// Two columns of lists of numbers.
pub(crate) struct PairedLists<'a> {
    function: &'static str,
    names: [&'static str; 2],
    lists: [&'a ListArray; 2],
}

impl<'a> PairedLists<'a> {
    /// The first two columns, whose arguments have these names.
    pub(crate) fn of(
        function: &'static str,
        names: [&'static str; 2],
        columns: &'a [ArrayRef],
    ) -> Self {
        Self {
            function,
            names,
            lists: [columns[0].as_list(), columns[1].as_list()],
        }
    }

    /// The pairs of a row; `None` where a list is NULL.
    ///
    /// # Errors
    /// When the lists are not equally long.
    pub(crate) fn at(&self, row: usize) -> Result<Option<Vec<Pair>>> {
        if self.lists.iter().any(|list| list.is_null(row)) {
            return Ok(None);
        }
        let [left, right] = self.lists.map(|list| list.value(row));
        if left.len() != right.len() {
            let (function, [one, other]) = (self.function, self.names);
            return exec_err!(
                "{function}: {other} must be as many as {one}, got {} and {}",
                right.len(),
                left.len()
            );
        }
        let left = left.as_primitive::<Float64Type>().iter();
        Ok(Some(
            left.zip(right.as_primitive::<Float64Type>()).collect(),
        ))
    }
}

/// The numbers of a list that is known at `index`.
pub(crate) fn known_numbers(known: &Known, index: usize) -> Result<Vec<f64>> {
    let Some(Some(value)) = known.get(index) else {
        return Ok(Vec::new());
    };
    let ScalarValue::List(list) = value.cast_to(&number_list())? else {
        return Ok(Vec::new());
    };
    let numbers = list.values().as_primitive::<Float64Type>();
    Ok(numbers.iter().flatten().collect())
}
