//! A section as a snapshot names it: where it lies, and what is known of it without reading.
//!
//! Opening one in memory or in a hot file lends the section that everybody shares. Opening one in
//! a cold file makes a section of its own, whose decoded columns live as long as it, so that a scan
//! that drops each section after use holds one day at a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Section, SectionStatistics};
use crate::cold::{ColdFile, ColdSection};
use crate::error::Result;
use crate::filter::RowFilter;
use crate::published::LinkedFile;

/// Rows of one day, not yet opened.
#[derive(Debug)]
pub struct StoredSection {
    statistics: SectionStatistics,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Shared(Arc<Section>),
    Cold(Arc<ColdFile>),
}

impl StoredSection {
    /// A section in memory or in a hot file.
    pub(crate) fn new(section: Arc<Section>) -> Self {
        Self {
            statistics: *section.statistics(),
            place: Place::Shared(section),
        }
    }

    /// The rows of a cold file.
    pub(crate) fn cold(file: Arc<ColdFile>) -> Self {
        Self {
            statistics: file.entry().statistics,
            place: Place::Cold(file),
        }
    }

    /// The section, for reading. Reads nothing yet. Of a cold file each call gives a section of its
    /// own: keep it for as long as its columns are needed, and no longer.
    #[must_use]
    pub fn open(&self) -> Arc<Section> {
        match &self.place {
            Place::Shared(section) => Arc::clone(section),
            Place::Cold(file) => {
                let section = ColdSection::new(Arc::clone(file));
                Arc::new(Section::in_cold_file(section))
            }
        }
    }

    /// What is known without reading.
    #[must_use]
    pub fn statistics(&self) -> &SectionStatistics {
        &self.statistics
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.statistics.rows
    }

    /// See [`Section::is_pruned_by`].
    #[must_use]
    pub fn is_pruned_by(&self, filter: &RowFilter) -> bool {
        self.statistics.is_pruned_by(filter)
    }

    /// See [`Section::is_kept_whole_by`].
    #[must_use]
    pub fn is_kept_whole_by(&self, filter: &RowFilter) -> bool {
        self.statistics.is_kept_whole_by(filter)
    }

    /// See [`Section::is_in_file`].
    #[must_use]
    pub fn is_in_file(&self) -> bool {
        match &self.place {
            Place::Shared(section) => section.is_in_file(),
            Place::Cold(_) => true,
        }
    }

    /// See [`Section::is_cold`].
    #[must_use]
    pub fn is_cold(&self) -> bool {
        matches!(self.place, Place::Cold(_))
    }

    /// The name of the hot file that it lies in.
    pub(crate) fn segment_name(&self) -> Option<&str> {
        match &self.place {
            Place::Shared(section) => section.segment_name(),
            Place::Cold(_) => None,
        }
    }

    /// Whether it lies in one of the files `names`.
    pub(crate) fn is_of(&self, names: &BTreeSet<String>) -> bool {
        match &self.place {
            Place::Shared(_) => self.segment_name().is_some_and(|name| names.contains(name)),
            Place::Cold(file) => names.contains(&file.entry().name),
        }
    }

    /// The cold file that it is.
    pub(crate) fn cold_file(&self) -> Option<&Arc<ColdFile>> {
        match &self.place {
            Place::Shared(_) => None,
            Place::Cold(file) => Some(file),
        }
    }

    /// The Parquet file that it is, for a published snapshot to link.
    #[must_use]
    pub fn linked_file(&self) -> Option<LinkedFile> {
        let entry = self.cold_file()?.entry();
        Some(LinkedFile {
            name: entry.parquet(),
            bytes: entry.bytes,
            sha256: entry.sha256.clone(),
        })
    }

    /// Whether an event of that id may be among the rows; true where that is not known without
    /// opening the section.
    pub(crate) fn may_hold_event_id(&self, event_id: &str) -> Result<bool> {
        match &self.place {
            Place::Shared(_) => Ok(true),
            Place::Cold(file) => file.may_hold_event_id(event_id),
        }
    }
}
