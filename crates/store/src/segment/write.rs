//! Writing a hot segment: sections of a frozen memtable become one Arrow IPC file.
//!
//! One record batch a section, in day order; identity columns share the file's dictionaries; the
//! index follows the last batch; then Arrow's footer. Written under a temporary name, synced,
//! renamed: a file under its final name is whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use arrow_ipc::{MetadataVersion, root_as_message};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use vitalog_disk::{Directory, WriteFile, crc32c, crc32c_append};
use vitalog_event::schema;
use xxhash_rust::xxh3::xxh3_64;

use super::codes::FileCodes;
use super::facts::{Facts, Origin};
use super::index::{ALIGNMENT, ArrayKind, IndexBuilder, PLACE_KEY, WHOLE_FILE};
use super::{SegmentEntry, footer_bytes};
use crate::error::{Result, StoreError};
use crate::section::{EventCount, MemoryColumns, MergedOrder, RunIndex, Section};
use crate::section::{SectionStatistics, merge_order, trait_event_test};
use crate::spool::{Spool, create_anew};
use crate::symbols::Symbols;

/// Writes the rows of `sections`, given by day, as segment `name`. Durable on return.
///
/// `received` are (first seq, received at) of the commit groups, ascending; `origin` says which
/// files' rows these are.
///
/// # Errors
/// A full or failing disk; the temporary file is left for the next open to collect.
pub(crate) fn write_segment(
    directory: &dyn Directory,
    name: &str,
    symbols: &Symbols,
    sections: &BTreeMap<i32, Vec<Arc<Section>>>,
    received: &[(i64, i64)],
    origin: Origin,
) -> Result<SegmentEntry> {
    let all: Vec<&Section> = sections.values().flatten().map(AsRef::as_ref).collect();
    let codes = FileCodes::new(symbols, &all)?;
    let temporary = format!("{name}.tmp");
    let file = create_anew(directory, &temporary)?;
    let mut writer =
        SegmentWriter::new(file, symbols, &codes).map_err(StoreError::arrow(&temporary))?;
    let mut statistics = Vec::with_capacity(sections.len());
    for day in sections.values() {
        let day: Vec<&Section> = day.iter().map(AsRef::as_ref).collect();
        statistics.push(writer.write_day(&day)?);
    }
    writer.write_file_arrays(received);
    let sections = statistics.clone();
    writer.write_facts(&Facts { origin, sections });
    let (bytes, crc32c, footer_crc32c) = writer.finish()?;
    directory.rename(&temporary, name)?;
    Ok(SegmentEntry {
        name: name.to_owned(),
        bytes,
        crc32c,
        footer_crc32c,
        received_min_us: received.first().map_or(0, |pair| pair.1),
        received_max_us: received.last().map_or(0, |pair| pair.1),
        sections: statistics,
    })
}

/// The schema of a segment file: identity as dictionaries of the file's own strings.
/// `received_at` is no column: it is found by `seq`. The keys are as wide as the number of strings
/// of each domain asks.
pub(super) fn file_schema(events: DataType, accounts: DataType, users: DataType) -> SchemaRef {
    let dictionary = |name: &str, key: DataType, nullable| {
        Field::new_dictionary(name, key, DataType::Utf8, nullable)
    };
    Arc::new(Schema::new(vec![
        Field::new(schema::EVENT_ID, DataType::Utf8, false),
        Field::new(schema::EVENT_TIME, schema::timestamp_type(), false),
        Field::new(schema::SEQ, DataType::Int64, false),
        dictionary(schema::EVENT, events, false),
        dictionary(schema::ACCOUNT_ID, accounts, true),
        dictionary(schema::USER_ID, users, true),
        Field::new(schema::VALUE, DataType::Float64, true),
        Field::new(schema::PROPERTIES, DataType::Utf8, true),
    ]))
}

