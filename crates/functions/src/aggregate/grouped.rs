//! From one state of many groups to everything that SQL asks of an aggregate.
//!
//! An aggregate writes one [`GroupedState`]. [`ByGroup`] is its `GROUP BY`, [`One`] its form
//! without groups and over cumulative windows, [`Sliding`] the form over windows whose start moves.
//! Invariant: the three give the same answer for the same rows, because they run the same code.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::concat;
use datafusion_common::{Result, ScalarValue, internal_datafusion_err};
use datafusion_expr::{Accumulator, EmitTo, GroupsAccumulator};

/// What an aggregate keeps of the rows of the groups `0..len`.
///
/// Neither the order of rows nor their division into batches, states and partitions may show in a
/// result.
pub(crate) trait GroupedState: Debug + Send + Sync + 'static {
    /// The same question without groups.
    fn fresh(&self) -> Self;
    /// How many groups there are.
    fn len(&self) -> usize;
    /// Makes room for `groups` groups; new ones are as if they had no rows.
    fn grow(&mut self, groups: usize);
    /// Adds rows: `values[_][row]` belongs to `groups[row]`, if the filter keeps it.
    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()>;
    /// Adds states: `states[_][row]` belongs to `groups[row]`; several may belong to one.
    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()>;
    /// The answers of the first `count` groups. Changes no answer.
    fn results(&mut self, count: usize) -> Result<ArrayRef>;
    /// The states of the first `count` groups. Changes no answer.
    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>>;
    /// Removes the first `count` groups; the others move down.
    fn remove_first(&mut self, count: usize);
    /// Bytes of heap memory.
    fn heap_bytes(&self) -> usize;
}

/// A state as DataFusion's accumulator of many groups.
pub(crate) struct ByGroup<S>(pub(crate) S);

impl<S: GroupedState> ByGroup<S> {
    fn count(&self, emit_to: EmitTo) -> usize {
        match emit_to {
            EmitTo::All => self.0.len(),
            EmitTo::First(count) => count,
        }
    }

    fn remove(&mut self, emit_to: EmitTo) {
        match emit_to {
            EmitTo::All => self.0 = self.0.fresh(),
            EmitTo::First(count) => self.0.remove_first(count),
        }
    }
}

impl<S: GroupedState> GroupsAccumulator for ByGroup<S> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.grow(total_num_groups);
        self.0.update(values, group_indices, opt_filter)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let results = self.0.results(self.count(emit_to))?;
        self.remove(emit_to);
        Ok(results)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let states = self.0.states(self.count(emit_to))?;
        self.remove(emit_to);
        Ok(states)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.0.grow(total_num_groups);
        self.0.merge(values, group_indices)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let rows = values.first().map_or(0, Array::len);
        let groups: Vec<usize> = (0..rows).collect();
        let mut state = self.0.fresh();
        state.grow(rows);
        state.update(values, &groups, opt_filter)?;
        state.states(rows)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.0.heap_bytes()
    }
}

/// A state as DataFusion's accumulator of one group.
#[derive(Debug)]
pub(crate) struct One<S> {
    state: S,
    /// As many zeros as the longest batch had rows.
    groups: Vec<usize>,
}

impl<S: GroupedState> One<S> {
    pub(crate) fn new(mut state: S) -> Self {
        state.grow(1);
        Self {
            state,
            groups: Vec::new(),
        }
    }

    /// The group of every row of a batch.
    fn prepare(&mut self, columns: &[ArrayRef]) -> usize {
        let rows = columns.first().map_or(0, Array::len);
        if self.groups.len() < rows {
            self.groups.resize(rows, 0);
        }
        rows
    }
}

impl<S: GroupedState> Accumulator for One<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let rows = self.prepare(values);
        self.state.update(values, &self.groups[..rows], None)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&self.state.results(1)?, 0)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.state.heap_bytes() + self.groups.capacity() * size_of::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let states = self.state.states(1)?;
        states
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let rows = self.prepare(states);
        self.state.merge(states, &self.groups[..rows])
    }
}

/// A state over a frame whose start moves: it keeps the frame's rows and reads them again for
/// every answer, so it is right for any state. Cost of an answer: one pass over the frame.
#[derive(Debug)]
pub(crate) struct Sliding<S> {
    question: S,
    /// The arguments' columns: the rows of the frame come after `gone` rows that left it.
    columns: Vec<ArrayRef>,
    gone: usize,
    /// Batches that came after `columns`.
    pending: Vec<Vec<ArrayRef>>,
}

