//! The memtable: what is durable in the log and not yet in a segment, as sorted chunks.
//!
//! A commit group is one chunk, sorted on arrival. When [`FAN_IN`] chunks of a level have
//! gathered they are merged into one of the next, up to [`LEVEL_MAX`]; so a row is moved a few
//! times, and readers meet a bounded number of chunks. Chunks never change: a snapshot holds them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::error::Result;
use crate::section::{MemoryColumns, Section, merge_sections, sections_of_group};
use crate::symbols::Symbols;

/// Chunks of one level that become one of the next.
const FAN_IN: usize = 8;
/// Chunks of this level are merged no more: they are large, and merging them would hold up the
/// writer for little.
const LEVEL_MAX: u8 = 2;
/// Rows below which a chunk is of level 0; eight times that for each further level.
const LEVEL_ROWS: usize = 4096;

/// Sections of consecutive commit groups, one or none a day.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// Ordered by day.
    pub sections: Vec<Arc<Section>>,
    /// (first seq, received at) of the groups.
    pub received: Arc<Vec<(i64, i64)>>,
    pub rows: usize,
    pub bytes: usize,
    level: u8,
}

impl Chunk {
    /// The chunk of one commit group; see `sections_of_group`.
    pub fn of_group(
        columns: &MemoryColumns,
        members: &[u32],
        received_at_us: i64,
        symbols: &Arc<Symbols>,
    ) -> Result<Arc<Self>> {
        let sections = sections_of_group(columns, members, received_at_us, symbols)?;
        let received = Arc::new(vec![(columns.seqs.value(0), received_at_us)]);
        let level = (columns.len() / LEVEL_ROWS)
            .checked_ilog(FAN_IN)
            .map_or(0, |log| log + 1);
        Ok(Arc::new(Self {
            sections,
            received,
            rows: columns.len(),
            bytes: columns.bytes(),
            level: level.min(u32::from(LEVEL_MAX)) as u8,
        }))
    }

    /// One chunk from several that follow each other. Days that only one of them has are shared.
    fn merge(chunks: &[Arc<Self>], level: u8, symbols: &Arc<Symbols>) -> Result<Arc<Self>> {
        let pairs = chunks
            .iter()
            .flat_map(|chunk| chunk.received.iter().copied());
        let received = Arc::new(pairs.collect::<Vec<_>>());
        let sections = sections_by_day(chunks)
            .into_values()
            .map(|day| match day.as_slice() {
                [only] => Ok(Arc::clone(only)),
                several => {
                    let sources: Vec<&Section> = several.iter().map(AsRef::as_ref).collect();
                    merge_sections(&sources, Arc::clone(&received), symbols)
                }
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Self {
            sections,
            received,
            rows: chunks.iter().map(|chunk| chunk.rows).sum(),
            bytes: chunks.iter().map(|chunk| chunk.bytes).sum(),
            level,
        }))
    }
}

/// The sections of `chunks` by day, in the order of their seqs.
pub(crate) fn sections_by_day(chunks: &[Arc<Chunk>]) -> BTreeMap<i32, Vec<Arc<Section>>> {
    let mut days: BTreeMap<i32, Vec<Arc<Section>>> = BTreeMap::new();
    for section in chunks.iter().flat_map(|chunk| &chunk.sections) {
        days.entry(section.statistics().day)
            .or_default()
            .push(Arc::clone(section));
    }
    days
}

/// The chunks that receive new groups.
#[derive(Debug, Default)]
pub(crate) struct Memtable {
    chunks: Vec<Arc<Chunk>>,
    rows: usize,
    bytes: usize,
}

impl Memtable {
    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The chunks as a reader may hold them.
    pub fn chunks(&self) -> Arc<Vec<Arc<Chunk>>> {
        Arc::new(self.chunks.clone())
    }

    /// Adds the chunk of a group, and merges where a level is full.
    pub fn push(&mut self, chunk: Arc<Chunk>, symbols: &Arc<Symbols>) {
        self.rows += chunk.rows;
        self.bytes += chunk.bytes;
        self.chunks.push(chunk);
        for level in 0..LEVEL_MAX {
            let above = self.chunks.iter().rposition(|chunk| chunk.level > level);
            let start = above.map_or(0, |at| at + 1);
            if self.chunks.len() - start < FAN_IN {
                continue;
            }
            // Chunks that cannot be merged (their texts together pass 2 GiB) answer as they are.
            if let Ok(merged) = Chunk::merge(&self.chunks[start..], level + 1, symbols) {
                self.chunks.truncate(start);
                self.chunks.push(merged);
            }
        }
    }

    /// Takes back older chunks whose flush failed.
    pub fn put_back(&mut self, older: &[Arc<Chunk>]) {
        self.rows += older.iter().map(|chunk| chunk.rows).sum::<usize>();
        self.bytes += older.iter().map(|chunk| chunk.bytes).sum::<usize>();
        self.chunks.splice(0..0, older.iter().cloned());
    }
}
