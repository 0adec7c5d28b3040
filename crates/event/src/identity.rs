//! Where an event's id comes from when the client gave none, and the hash that compares contents.
//!
//! The hashes are XXH3, whose output is fixed by its specification: ids and hashes made by one
//! version of Vitalog are found again by every later one.

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::draft::EventDraft;

/// The id of a row of a file that names none: a hash of the row's content, and `occurrence`, the
/// number of equal rows before it in the file, so that repeated rows stay apart and a second
/// import of the file finds each of them again.
#[must_use]
pub fn content_id(draft: &EventDraft<'_>, occurrence: u64) -> String {
    let hash = xxh3_128(&content_bytes(draft));
    format!("{hash:032x}-{occurrence}")
}

/// The content of a draft, without its id, as 64 bits: the key by which occurrences are counted.
#[must_use]
pub fn content_hash(draft: &EventDraft<'_>) -> u64 {
    xxh3_64(&content_bytes(draft))
}

/// The id of event `index` of a request that has an id of its own.
#[must_use]
pub fn request_id(request_id: &str, index: usize) -> String {
    format!("{request_id}#{index}")
}

/// A UUIDv7 from a clock and 74 random bits: for an event that nothing else can name. A retry
/// gets another one, so whoever uses it says `retry_unsafe`.
#[must_use]
pub fn random_id(now_us: i64, random: [u8; 10]) -> String {
    let millis = u64::try_from(now_us / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
}

/// Fields with their lengths, so that no two contents share their bytes.
fn content_bytes(draft: &EventDraft<'_>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for text in [
        draft.event,
        draft.account_id,
        draft.user_id,
        draft.properties,
    ] {
        let length = text.map_or(u64::MAX, |text| text.len() as u64);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
    let time = draft.event_time_us.filter(|_| !draft.time_is_stamped);
    bytes.extend_from_slice(&time.unwrap_or(i64::MIN).to_le_bytes());
    bytes.extend_from_slice(&draft.value.map_or(u64::MAX, f64::to_bits).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> EventDraft<'static> {
        EventDraft {
            event_time_us: Some(1_000_000),
            event: Some("login"),
            account_id: Some("a"),
            user_id: Some("b"),
            value: Some(1.5),
            properties: Some("{}"),
            ..EventDraft::default()
        }
    }

    #[test]
    fn equal_rows_differ_by_occurrence_only() {
        let first = content_id(&draft(), 0);
        assert_eq!(first, content_id(&draft(), 0));
        assert_ne!(first, content_id(&draft(), 1));
        // The id is part of the format: a stored one must be found again by every later version.
        assert_eq!(first, "5ffd542ed3e640c6299a9573027b98f3-0");
    }

    #[test]
    fn every_field_counts_and_none_runs_into_the_next() {
        let base = content_hash(&draft());
        let changed = [
            EventDraft {
                event_time_us: Some(1),
                ..draft()
            },
            EventDraft {
                event: Some("logout"),
                ..draft()
            },
            EventDraft {
                account_id: None,
                ..draft()
            },
            EventDraft {
                account_id: Some("ab"),
                user_id: Some(""),
                ..draft()
            },
            EventDraft {
                value: None,
                ..draft()
            },
            EventDraft {
                properties: None,
                ..draft()
            },
        ];
        for other in changed {
            assert_ne!(content_hash(&other), base, "{other:?}");
        }
        let stamped = EventDraft {
            time_is_stamped: true,
            ..draft()
        };
        let later = EventDraft {
            event_time_us: Some(2_000_000),
            ..stamped
        };
        assert_eq!(content_hash(&stamped), content_hash(&later));
    }

    #[test]
    fn random_ids_are_uuids_of_version_seven() {
        let id = random_id(1_740_830_400_000_000, [7; 10]);
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'7', "{id}");
        assert!(id.starts_with("01955193-de00"), "{id}");
    }
}
