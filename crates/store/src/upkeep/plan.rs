//! What one job of a compaction takes: which hot files, and for each of their days which cold files
//! the rows are merged with.
//!
//! It owns the bounds of a job, by rows and by bytes: whatever the events are, a job ends, and no
//! file grows past what a reader can hold as one column. It writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{CompactionGoal, Upkeep};
use crate::cold::{ColdFile, ColdRows};
use crate::error::Result;
use crate::section::{Section, StoredSection};
use crate::segment::Segment;
use crate::snapshot::SegmentSet;

/// Rows of a cold file beyond which late rows get a file of their own.
const COLD_ROWS_MAX: usize = 16 << 20;
/// Rows that one job makes cold: what is written before the hot files are gone.
const JOB_ROWS_MAX: usize = 32 << 20;

/// What the rows become that some hot files have of one day.
pub(super) struct DayPlan {
    pub sources: Vec<Arc<StoredSection>>,
    /// The cold files among them.
    pub merged: BTreeSet<String>,
    /// No less than the bytes of their ids, and of their properties.
    pub text_bytes: u64,
}

/// A cold file that rows may be merged with.
struct Candidate {
    file: Arc<ColdFile>,
    rows: usize,
    text_bytes: u64,
}

impl DayPlan {
    /// Opens the sources, for reading.
    pub fn open(&self) -> Vec<Arc<Section>> {
        self.sources.iter().map(|section| section.open()).collect()
    }
}

impl Upkeep {
    /// The hot files that become cold next: the oldest, until the hot tier is within half of its
    /// budget, or, while appends wait for room, until there is some. At most [`JOB_ROWS_MAX`] rows
    /// and as many bytes as the settings and the disk allow, but one file at least.
    pub(super) fn picked(&self, segments: &SegmentSet, goal: CompactionGoal) -> Vec<Arc<Segment>> {
        let readable = segments.segments.iter();
        let readable = readable.filter(|segment| !self.blocked.holds(&segment.entry().name));
        let readable: Vec<&Arc<Segment>> = readable.collect();
        let mut hot_bytes: u64 = readable.iter().map(|segment| segment.entry().bytes).sum();
        let kept_bytes = match goal {
            CompactionGoal::AllCold => 0,
            CompactionGoal::Due if self.missing_bytes() > 0 => 0,
            CompactionGoal::Due if hot_bytes <= self.config.hot_bytes_max => return Vec::new(),
            CompactionGoal::Due => self.config.hot_bytes_max / 2,
        };
        // What a job writes is smaller than what it takes.
        let free_bytes = self.directory.free_bytes().unwrap_or(u64::MAX);
        let bytes_max = self.config.cooled_bytes_max.min(free_bytes);
        let (mut picked, mut rows, mut bytes) = (Vec::new(), 0, 0);
        for segment in readable {
            rows += segment.entry().rows();
            bytes += segment.entry().bytes;
            let is_full = rows > JOB_ROWS_MAX || bytes > bytes_max;
            if hot_bytes <= kept_bytes || (is_full && !picked.is_empty()) {
                break;
            }
            hot_bytes -= segment.entry().bytes;
            picked.push(Arc::clone(segment));
        }
        picked
    }

    /// For each day that the files `picked` have rows of, what becomes of these.
    pub(super) fn plan_days(&self, segments: &SegmentSet, picked: &[Arc<Segment>]) -> Vec<DayPlan> {
        let entries = picked.iter().map(|segment| segment.entry());
        let hot: BTreeMap<&str, u64> = entries
            .map(|entry| (entry.name.as_str(), entry.bytes))
            .collect();
        let days = segments.by_day.values();
        days.filter_map(|sections| self.plan_day(sections, &hot))
            .collect()
    }

