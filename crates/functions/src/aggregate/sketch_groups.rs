//! The state of the aggregates that make and merge sketches.
//!
//! Owns one sketch a group, made of values or of sketches. Invariant: the state column is the answer
//! itself, the bytes of a sketch, which are a function of the bag (or set) of values.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion_common::{Result, resources_err};
use datafusion_expr::function::StateFieldsArgs;
use datafusion_expr::utils::format_state_name;
use vitalog_measure::{Error, QuantileSketch, UniqSketch};

use crate::aggregate::distinct_hash::hashes;
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::parameters::refused_row;

/// Bytes that a column of answers can hold, because its offsets are 32 bits wide.
const BYTES_MAX: usize = i32::MAX as usize;

/// A sketch that an aggregate makes.
pub(crate) trait Sketch: Default + Clone + Debug + Send + Sync + 'static {
    /// The aggregate over values.
    const OF_VALUES: &'static str;
    /// The aggregate over sketches.
    const OF_SKETCHES: &'static str;

    /// Adds the rows of a column of values that count; `grown` notes the memory.
    fn add_rows(
        sketches: &mut [Self],
        values: &ArrayRef,
        groups: &[usize],
        counted: Option<&BooleanBuffer>,
        grown: &mut Memory,
    ) -> Result<()>;
    /// Adds what another one holds.
    fn merge(&mut self, other: &Self);
    /// Whether a group without values is NULL, rather than this sketch of nothing.
    fn is_null(&self) -> bool;
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Result<Self, Error>;
    fn heap_bytes(&self) -> usize;
}

/// Bytes of heap memory that sketches take, kept up to date because adding it up would visit every
/// group after every batch.
#[derive(Debug, Default)]
pub(crate) struct Memory(usize);

impl Memory {
    /// Changes a sketch and notes what its memory changed by.
    fn change<S: Sketch>(&mut self, sketch: &mut S, change: impl FnOnce(&mut S)) {
        let before = sketch.heap_bytes();
        change(sketch);
        self.0 = (self.0 + sketch.heap_bytes()).saturating_sub(before);
    }
}

/// What the rows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Values,
    Sketches,
}

/// The sketches of many groups.
#[derive(Debug)]
pub(crate) struct SketchGroups<S> {
    source: Source,
    sketches: Vec<S>,
    memory: Memory,
}

impl<S: Sketch> SketchGroups<S> {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            sketches: Vec::new(),
            memory: Memory::default(),
        }
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let name = format_state_name(args.name, "sketch");
        vec![Arc::new(Field::new(name, DataType::Binary, true))]
    }

    fn function(&self) -> &'static str {
        match self.source {
            Source::Values => S::OF_VALUES,
            Source::Sketches => S::OF_SKETCHES,
        }
    }

    fn merge_sketches(
        &mut self,
        states: &ArrayRef,
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let refused = refused_row(self.function(), "state:");
        let counted = rows::counted(filter, states.nulls());
        let states = states.as_binary::<i32>();
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let other = S::read(states.value(row)).map_err(&refused)?;
            let sketch = &mut self.sketches[groups[row]];
            self.memory.change(sketch, |sketch| sketch.merge(&other));
            Ok(())
        })
    }
}

impl<S: Sketch> GroupedState for SketchGroups<S> {
    fn fresh(&self) -> Self {
        Self::new(self.source)
    }

    fn len(&self) -> usize {
        self.sketches.len()
    }

    fn grow(&mut self, groups: usize) {
        if groups > self.sketches.len() {
            self.sketches.resize_with(groups, S::default);
        }
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        match self.source {
            Source::Sketches => self.merge_sketches(&values[0], groups, filter),
            Source::Values => {
                let nulls = values[0].logical_nulls();
                let counted = rows::counted(filter, nulls.as_ref());
                let (sketches, memory) = (&mut self.sketches, &mut self.memory);
                S::add_rows(sketches, &values[0], groups, counted.as_ref(), memory)
            }
        }
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        self.merge_sketches(&states[0], groups, None)
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let mut sketches = BinaryBuilder::new();
        let (mut bytes, mut total) = (Vec::new(), 0);
        for sketch in &self.sketches[..count] {
            if sketch.is_null() {
                sketches.append_null();
                continue;
            }
            bytes.clear();
            sketch.write(&mut bytes);
            total += bytes.len();
            if total > BYTES_MAX {
                let function = self.function();
                return resources_err!("{function}: the sketches of {count} groups exceed 2 GiB");
            }
            sketches.append_value(&bytes);
        }
        Ok(Arc::new(sketches.finish()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(count)?])
    }

    fn remove_first(&mut self, count: usize) {
        let removed: usize = self
            .sketches
            .drain(..count)
            .map(|one| one.heap_bytes())
            .sum();
        self.memory.0 = self.memory.0.saturating_sub(removed);
    }

    fn heap_bytes(&self) -> usize {
        self.sketches.capacity() * size_of::<S>() + self.memory.0
    }
}

impl Sketch for QuantileSketch {
    const OF_VALUES: &'static str = "quantile_sketch";
    const OF_SKETCHES: &'static str = "quantile_merge";

    fn add_rows(
        sketches: &mut [Self],
        values: &ArrayRef,
        groups: &[usize],
        counted: Option<&BooleanBuffer>,
        grown: &mut Memory,
    ) -> Result<()> {
        let values = values.as_primitive::<Float64Type>().values();
        rows::for_each(groups.len(), counted, |row| {
            grown.change(&mut sketches[groups[row]], |sketch| sketch.add(values[row]));
            Ok(())
        })
    }

    fn merge(&mut self, other: &Self) {
        QuantileSketch::merge(self, other);
    }

    fn is_null(&self) -> bool {
        self.is_empty()
    }

    fn write(&self, out: &mut Vec<u8>) {
        QuantileSketch::write(self, out);
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes(bytes)
    }

    fn heap_bytes(&self) -> usize {
        QuantileSketch::heap_bytes(self)
    }
}

impl Sketch for UniqSketch {
    const OF_VALUES: &'static str = "uniq_sketch";
    const OF_SKETCHES: &'static str = "uniq_merge";

    fn add_rows(
        sketches: &mut [Self],
        values: &ArrayRef,
        groups: &[usize],
        counted: Option<&BooleanBuffer>,
        grown: &mut Memory,
    ) -> Result<()> {
        let hashes = hashes(values)?;
        rows::for_each(groups.len(), counted, |row| {
            grown.change(&mut sketches[groups[row]], |sketch| sketch.add(hashes[row]));
            Ok(())
        })
    }

    fn merge(&mut self, other: &Self) {
        UniqSketch::merge(self, other);
    }

    fn is_null(&self) -> bool {
        false
    }

    fn write(&self, out: &mut Vec<u8>) {
        UniqSketch::write(self, out);
    }

    fn read(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_bytes(bytes)
    }

    fn heap_bytes(&self) -> usize {
        UniqSketch::heap_bytes(self)
    }
}
