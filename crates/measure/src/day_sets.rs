//! The sets of active days of many entities, 16 bytes each and no allocation per entity.
//!
//! An entity has the latest 64 days that were added in place; older chunks stand in one arena for
//! all, as a list from later to earlier. Rows of an entity that arrive in time order, or clustered
//! by day, touch only its own 16 bytes. Invariant: the list of an entity is strictly descending by
//! key and no chunk of it is empty, so its content does not depend on the order of arrival.

use crate::calendar::{DAY_MAX, DAY_MIN};
use crate::day_set::{Chunk, DaySet, split};

/// End of a list.
const NONE: u32 = u32::MAX;
/// The key of an entity without a day: below every key that a day has.
const EMPTY: i32 = i32::MIN;

#[derive(Debug, Clone, Copy)]
struct Link {
    key: i32,
    older: u32,
    bits: u64,
}

const NEW: Link = Link {
    key: EMPTY,
    older: NONE,
    bits: 0,
};

/// Sets of days of the entities `0..len`.
#[derive(Debug, Clone, Default)]
pub struct DaySets {
    heads: Vec<Link>,
    older: Vec<Link>,
}

impl DaySets {
    /// No entities.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many entities.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// True when there are no entities.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Makes room for `len` entities; new ones have no days. Never removes any.
    pub fn grow(&mut self, len: usize) {
        if len > self.heads.len() {
            self.heads.resize(len, NEW);
        }
    }

