//! The state of `feature_adoption` and `activation_rate`: which names of a catalogue occurred.
//!
//! Owns one bit a group and name. The catalogue is mostly a constant; where it comes from a column,
//! every row of a group must bring the same one. Invariant: a group's state is a function of the
//! set of its rows.
//!
//! State columns: `names` (the catalogue, NULL where it is a constant or no row brought one) and
//! `used` (the bits, little-endian words, without the zero words at the end).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Float64Array, ListBuilder, StringBuilder,
};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion_common::{DataFusionError, Result, ScalarValue, exec_err, plan_datafusion_err};
use datafusion_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion_expr::utils::format_state_name;
use vitalog_measure::share::percent;

use crate::aggregate::catalogue::{ABSENT, Catalogue, text_at};
use crate::aggregate::grouped::GroupedState;
use crate::aggregate::rows;
use crate::constant::{self, Known};
use crate::parameters::text_list;

/// Which function asks: its name and that of its catalogue's argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) function: &'static str,
    pub(crate) argument: &'static str,
}

/// Where the catalogue comes from.
#[derive(Debug, Clone)]
enum Source {
    /// The same for all; `None` where it is NULL.
    Constant(Option<Catalogue>),
    /// From each row.
    Column,
}

/// The names used by many groups.
#[derive(Debug)]
pub(crate) struct ShareGroups {
    share: Share,
    source: Source,
    len: usize,
    /// Words of 64 bits a group.
    words: usize,
    used: Vec<u64>,
    /// Catalogues that rows brought, and by group which one; only for [`Source::Column`].
    catalogues: Vec<Catalogue>,
    known: HashMap<Vec<String>, u32>,
    catalogue_of: Vec<u32>,
}

impl Share {
    /// Checks the catalogue as far as it is known.
    pub(crate) fn check(&self, known: &Known) -> Result<()> {
        self.source(known).map(|_| ())
    }

    /// The state of an aggregation.
    pub(crate) fn state(self, args: &AccumulatorArgs) -> Result<ShareGroups> {
        Ok(ShareGroups::new(
            self,
            self.source(&constant::of_aggregate(args))?,
        ))
    }

    pub(crate) fn state_fields(args: &StateFieldsArgs) -> Vec<FieldRef> {
        let field = |name: &str, data_type| {
            Arc::new(Field::new(
                format_state_name(args.name, name),
                data_type,
                true,
            ))
        };
        vec![field("names", text_list()), field("used", DataType::Binary)]
    }

    fn source(&self, known: &Known) -> Result<Source> {
        match known.get(1) {
            Some(Some(value)) => {
                let list = value
                    .cast_to(&text_list())
                    .map_err(|error| self.named(&error))?;
                let ScalarValue::List(list) = list else {
                    return Ok(Source::Constant(None));
                };
                if list.is_null(0) {
                    return Ok(Source::Constant(None));
                }
                let catalogue =
                    Catalogue::of(&list.value(0)).map_err(|error| self.named(&error))?;
                Ok(Source::Constant(Some(catalogue)))
            }
            _ => Ok(Source::Column),
        }
    }

    fn named(&self, error: &DataFusionError) -> DataFusionError {
        let Self { function, argument } = self;
        plan_datafusion_err!("{function}: {argument}: {}", error.strip_backtrace())
    }
}

impl ShareGroups {
    fn new(share: Share, source: Source) -> Self {
        let words = match &source {
            Source::Constant(Some(catalogue)) => catalogue.len().div_ceil(64),
            _ => 0,
        };
        Self {
            share,
            source,
            len: 0,
            words,
            used: Vec::new(),
            catalogues: Vec::new(),
            known: HashMap::new(),
            catalogue_of: Vec::new(),
        }
    }

    fn catalogue(&self, group: usize) -> Option<&Catalogue> {
        match &self.source {
            Source::Constant(catalogue) => catalogue.as_ref(),
            Source::Column => self.catalogues.get(*self.catalogue_of.get(group)? as usize),
        }
    }

    fn mark(&mut self, group: usize, number: u32) {
        if number != ABSENT {
            self.used[group * self.words + number as usize / 64] |= 1 << (number % 64);
        }
    }

