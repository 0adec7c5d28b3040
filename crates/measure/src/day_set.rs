//! The set of days on which one entity was active.
//!
//! Days are kept as chunks of 64: a key (`day >> 6`) and one bit a day, sorted by key, no chunk
//! empty. A user who comes every working day takes 12 bytes a quarter of a year in memory and
//! about ten as bytes. Invariant: equal sets are equal values and have equal bytes, whatever the
//! order in which days were added or sets were merged.
//!
//! The bytes are those of the module `day_set_bytes`.

use crate::Error;
use crate::calendar::{DAY_MAX, DAY_MIN};
use crate::code::Reader;

const VERSION: u8 = 1;
const WHAT: &str = "set of days";

/// 64 days as bits; bit b of key k is day `64·k + b`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) key: i32,
    pub(crate) bits: u64,
}

/// Key and bit of a day.
#[inline]
pub(crate) fn split(day: i32) -> (i32, u64) {
    (day >> 6, 1 << (day & 63))
}

impl Chunk {
    fn days(self) -> impl Iterator<Item = i32> {
        let mut bits = self.bits;
        std::iter::from_fn(move || {
            let low = (bits != 0).then(|| bits.trailing_zeros() as i32)?;
            bits &= bits - 1;
            Some(self.key * 64 + low)
        })
    }

    /// The bits of the days in `first..=last`.
    pub(crate) fn bits_between(self, first: i32, last: i32) -> u64 {
        let start = i64::from(self.key) * 64;
        let from = (i64::from(first) - start).max(0);
        let to = (i64::from(last) - start).min(63);
        if from > to {
            return 0;
        }
        self.bits & (u64::MAX << from) & (u64::MAX >> (63 - to))
    }
}

/// A set of days between [`DAY_MIN`] and [`DAY_MAX`].
///
/// At most 57,064 chunks, so at most 0.9 MB in memory and 0.6 MB as bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DaySet {
    pub(crate) chunks: Vec<Chunk>,
}

impl DaySet {
    /// The empty set. Allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a day and says whether it was new. Cost: O(1) when days arrive in order, else a binary
    /// search and at worst a move of the later chunks.
    ///
    /// # Panics
    /// When the day is outside [`DAY_MIN`]`..=`[`DAY_MAX`]: check it with
    /// [`crate::calendar::check_day`] where it comes in.
    pub fn insert(&mut self, day: i32) -> bool {
        assert!(
            (DAY_MIN..=DAY_MAX).contains(&day),
            "day {day} was not checked"
        );
        let (key, bit) = split(day);
        let before = self.bits_of(key);
        self.insert_chunk(Chunk { key, bits: bit });
        before & bit == 0
    }

    /// Empties the set and keeps its memory.
    pub fn clear(&mut self) {
        self.chunks.clear();
    }

    /// How many days. Cost: O(chunks).
    pub fn len(&self) -> u32 {
        self.chunks
            .iter()
            .map(|chunk| chunk.bits.count_ones())
            .sum()
    }

    /// True when there is no day.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether the day is one of them.
    pub fn contains(&self, day: i32) -> bool {
        let (key, bit) = split(day);
        self.bits_of(key) & bit != 0
    }

    /// The days in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + '_ {
        self.chunks.iter().flat_map(|chunk| chunk.days())
    }

    /// The earliest day.
    pub fn first(&self) -> Option<i32> {
        self.iter().next()
    }

    /// The latest day.
    pub fn last(&self) -> Option<i32> {
        self.last_until(i32::MAX)
    }

    /// The latest day that is not after `day`.
    pub fn last_until(&self, day: i32) -> Option<i32> {
        let end = self.chunks.partition_point(|chunk| chunk.key <= day >> 6);
        self.chunks[..end].iter().rev().find_map(|chunk| {
            let bits = chunk.bits_between(i32::MIN, day);
            (bits != 0).then(|| chunk.key * 64 + 63 - bits.leading_zeros() as i32)
        })
    }

    /// How many days lie in `first..=last`; 0 when `first > last`.
    pub fn count_between(&self, first: i32, last: i32) -> u32 {
        self.chunks
            .iter()
            .map(|chunk| chunk.bits_between(first, last).count_ones())
            .sum()
    }

    /// The greatest distance, in days, between a day and the next one: 1 when every day follows
    /// the one before. `None` of fewer than two days, because nothing lies between them.
    pub fn longest_gap(&self) -> Option<u32> {
        let mut previous = None;
        let mut longest = None;
        for day in self.iter() {
            if let Some(previous) = previous.replace(day) {
                longest = longest.max(Some(day.abs_diff(previous)));
            }
        }
        longest
    }

    /// How many consecutive days end with `today`: 0 when `today` is not in the set.
    pub fn streak(&self, today: i32) -> u32 {
        let (key, _) = split(today);
        let mut expected = key;
        let mut streak = 0;
        for chunk in self.chunks.iter().rev().skip_while(|chunk| chunk.key > key) {
            if chunk.key != expected {
                break;
            }
            // Bring the day asked for to the top; ones from there downwards are the run.
            let top = if chunk.key == key { today & 63 } else { 63 };
            let run = (chunk.bits << (63 - top)).leading_ones();
            streak += run;
            if run != top as u32 + 1 {
                break;
            }
            expected -= 1;
        }
        streak
    }

    /// Adds every day of another set. Cost: O(chunks) when it lies later, as partitions of time do.
    pub fn merge(&mut self, other: &DaySet) {
        for &chunk in &other.chunks {
            self.insert_chunk(chunk);
        }
    }

    /// Bytes of heap memory.
    pub fn heap_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<Chunk>()
    }

    /// The set as bytes (layout: head of `day_set_bytes.rs`). Equal sets have equal bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Appends what [`DaySet::to_bytes`] returns.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.write_chunks(out);
    }

    /// Reads what [`DaySet::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Version`] or [`Error::Corrupt`] for any other bytes. Never allocates more than the
    /// bytes can hold.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.version(VERSION)?;
        let set = Self::read_chunks(&mut reader)?;
        reader.finish()?;
        Ok(set)
    }

    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// Replaces the content by chunks in descending order of key.
    pub(crate) fn set_descending(&mut self, chunks: impl Iterator<Item = Chunk>) {
        self.chunks.clear();
        self.chunks.extend(chunks);
        self.chunks.reverse();
    }

    fn bits_of(&self, key: i32) -> u64 {
        match self.chunks.binary_search_by_key(&key, |chunk| chunk.key) {
            Ok(index) => self.chunks[index].bits,
            Err(_) => 0,
        }
    }

    fn insert_chunk(&mut self, new: Chunk) {
        match self.chunks.last_mut() {
            Some(last) if last.key == new.key => last.bits |= new.bits,
            Some(last) if last.key > new.key => {
                match self
                    .chunks
                    .binary_search_by_key(&new.key, |chunk| chunk.key)
                {
                    Ok(index) => self.chunks[index].bits |= new.bits,
                    Err(index) => self.chunks.insert(index, new),
                }
            }
            _ => self.chunks.push(new),
        }
    }
}