impl<S: GroupedState> Sliding<S> {
    pub(crate) fn new(question: S) -> Self {
        Self {
            question,
            columns: Vec::new(),
            gone: 0,
            pending: Vec::new(),
        }
    }

    /// Brings all rows of the frame into `columns`, and nothing else.
    fn gather(&mut self) -> Result<()> {
        let kept = self.columns.first().map_or(0, Array::len) - self.gone;
        let arguments = self
            .columns
            .len()
            .max(self.pending.first().map_or(0, Vec::len));
        if self.pending.is_empty() && self.gone == 0 {
            return Ok(());
        }
        let mut columns = Vec::with_capacity(arguments);
        for argument in 0..arguments {
            let front = self
                .columns
                .get(argument)
                .map(|column| column.slice(self.gone, kept));
            let parts: Vec<&dyn Array> = front
                .iter()
                .map(AsRef::as_ref)
                .chain(self.pending.iter().map(|batch| batch[argument].as_ref()))
                .collect();
            columns.push(concat(&parts)?);
        }
        self.columns = columns;
        self.gone = 0;
        self.pending.clear();
        Ok(())
    }

    fn over_frame(&mut self) -> Result<One<S>> {
        self.gather()?;
        let mut state = One::new(self.question.fresh());
        if !self.columns.is_empty() {
            state.update_batch(&self.columns)?;
        }
        Ok(state)
    }
}

impl<S: GroupedState> Accumulator for Sliding<S> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.pending.push(values.to_vec());
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.gather()?;
        // A frame moves forward only: what leaves it is what came first.
        let rows = values.first().map_or(0, Array::len);
        let kept = self.columns.first().map_or(0, Array::len);
        if rows > kept {
            return Err(internal_datafusion_err!(
                "{rows} rows leave a frame of {kept}"
            ));
        }
        self.gone = rows;
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.over_frame()?.evaluate()
    }

    fn size(&self) -> usize {
        let columns = self.columns.iter().chain(self.pending.iter().flatten());
        size_of::<Self>() + columns.map(Array::get_array_memory_size).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.over_frame()?.state()
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> Result<()> {
        Err(internal_datafusion_err!(
            "a sliding window is computed in one place"
        ))
    }
}

/// Writes the part of `AggregateUDFImpl` that is the same for every aggregate: it needs
/// `PARAMETERS`, a `Check` named `CHECK`, a function `state(&AccumulatorArgs) -> Result<impl
/// GroupedState>` and a function `state_fields(&StateFieldsArgs) -> Vec<FieldRef>`.
///
/// Arguments that a state never reads from a batch when they are literals can be named by their
/// index after `constants:`: they then cost nothing a batch. An expression in parentheses is the
/// planning hook, instead of the one that checks literals.
macro_rules! grouped_aggregate {
    () => {
        $crate::aggregate::grouped::grouped_aggregate!(constants: []);
    };
    (constants: $indices:expr) => {
        $crate::aggregate::grouped::grouped_aggregate!(
            $crate::constant::check_aggregate(CHECK, &$indices)
        );
    };
    ($simplify:expr) => {
        fn name(&self) -> &str {
            PARAMETERS.function
        }

        fn signature(&self) -> &Signature {
            &self.signature
        }

        fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
            PARAMETERS.coerce(arg_types)
        }

        fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
            Ok(Box::new($crate::aggregate::grouped::One::new(
                self.state(&args)?,
            )))
        }

        fn create_sliding_accumulator(
            &self,
            args: AccumulatorArgs,
        ) -> Result<Box<dyn Accumulator>> {
            Ok(Box::new($crate::aggregate::grouped::Sliding::new(
                self.state(&args)?,
            )))
        }

        fn groups_accumulator_supported(&self, _args: AccumulatorArgs) -> bool {
            true
        }

        fn create_groups_accumulator(
            &self,
            args: AccumulatorArgs,
        ) -> Result<Box<dyn GroupsAccumulator>> {
            Ok(Box::new($crate::aggregate::grouped::ByGroup(
                self.state(&args)?,
            )))
        }

        fn order_sensitivity(&self) -> AggregateOrderSensitivity {
            AggregateOrderSensitivity::Insensitive
        }

        fn simplify(&self) -> Option<AggregateFunctionSimplification> {
            Some($simplify)
        }

        fn documentation(&self) -> Option<&Documentation> {
            self.doc()
        }
    };
}
pub(crate) use grouped_aggregate;