struct SegmentWriter<'a> {
    file: Box<dyn WriteFile>,
    written: u64,
    crc32c: u32,
    ipc: FileWriter<Spool>,
    schema: SchemaRef,
    symbols: &'a Symbols,
    codes: &'a FileCodes,
    index: IndexBuilder,
    sections: u32,
}

impl<'a> SegmentWriter<'a> {
    fn new(
        file: Box<dyn WriteFile>,
        symbols: &'a Symbols,
        codes: &'a FileCodes,
    ) -> std::result::Result<Self, ArrowError> {
        let (accounts, users) = (codes.accounts.key_type(), codes.users.key_type());
        let schema = file_schema(codes.events.key_type(), accounts, users);
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
        let ipc = FileWriter::try_new_with_options(Spool::default(), &schema, options)?;
        let index = IndexBuilder::default();
        Ok(Self {
            file,
            written: 0,
            crc32c: 0,
            ipc,
            schema,
            symbols,
            codes,
            index,
            sections: 0,
        })
    }

    /// Merges the sections of one day and writes them as the next record batch.
    fn write_day(&mut self, sources: &[&Section]) -> Result<SectionStatistics> {
        let order = merge_order(sources, |member| self.codes.member_code(member))?;
        let columns = MemoryColumns::interleave(sources, &order.rows)?;
        let batch = self
            .batch(&columns, &order)
            .map_err(StoreError::arrow("segment"))?;
        let before = self.spooled();
        self.ipc
            .write(&batch)
            .map_err(StoreError::arrow("segment"))?;
        self.push_checksums(before)?;
        self.push_section_arrays(&columns, order, sources)?;
        self.drain()?;
        self.sections += 1;
        Ok(joined_statistics(sources))
    }

    fn batch(
        &self,
        columns: &MemoryColumns,
        order: &MergedOrder,
    ) -> std::result::Result<RecordBatch, ArrowError> {
        let codes = self.codes;
        let events: Vec<u32> = columns
            .events
            .values()
            .iter()
            .map(|&symbol| codes.events.code(symbol))
            .collect();
        let by_run = |of_member: &[u32]| {
            let mut rows = Vec::with_capacity(columns.len());
            for (run, &member) in order.members.iter().enumerate() {
                let end = order
                    .starts
                    .get(run + 1)
                    .map_or(columns.len(), |&start| start as usize);
                rows.resize(end, of_member[codes.member_code(member) as usize]);
            }
            rows
        };
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(columns.event_ids.clone()),
            Arc::new(columns.times.clone()),
            Arc::new(columns.seqs.clone()),
            codes.events.column(&events)?,
            codes.accounts.column(&by_run(&codes.member_accounts))?,
            codes.users.column(&by_run(&codes.member_users))?,
            Arc::new(columns.values.clone()),
            Arc::new(columns.properties.clone()),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
    }

    fn spooled(&self) -> usize {
        self.ipc.get_ref().bytes.len()
    }

    /// Notes the checksums of the messages written since `before`: dictionaries first where they
    /// are new, the record batch last.
    fn push_checksums(&mut self, before: usize) -> Result<()> {
        let mut at = before;
        let end = self.spooled();
        while at < end {
            let bytes = &self.ipc.get_ref().bytes[at..end];
            let message = MessageChecksums::of(bytes, self.written + at as u64)?;
            at += message.bytes;
            let (kind, section) = if message.is_dictionary {
                (ArrayKind::DictionaryChecksums, WHOLE_FILE)
            } else {
                (ArrayKind::BufferChecksums, self.sections)
            };
            self.index.push_i64(kind, section, &message.triples);
        }
        Ok(())
    }

