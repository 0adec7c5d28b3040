//! What a segment says of itself: everything that a manifest says of it, and whose rows it took
//! over. It makes a manifest out of files alone.
//!
//! Files of older versions lack the array; what it says is then computed from the columns.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMicrosecondType};
use serde::{Deserialize, Serialize};
use vitalog_disk::{Directory, ReadFile, crc32c_append};
use vitalog_event::day_of_timestamp_us;

use super::SegmentEntry;
use super::file::{Column, Segment};
use super::index::{ArrayKind, WHOLE_FILE};
use crate::error::Result;
use crate::ledger::file_number;
use crate::section::SectionStatistics;

/// Bytes read at a time for a file's checksum.
const PIECE_BYTES: usize = 1 << 20;

/// Whose rows a file took over. A job that merges or filters files writes one or several; they
/// take the place of the old ones once all parts are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// The numbers of the files whose rows stand here and in the other parts, ascending; empty for
    /// a flush.
    pub replaces: Vec<u64>,
    /// Which of the job's files this is, from 1.
    pub part: u32,
    /// How many files the job wrote.
    pub parts: u32,
}

impl Origin {
    /// The one file of a job that takes the place of the files `names`.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut replaces: Vec<u64> = names.filter_map(file_number).collect();
        replaces.sort_unstable();
        Self {
            replaces,
            ..Self::default()
        }
    }
}

impl Default for Origin {
    fn default() -> Self {
        Self {
            replaces: Vec::new(),
            part: 1,
            parts: 1,
        }
    }
}

/// The array of [`ArrayKind::Facts`], as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Facts {
    pub origin: Origin,
    pub sections: Vec<SectionStatistics>,
}

/// A segment that was read without a manifest.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// As a manifest would name it.
    pub entry: SegmentEntry,
    pub segment: Arc<Segment>,
    pub origin: Origin,
}

/// Length and checksum of a whole file. Cost: reads it, in pieces.
pub(crate) fn file_checksum(reader: &dyn ReadFile) -> vitalog_disk::Result<(u64, u32)> {
    let length = reader.len()?;
    let mut piece = vec![0; PIECE_BYTES];
    let (mut at, mut crc) = (0, 0);
    while at < length {
        let bytes = usize::try_from(length - at).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        reader.read_at(at, &mut piece[..bytes])?;
        crc = crc32c_append(crc, &piece[..bytes]);
        at += bytes as u64;
    }
    Ok((length, crc))
}

impl Segment {
    /// Reads segment `name` without a manifest: every array and buffer is checked against the
    /// checksums inside the file, and the footer against what lies where it says.
    ///
    /// # Errors
    /// Damage, named with file and byte.
    pub fn inspect(directory: &Arc<dyn Directory>, name: &str) -> Result<Inspected> {
        let (bytes, crc32c) = file_checksum(directory.open_read(name)?.as_ref())?;
        let mut entry = SegmentEntry {
            name: name.to_owned(),
            bytes,
            crc32c,
            footer_crc32c: 0,
            received_min_us: 0,
            received_max_us: 0,
            sections: Vec::new(),
        };
        let (footer_crc32c, record_blocks) =
            Self::new(Arc::clone(directory), entry.clone()).footer_facts()?;
        entry.footer_crc32c = footer_crc32c;
        entry.sections = vec![SectionStatistics::UNKNOWN; record_blocks];
        let bare = Self::new(Arc::clone(directory), entry.clone());
        bare.check_footer()?;
        let facts = bare.facts()?;
        if facts.sections.len() != record_blocks || record_blocks == 0 {
            return Err(bare.damaged(bytes, "another number of sections than the file says"));
        }
        let (_, times) = bare.received()?;
        entry.received_min_us = times[0];
        entry.received_max_us = times[times.len() - 1];
        entry.sections = facts.sections;
        let segment = Self::new(Arc::clone(directory), entry.clone());
        match segment.verify().into_iter().next() {
            Some(damage) => Err(damage),
            None => Ok(Inspected {
                entry,
                segment,
                origin: facts.origin,
            }),
        }
    }

    fn facts(&self) -> Result<Facts> {
        if self.has_array(ArrayKind::Facts)? {
            let bytes = self.array(ArrayKind::Facts, WHOLE_FILE)?;
            return serde_json::from_slice(&bytes)
                .map_err(|error| self.damaged(self.entry().bytes, error.to_string()));
        }
        let sections = (0..self.entry().sections.len()).map(|section| self.count(section));
        Ok(Facts {
            origin: Origin::default(),
            sections: sections.collect::<Result<Vec<_>>>()?,
        })
    }

    /// The statistics of a section, from its columns.
    fn count(&self, section: usize) -> Result<SectionStatistics> {
        let times = self.decode(section, Column::Time)?;
        let times = times.as_primitive::<TimestampMicrosecondType>().values();
        let seqs = self.decode(section, Column::Seq)?;
        let seqs = seqs.as_primitive::<Int64Type>().values();
        let bounds = |values: &[i64]| {
            let low = values.iter().min().copied();
            low.zip(values.iter().max().copied())
                .ok_or_else(|| self.damaged(0, "a section without rows"))
        };
        let (time_min_us, time_max_us) = bounds(times)?;
        let (seq_min, seq_max) = bounds(seqs)?;
        let events = self.decode(section, Column::Event)?;
        let events = events.as_any_dictionary();
        let names = events.values().as_string::<i32>();
        let is_trait: BTreeSet<usize> = (0..names.len())
            .filter(|&code| {
                let name = names.value(code);
                name == vitalog_event::GROUP_EVENT || name == vitalog_event::IDENTIFY_EVENT
            })
            .collect();
        Ok(SectionStatistics {
            day: day_of_timestamp_us(time_min_us),
            rows: times.len(),
            time_min_us,
            time_max_us,
            seq_min,
            seq_max,
            has_trait_events: events
                .normalized_keys()
                .iter()
                .any(|code| is_trait.contains(code)),
        })
    }
}

/// The number in a file's name: digits up to the first dot of its last part.
pub(crate) fn number_in(name: &str) -> Option<u64> {
    let file = Path::new(name).file_name()?.to_str()?;
    file.split('.').next()?.parse().ok()
}
