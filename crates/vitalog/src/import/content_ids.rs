//! Ids of rows that bring none: a hash of the content, and how often it stood before in the file.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

use vitalog_event::{EventDraft, canonical_properties, content_hash, content_id};

/// Most different contents that are counted in one file; about 600 MB of memory at the limit.
pub const CONTENTS_MAX: usize = 56 << 20;

/// Counts equal rows of one file: the first is occurrence 0.
///
/// Memory: nine bytes, at most twice over, for each different content; more for those that repeat.
#[derive(Debug, Default)]
pub(super) struct ContentIds {
    /// Contents seen at least once. Most are seen no more than that, so they carry no count.
    seen: HashSet<u64, BuildHasherDefault<HashIsKey>>,
    /// How often a content was seen again.
    repeated: HashMap<u64, u32, BuildHasherDefault<HashIsKey>>,
    canonical: Vec<u8>,
}

impl ContentIds {
    /// The id of the next row of the file; `None` beyond `contents_max` different contents.
    ///
    /// The properties count in their canonical form, so spacing and the order of keys do not
    /// change an id. Two contents whose 64-bit hashes are equal share a count, which changes
    /// nothing: the id holds 128 bits of the content itself.
    pub(super) fn next_id(
        &mut self,
        draft: &EventDraft<'_>,
        contents_max: usize,
    ) -> Option<String> {
        self.canonical.clear();
        let mut draft = *draft;
        if let Some(properties) = draft.properties
            && canonical_properties(properties, &mut self.canonical).is_ok()
        {
            let canonical = str::from_utf8(&self.canonical).expect("canonical JSON is UTF-8");
            draft.properties = Some(canonical);
        }
        let hash = content_hash(&draft);
        let occurrence = if self.seen.contains(&hash) {
            let count = self.repeated.entry(hash).or_insert(0);
            *count = count.saturating_add(1);
            *count
        } else if self.seen.len() < contents_max {
            self.seen.insert(hash);
            0
        } else {
            return None;
        };
        Some(content_id(&draft, u64::from(occurrence)))
    }
}

/// The keys are hashes already.
#[derive(Debug, Default)]
struct HashIsKey(u64);

impl Hasher for HashIsKey {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(properties: &'static str) -> EventDraft<'static> {
        EventDraft {
            event_time_us: Some(1),
            event: Some("login"),
            properties: Some(properties),
            ..EventDraft::default()
        }
    }

    #[test]
    fn equal_rows_stay_apart_and_a_second_reading_finds_each_again() {
        let read = || {
            let mut ids = ContentIds::default();
            let rows = [
                r#"{"a":1,"b":2}"#,
                r#"{"b":3}"#,
                r#"{ "b":2, "a":1 }"#,
                r#"{"a":1,"b":2}"#,
            ];
            rows.map(|row| ids.next_id(&draft(row), 10).expect("within the limit"))
        };
        let ids = read();
        assert_eq!(ids, read());
        let occurrences: Vec<_> = ids.iter().map(|id| &id[33..]).collect();
        assert_eq!(occurrences, ["0", "0", "1", "2"]);
        assert_eq!(ids[0][..32], ids[2][..32]);
        assert_ne!(ids[0][..32], ids[1][..32]);
    }

    #[test]
    fn the_limit_holds_for_different_contents_only() {
        let mut ids = ContentIds::default();
        assert!(ids.next_id(&draft("{}"), 1).is_some());
        assert!(ids.next_id(&draft("{\"a\":1}"), 1).is_none());
        assert!(ids.next_id(&draft("{}"), 1).is_some());
    }
}
