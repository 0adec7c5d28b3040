//! The pictures that are kept, and which of them go when there are too many.
//!
//! Invariant: at most [`PICTURES_MAX`] pictures of at most [`PICTURES_BYTES_MAX`] bytes, unless
//! one alone is larger.

use std::sync::Arc;
use std::time::Instant;

use super::picture::Picture;
use super::pin::Pin;
use crate::limits::{PICTURE_IDLE_MAX, PICTURES_BYTES_MAX, PICTURES_MAX};

/// What a standing picture is of: always the newest of it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub model: String,
    /// The version in force; a picture of another one is never taken for it.
    pub version: u32,
    /// An entity by its number on the wire.
    pub entity: i32,
}

/// Pictures in memory.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// The one used last stands last.
    kept: Vec<Kept>,
}

#[derive(Debug)]
struct Kept {
    picture: Arc<Picture>,
    /// When what it shows was chosen.
    taken_at: Instant,
    used_at: Instant,
    /// What it stands for; `None` for one of a past or bounded question.
    subject: Option<Subject>,
}

impl Shelf {
    /// The newest standing picture of `subject` that was taken at `oldest` or later; of any age
    /// for `None`.
    pub fn standing(&mut self, subject: &Subject, oldest: Option<Instant>) -> Option<Arc<Picture>> {
        let newest = self
            .kept
            .iter()
            .enumerate()
            .filter(|(_, kept)| kept.subject.as_ref() == Some(subject))
            .filter(|(_, kept)| oldest.is_none_or(|oldest| kept.taken_at >= oldest))
            .max_by_key(|(_, kept)| kept.taken_at);
        let (at, _) = newest?;
        Some(self.used(at))
    }

    /// The picture that `pin` names.
    pub fn pinned(&mut self, pin: &Pin) -> Option<Arc<Picture>> {
        let at = self.kept.iter().position(|kept| kept.picture.pin == *pin)?;
        Some(self.used(at))
    }

    /// Keeps `picture`, and lets others go: those nobody asked for in a long time, then those
    /// asked for least recently.
    pub fn keep(&mut self, picture: &Arc<Picture>, taken_at: Instant, subject: Option<Subject>) {
        let now = Instant::now();
        self.kept
            .retain(|kept| now.duration_since(kept.used_at) < PICTURE_IDLE_MAX);
        self.kept.push(Kept {
            picture: Arc::clone(picture),
            taken_at,
            used_at: now,
            subject,
        });
        let mut bytes: usize = self.kept.iter().map(|kept| kept.picture.bytes()).sum();
        while self.kept.len() > 1 && (self.kept.len() > PICTURES_MAX || bytes > PICTURES_BYTES_MAX)
        {
            bytes -= self.kept.remove(0).picture.bytes();
        }
    }

    fn used(&mut self, at: usize) -> Arc<Picture> {
        let mut kept = self.kept.remove(at);
        kept.used_at = Instant::now();
        let picture = Arc::clone(&kept.picture);
        self.kept.push(kept);
        picture
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::picture_of;
    use super::*;

    fn subject(model: &str) -> Subject {
        Subject {
            model: model.to_owned(),
            version: 1,
            entity: 1,
        }
    }

    #[test]
    fn the_newest_that_is_young_enough_is_taken() {
        let mut shelf = Shelf::default();
        let start = Instant::now();
        let [first, second] = [1, 2].map(|seq| Arc::new(picture_of(seq, &[])));
        let later = start + Duration::from_secs(1);
        shelf.keep(&second, later, Some(subject("a")));
        shelf.keep(&first, start, Some(subject("a")));
        let seq = |found: Option<Arc<Picture>>| found.map(|picture| picture.pin.seq);
        assert_eq!(seq(shelf.standing(&subject("a"), None)), Some(2));
        assert_eq!(seq(shelf.standing(&subject("a"), Some(later))), Some(2));
        let too_late = later + Duration::from_nanos(1);
        assert_eq!(seq(shelf.standing(&subject("a"), Some(too_late))), None);
        assert_eq!(seq(shelf.standing(&subject("b"), None)), None);
        assert_eq!(seq(shelf.pinned(&first.pin)), Some(1));
    }

    #[test]
    fn what_is_asked_for_stays_longest() {
        let mut shelf = Shelf::default();
        let pictures: Vec<_> = (0..PICTURES_MAX as i64 + 3)
            .map(|seq| Arc::new(picture_of(seq, &[])))
            .collect();
        for picture in &pictures {
            shelf.keep(picture, Instant::now(), None);
            assert!(shelf.pinned(&pictures[0].pin).is_some());
        }
        assert_eq!(shelf.kept.len(), PICTURES_MAX);
        let gone = pictures.iter().map(|one| shelf.pinned(&one.pin).is_none());
        let gone: Vec<usize> = gone
            .enumerate()
            .filter_map(|(at, is_gone)| is_gone.then_some(at))
            .collect();
        assert_eq!(gone, [1, 2, 3]);
    }
}
