//! Which rows of a batch count.

use arrow::array::{Array, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use datafusion_common::Result;

/// The rows that a FILTER keeps (NULL does not) and whose value is not NULL; `None` for all.
pub(crate) fn counted(
    filter: Option<&BooleanArray>,
    nulls: Option<&NullBuffer>,
) -> Option<BooleanBuffer> {
    let kept = filter.map(|filter| match filter.nulls() {
        Some(known) => filter.values() & known.inner(),
        None => filter.values().clone(),
    });
    let valid = nulls
        .filter(|nulls| nulls.null_count() > 0)
        .map(NullBuffer::inner);
    match (kept, valid) {
        (Some(kept), Some(valid)) => Some(&kept & valid),
        (Some(kept), None) => Some(kept),
        (None, valid) => valid.cloned(),
    }
}

/// Calls `visit` for each row of `0..rows` that counts, in order.
#[inline]
pub(crate) fn for_each(
    rows: usize,
    counted: Option<&BooleanBuffer>,
    mut visit: impl FnMut(usize) -> Result<()>,
) -> Result<()> {
    match counted {
        None => (0..rows).try_for_each(visit),
        Some(counted) => counted.set_indices().try_for_each(&mut visit),
    }
}
