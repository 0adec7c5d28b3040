//! Compaction: hot rows become cold when the hot tier passes its budget, one file a UTC day.
//!
//! It owns which files are taken and which are merged. The oldest segments go first, until half of
//! the budget is free again, so that the rows of a day that came in several flushes meet in one
//! cold file. Late rows are merged with the day's cold files by size: a row is written again only
//! when the file that holds it at least doubles, so the bytes written grow with the logarithm of a
//! day's rows, and a day has a bounded number of files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Replacement, Upkeep};
use crate::cold::{ColdFile, write_cold};
use crate::error::{Result, StoreError};
use crate::removal::{RemovalRequest, first_day_kept};
use crate::section::{Section, StoredSection};
use crate::segment::{Origin, Segment};
use crate::snapshot::SegmentSet;

/// Rows of a cold file beyond which late rows get a file of their own.
const COLD_ROWS_MAX: usize = 16 << 20;
/// Rows that one job makes cold: what is written before the hot files are gone.
const JOB_ROWS_MAX: usize = 32 << 20;

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
}

/// One cold file to be written.
struct DayPlan {
    sources: Vec<Arc<StoredSection>>,
    /// The cold files among them.
    merged: BTreeSet<String>,
}

impl Upkeep {
    /// Compacts what is due and reports failures to the log: the next flush asks again.
    pub(super) fn compact_what_is_due(&self) {
        for (what, done) in [
            ("a removal", self.finish_removals().map(drop)),
            ("the retention", self.retain_what_is_due()),
            ("a compaction", self.compact(CompactionGoal::Due).map(drop)),
        ] {
            match done {
                Ok(()) | Err(StoreError::Closed) => {}
                Err(error) => tracing::error!(%error, "{what} failed; it is tried again"),
            }
        }
    }

    /// Drops the days that the configured retention no longer keeps, once a day.
    fn retain_what_is_due(&self) -> Result<()> {
        let Some(days) = self.config.retention_days else {
            return Ok(());
        };
        let day = first_day_kept(self.clock.now_us(), days);
        let floor = self.ledger.manifest().retained_from_day;
        if floor.is_some_and(|floor| floor >= day) {
            return Ok(());
        }
        self.begin_removal(RemovalRequest::Before(day))?;
        self.finish_removals().map(drop)
    }

