//! A place in the log, and reading on from it in order of `seq`.
//!
//! Sections are sorted for questions about entities, and their seqs interleave, so rows are
//! gathered in windows of seq: of each section that overlaps the window the rows inside, all
//! sorted by seq. The size of a window follows the number of rows found, so that it holds neither
//! too much memory nor too little work. It blocks on page faults: not for a reactor.
//!
//! Invariant: `next_seq` is where to resume; every event before it that passes the filter was
//! returned, none at or after it was.

use std::ops::Range;
use std::sync::Arc;

use vitalog_store::{Result, Section, Snapshot};
use vitalog_wire::vitalog::v1::ReadResponse;

use super::filter::LogFilter;
use super::page::Page;
use crate::limits::READ_MESSAGE_BYTES;

/// Seqs of the first, and of the largest window: a place of 16 bytes for each row found.
const WINDOW_SEQS: Range<i64> = 4 << 10..1 << 20;

/// Rows of a window below which the next one is larger, and above which it is smaller.
const WINDOW_ROWS: Range<usize> = 64 << 10..256 << 10;

/// Rows that are looked up at once.
const PAGE_ROWS: usize = 4096;

/// What a look found.
#[derive(Debug)]
pub(super) enum Look {
    /// Events.
    Found(ReadResponse),
    /// A window without a match, and more behind it.
    Nothing,
    /// Everything was returned.
    End,
}

/// Where a row lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub seq: i64,
    pub section: u32,
    pub row: u32,
}

/// A reader of the log.
#[derive(Debug)]
pub(super) struct Cursor {
    filter: LogFilter,
    next_seq: i64,
    /// Events still wanted.
    left: u64,
    window_seqs: i64,
    window: Window,
    page: Page,
}

/// The rows of one window that are still to be returned.
#[derive(Debug, Default)]
struct Window {
    sections: Vec<Arc<Section>>,
    places: Vec<Place>,
    /// Places already moved to pages.
    taken: usize,
    /// The last seq of the window.
    end: i64,
}

impl Cursor {
    /// A cursor at `from_seq` that returns at most `limit` events; 0 is no limit.
    pub fn new(filter: LogFilter, from_seq: u64, limit: u64) -> Self {
        let next_seq = i64::try_from(from_seq.max(1)).unwrap_or(i64::MAX);
        Self {
            filter,
            next_seq,
            left: if limit == 0 { u64::MAX } else { limit },
            window_seqs: WINDOW_SEQS.start,
            window: Window {
                end: next_seq - 1,
                ..Window::default()
            },
            page: Page::default(),
        }
    }

    /// Where to resume.
    pub fn next_seq(&self) -> u64 {
        self.next_seq as u64
    }

    /// Whether as many events were returned as were wanted.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Whether events are left out.
    pub fn is_filtered(&self) -> bool {
        !self.filter.keeps_all()
    }

    /// Looks for events up to the seq `end`: at what is left of a window, or at the next one, in
    /// `snapshot`. Blocks for the time of one window at most. For a cursor that is not done.
    ///
    /// # Errors
    /// Damage of a file, found on first touch.
    pub fn look(&mut self, end: i64, snapshot: &Snapshot) -> Result<Look> {
        for has_gathered in [false, true] {
            if self.fill_page()? {
                return Ok(Look::Found(self.message()));
            }
            self.next_seq = self.window.end + 1;
            if self.next_seq > end {
                return Ok(Look::End);
            }
            if !has_gathered {
                self.gather(snapshot, end)?;
            }
        }
        Ok(Look::Nothing)
    }

    /// A message that only says how far the cursor is.
    pub fn progress(&self) -> ReadResponse {
        ReadResponse {
            events: Vec::new(),
            next_seq: self.next_seq(),
        }
    }

    /// Moves to the next window.
    fn gather(&mut self, snapshot: &Snapshot, end: i64) -> Result<()> {
        let from = self.next_seq;
        let to = end.min(from.saturating_add(self.window_seqs - 1));
        let Some(filter) = self.filter.rows_up_to(to, snapshot.symbols()) else {
            self.window = Window {
                end,
                ..Window::default()
            };
            return Ok(());
        };
        let mut window = Window {
            end: to,
            ..Window::default()
        };
        for section in snapshot.sections(&filter) {
            if section.statistics().seq_max < from {
                continue;
            }
            let section = section.open();
            let selection = section.select(&filter)?;
            let seqs = section.seqs()?;
            let at = window.sections.len() as u32;
            for row in selection.ranges().iter().cloned().flatten() {
                if seqs[row] >= from {
                    window.places.push(Place {
                        seq: seqs[row],
                        section: at,
                        row: row as u32,
                    });
                }
            }
            window.sections.push(section);
        }
        window.places.sort_unstable_by_key(|place| place.seq);
        if window.places.len() < WINDOW_ROWS.start {
            self.window_seqs = (self.window_seqs * 4).min(WINDOW_SEQS.end);
        } else if window.places.len() > WINDOW_ROWS.end {
            self.window_seqs = (self.window_seqs / 4).max(WINDOW_SEQS.start);
        }
        self.window = window;
        Ok(())
    }

    /// Looks up the next rows of the window where none are left; false when the window is empty.
    fn fill_page(&mut self) -> Result<bool> {
        if !self.page.is_empty() {
            return Ok(true);
        }
        let window = &mut self.window;
        let rest = &window.places[window.taken..];
        let rows = rest
            .len()
            .min(PAGE_ROWS)
            .min(usize::try_from(self.left).unwrap_or(PAGE_ROWS));
        if rows == 0 {
            return Ok(false);
        }
        self.page = Page::new(&window.sections, &rest[..rows])?;
        window.taken += rows;
        Ok(true)
    }

    /// Events of the page until a message is full.
    fn message(&mut self) -> ReadResponse {
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < READ_MESSAGE_BYTES && self.left > 0 {
            let Some((event, event_bytes)) = self.page.next() else {
                break;
            };
            self.next_seq = event.seq as i64 + 1;
            self.left -= 1;
            bytes += event_bytes;
            events.push(event);
        }
        ReadResponse {
            events,
            next_seq: self.next_seq(),
        }
    }
}
