//! Writer states: for each writer the number of its last durable batch, so that a batch that is
//! sent again is known by its number.
//!
//! It owns what a number is answered with, the limit of writers, and the list of all states. A
//! number becomes durable in the commit group of its events, in a frame of its own before them
//! ([`Frame::ends_group`](crate::wal::Frame::ends_group)): both or neither survive a crash.
//! Invariants: the list shows what is durable and nothing else; only the writer thread changes it,
//! so of two batches of one number exactly one is taken.

mod file;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use vitalog_event::DAY_US;

pub(crate) use self::file::{
    WriterFileEntry, decode_records, encode_file, encode_records, inspect_file, read_file,
};
use crate::config::Clock;
use crate::error::{Result, StoreError};

/// The folder of the files of writer states.
pub(crate) const FOLDER: &str = "writers";

/// Longest id of a writer, in bytes.
pub const WRITER_ID_BYTES_MAX: usize = 128;
/// Writers of a store, at most: their states stay in memory.
pub const WRITERS_MAX: usize = 100_000;
/// A writer gives way to a new one where the list is full and it was silent for so long.
const SILENT_US: i64 = 30 * DAY_US;

/// Which writer a batch is of, and the number that the writer gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterMark {
    id: Arc<str>,
    number: u64,
}

impl WriterMark {
    /// # Errors
    /// [`StoreError::Invalid`]: an id that is empty or past [`WRITER_ID_BYTES_MAX`] bytes, or the
    /// number 0.
    pub fn new(id: &str, number: u64) -> Result<Self> {
        check_writer_id(id)?;
        if number == 0 {
            let reason = "a writer numbers its batches from 1; 0 is no number";
            return Err(StoreError::Invalid(reason.to_owned()));
        }
        Ok(Self {
            id: Arc::from(id),
            number,
        })
    }
}

/// Whether `id` may be the id of a writer.
///
/// # Errors
/// [`StoreError::Invalid`]: it is empty or past [`WRITER_ID_BYTES_MAX`] bytes.
pub fn check_writer_id(id: &str) -> Result<()> {
    if id.is_empty() {
        return Err(StoreError::Invalid("a writer needs an id".to_owned()));
    }
    if id.len() > WRITER_ID_BYTES_MAX {
        return Err(StoreError::Invalid(format!(
            "the id of a writer has {} bytes, at most {WRITER_ID_BYTES_MAX}",
            id.len()
        )));
    }
    Ok(())
}

/// What is durable of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriterState {
    /// The number of its last batch, from 1; every number before it was durable first.
    pub last_number: u64,
    /// [`AppendReceipt::last_seq`](crate::AppendReceipt::last_seq) of that batch.
    pub last_seq: i64,
    /// When that batch was taken, microseconds.
    pub last_time_us: i64,
}

/// A writer and its state; with the number 0 a writer that gave way to another.
pub(crate) type Record = (Arc<str>, WriterState);

type States = HashMap<Arc<str>, WriterState>;

/// The durable states of all writers.
#[derive(Debug, Default)]
pub(crate) struct WriterStates {
    states: RwLock<States>,
}

impl WriterStates {
    fn read(&self) -> RwLockReadGuard<'_, States> {
        // Every change of the map is whole before anything can panic.
        self.states.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a writer.
    pub fn get(&self, id: &str) -> Option<WriterState> {
        self.read().get(id).copied()
    }

    /// All states, by id: what a file holds.
    pub fn all(&self) -> Vec<Record> {
        let states = self.read();
        let mut all: Vec<Record> = states
            .iter()
            .map(|(id, state)| (Arc::clone(id), *state))
            .collect();
        drop(states);
        all.sort_unstable_by(|one, other| one.0.cmp(&other.0));
        all
    }