impl Extend<i32> for DaySet {
    fn extend<I: IntoIterator<Item = i32>>(&mut self, days: I) {
        for day in days {
            self.insert(day);
        }
    }
}

impl FromIterator<i32> for DaySet {
    fn from_iter<I: IntoIterator<Item = i32>>(days: I) -> Self {
        let mut set = Self::new();
        set.extend(days);
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(days: &[i32]) -> DaySet {
        days.iter().copied().collect()
    }

    #[test]
    fn gaps() {
        assert_eq!(set(&[]).longest_gap(), None);
        assert_eq!(set(&[5]).longest_gap(), None);
        assert_eq!(set(&[5, 6, 7]).longest_gap(), Some(1));
        assert_eq!(set(&[-70, 5, 6, 100, 63, 64]).longest_gap(), Some(75));
    }

    #[test]
    fn streaks() {
        let days = set(&[-66, -65, -64, -63, 1, 2, 62, 63, 64, 65]);
        for (today, expected) in [
            (65, 4),
            (66, 0),
            (64, 3),
            (63, 2),
            (2, 2),
            (3, 0),
            (0, 0),
            (-63, 4),
            (-64, 3),
            (500, 0),
        ] {
            assert_eq!(days.streak(today), expected, "today {today}");
        }
        let year: DaySet = (0..365).collect();
        assert_eq!(year.streak(364), 365);
        assert_eq!(year.streak(200), 201);
    }

    #[test]
    fn ranges() {
        let days = set(&[-65, -1, 0, 63, 64, 200]);
        for (first, last, expected) in [
            (-65, 200, 6),
            (-64, 199, 4),
            (0, 63, 2),
            (63, 64, 2),
            (5, 4, 0),
            (i32::MIN, i32::MAX, 6),
        ] {
            assert_eq!(
                days.count_between(first, last),
                expected,
                "{first}..={last}"
            );
        }
        assert_eq!((days.first(), days.last()), (Some(-65), Some(200)));
        assert_eq!(days.last_until(199), Some(64));
        assert_eq!(days.last_until(-66), None);
        assert_eq!(days.last_until(-65), Some(-65));
    }

    #[test]
    fn bytes_are_compact_and_stable() {
        assert_eq!(set(&[]).to_bytes(), [1, 0]);
        // 2025-01-01 is day 20,089 = 64 · 313 + 57, so the top byte of chunk 313.
        assert_eq!(set(&[20_089]).to_bytes(), [1, 1, 0xf2, 0x04, 0x80, 0x02]);
        let working_days: DaySet = (20_089..20_089 + 365).filter(|day| day % 7 < 5).collect();
        assert!(
            working_days.to_bytes().len() < 70,
            "{}",
            working_days.to_bytes().len()
        );
    }

    #[test]
    fn limits_come_back_and_beyond_is_refused() {
        let days = set(&[DAY_MIN, DAY_MAX]);
        assert_eq!(DaySet::from_bytes(&days.to_bytes()), Ok(days));
        let beyond = DaySet {
            chunks: vec![Chunk {
                key: DAY_MAX >> 6,
                bits: 1 << 63,
            }],
        };
        assert!(split(DAY_MAX).1 < 1 << 63);
        assert!(matches!(
            DaySet::from_bytes(&beyond.to_bytes()),
            Err(Error::Corrupt { .. })
        ));
        assert!(matches!(
            DaySet::from_bytes(&[9, 0]),
            Err(Error::Version { found: 9, .. })
        ));
        // A count that no bytes follow must not be believed.
        assert!(DaySet::from_bytes(&[1, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }

    #[test]
    #[should_panic(expected = "was not checked")]
    fn unchecked_days_are_a_bug() {
        DaySet::new().insert(DAY_MAX + 1);
    }
}
