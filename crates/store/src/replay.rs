//! Replaying the log at open: frames that were checked one by one become symbols, chunks,
//! definitions and writer states again, each checked against what came before it.
//!
//! What a file of the manifest already holds is skipped, so replaying twice changes nothing.

use std::path::Path;
use std::sync::Arc;

use vitalog_event::day_of_timestamp_us;

use crate::definitions::{Definitions, decode_record};
use crate::error::{Result, StoreError};
use crate::idempotency::{EventKey, RecentIds, content_of};
use crate::memtable::{Chunk, Memtable};
use crate::symbols::{Symbols, decode_delta};
use crate::wal::{self, Frame, FrameKind, GroupColumns, WalFile};
use crate::writer_states::{WriterStates, decode_records};

/// What the log gives back.
pub(crate) struct Replay {
    pub symbols: Arc<Symbols>,
    pub memtable: Memtable,
    pub recent: RecentIds,
    /// Those of the manifest's files, and the log's behind them.
    pub definitions: Definitions,
    /// Those of the manifest's file, and the log's behind them.
    pub writers: Arc<WriterStates>,
    pub seq: i64,
    pub received_us: i64,
    /// Events that the log gave.
    pub events: u64,
    /// Definitions that the log gave.
    pub definitions_replayed: u64,
    /// Whether the log gave the number of a writer.
    pub has_writers: bool,
}

impl Replay {
    /// Takes what log file `path` holds.
    ///
    /// # Errors
    /// Damage that checksums do not show: what does not follow what came before.
    pub fn file(&mut self, file: &WalFile, path: &Path) -> Result<()> {
        for (frame, range) in &file.frames {
            let payload = &file.bytes[range.clone()];
            let offset = range.start as u64;
            let damaged = |reason: String| StoreError::damaged(path, offset, reason);
            match frame.kind {
                FrameKind::Symbols => {
                    let piece = decode_delta(payload, path, offset)?;
                    self.symbols.replay(&piece).map_err(damaged)?;
                }
                FrameKind::Events => {
                    let group =
                        wal::decode_events(payload).map_err(|error| damaged(error.to_string()))?;
                    self.group(frame, group).map_err(|error| match error {
                        StoreError::Damaged { reason, .. } => damaged(reason),
                        other => other,
                    })?;
                }
                FrameKind::Model | FrameKind::View => {
                    self.definition(frame, payload).map_err(damaged)?;
                }
                FrameKind::WriterStates => {
                    self.numbers(frame, payload).map_err(damaged)?;
                }
                FrameKind::Seal => {}
            }
        }
        Ok(())
    }

    fn group(&mut self, frame: &Frame, group: GroupColumns) -> Result<()> {
        let end = frame.seq_first + i64::from(frame.events) - 1;
        if end <= self.seq {
            return Ok(());
        }
        if frame.seq_first != self.seq + 1 || group.len() != frame.events as usize {
            let reason = format!(
                "{} events from seq {}, expected {} from {}",
                group.len(),
                frame.seq_first,
                frame.events,
                self.seq + 1
            );
            return Err(StoreError::damaged("", 0, reason));
        }
        self.check_symbols(&group)?;
        self.remember(&group);
        let (columns, members) = group.into_memory(frame.seq_first);
        let chunk = Chunk::of_group(&columns, &members, frame.received_at_us, &self.symbols)?;
        self.memtable.push(chunk, &self.symbols);
        self.seq = end;
        self.received_us = frame.received_at_us;
        self.events += u64::from(frame.events);
        Ok(())
    }

    fn definition(&mut self, frame: &Frame, payload: &[u8]) -> std::result::Result<(), String> {
        let definition = decode_record(payload)?;
        let header = (frame.kind, frame.seq_first, frame.received_at_us);
        let (seq, received_us) = (definition.seq, definition.received_at_us);
        if (definition.kind.frame_kind(), seq, received_us) != header {
            return Err("the definition is not the one of the frame's header".to_owned());
        }
        if self.definitions.holds(&definition) {
            return Ok(());
        }
        if seq != self.seq {
            return Err(format!("a definition at seq {seq}, expected {}", self.seq));
        }
        self.definitions.push(definition)?;
        self.received_us = received_us;
        self.definitions_replayed += 1;
        Ok(())
    }

    fn numbers(&mut self, frame: &Frame, payload: &[u8]) -> std::result::Result<(), String> {
        let records = decode_records(payload)?;
        let time_us = frame.received_at_us;
        if records
            .iter()
            .any(|(_, state)| state.last_time_us != time_us)
        {
            return Err("the writer states are not of their group".to_owned());
        }
        if frame.seq_first > self.seq + 1 {
            let (found, expected) = (frame.seq_first, self.seq + 1);
            return Err(format!("writer states at seq {found}, expected {expected}"));
        }
        self.writers.apply(records);
        self.received_us = self.received_us.max(time_us);
        self.has_writers = true;
        Ok(())
    }

    fn check_symbols(&self, group: &GroupColumns) -> Result<()> {
        let marks = self.symbols.read().marks();
        let known = |symbols: &[u32], bound: u32| {
            symbols.iter().all(|&symbol| symbol > 0 && symbol < bound)
        };
        if known(&group.events, marks.events) && known(&group.members, marks.members) {
            return Ok(());
        }
        Err(StoreError::damaged(
            "",
            0,
            "events with symbols that the log never gave",
        ))
    }

    fn remember(&mut self, group: &GroupColumns) {
        use arrow_array::Array;
        let tables = self.symbols.read();
        for row in 0..group.len() {
            let member = tables.members.get(group.members[row]);
            let value = group.values.is_valid(row).then(|| group.values.value(row));
            let text = &group.properties;
            let properties = text.is_valid(row).then(|| text.value(row));
            let time_us = group.times.value(row);
            let key = EventKey {
                event_id: group.event_ids.value(row),
                account: member.account,
                time_us,
                content: content_of(group.events[row], member.user, value, properties),
            };
            self.recent.insert(&key, day_of_timestamp_us(time_us));
        }
    }
}
