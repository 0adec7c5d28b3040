//! Compaction: hot rows become cold when the hot tier passes its budget, one file a UTC day.
//!
//! It owns how far a compaction goes and how a job is carried out; what a job takes is in `plan`.
//! The oldest segments go first, until half of the budget is free again, so that the rows of a day
//! that came in several flushes meet in one cold file. Late rows are merged with the day's cold
//! files by size: a row is written again only when the file that holds it at least doubles, so the
//! bytes written grow with the logarithm of a day's rows, and a day has few files beside those that
//! are full. A file that is damaged is left out, and everything else goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::plan::DayPlan;
use super::{Replacement, Upkeep};
use crate::error::Result;
use crate::section::Section;
use crate::segment::{Origin, Segment};
use crate::snapshot::SegmentSet;

/// How far a compaction goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompactionGoal {
    /// What the budget of the hot tier and the number of files ask for.
    #[default]
    Due,
    /// Every row of a file becomes cold.
    AllCold,
}

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactionReport {
    /// Hot files that were merged into others, the results not counted.
    pub hot_merged: usize,
    /// Hot files whose rows became cold.
    pub hot_cooled: usize,
    /// Rows that became cold.
    pub rows_cooled: u64,
    /// Cold files that were merged with late rows.
    pub cold_merged: usize,
    /// Cold files written.
    pub cold_written: usize,
    /// Bytes written to files of either tier.
    pub bytes_written: u64,
    /// Files that were left as they are because they are damaged; the statistics of the store name
    /// them.
    pub damaged: usize,
}

impl Upkeep {
    /// Compacts towards `goal`, without the files that are known to be damaged. An erasure that has
    /// begun is finished before anything becomes cold.
    ///
    /// # Errors
    /// Those of [`Upkeep::finish_erasures`]. A full or failing disk: what was done so far stays,
    /// nothing is lost. [`StoreError::Closed`](crate::StoreError::Closed) where the store is closed
    /// meanwhile.
    pub fn compact(&self, goal: CompactionGoal) -> Result<CompactionReport> {
        let mut report = CompactionReport::default();
        let before = self.written.compacted.load(Ordering::Relaxed);
        self.finish_erasures()?;
        if goal == CompactionGoal::Due {
            report.hot_merged = self.merge_hot()?;
        }
        loop {
            let segments = self.segments();
            // Asked after the list was taken: what came after an erasure that begins from here on
            // is not in it.
            if self.is_erasing() {
                self.finish_erasures()?;
                continue;
            }
            let picked = self.picked(&segments, goal);
            if picked.is_empty() {
                break;
            }
            self.cool(&segments, &picked, &mut report)?;
        }
        if goal == CompactionGoal::AllCold {
            // Who asks for it wants the room: older manifests would keep their files.
            self.ledger.try_collect(1);
        }
        report.bytes_written = self.written.compacted.load(Ordering::Relaxed) - before;
        report.damaged = self.blocked.list(&self.segments()).len();
        Ok(report)
    }

    /// Makes the files `picked` cold. Where one that it reads is damaged, that one is noted, and
    /// nothing was done.
    fn cool(
        &self,
        segments: &SegmentSet,
        picked: &[Arc<Segment>],
        report: &mut CompactionReport,
    ) -> Result<()> {
        let mut removed: BTreeSet<String> = picked
            .iter()
            .map(|segment| segment.entry().name.clone())
            .collect();
        let days = self.plan_days(segments, picked);
        removed.extend(days.iter().flat_map(|day| day.merged.iter().cloned()));
        let cooled = match self.cool_days(&days, &removed) {
            Ok(cooled) => cooled,
            Err(error) => return self.blame(&removed, error),
        };
        report.cold_merged += days.iter().map(|day| day.merged.len()).sum::<usize>();
        report.cold_written += cooled.cold.len();
        report.hot_cooled += picked.len();
        let rows = picked.iter().map(|segment| segment.entry().rows() as u64);
        report.rows_cooled += rows.sum::<u64>();
        self.replace(cooled, |_| {})?;
        Ok(())
    }

    /// Writes the files of `days`, which take the place of the files `removed`.
    fn cool_days(&self, days: &[DayPlan], removed: &BTreeSet<String>) -> Result<Replacement> {
        let mut cooled = Replacement {
            removed: removed.clone(),
            ..Replacement::default()
        };
        let mut files = 0;
        for day in days {
            files += self.count_files(day)?;
        }
        let origin = Origin {
            parts: files as u32,
            ..Origin::of(removed.iter().map(String::as_str))
        };
        for day in days {
            self.cool_day(day, &origin, &mut cooled)?;
        }
        Ok(cooled)
    }

    fn cool_day(&self, day: &DayPlan, origin: &Origin, cooled: &mut Replacement) -> Result<()> {
        let opened = day.open();
        let opened: Vec<&Section> = opened.iter().map(AsRef::as_ref).collect();
        let rows = self.cold_rows(&opened)?;
        for at in 0..rows.files() {
            self.check_stop()?;
            let reservation = self.ledger.reserve();
            let origin = Origin {
                part: cooled.cold.len() as u32 + 1,
                ..origin.clone()
            };
            let entry = rows.write(at, self.directory.as_ref(), reservation.number, origin)?;
            self.count_compacted(entry.bytes + entry.sidecar_bytes);
            cooled.cold.push(entry);
            cooled.reservations.push(reservation);
        }
        Ok(())
    }

    pub fn count_compacted(&self, bytes: u64) {
        self.written.compacted.fetch_add(bytes, Ordering::Relaxed);
    }
}
