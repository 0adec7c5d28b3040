//! Idempotency: whether an event was stored before, exactly, by (UTC day, account, event id).
//!
//! Two places are asked: the ids of rows not yet in a segment, kept here in memory, and the id
//! index of each section of that day (hashes in order, found by interpolation; a hit is compared
//! by its text). The id index of a hot section lies in its map; that of a cold one is made from its
//! ids when its bloom filter first says that an id may be there. Contents are compared by a 64-bit hash of the stored fields, the time apart.

use std::sync::Arc;

use arrow_array::Array;
use hashbrown::HashTable;
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::error::Result;
use crate::removal::PendingRemoval;
use crate::section::{Section, StoredSection};
use crate::segment::id_hash;

/// What identifies an event, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventKey<'a> {
    pub event_id: &'a str,
    /// The account's symbol.
    pub account: u32,
    pub time_us: i64,
    /// See [`content_of`].
    pub content: u64,
}

/// A stored event with the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub time_us: i64,
    pub content: u64,
}

/// The hash of what an event says beside its key and its time.
pub(crate) fn content_of(
    event: u32,
    user: u32,
    value: Option<f64>,
    properties: Option<&str>,
) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&event.to_le_bytes());
    hasher.update(&user.to_le_bytes());
    hasher.update(&value.map_or(u64::MAX, f64::to_bits).to_le_bytes());
    hasher.update(&[u8::from(properties.is_some())]);
    hasher.update(properties.unwrap_or_default().as_bytes());
    hasher.digest()
}

#[derive(Debug)]
struct RecentEntry {
    hash: u64,
    id_end: u32,
    day: i32,
    account: u32,
    time_us: i64,
    content: u64,
}

/// The ids of one memtable.
#[derive(Debug, Default)]
pub(crate) struct RecentIds {
    table: HashTable<u32>,
    entries: Vec<RecentEntry>,
    ids: Vec<u8>,
}

impl RecentIds {
    /// How many ids there are; see [`RecentIds::truncate`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    fn id(&self, entry: usize) -> &[u8] {
        let start = entry
            .checked_sub(1)
            .map_or(0, |before| self.entries[before].id_end);
        &self.ids[start as usize..self.entries[entry].id_end as usize]
    }

    /// The stored event with this id on `day` in this account.
    pub fn find(&self, key: &EventKey<'_>, day: i32) -> Option<Stored> {
        let hash = xxh3_64(key.event_id.as_bytes());
        let same = |&entry: &u32| {
            let known = &self.entries[entry as usize];
            known.hash == hash
                && known.day == day
                && known.account == key.account
                && self.id(entry as usize) == key.event_id.as_bytes()
        };
        let entry = &self.entries[*self.table.find(hash, same)? as usize];
        Some(Stored {
            time_us: entry.time_us,
            content: entry.content,
        })
    }

    /// Notes an event that [`RecentIds::find`] did not find.
    pub fn insert(&mut self, key: &EventKey<'_>, day: i32) {
        let hash = xxh3_64(key.event_id.as_bytes());
        self.ids.extend_from_slice(key.event_id.as_bytes());
        self.entries.push(RecentEntry {
            hash,
            id_end: self.ids.len() as u32,
            day,
            account: key.account,
            time_us: key.time_us,
            content: key.content,
        });
        let Self { table, entries, .. } = self;
        let entry = entries.len() as u32 - 1;
        table.insert_unique(hash, entry, |&entry| entries[entry as usize].hash);
    }

    /// Takes back the older ids of a flush that failed.
    pub fn put_back(&mut self, mut older: Self) {
        for (entry, known) in self.entries.iter().enumerate() {
            let id = str::from_utf8(self.id(entry)).expect("ids enter as text");
            let RecentEntry {
                account,
                time_us,
                content,
                ..
            } = *known;
            older.insert(
                &EventKey {
                    event_id: id,
                    account,
                    time_us,
                    content,
                },
                known.day,
            );
        }
        *self = older;
    }

    /// Forgets all but the first `length` ids: their group was not written.
    pub fn truncate(&mut self, length: usize) {
        for entry in length..self.entries.len() {
            let hash = self.entries[entry].hash;
            if let Ok(found) = self
                .table
                .find_entry(hash, |&other| other as usize == entry)
            {
                found.remove();
            }
        }
        self.entries.truncate(length);
        self.ids
            .truncate(self.entries.last().map_or(0, |entry| entry.id_end as usize));
    }
}

