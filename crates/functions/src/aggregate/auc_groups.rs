//! The state of `roc_auc`.
//!
//! Owns the scores of both classes of each group. Invariant: every score is kept, so ranks are exact
//! in any order.
//!
//! State columns: `positives` and `negatives`, the lists of a group's scores by label.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::datatypes::{Field, FieldRef, Float64Type};
use datafusion_common::Result;
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::auc::roc_auc;

use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::aggregate::value_lists::ValueLists;

pub(crate) const FUNCTION: &str = "roc_auc";

/// The scores of many groups. Twelve bytes a score.
#[derive(Debug)]
pub(crate) struct AucGroups {
    len: usize,
    positives: ValueLists,
    negatives: ValueLists,
}

impl AucGroups {
    pub(crate) fn new() -> Self {
        Self {
            len: 0,
            positives: ValueLists::new(FUNCTION),
            negatives: ValueLists::new(FUNCTION),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name| {
            let name = format_state_name(args.name, name);
            Arc::new(Field::new(name, ValueLists::list_type(), true))
        };
        vec![field("positives"), field("negatives")]
    }
}

impl GroupedState for AucGroups {
    fn fresh(&self) -> Self {
        Self::new()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn grow(&mut self, groups: usize) {
        self.len = self.len.max(groups);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let scores = values[0].as_primitive::<Float64Type>();
        let labels = values[1].as_boolean();
        let counted = rows::counted(filter, scores.nulls());
        let scores = scores.values();
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            if labels.is_null(row) || scores[row].is_nan() {
                return Ok(());
            }
            let class = if labels.value(row) {
                &mut self.positives
            } else {
                &mut self.negatives
            };
            class.push(groups[row], scores[row])
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.positives.push_lists(&states[0], groups)?;
        self.negatives.push_lists(&states[1], groups)
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let (mut positives, positive_ends) = self.positives.by_group(count);
        let (mut negatives, negative_ends) = self.negatives.by_group(count);
        let (mut positive, mut negative) = (0, 0);
        let answers =
            positive_ends
                .iter()
                .zip(&negative_ends)
                .map(|(&positive_end, &negative_end)| {
                    let answer = roc_auc(
                        &mut positives[positive..positive_end],
                        &mut negatives[negative..negative_end],
                    );
                    (positive, negative) = (positive_end, negative_end);
                    answer
                });
        Ok(Arc::new(answers.collect::<Float64Array>()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        Ok(vec![
            self.positives.to_lists(count)?,
            self.negatives.to_lists(count)?,
        ])
    }

    fn remove_first(&mut self, count: usize) {
        self.positives.remove_first(count);
        self.negatives.remove_first(count);
        self.len -= count;
    }

    fn heap_bytes(&self) -> usize {
        self.positives.heap_bytes() + self.negatives.heap_bytes()
    }
}