    /// Takes over what became durable, in the order in which it did. What is older than the state
    /// that is known changes nothing, so that replaying twice is replaying once.
    pub fn apply(&self, records: impl IntoIterator<Item = Record>) {
        let mut states = self.states.write().unwrap_or_else(PoisonError::into_inner);
        for (id, state) in records {
            let is_newer = states.get(&id).is_none_or(|known| {
                let age = |state: &WriterState| (state.last_time_us, state.last_number);
                let is_end = state.last_number == 0 && state.last_time_us >= known.last_time_us;
                is_end || age(&state) > age(known)
            });
            match (is_newer, state.last_number) {
                (false, _) => {}
                (true, 0) => drop(states.remove(&id)),
                (true, _) => drop(states.insert(id, state)),
            }
        }
    }

    /// Begins to give numbers of a commit group.
    pub fn numbers<'a>(&'a self, clock: &'a dyn Clock) -> GroupNumbers<'a> {
        GroupNumbers {
            known: self.read(),
            clock,
            taken: BTreeMap::new(),
            forgotten: Vec::new(),
        }
    }
}

/// The numbers that the batches of one commit group take, before they are durable.
pub(crate) struct GroupNumbers<'a> {
    known: RwLockReadGuard<'a, States>,
    clock: &'a dyn Clock,
    /// The last number of each writer of the group, and the place of its batch among the outcomes.
    taken: BTreeMap<Arc<str>, (u64, usize)>,
    /// Writers that give way to new ones of the group.
    forgotten: Vec<Arc<str>>,
}