    fn push_section_arrays(
        &mut self,
        columns: &MemoryColumns,
        order: MergedOrder,
        sources: &[&Section],
    ) -> Result<()> {
        let section = self.sections;
        let members = order
            .members
            .iter()
            .map(|&member| self.codes.member_code(member))
            .collect();
        let runs = RunIndex::build(members, order.starts, columns.times.values());
        let index = &mut self.index;
        index.push_u32(ArrayKind::RunMembers, section, &runs.bounds.members);
        index.push_u32(ArrayKind::RunStarts, section, &runs.bounds.starts);
        index.push_i64(ArrayKind::RunFirst, section, runs.first_us());
        index.push_i64(ArrayKind::RunLast, section, runs.last_us());
        if sources.iter().any(|day| day.statistics().has_trait_events) {
            let activity = columns.activity(&runs, trait_event_test(self.symbols));
            index.push_i64(ArrayKind::ActivityFirst, section, &activity.first_us);
            index.push_i64(ArrayKind::ActivityLast, section, &activity.last_us);
            index.push_u32(ArrayKind::ActivityCounts, section, &activity.events);
        }
        let counts = joined_counts(sources)?;
        let counts: Vec<i64> = counts
            .iter()
            .flat_map(|c| [i64::from(c.event), c.count as i64, c.first_us, c.last_us])
            .collect();
        index.push_i64(ArrayKind::EventCounts, section, &counts);
        let mut ids: Vec<(u32, u32)> = (0..columns.len())
            .map(|row| (id_hash(columns.event_ids.value(row)), row as u32))
            .collect();
        ids.sort_unstable();
        let (hashes, rows): (Vec<u32>, Vec<u32>) = ids.into_iter().unzip();
        index.push_u32(ArrayKind::IdHashes, section, &hashes);
        index.push_u32(ArrayKind::IdRows, section, &rows);
        let keys = joined_property_keys(sources)?;
        let keys = serde_json::to_vec(&keys).expect("numbers and strings");
        index.push_bytes(ArrayKind::PropertyKeys, section, keys);
        Ok(())
    }

    fn write_file_arrays(&mut self, received: &[(i64, i64)]) {
        let codes = self.codes;
        let events = &codes.events.symbols[..codes.events.null() as usize];
        for (kind, values) in [
            (ArrayKind::AccountSymbols, codes.accounts.symbols.as_slice()),
            (ArrayKind::UserSymbols, codes.users.symbols.as_slice()),
            (ArrayKind::EventSymbols, events),
            (ArrayKind::MemberSymbols, codes.member_symbols.as_slice()),
            (ArrayKind::MemberAccounts, codes.member_accounts.as_slice()),
            (ArrayKind::MemberUsers, codes.member_users.as_slice()),
        ] {
            self.index.push_u32(kind, WHOLE_FILE, values);
        }
        let (seqs, times): (Vec<i64>, Vec<i64>) = received.iter().copied().unzip();
        self.index
            .push_i64(ArrayKind::ReceivedSeqs, WHOLE_FILE, &seqs);
        self.index
            .push_i64(ArrayKind::ReceivedTimes, WHOLE_FILE, &times);
    }

    fn write_facts(&mut self, facts: &Facts) {
        let bytes = serde_json::to_vec(facts).expect("numbers");
        self.index.push_bytes(ArrayKind::Facts, WHOLE_FILE, bytes);
    }

