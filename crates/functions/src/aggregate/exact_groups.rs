//! The state of `exact_sum`, `exact_avg` and `decayed_sum`.
//!
//! Owns the exact sum and the count of the values of many groups. Invariant: nothing is rounded
//! before the answer is asked for, so neither order nor partitions show in a bit of it.
//!
//! State columns: `sum` (the bytes of an `ExactSum`, NULL for a group without values) and `count`.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Array, Int64Array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion_common::Result;
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::ExactSum;

use crate::aggregate::decay::Decay;
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::parameters::refused_row;

/// What is asked of the values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Question {
    /// Their sum.
    Sum,
    /// Their sum divided by their count.
    Average,
    /// The sum of what age has left of them.
    Decayed(Decay),
}

impl Question {
    fn function(&self) -> &'static str {
        match self {
            Question::Sum => "exact_sum",
            Question::Average => "exact_avg",
            Question::Decayed(_) => Decay::FUNCTION,
        }
    }
}

/// The exact sums of many groups, 40 bytes each.
#[derive(Debug)]
pub(crate) struct ExactGroups {
    question: Question,
    sums: Vec<ExactSum>,
    counts: Vec<i64>,
    /// Bytes outside of `sums`, kept up to date: adding them up would visit every group after every
    /// batch.
    outside_bytes: usize,
}

impl ExactGroups {
    pub(crate) fn new(question: Question) -> Self {
        Self {
            question,
            sums: Vec::new(),
            counts: Vec::new(),
            outside_bytes: 0,
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name, data_type| {
            let name = format_state_name(args.name, name);
            Arc::new(Field::new(name, data_type, true))
        };
        vec![
            field("sum", DataType::Binary),
            field("count", DataType::Int64),
        ]
    }

    fn answer(&self, group: usize) -> Option<f64> {
        let count = self.counts[group];
        let sum = (count > 0).then(|| self.sums[group].value())?;
        Some(match self.question {
            Question::Average => sum / count as f64,
            Question::Sum | Question::Decayed(_) => sum,
        })
    }
}

impl GroupedState for ExactGroups {
    fn fresh(&self) -> Self {
        Self::new(self.question)
    }

    fn len(&self) -> usize {
        self.sums.len()
    }

    fn grow(&mut self, groups: usize) {
        if groups > self.sums.len() {
            self.sums.resize_with(groups, ExactSum::new);
            self.counts.resize(groups, 0);
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let (sums, counts) = (&mut self.sums[..], &mut self.counts[..]);
        let outside_bytes = &mut self.outside_bytes;
        let mut add = |group: usize, value: f64| {
            let sum = &mut sums[group];
            let before = sum.heap_bytes();
            sum.add(value);
            *outside_bytes += sum.heap_bytes() - before;
            counts[group] += 1;
        };
        match &self.question {
            Question::Sum | Question::Average => {
                let column = values[0].as_primitive::<Float64Type>();
                let counted = rows::counted(filter, column.nulls());
                let column = column.values();
                rows::for_each(groups.len(), counted.as_ref(), |row| {
                    add(groups[row], column[row]);
                    Ok(())
                })
            }
            Question::Decayed(decay) => {
                decay.for_each(values, filter, |row, value| add(groups[row], value))
            }
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let refused = refused_row(self.question.function(), "state:");
        let sums = states[0].as_binary::<i32>();
        let counts = states[1].as_primitive::<Int64Type>();
        for (row, &group) in groups.iter().enumerate() {
            if sums.is_valid(row) {
                let sum = ExactSum::from_bytes(sums.value(row)).map_err(&refused)?;
                let own = &mut self.sums[group];
                let before = own.heap_bytes();
                own.merge(&sum);
                self.outside_bytes += own.heap_bytes() - before;
                self.counts[group] += counts.value(row);
            }
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let answers = (0..count).map(|group| self.answer(group));
        Ok(Arc::new(answers.collect::<Float64Array>()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let mut sums = BinaryBuilder::with_capacity(count, 16 * count);
        let mut bytes = Vec::new();
        for (sum, &values) in self.sums.iter().zip(&self.counts).take(count) {
            if values == 0 {
                sums.append_null();
            } else {
                bytes.clear();
                sum.write(&mut bytes);
                sums.append_value(&bytes);
            }
        }
        let counts = Int64Array::from(self.counts[..count].to_vec());
        Ok(vec![Arc::new(sums.finish()), Arc::new(counts)])
    }

    fn remove_first(&mut self, count: usize) {
        let removed: usize = self.sums.drain(..count).map(|sum| sum.heap_bytes()).sum();
        self.outside_bytes -= removed;
        self.counts.drain(..count);
    }

    fn heap_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<ExactSum>()
            + self.counts.capacity() * size_of::<i64>()
            + self.outside_bytes
    }
}