    /// Compacts towards `goal`.
    ///
    /// # Errors
    /// A full or failing disk, damage of a file: what was done so far stays, nothing is lost.
    /// [`StoreError::Closed`] where the store is closed meanwhile.
    pub fn compact(&self, goal: CompactionGoal) -> Result<CompactionReport> {
        let mut report = CompactionReport::default();
        let before = self.written.compacted.load(Ordering::Relaxed);
        if goal == CompactionGoal::Due {
            report.hot_merged = self.merge_hot()?;
        }
        loop {
            let segments = self.segments();
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
        Ok(report)
    }

    /// The hot files that become cold next: the oldest, until the hot tier is within half of its
    /// budget. At most [`JOB_ROWS_MAX`] rows, but one file at least.
    fn picked(&self, segments: &SegmentSet, goal: CompactionGoal) -> Vec<Arc<Segment>> {
        let bytes = |segment: &Arc<Segment>| segment.entry().bytes;
        let mut hot_bytes: u64 = segments.segments.iter().map(bytes).sum();
        let kept_bytes = match goal {
            CompactionGoal::AllCold => 0,
            CompactionGoal::Due if hot_bytes <= self.config.hot_bytes_max => return Vec::new(),
            CompactionGoal::Due => self.config.hot_bytes_max / 2,
        };
        let (mut picked, mut rows) = (Vec::new(), 0);
        for segment in &segments.segments {
            rows += segment.entry().rows();
            if hot_bytes <= kept_bytes || (rows > JOB_ROWS_MAX && !picked.is_empty()) {
                break;
            }
            hot_bytes -= segment.entry().bytes;
            picked.push(Arc::clone(segment));
        }
        picked
    }

    fn cool(
        &self,
        segments: &SegmentSet,
        picked: &[Arc<Segment>],
        report: &mut CompactionReport,
    ) -> Result<()> {
        let hot: BTreeSet<String> = picked
            .iter()
            .map(|segment| segment.entry().name.clone())
            .collect();
        let days = segments.by_day.values();
        let days: Vec<DayPlan> = days
            .filter_map(|sections| self.plan_day(sections, &hot))
            .collect();
        let merged = days.iter().flat_map(|day| &day.merged);
        let removed: BTreeSet<String> = hot.iter().chain(merged).cloned().collect();
        let mut cooled = Replacement::default();
        for (day, part) in days.iter().zip(1..) {
            self.check_stop()?;
            let origin = Origin {
                part,
                parts: days.len() as u32,
                ..Origin::of(removed.iter().map(String::as_str))
            };
            self.cool_day(day, origin, &mut cooled)?;
            report.cold_merged += day.merged.len();
        }
        report.cold_written += days.len();
        report.hot_cooled += picked.len();
        report.rows_cooled += picked
            .iter()
            .map(|segment| segment.entry().rows() as u64)
            .sum::<u64>();
        cooled.removed = removed;
        self.replace(cooled, |_| {})?;
        Ok(())
    }

    /// What becomes one cold file: the rows that the files `hot` have of a day, and the cold files
    /// that they are merged with.
    fn plan_day(&self, sections: &[Arc<StoredSection>], hot: &BTreeSet<String>) -> Option<DayPlan> {
        let of = |names: &BTreeSet<String>| {
            let named = sections.iter().filter(|section| section.is_of(names));
            named.map(Arc::clone).collect::<Vec<Arc<StoredSection>>>()
        };
        let mut sources = of(hot);
        if sources.is_empty() {
            return None;
        }
        let new_rows = sources.iter().map(|section| section.rows()).sum();
        let cold: Vec<&Arc<ColdFile>> = sections
            .iter()
            .filter_map(|section| section.cold_file())
            .collect();
        let merged = merged_with(&cold, new_rows, self.config.cold_files_per_day_max);
        let merged = merged
            .iter()
            .map(|file| file.entry().name.clone())
            .collect();
        sources.extend(of(&merged));
        Some(DayPlan { sources, merged })
    }

    fn cool_day(&self, day: &DayPlan, origin: Origin, cooled: &mut Replacement) -> Result<()> {
        let opened: Vec<Arc<Section>> = day.sources.iter().map(|section| section.open()).collect();
        let opened: Vec<&Section> = opened.iter().map(AsRef::as_ref).collect();
        let reservation = self.ledger.reserve();
        let (directory, number) = (self.directory.as_ref(), reservation.number);
        let entry = write_cold(directory, number, &self.symbols, &opened, None, origin)?;
        let entry = entry.expect("sections have rows");
        self.count_compacted(entry.bytes + entry.sidecar_bytes);
        cooled.cold.push(entry);
        cooled.reservations.push(reservation);
        Ok(())
    }

    pub fn count_compacted(&self, bytes: u64) {
        self.written.compacted.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The cold files of a day that `new_rows` rows are merged with: from the smallest on while they
/// are no larger than what is merged already, and more where the day had too many files.
fn merged_with<'a>(
    cold: &[&'a Arc<ColdFile>],
    new_rows: usize,
    files_max: usize,
) -> Vec<&'a Arc<ColdFile>> {
    let rows = |file: &Arc<ColdFile>| file.entry().statistics.rows;
    let mut by_size: Vec<&Arc<ColdFile>> = cold.to_vec();
    by_size.retain(|file| rows(file) < COLD_ROWS_MAX);
    by_size.sort_by_key(|file| rows(file));
    let mut merged_rows = new_rows;
    let mut count = 0;
    for file in &by_size {
        let is_too_many = by_size.len() - count >= files_max.max(1);
        if rows(file) > merged_rows && !is_too_many {
            break;
        }
        merged_rows += rows(file);
        count += 1;
    }
    by_size.truncate(count);
    by_size
}