    /// What becomes of the rows that the files `hot`, given with their bytes, have of a day.
    fn plan_day(
        &self,
        sections: &[Arc<StoredSection>],
        hot: &BTreeMap<&str, u64>,
    ) -> Option<DayPlan> {
        let mut sources = Vec::new();
        // Those of files count whole, whatever other days they have rows of.
        let mut text_bytes = 0_u64;
        for section in sections {
            if let Some(bytes) = section.segment_name().and_then(|name| hot.get(name)) {
                sources.push(Arc::clone(section));
                text_bytes += bytes;
            }
        }
        if sources.is_empty() {
            return None;
        }
        let new_rows = sources.iter().map(|section| section.rows()).sum();
        let candidates = self.candidates(sections);
        let merged = merged_with(
            candidates,
            new_rows,
            self.config.cold_files_per_day_max,
            self.cold_text_bytes_max(),
        );
        text_bytes += merged.iter().map(|one| one.text_bytes).sum::<u64>();
        let merged = merged.iter().map(|one| one.file.entry().name.clone());
        let merged: BTreeSet<String> = merged.collect();
        let of_merged = sections.iter().filter(|section| section.is_of(&merged));
        sources.extend(of_merged.cloned());
        Some(DayPlan {
            sources,
            merged,
            text_bytes,
        })
    }

    /// How many cold files `day` becomes. Cost: nothing, unless its text may not fit into one: then
    /// reads the sources.
    ///
    /// # Errors
    /// Damage of a source.
    pub(super) fn count_files(&self, day: &DayPlan) -> Result<usize> {
        if day.text_bytes <= self.cold_text_bytes_max() {
            return Ok(1);
        }
        let opened = day.open();
        let opened: Vec<&Section> = opened.iter().map(AsRef::as_ref).collect();
        Ok(self.cold_rows(&opened)?.files())
    }

    /// The rows of `sections` in the cold files that they become.
    pub(super) fn cold_rows<'a>(&'a self, sections: &'a [&'a Section]) -> Result<ColdRows<'a>> {
        ColdRows::new(&self.symbols, sections, None, self.cold_text_bytes_max())
    }

    fn cold_text_bytes_max(&self) -> u64 {
        self.config.cold_text_bytes_max
    }

    /// The cold files of a day that can be read and are not full. One that is damaged is noted.
    fn candidates(&self, sections: &[Arc<StoredSection>]) -> Vec<Candidate> {
        let mut candidates = Vec::new();
        for file in sections.iter().filter_map(|section| section.cold_file()) {
            let entry = file.entry();
            if entry.statistics.rows >= COLD_ROWS_MAX || self.blocked.holds(&entry.name) {
                continue;
            }
            match file.text_bytes() {
                Ok(text_bytes) => candidates.push(Candidate {
                    file: Arc::clone(file),
                    rows: entry.statistics.rows,
                    text_bytes,
                }),
                // Late rows do without this file.
                Err(error) if error.is_damage() => self.blocked.note(&entry.name, &error),
                Err(error) => tracing::warn!(file = entry.name, %error, "a file is not merged"),
            }
        }
        candidates.retain(|one| one.text_bytes * 2 <= self.cold_text_bytes_max());
        candidates
    }
}

/// The cold files of a day that `new_rows` rows are merged with: from the smallest on while they
/// are no larger than what is merged already, and more where the day had too many files; in all
/// with no more text than a file can have.
fn merged_with(
    mut candidates: Vec<Candidate>,
    new_rows: usize,
    files_max: usize,
    text_bytes_max: u64,
) -> Vec<Candidate> {
    candidates.sort_by_key(|one| one.rows);
    let (mut merged_rows, mut text_bytes) = (new_rows, 0);
    let mut count = 0;
    for one in &candidates {
        let is_too_many = candidates.len() - count >= files_max.max(1);
        text_bytes += one.text_bytes;
        if (one.rows > merged_rows && !is_too_many) || text_bytes > text_bytes_max {
            break;
        }
        merged_rows += one.rows;
        count += 1;
    }
    candidates.truncate(count);
    candidates
}
