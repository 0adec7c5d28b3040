//! Merging hot files: small segments, left by short runs and small flushes, become fewer ones.
//! Bounded by rows and by bytes, whatever the events are; a damaged file is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Replacement, Upkeep};
use crate::error::Result;
use crate::flush::segment_name;
use crate::section::Section;
use crate::segment::{Origin, Segment, write_segment};

/// Segments of about one size that are merged into one.
const FAN_IN: usize = 4;
/// Rows of a segment of the lowest level; each level above has [`FAN_IN`] times as many.
const LEVEL_ROWS: usize = 4_096;
/// Rows beyond which segments are not merged any more.
const MERGED_ROWS_MAX: usize = 4 << 20;

impl Upkeep {
    /// Merges segments of one level while a level is full. Returns the files that are no more.
    ///
    /// Every row is merged at most once a level, so the bytes written grow with the logarithm of
    /// the rows.
    pub(super) fn merge_hot(&self) -> Result<usize> {
        let mut gone = 0;
        while let Some(group) = self.full_level() {
            self.check_stop()?;
            let bytes: u64 = group.iter().map(|segment| segment.entry().bytes).sum();
            let needed = bytes.saturating_add(self.config.reserved_bytes);
            if self.directory.free_bytes()? < needed {
                // Fewer files are not worth the reserve.
                break;
            }
            match self.merged(&group) {
                Ok(replacement) => {
                    self.replace(replacement, |_| {})?;
                    gone += group.len() - 1;
                }
                Err(error) => {
                    let names = group.iter().map(|segment| segment.entry().name.clone());
                    self.blame(&names.collect(), error)?;
                }
            }
        }
        Ok(gone)
    }

    /// The segments of the lowest level that has [`FAN_IN`] of them, oldest first; damaged ones are
    /// left out.
    fn full_level(&self) -> Option<Vec<Arc<Segment>>> {
        let segments = self.segments();
        let readable = segments.segments.iter();
        let readable = readable.filter(|segment| !self.blocked.holds(&segment.entry().name));
        full_level(readable, self.config.hot_merged_bytes_max)
    }

    fn merged(&self, group: &[Arc<Segment>]) -> Result<Replacement> {
        let segments = self.segments();
        let names = group.iter().map(|segment| segment.entry().name.clone());
        let mut replacement = Replacement {
            removed: names.collect(),
            ..Replacement::default()
        };
        let mut days: BTreeMap<i32, Vec<Arc<Section>>> = BTreeMap::new();
        for (&day, sections) in &segments.by_day {
            let of_group = sections.iter();
            let of_group = of_group.filter(|section| section.is_of(&replacement.removed));
            let of_group: Vec<Arc<Section>> = of_group.map(|section| section.open()).collect();
            if !of_group.is_empty() {
                days.insert(day, of_group);
            }
        }
        let mut received = Vec::new();
        for segment in group {
            received.extend(segment.received_pairs()?);
        }
        received.sort_unstable();
        let reservation = self.ledger.reserve();
        let name = segment_name(reservation.number);
        let directory = self.directory.as_ref();
        let origin = Origin::of(group.iter().map(|segment| segment.entry().name.as_str()));
        let entry = write_segment(directory, &name, &self.symbols, &days, &received, origin)?;
        self.count_compacted(entry.bytes);
        replacement.hot.push(entry);
        replacement.reservations.push(reservation);
        Ok(replacement)
    }
}

/// The segments of the lowest level that has [`FAN_IN`] of them, oldest first. Of those that are
/// merged none has more than its part of `bytes_max`, nor of [`MERGED_ROWS_MAX`].
fn full_level<'a>(
    segments: impl Iterator<Item = &'a Arc<Segment>>,
    bytes_max: u64,
) -> Option<Vec<Arc<Segment>>> {
    let mut levels: BTreeMap<u32, Vec<Arc<Segment>>> = BTreeMap::new();
    for segment in segments {
        let rows = segment.entry().rows();
        let is_small = segment.entry().bytes <= bytes_max / FAN_IN as u64;
        if is_small && rows * FAN_IN <= MERGED_ROWS_MAX {
            let level = (rows / LEVEL_ROWS)
                .checked_ilog(FAN_IN)
                .map_or(0, |level| level + 1);
            levels.entry(level).or_default().push(Arc::clone(segment));
        }
    }
    let full = levels.into_values().find(|level| level.len() >= FAN_IN);
    full.map(|mut level| {
        level.truncate(FAN_IN);
        level
    })
}