/// The event with this key in a section of a file, hot or cold; rows that are being removed are
/// none. A cold one is opened only where the bloom filter of its ids does not rule the id out.
///
/// # Errors
/// Damage of the file, found on first touch.
pub(crate) fn find_in_section(
    stored: &StoredSection,
    key: &EventKey<'_>,
    removing: &[PendingRemoval],
) -> Result<Option<Stored>> {
    if !stored.may_hold_event_id(key.event_id)? {
        return Ok(None);
    }
    let section = stored.open();
    let Some((hashes, rows)) = section.id_index()? else {
        return Ok(None);
    };
    let hash = id_hash(key.event_id);
    let mut at = interpolate(hashes, hash);
    while at < hashes.len() && hashes[at] == hash {
        let row = rows[at] as usize;
        if section.event_ids()?.value(row) == key.event_id {
            let runs = section.run_bounds()?;
            let identities: &Arc<_> = section.identities()?;
            let member = runs.members[runs.run_of_row(row)] as usize;
            if identities.account_symbol(member) == key.account {
                let user = identities.user_symbol(member);
                if !is_going(&section, row, (key.account, user), removing)? {
                    return stored_at(&section, row, user).map(Some);
                }
            }
        }
        at += 1;
    }
    Ok(None)
}

fn is_going(
    section: &Section,
    row: usize,
    (account, user): (u32, u32),
    removing: &[PendingRemoval],
) -> Result<bool> {
    if removing.is_empty() {
        return Ok(false);
    }
    let seq = section.seqs()?[row];
    let mut removing = removing.iter();
    Ok(removing.any(|removal| removal.what.takes(seq, account, user)))
}

fn stored_at(section: &Section, row: usize, user: u32) -> Result<Stored> {
    let events = section.event_table(|symbol| symbol)?;
    let event = events[section.event_codes()?.index(row)];
    let values = section.values()?;
    let properties = section.properties()?;
    let value = values.is_valid(row).then(|| values.value(row));
    let properties = properties.is_valid(row).then(|| properties.value(row));
    let content = content_of(event, user, value, properties);
    Ok(Stored {
        time_us: section.times()?[row],
        content,
    })
}

/// The first place of `hash` in ascending, evenly spread `hashes`, or where it would be.
fn interpolate(hashes: &[u32], hash: u32) -> usize {
    let guess = (u64::from(hash) * hashes.len() as u64) >> 32;
    let guess = guess as usize;
    // Hashes are spread like random numbers: the place is within a few standard deviations of the
    // guess, so widening steps from there meet it sooner than halving the whole.
    let (mut low, mut high) = (guess, guess);
    let mut step = 16;
    while low > 0 && hashes[low.min(hashes.len() - 1)] >= hash {
        low = low.saturating_sub(step);
        step *= 4;
    }
    step = 16;
    while high < hashes.len() && hashes[high] < hash {
        high = (high + step).min(hashes.len());
        step *= 4;
    }
    low + hashes[low..high].partition_point(|&known| known < hash)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(event_id: &str, account: u32) -> EventKey<'_> {
        EventKey {
            event_id,
            account,
            time_us: 5,
            content: 9,
        }
    }

    #[test]
    fn day_account_and_id_make_the_key() {
        let mut recent = RecentIds::default();
        recent.insert(&key("a", 1), 10);
        let stored = Some(Stored {
            time_us: 5,
            content: 9,
        });
        assert_eq!(recent.find(&key("a", 1), 10), stored);
        assert_eq!(recent.find(&key("a", 2), 10), None);
        assert_eq!(recent.find(&key("a", 1), 11), None);
        assert_eq!(recent.find(&key("b", 1), 10), None);
    }

    #[test]
    fn a_truncated_id_can_be_stored_again() {
        let mut recent = RecentIds::default();
        recent.insert(&key("first", 1), 10);
        let mark = recent.len();
        for i in 0..100 {
            recent.insert(&key(&format!("id {i}"), 1), 10);
        }
        recent.truncate(mark);
        assert!(recent.find(&key("first", 1), 10).is_some());
        assert_eq!(recent.find(&key("id 7", 1), 10), None);
        recent.insert(&key("id 7", 1), 10);
        assert!(recent.find(&key("id 7", 1), 10).is_some());
    }

    #[test]
    fn contents_differ_by_every_field() {
        let base = content_of(1, 2, Some(1.0), Some("{}"));
        assert_ne!(base, content_of(2, 2, Some(1.0), Some("{}")));
        assert_ne!(base, content_of(1, 3, Some(1.0), Some("{}")));
        assert_ne!(base, content_of(1, 2, None, Some("{}")));
        assert_ne!(base, content_of(1, 2, Some(1.0), None));
        assert_ne!(
            content_of(1, 2, None, None),
            content_of(1, 2, None, Some(""))
        );
    }

    proptest! {
        #[test]
        fn interpolation_finds_the_first_place(
            mut hashes in proptest::collection::vec(any::<u32>(), 0..300),
            few in proptest::collection::vec(0..4u32, 0..20),
            hash in any::<u32>(),
        ) {
            hashes.extend(few);
            hashes.sort_unstable();
            for hash in hashes.iter().copied().chain([hash, 0, u32::MAX, 2]) {
                let expected = hashes.partition_point(|&known| known < hash);
                prop_assert_eq!(interpolate(&hashes, hash), expected);
            }
        }
    }
}