    /// Rows that bring their own catalogue.
    fn update_columns(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let lists = Arc::clone(&values[1]);
        let lists = lists.as_list::<i32>();
        let mut current: Option<(ArrayRef, u32)> = None;
        let counted = rows::counted(filter, lists.nulls());
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            let list = lists.value(row);
            let index = match &current {
                // Rows mostly repeat the catalogue of the row before.
                Some((before, index)) if before.as_ref() == list.as_ref() => *index,
                _ => {
                    let found = Catalogue::of(&list).map_err(|error| self.share.named(&error))?;
                    self.intern(found)
                }
            };
            current = Some((list, index));
            self.set_catalogue(groups[row], index)?;
            let name = text_at(&values[0], row)?;
            let catalogue = &self.catalogues[index as usize];
            let number = name.map_or(ABSENT, |name| catalogue.number(name));
            self.mark(groups[row], number);
            Ok(())
        })
    }

    /// The index of a catalogue; makes room for its bits.
    fn intern(&mut self, catalogue: Catalogue) -> u32 {
        if let Some(&index) = self.known.get(catalogue.names()) {
            return index;
        }
        self.widen(catalogue.len().div_ceil(64));
        let index = u32::try_from(self.catalogues.len()).expect("fewer catalogues than groups");
        self.known.insert(catalogue.names().to_vec(), index);
        self.catalogues.push(catalogue);
        index
    }

    /// Gives each group at least so many words.
    fn widen(&mut self, words: usize) {
        if words <= self.words {
            return;
        }
        let mut used = vec![0; self.len * words];
        if self.words > 0 {
            for (new, old) in used.chunks_mut(words).zip(self.used.chunks(self.words)) {
                new[..self.words].copy_from_slice(old);
            }
        }
        (self.words, self.used) = (words, used);
    }

    /// Notes the catalogue of a group; all its rows must agree.
    fn set_catalogue(&mut self, group: usize, index: u32) -> Result<()> {
        if self.catalogue_of.len() < self.len {
            self.catalogue_of.resize(self.len, ABSENT);
        }
        match std::mem::replace(&mut self.catalogue_of[group], index) {
            before if before == ABSENT || before == index => Ok(()),
            _ => {
                let Share { function, argument } = self.share;
                exec_err!("{function}: {argument} must be the same in all rows of a group")
            }
        }
    }

    fn used_of(&self, group: usize) -> &[u64] {
        &self.used[group * self.words..(group + 1) * self.words]
    }
}

impl GroupedState for ShareGroups {
    fn fresh(&self) -> Self {
        Self::new(self.share, self.source.clone())
    }

    fn len(&self) -> usize {
        self.len
    }

    fn grow(&mut self, groups: usize) {
        self.len = self.len.max(groups);
        self.used.resize(self.len * self.words, 0);
    }

    fn update(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
    ) -> Result<()> {
        let catalogue = match &self.source {
            Source::Column => return self.update_columns(values, groups, filter),
            Source::Constant(None) => return Ok(()),
            Source::Constant(Some(catalogue)) => catalogue,
        };
        let numbers = catalogue.numbers(&values[0])?;
        let counted = rows::counted(filter, None);
        rows::for_each(groups.len(), counted.as_ref(), |row| {
            self.mark(groups[row], numbers[row]);
            Ok(())
        })
    }

    fn merge(&mut self, states: &[ArrayRef], groups: &[usize]) -> Result<()> {
        let (names, used) = (states[0].as_list::<i32>(), states[1].as_binary::<i32>());
        for (row, &group) in groups.iter().enumerate() {
            if matches!(self.source, Source::Column) && names.is_valid(row) {
                let index = self.intern(Catalogue::of(&names.value(row))?);
                self.set_catalogue(group, index)?;
            }
            if used.is_null(row) {
                continue;
            }
            let words = used.value(row).chunks(8);
            if words.len() > self.words {
                let function = self.share.function;
                return exec_err!("{function}: state: it was made for another catalogue");
            }
            for (index, word) in words.enumerate() {
                let mut bytes = [0; 8];
                bytes[..word.len()].copy_from_slice(word);
                self.used[group * self.words + index] |= u64::from_le_bytes(bytes);
            }
        }
        Ok(())
    }

    fn results(&mut self, count: usize) -> Result<ArrayRef> {
        let shares = (0..count).map(|group| {
            let whole = self.catalogue(group)?.len() as u64;
            let part: u32 = self
                .used_of(group)
                .iter()
                .map(|word| word.count_ones())
                .sum();
            percent(u64::from(part), whole)
        });
        Ok(Arc::new(shares.collect::<Float64Array>()))
    }

    fn states(&mut self, count: usize) -> Result<Vec<ArrayRef>> {
        let mut names = ListBuilder::new(StringBuilder::new());
        let mut used = BinaryBuilder::new();
        let mut bytes = Vec::new();
        for group in 0..count {
            match (&self.source, self.catalogue(group)) {
                (Source::Column, Some(catalogue)) => {
                    names.append_value(catalogue.names().iter().map(Some));
                }
                _ => names.append_null(),
            }
            let words = self.used_of(group);
            let length = words
                .iter()
                .rposition(|&word| word != 0)
                .map_or(0, |last| last + 1);
            bytes.clear();
            bytes.extend(words[..length].iter().flat_map(|word| word.to_le_bytes()));
            used.append_value(&bytes);
        }
        Ok(vec![Arc::new(names.finish()), Arc::new(used.finish())])
    }

    fn remove_first(&mut self, count: usize) {
        self.len -= count;
        self.used.drain(..count * self.words);
        self.catalogue_of
            .drain(..count.min(self.catalogue_of.len()));
    }

    fn heap_bytes(&self) -> usize {
        let catalogues: usize = self.catalogues.iter().map(|one| 32 * one.len()).sum();
        self.used.capacity() * size_of::<u64>()
            + self.catalogue_of.capacity() * size_of::<u32>()
            + catalogues
    }
}