impl GroupNumbers<'_> {
    /// Takes the number of `mark` for the batch at place `at` of the group.
    ///
    /// # Errors
    /// [`StoreError::NumberDurable`] and [`StoreError::NumberGap`] where another number is due;
    /// [`StoreError::WritersFull`] where a new writer finds no room.
    pub fn take(&mut self, mark: &WriterMark, at: usize) -> Result<()> {
        let WriterMark { id, number } = mark;
        let known = self.known.get(id).filter(|_| !self.forgotten.contains(id));
        let taken = self.taken.get(id).map(|(number, _)| *number);
        let last_number = taken.or(known.map(|state| state.last_number)).unwrap_or(0);
        if *number <= last_number {
            return Err(StoreError::NumberDurable {
                number: *number,
                last_number,
            });
        }
        if *number > last_number + 1 {
            return Err(StoreError::NumberGap {
                number: *number,
                last_number,
            });
        }
        if last_number == 0 {
            self.make_room()?;
        }
        self.taken.insert(Arc::clone(id), (*number, at));
        Ok(())
    }

    /// Makes room for a new writer: where the list is full, the one that was silent longest goes.
    fn make_room(&mut self) -> Result<()> {
        let is_new = |id: &&Arc<str>| !self.known.contains_key(*id) || self.forgotten.contains(id);
        let new = self.taken.keys().filter(is_new);
        let count = self.known.len() + new.count() - self.forgotten.len();
        if count < WRITERS_MAX {
            return Ok(());
        }
        let silent_since = self.clock.now_us() - SILENT_US;
        let candidates = self.known.iter().filter(|(id, state)| {
            state.last_time_us <= silent_since
                && !self.taken.contains_key(*id)
                && !self.forgotten.contains(id)
        });
        let longest = candidates.min_by_key(|(_, state)| state.last_time_us);
        let (id, _) = longest.ok_or(StoreError::WritersFull {
            limit: WRITERS_MAX as u64,
        })?;
        self.forgotten.push(Arc::clone(id));
        Ok(())
    }

    /// What the group makes durable, given the `last_seq` of the batch at a place: first the
    /// writers that go, then the numbers.
    pub fn records(&self, received_us: i64, last_seq: impl Fn(usize) -> i64) -> Vec<Record> {
        let state = |last_number, last_seq| WriterState {
            last_number,
            last_seq,
            last_time_us: received_us,
        };
        let forgotten = self.forgotten.iter();
        let forgotten = forgotten.map(|id| (Arc::clone(id), state(0, 0)));
        let taken = self.taken.iter();
        let taken = taken.map(|(id, (number, at))| (Arc::clone(id), state(*number, last_seq(*at))));
        forgotten.chain(taken).collect()
    }

    /// Whether no batch of the group has a number.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct At(i64);

    impl Clock for At {
        fn now_us(&self) -> i64 {
            self.0
        }
    }

    fn mark(id: &str, number: u64) -> WriterMark {
        WriterMark::new(id, number).expect("valid")
    }

    fn state(last_number: u64, last_time_us: i64) -> WriterState {
        WriterState {
            last_number,
            last_seq: 9,
            last_time_us,
        }
    }

    #[test]
    fn ids_and_numbers_have_bounds() {
        assert!(WriterMark::new(&"x".repeat(128), 1).is_ok());
        for (id, number, part) in [
            (String::new(), 1, "needs an id"),
            ("x".repeat(129), 1, "129 bytes"),
            ("x".to_owned(), 0, "from 1"),
        ] {
            let error = WriterMark::new(&id, number).expect_err("refused");
            assert_eq!(error.kind(), crate::StoreErrorKind::Invalid);
            assert!(error.to_string().contains(part), "{error}");
        }
    }

    #[test]
    fn numbers_follow_each_other_within_a_group_and_after_it() {
        let states = WriterStates::default();
        let clock = At(5);
        let mut numbers = states.numbers(&clock);
        assert!(numbers.is_empty());
        let gap = numbers.take(&mark("a", 2), 0).expect_err("a gap");
        assert!(
            matches!(gap, StoreError::NumberGap { last_number: 0, .. }),
            "{gap}"
        );
        numbers.take(&mark("a", 1), 1).expect("the first");
        numbers.take(&mark("b", 1), 2).expect("the first");
        numbers.take(&mark("a", 2), 3).expect("the next");
        let again = numbers.take(&mark("a", 1), 4).expect_err("taken");
        assert!(
            matches!(again, StoreError::NumberDurable { last_number: 2, .. }),
            "{again}"
        );
        let records = numbers.records(7, |at| at as i64);
        drop(numbers);
        assert_eq!(
            states.get("a"),
            None,
            "nothing is shown before it is durable"
        );
        states.apply(records);
        let (last_seq, last_time_us) = (3, 7);
        let last_number = 2;
        assert_eq!(
            states.get("a"),
            Some(WriterState {
                last_number,
                last_seq,
                last_time_us
            })
        );
        assert_eq!(states.all().len(), 2);
    }

    #[test]
    fn what_is_older_changes_nothing() {
        let states = WriterStates::default();
        let a = || Arc::<str>::from("a");
        states.apply([(a(), state(5, 50))]);
        states.apply([
            (a(), state(4, 40)),
            (a(), state(0, 49)),
            (a(), state(5, 50)),
        ]);
        assert_eq!(states.get("a"), Some(state(5, 50)));
        // Begun anew after it gave way.
        states.apply([(a(), state(0, 60)), (a(), state(1, 60))]);
        assert_eq!(states.get("a"), Some(state(1, 60)));
    }

    #[test]
    fn a_full_list_lets_the_longest_silent_writer_go_and_no_other() {
        let states = WriterStates::default();
        let all = (0..WRITERS_MAX as i64).map(|at| (Arc::from(format!("w{at}")), state(1, at)));
        states.apply(all);
        let early = At(SILENT_US - 1);
        let full = states.numbers(&early).take(&mark("new", 1), 0);
        assert!(
            matches!(full, Err(StoreError::WritersFull { .. })),
            "{full:?}"
        );
        states
            .numbers(&early)
            .take(&mark("w3", 2), 0)
            .expect("known");
        // The two that are old enough go, but for one that writes in the same group.
        let clock = At(SILENT_US + 1);
        let mut numbers = states.numbers(&clock);
        numbers.take(&mark("w0", 2), 0).expect("known");
        numbers.take(&mark("new", 1), 1).expect("w1 goes");
        let third = numbers.take(&mark("newer", 1), 2);
        assert!(
            matches!(third, Err(StoreError::WritersFull { .. })),
            "{third:?}"
        );
        let records = numbers.records(clock.0, |_| 9);
        drop(numbers);
        states.apply(records);
        assert_eq!(states.all().len(), WRITERS_MAX);
        assert_eq!(states.get("w1"), None);
        assert_eq!(states.get("new"), Some(state(1, clock.0)));
    }
}