    /// Adds a day of an entity. Cost: a comparison when it lies in the chunk of 64 days that the
    /// entity's latest day lies in; else O(1) for a later day and a walk of its list for an
    /// earlier one.
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`]; when the day lies outside
    /// [`DAY_MIN`]`..=`[`DAY_MAX`]: check it where it comes in.
    #[inline]
    pub fn insert(&mut self, entity: usize, day: i32) {
        let (key, bit) = split(day);
        let head = &mut self.heads[entity];
        if head.key == key {
            head.bits |= bit;
        } else {
            assert!(
                (DAY_MIN..=DAY_MAX).contains(&day),
                "day {day} was not checked"
            );
            self.insert_chunk(entity, Chunk { key, bits: bit });
        }
    }

    /// Adds every day of a set to an entity.
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`].
    pub fn merge(&mut self, entity: usize, set: &DaySet) {
        for &chunk in set.chunks() {
            self.insert_chunk(entity, chunk);
        }
    }

    /// How many days an entity has. Cost: O(its chunks), nothing is copied.
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`].
    pub fn days(&self, entity: usize) -> u32 {
        self.chunks(entity)
            .map(|chunk| chunk.bits.count_ones())
            .sum()
    }

    /// The latest day of an entity. Cost: O(1).
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`].
    pub fn last(&self, entity: usize) -> Option<i32> {
        let head = self.heads[entity];
        (head.key != EMPTY).then(|| head.key * 64 + 63 - head.bits.leading_zeros() as i32)
    }

    /// Whether an entity has no day.
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`].
    pub fn is_empty_of(&self, entity: usize) -> bool {
        self.heads[entity].key == EMPTY
    }

    /// Copies an entity's days into `set`, replacing what is there and reusing its memory.
    ///
    /// # Panics
    /// When the entity is not below [`DaySets::len`].
    pub fn copy_to(&self, entity: usize, set: &mut DaySet) {
        set.set_descending(self.chunks(entity));
    }

    /// Removes the first `count` entities; the others move down. Cost: O(what stays).
    ///
    /// # Panics
    /// When there are fewer.
    pub fn remove_first(&mut self, count: usize) {
        let rest = self.heads.split_off(count);
        let older = std::mem::replace(
            self,
            Self {
                heads: rest,
                older: Vec::new(),
            },
        )
        .older;
        for entity in 0..self.heads.len() {
            self.move_list(entity, &older);
        }
    }

    /// Bytes of heap memory.
    pub fn heap_bytes(&self) -> usize {
        (self.heads.capacity() + self.older.capacity()) * size_of::<Link>()
    }

    /// Copies an entity's list from another arena to this one.
    fn move_list(&mut self, entity: usize, from: &[Link]) {
        let mut at = self.heads[entity].older;
        let mut previous = None;
        while at != NONE {
            let link = from[at as usize];
            let new = self.add(link);
            match previous.replace(new) {
                None => self.heads[entity].older = new,
                Some(previous) => self.older[previous as usize].older = new,
            }
            at = link.older;
        }
    }

    /// From the latest chunk to the earliest.
    fn chunks(&self, entity: usize) -> impl Iterator<Item = Chunk> + '_ {
        let head = self.heads[entity];
        let mut next = (head.key != EMPTY).then_some(head);
        std::iter::from_fn(move || {
            let link = next?;
            next = (link.older != NONE).then(|| self.older[link.older as usize]);
            Some(Chunk {
                key: link.key,
                bits: link.bits,
            })
        })
    }

    fn insert_chunk(&mut self, entity: usize, chunk: Chunk) {
        let Chunk { key, bits } = chunk;
        let head = self.heads[entity];
        if head.key == EMPTY {
            self.heads[entity] = Link {
                key,
                older: NONE,
                bits,
            };
        } else if head.key == key {
            self.heads[entity].bits |= bits;
        } else if head.key < key {
            let older = self.add(head);
            self.heads[entity] = Link { key, older, bits };
        } else {
            self.insert_older(entity, chunk);
        }
    }

    /// Puts a chunk that is older than the head to its place in the list.
    fn insert_older(&mut self, entity: usize, Chunk { key, bits }: Chunk) {
        let mut previous = None;
        let mut at = self.heads[entity].older;
        while at != NONE && self.older[at as usize].key > key {
            previous = Some(at);
            at = self.older[at as usize].older;
        }
        if at != NONE && self.older[at as usize].key == key {
            self.older[at as usize].bits |= bits;
            return;
        }
        let new = self.add(Link {
            key,
            older: at,
            bits,
        });
        match previous {
            None => self.heads[entity].older = new,
            Some(previous) => self.older[previous as usize].older = new,
        }
    }

    fn add(&mut self, link: Link) -> u32 {
        let index = u32::try_from(self.older.len())
            .ok()
            .filter(|&index| index != NONE);
        self.older.push(link);
        index.expect("fewer than 2^32 − 1 chunks: 64 GB would be full of them")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(sets: &DaySets, entity: usize) -> Vec<i32> {
        let mut set = DaySet::new();
        sets.copy_to(entity, &mut set);
        set.iter().collect()
    }

    #[test]
    fn an_entity_takes_sixteen_bytes() {
        assert_eq!(size_of::<Link>(), 16);
    }

    #[test]
    fn any_order() {
        for order in [
            [1, 2, 70, 300, -70],
            [300, 70, 2, 1, -70],
            [70, -70, 300, 1, 2],
        ] {
            let mut sets = DaySets::new();
            sets.grow(2);
            for day in order {
                sets.insert(1, day);
                sets.insert(1, day);
            }
            assert_eq!(days(&sets, 1), [-70, 1, 2, 70, 300]);
            assert_eq!(
                (sets.days(1), sets.last(1), sets.last(0)),
                (5, Some(300), None)
            );
            assert!(sets.is_empty_of(0) && days(&sets, 0).is_empty());
        }
    }

    #[test]
    fn removing_the_first_keeps_the_rest() {
        let mut sets = DaySets::new();
        sets.grow(3);
        for entity in 0..3 {
            for day in 0..10 {
                sets.insert(entity, day * 100 + entity as i32);
            }
        }
        let kept = days(&sets, 2);
        sets.remove_first(2);
        assert_eq!((sets.len(), days(&sets, 0)), (1, kept));
        assert_eq!(sets.older.len(), 9, "what left takes no memory");
        sets.grow(2);
        sets.insert(1, 5);
        assert_eq!(days(&sets, 1), [5]);
        sets.remove_first(2);
        assert!(sets.is_empty());
    }

    #[test]
    #[should_panic(expected = "was not checked")]
    fn unchecked_days_are_a_bug() {
        let mut sets = DaySets::new();
        sets.grow(1);
        sets.insert(0, i32::MIN);
    }
}
