//! The values that were bound to handles whose clients go on using the handle without values.
//!
//! The answer to a binding is a handle that carries the values; clients that take it need nothing
//! from here. Invariant: what is kept is bounded in number, bytes and time; what was dropped is
//! missing, never wrong, because no two handles share an id.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use prost::Message;

use super::sealed::SealedValues;
use crate::limits::{FLIGHT_BINDING_IDLE_MAX, FLIGHT_BINDINGS_BYTES_MAX, FLIGHT_BINDINGS_MAX};

/// The latest values of each handle.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    shelf: Mutex<Shelf>,
}

#[derive(Debug, Default)]
struct Shelf {
    kept: HashMap<String, Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    values: SealedValues,
    used: Instant,
}

impl Bindings {
    /// Keeps `values` for the handle `id`, instead of those before.
    pub fn keep(&self, id: &str, values: SealedValues, now: Instant) {
        let mut shelf = self.shelf();
        shelf.remove(id);
        shelf.bytes += bytes_of(id, &values);
        shelf.kept.insert(id.to_owned(), Kept { values, used: now });
        shelf.make_room(now);
    }

    /// The values of the handle `id`.
    pub fn find(&self, id: &str, now: Instant) -> Option<SealedValues> {
        let mut shelf = self.shelf();
        let kept = shelf.kept.get_mut(id)?;
        kept.used = now;
        Some(kept.values.clone())
    }

    /// Forgets the values of the handle `id`.
    pub fn forget(&self, id: &str) {
        self.shelf().remove(id);
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    fn remove(&mut self, id: &str) {
        if let Some(kept) = self.kept.remove(id) {
            self.bytes -= bytes_of(id, &kept.values);
        }
    }

    /// Drops what nobody used for long, then the oldest while there is too much.
    fn make_room(&mut self, now: Instant) {
        let is_idle = |kept: &Kept| now.duration_since(kept.used) > FLIGHT_BINDING_IDLE_MAX;
        while let Some(oldest) = self.kept.iter().min_by_key(|(_, kept)| kept.used) {
            let is_full =
                self.kept.len() > FLIGHT_BINDINGS_MAX || self.bytes > FLIGHT_BINDINGS_BYTES_MAX;
            if !is_full && !is_idle(oldest.1) {
                return;
            }
            let id = oldest.0.clone();
            self.remove(&id);
        }
    }
}

fn bytes_of(id: &str, values: &SealedValues) -> usize {
    id.len() + values.encoded_len()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn values(bytes: usize) -> SealedValues {
        SealedValues {
            body: vec![7; bytes].into(),
            ..SealedValues::default()
        }
    }

    #[test]
    fn the_latest_values_count_until_they_are_forgotten() {
        let (bindings, now) = (Bindings::default(), Instant::now());
        bindings.keep("a", values(1), now);
        bindings.keep("a", values(2), now);
        assert_eq!(bindings.find("a", now), Some(values(2)));
        assert_eq!(bindings.find("b", now), None);
        bindings.forget("a");
        assert_eq!(bindings.find("a", now), None);
        assert_eq!(bindings.shelf().bytes, 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (bindings, start) = (Bindings::default(), Instant::now());
        for n in 0..FLIGHT_BINDINGS_MAX + 10 {
            let now = start + Duration::from_millis(n as u64);
            bindings.keep(&n.to_string(), values(1), now);
        }
        assert_eq!(bindings.shelf().kept.len(), FLIGHT_BINDINGS_MAX);
        let later = start + Duration::from_secs(10);
        assert_eq!(bindings.find("9", later), None, "the oldest are gone");
        assert!(bindings.find("10", later).is_some());
        for n in 0..100 {
            let now = later + Duration::from_millis(n);
            bindings.keep(&format!("large {n}"), values(2 << 20), now);
            assert!(bindings.shelf().bytes <= FLIGHT_BINDINGS_BYTES_MAX);
        }
        assert!(bindings.find("large 99", later).is_some());
        let long_after = later + FLIGHT_BINDING_IDLE_MAX + Duration::from_secs(60);
        bindings.keep("new", values(1), long_after);
        assert_eq!(bindings.shelf().kept.len(), 1);
    }
}