    /// Puts the spooled bytes on disk.
    fn drain(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.ipc.get_mut().bytes);
        self.file.write_at(self.written, &bytes)?;
        self.crc32c = crc32c_append(self.crc32c, &bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Writes index and footer and syncs. Returns the length, and the checksums of the file and of
    /// its footer.
    fn finish(mut self) -> Result<(u64, u32, u32)> {
        let start = self.written + self.spooled() as u64;
        let padding = start.next_multiple_of(ALIGNMENT as u64) - start;
        let index = std::mem::take(&mut self.index);
        let (bytes, place) = index.finish(start + padding);
        let spool = &mut self.ipc.get_mut().bytes;
        spool.resize(spool.len() + padding as usize, 0);
        spool.extend_from_slice(&bytes);
        self.ipc.write_metadata(PLACE_KEY, place.to_text());
        self.ipc.finish().map_err(StoreError::arrow("segment"))?;
        let spool = &self.ipc.get_ref().bytes;
        let footer = &spool[spool.len() - footer_bytes(spool, "segment".as_ref())?..];
        let footer_crc32c = crc32c(footer);
        self.drain()?;
        self.file.sync_all()?;
        Ok((self.written, self.crc32c, footer_crc32c))
    }
}

/// The upper half of the hash by which an event id is found.
pub(crate) fn id_hash(event_id: &str) -> u32 {
    (xxh3_64(event_id.as_bytes()) >> 32) as u32
}

struct MessageChecksums {
    bytes: usize,
    is_dictionary: bool,
    /// (offset of the file, bytes, crc32c) of the metadata and of each buffer.
    triples: Vec<i64>,
}

impl MessageChecksums {
    /// Reads the encapsulated message at the start of `bytes`, which lies at `offset` of the file.
    fn of(bytes: &[u8], offset: u64) -> Result<Self> {
        let own = |reason: &str| StoreError::damaged("segment", offset, reason);
        let length: [u8; 4] = bytes
            .get(4..8)
            .and_then(|b| b.try_into().ok())
            .ok_or_else(|| own("no message"))?;
        let metadata_bytes = u32::from_le_bytes(length) as usize + 8;
        let message =
            root_as_message(&bytes[8..metadata_bytes]).map_err(|error| own(&error.to_string()))?;
        let dictionary = message.header_as_dictionary_batch();
        let buffers = match dictionary {
            Some(dictionary) => dictionary.data().and_then(|data| data.buffers()),
            None => message
                .header_as_record_batch()
                .and_then(|batch| batch.buffers()),
        };
        let buffers = buffers.ok_or_else(|| own("a message without buffers"))?;
        let mut triples = Vec::with_capacity(3 + buffers.len() * 3);
        let mut push = |start: usize, length: usize| {
            let crc = crc32c(&bytes[start..start + length]);
            triples.extend([
                (offset + start as u64) as i64,
                length as i64,
                i64::from(crc),
            ]);
        };
        push(0, metadata_bytes);
        for buffer in buffers {
            push(
                metadata_bytes + buffer.offset() as usize,
                buffer.length() as usize,
            );
        }
        Ok(Self {
            bytes: metadata_bytes + message.bodyLength() as usize,
            is_dictionary: dictionary.is_some(),
            triples,
        })
    }
}

fn joined_statistics(sources: &[&Section]) -> SectionStatistics {
    let mut joined = *sources[0].statistics();
    for other in sources[1..].iter().map(|section| section.statistics()) {
        joined.rows += other.rows;
        joined.time_min_us = joined.time_min_us.min(other.time_min_us);
        joined.time_max_us = joined.time_max_us.max(other.time_max_us);
        joined.seq_min = joined.seq_min.min(other.seq_min);
        joined.seq_max = joined.seq_max.max(other.seq_max);
        joined.has_trait_events |= other.has_trait_events;
    }
    joined
}

fn joined_counts(sources: &[&Section]) -> Result<Vec<EventCount>> {
    let mut joined: BTreeMap<u32, EventCount> = BTreeMap::new();
    for section in sources {
        for count in section.event_counts()? {
            joined
                .entry(count.event)
                .and_modify(|known| {
                    known.count += count.count;
                    known.first_us = known.first_us.min(count.first_us);
                    known.last_us = known.last_us.max(count.last_us);
                })
                .or_insert(count);
        }
    }
    Ok(joined.into_values().collect())
}

pub(crate) fn joined_property_keys(sources: &[&Section]) -> Result<BTreeMap<u32, Vec<String>>> {
    let mut joined: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for section in sources {
        for (event, keys) in section.property_keys()? {
            let known = joined.entry(event).or_default();
            known.extend(keys);
            known.sort_unstable();
            known.dedup();
        }
    }
    Ok(joined)
}
