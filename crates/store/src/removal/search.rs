//! The proof of an erasure: a search of every byte of every file for an id.
//!
//! Each file is searched as it lies on disk; where the id is met, and in Parquet always, the file is
//! read as what it is, to tell the identity of an event from what is allowed: a mention in the
//! properties or names of other events, a part of another id. What no text of the file explains is
//! reported as such.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{StringArray, StringViewArray};
use vitalog_disk::Directory;

use super::RemovalReceipt;
use super::search_parquet::search_parquet;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::published;
use crate::quarantine;
use crate::removal::RemovalKind;
use crate::section::Section;
use crate::segment::{FileSection, Segment, SegmentEntry};
use crate::symbols::{StringPiece, SymbolPiece, decode_delta, read_file};
use crate::wal::{self, FrameKind, decode_events};
use crate::{definitions, ledger, writer_states};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 4 << 20;
/// Ids shorter than this are met among numbers by chance.
const CHANCE_BYTES: usize = 8;

/// Which identity an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdKind {
    /// An account's.
    Account,
    /// A user's.
    User,
    /// Either.
    Any,
}

impl IdKind {
    pub(super) fn is_account(self) -> bool {
        self != Self::User
    }

    pub(super) fn is_user(self) -> bool {
        self != Self::Account
    }
}

/// As what an id was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FoundAs {
    /// The account or user of an event: not erased, or appended again since.
    Identity,
    /// Where no text of the file explains it; once where the file is Parquet that cannot be read
    /// to its end, so that it cannot be told whether the id is there.
    Elsewhere,
    /// In the properties, the id or the name of an event, in a definition, or in the id of a writer.
    Mention,
    /// A part of a longer id, or an id of the other kind.
    OtherId,
    /// A short id in bytes that are no text of their own: numbers, or the end of one text and the
    /// beginning of the next.
    Chance,
}

/// Where an id was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file, below the directory.
    pub file: String,
    /// As what.
    pub found_as: FoundAs,
    /// How often.
    pub count: u64,
}

/// What a search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchReport {
    /// Files searched.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// By file.
    pub found: Vec<Found>,
    /// Receipts of erasures of this id.
    pub receipts: Vec<RemovalReceipt>,
    /// Erasures that have begun and are not done: opening the store finishes them.
    pub pending: usize,
}

impl SearchReport {
    /// Whether nothing is left of the id but what is allowed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let fails =
            |found: &Found| matches!(found.found_as, FoundAs::Identity | FoundAs::Elsewhere);
        self.pending == 0 && !self.found.iter().any(fails)
    }

    /// How often the id was found as `found_as`.
    #[must_use]
    pub fn count(&self, found_as: FoundAs) -> u64 {
        let found = self.found.iter().filter(|found| found.found_as == found_as);
        found.map(|found| found.count).sum()
    }
}

/// Searches every byte of `files`, names below `directory`, for `id`; `progress` is told each file
/// as it is begun. The store must not be open. An empty id is found nowhere.
///
/// # Errors
/// A failing disk, and damage of the newest manifest. Other files that cannot be read as what they
/// are count by their bytes; compressed ones then as [`FoundAs::Elsewhere`] in any case.
pub fn search_files(
    directory: &Arc<dyn Directory>,
    files: &[String],
    id: &str,
    kind: IdKind,
    mut progress: impl FnMut(&str),
) -> Result<SearchReport> {
    let manifest = Manifest::latest(directory.as_ref())?;
    let is_of = |receipt: &&RemovalReceipt| {
        let is_kind = match receipt.kind {
            RemovalKind::Account => kind.is_account(),
            RemovalKind::User => kind.is_user(),
            RemovalKind::Import | RemovalKind::Retention => false,
        };
        is_kind && receipt.is_of(id)
    };
    let pending = manifest.pending.iter().map(|pending| &pending.receipt);
    let mut report = SearchReport {
        receipts: manifest.receipts.iter().filter(is_of).cloned().collect(),
        pending: pending.filter(is_of).count(),
        ..SearchReport::default()
    };
    let segments = manifest.segments.into_iter();
    let search = Search {
        directory: Arc::clone(directory),
        id: Needle::new(id),
        kind,
        segments: segments.map(|entry| (entry.name.clone(), entry)).collect(),
    };
    for file in files {
        progress(file);
        let (bytes, tally) = search.file(file)?;
        report.files += 1;
        report.bytes += bytes;
        report.found.extend(tally.found(file));
    }
    Ok(report)
}

/// How often an id stands in a file, by what it is there.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub identity: u64,
    pub mention: u64,
    pub other_id: u64,
    pub chance: u64,
    pub elsewhere: u64,
}

impl Tally {
    fn found(self, file: &str) -> impl Iterator<Item = Found> {
        let file = file.to_owned();
        [
            (FoundAs::Identity, self.identity),
            (FoundAs::Elsewhere, self.elsewhere),
            (FoundAs::Mention, self.mention),
            (FoundAs::OtherId, self.other_id),
            (FoundAs::Chance, self.chance),
        ]
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(move |(found_as, count)| Found {
            file: file.clone(),
            found_as,
            count,
        })
    }

    /// What the texts of a file explain.
    fn explained(&self) -> u64 {
        self.identity + self.mention + self.other_id + self.chance
    }

    /// The rest of `total` hits is among numbers, or where it must not be.
    fn close(&mut self, total: u64, id: &str) {
        let rest = total.saturating_sub(self.explained() + self.elsewhere);
        if id.len() < CHANCE_BYTES {
            self.chance += rest;
        } else {
            self.elsewhere += rest;
        }
    }

    /// Counts in texts that lie one after another in the file.
    fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>, id: &Needle, found_as: TextOf) {
        let (mut joined, mut within) = (Vec::new(), 0);
        for text in texts {
            let hits = id.hits(text.as_bytes());
            within += hits;
            match found_as {
                TextOf::Identity(true) if text == id.plain => self.identity += hits,
                TextOf::Identity(_) => self.other_id += hits,
                TextOf::Other => self.mention += hits,
            }
            // Hits across two texts need their ends alone, but an end may be any length short of
            // the id's.
            joined.extend_from_slice(text.as_bytes());
        }
        self.chance += id.hits(&joined) - within;
    }
}

/// Whose texts are counted.
#[derive(Clone, Copy)]
enum TextOf {
    /// Ids of events; whether of the kind that is looked for.
    Identity(bool),
    Other,
}

/// An id as it stands in bytes: as it is, and as JSON writes it where that differs.
pub(super) struct Needle {
    pub(super) plain: String,
    quoted: Option<String>,
}

impl Needle {
    pub(super) fn new(id: &str) -> Self {
        let quoted = serde_json::to_string(id).expect("a text");
        let quoted = quoted[1..quoted.len() - 1].to_owned();
        Self {
            plain: id.to_owned(),
            quoted: (quoted != id).then_some(quoted),
        }
    }

    fn forms(&self) -> impl Iterator<Item = &str> {
        [Some(&self.plain), self.quoted.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    pub(super) fn hits(&self, bytes: &[u8]) -> u64 {
        self.forms().map(|form| hits(bytes, form.as_bytes())).sum()
    }
}

struct Search {
    directory: Arc<dyn Directory>,
    id: Needle,
    kind: IdKind,
    segments: HashMap<String, SegmentEntry>,
}

impl Search {
    fn file(&self, file: &str) -> Result<(u64, Tally)> {
        let (bytes, total) = self.raw(file)?;
        let mut tally = Tally::default();
        if self.id.plain.is_empty() {
            return Ok((bytes, tally));
        }
        let folder = file.split('/').next().unwrap_or_default();
        if file.ends_with(".parquet") {
            let read = self.directory.read(file)?;
            let is_published = folder == published::FOLDER;
            let damage = search_parquet(read, &self.id, self.kind, is_published, &mut tally).err();
            if tally.explained() == 0 {
                tally.close(total, &self.id.plain);
            }
            // Its texts are compressed: what was not decoded may hold anything.
            if damage.is_some() && tally.elsewhere == 0 {
                tally.elsewhere = 1;
            }
            return Ok((bytes, tally));
        }
        if total == 0 {
            return Ok((bytes, tally));
        }
        let explained = match folder {
            ledger::SEGMENT_FOLDER => self.segment(file, &mut tally),
            ledger::SYMBOL_FOLDER => read_file(self.directory.as_ref(), file)
                .map(|piece| self.symbols(&piece, &mut tally)),
            wal::FOLDER => self.log(file, &mut tally),
            // A sidecar holds properties and checksums.
            definitions::FOLDER | ledger::COLD_FOLDER | writer_states::FOLDER => {
                tally.mention = total;
                Ok(())
            }
            _ if file.ends_with(".json") => self.json(file, total, &mut tally),
            _ => Ok(()),
        };
        let is_strange = folder == quarantine::FOLDER || explained.is_err();
        if is_strange {
            tally = Tally {
                elsewhere: total,
                ..Tally::default()
            };
        }
        tally.close(total, &self.id.plain);
        Ok((bytes, tally))
    }

    /// The length of a file, and how often the id stands in its bytes, as it is or as JSON writes
    /// it.
    fn raw(&self, file: &str) -> Result<(u64, u64)> {
        let needles: Vec<&str> = self.id.forms().collect();
        let reader = self.directory.open_read(file)?;
        let length = reader.len()?;
        let overlap = needles.iter().map(|needle| needle.len()).max().unwrap_or(0);
        let mut total = 0;
        let mut at = 0;
        let mut chunk = Vec::new();
        while at < length {
            let start = at.saturating_sub(overlap.saturating_sub(1) as u64);
            let end = length.min(at + CHUNK_BYTES as u64);
            chunk.resize((end - start) as usize, 0);
            reader.read_at(start, &mut chunk)?;
            for needle in &needles {
                // A hit that ends before this chunk was counted with the one before.
                let seen = ((at - start) as usize + 1).saturating_sub(needle.len());
                let from = if at == 0 { 0 } else { seen };
                total += hits(&chunk[from..], needle.as_bytes());
            }
            at = end;
        }
        Ok((length, total))
    }

    fn segment(&self, file: &str, tally: &mut Tally) -> Result<()> {
        let Some(entry) = self.segments.get(file) else {
            return Err(crate::StoreError::Invalid(
                "named by no manifest".to_owned(),
            ));
        };
        let segment = Segment::new(Arc::clone(&self.directory), entry.clone());
        for (at, statistics) in entry.sections.iter().enumerate() {
            let section = FileSection::new(Arc::clone(&segment), at);
            let section = Section::in_file(*statistics, section);
            if at == 0 {
                let strings = section.strings()?;
                let accounts = TextOf::Identity(self.kind.is_account());
                let users = TextOf::Identity(self.kind.is_user());
                tally.texts(views(&strings.accounts), &self.id, accounts);
                tally.texts(views(&strings.users), &self.id, users);
                tally.texts(views(&strings.events), &self.id, TextOf::Other);
            }
            tally.texts(texts(section.event_ids()?), &self.id, TextOf::Other);
            tally.texts(texts(section.properties()?), &self.id, TextOf::Other);
            let keys = serde_json::to_vec(&section.property_keys()?).expect("numbers and strings");
            tally.mention += self.id.hits(&keys);
        }
        Ok(())
    }

    fn symbols(&self, piece: &SymbolPiece, tally: &mut Tally) {
        let accounts = TextOf::Identity(self.kind.is_account());
        let users = TextOf::Identity(self.kind.is_user());
        for (piece, found_as) in [
            (&piece.accounts, accounts),
            (&piece.users, users),
            (&piece.events, TextOf::Other),
        ] {
            tally.texts(StringPiece::texts(piece), &self.id, found_as);
        }
    }

    fn log(&self, file: &str, tally: &mut Tally) -> Result<()> {
        let number = file.rsplit('/').next().and_then(wal::file_number);
        let number = number.unwrap_or_default();
        let log = wal::read_wal_file(self.directory.as_ref(), number, None)?;
        let path = self.directory.path().join(file);
        for (frame, range) in &log.frames {
            let payload = &log.bytes[range.clone()];
            match frame.kind {
                FrameKind::Symbols => {
                    self.symbols(&decode_delta(payload, &path, range.start as u64)?, tally);
                }
                FrameKind::Events => {
                    let group = decode_events(payload).map_err(crate::StoreError::arrow(&path))?;
                    tally.texts(texts(&group.event_ids), &self.id, TextOf::Other);
                    tally.texts(texts(&group.properties), &self.id, TextOf::Other);
                }
                // The id of a writer names a process.
                FrameKind::Model | FrameKind::View | FrameKind::WriterStates => {
                    tally.mention += self.id.hits(payload);
                }
                FrameKind::Seal => {}
            }
        }
        Ok(())
    }

    /// Published snapshots: the id as a whole text, or within one.
    fn json(&self, file: &str, total: u64, tally: &mut Tally) -> Result<()> {
        let bytes = self.directory.read(file)?;
        let whole = serde_json::to_string(&self.id.plain).expect("a text");
        tally.identity = hits(&bytes, whole.as_bytes());
        tally.other_id = total.saturating_sub(tally.identity);
        Ok(())
    }
}

fn texts(array: &StringArray) -> impl Iterator<Item = &str> {
    array.iter().flatten()
}

fn views(array: &StringViewArray) -> impl Iterator<Item = &str> {
    array.iter().flatten()
}

/// How often `needle` stands in `bytes`, overlaps counted; never where it is empty.
fn hits(bytes: &[u8], needle: &[u8]) -> u64 {
    let Some((&first, rest)) = needle.split_first() else {
        return 0;
    };
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|&byte| byte == first) {
        at += next + 1;
        found += u64::from(bytes[at..].starts_with(rest));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hits_overlap_and_an_empty_text_has_none() {
        for (bytes, needle, expected) in [
            ("", "a", 0),
            ("aaaa", "aa", 3),
            ("xanny ann", "ann", 2),
            ("an", "ann", 0),
            ("anything", "", 0),
        ] {
            assert_eq!(
                hits(bytes.as_bytes(), needle.as_bytes()),
                expected,
                "{bytes} {needle}"
            );
        }
    }

    #[test]
    fn texts_are_told_apart() {
        let mut tally = Tally::default();
        let ids = ["ann", "joanna", "xan", "nx"];
        let ann = Needle::new("ann");
        tally.texts(ids.into_iter(), &ann, TextOf::Identity(true));
        assert_eq!((tally.identity, tally.other_id, tally.chance), (1, 1, 1));
        tally.texts(["{\"by\":\"ann\"}"].into_iter(), &ann, TextOf::Other);
        tally.texts(["ann"].into_iter(), &ann, TextOf::Identity(false));
        assert_eq!((tally.mention, tally.other_id), (1, 2));
        let odd = Needle::new("a\"b");
        tally.texts(["{\"by\":\"a\\\"b\"}"].into_iter(), &odd, TextOf::Other);
        assert_eq!(tally.mention, 2, "as JSON writes it");
    }

    #[test]
    fn a_hit_across_two_chunks_is_counted_once() {
        let directory = vitalog_disk::FaultyDirectory::new();
        let id = "an id of some length";
        for shift in [0, 1, 7, id.len() - 1, id.len()] {
            let mut bytes = vec![b'.'; CHUNK_BYTES - shift];
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(&[b'.'; 50]);
            let name = format!("odd/{shift}");
            vitalog_disk::write_atomically(&directory, &name, &bytes).expect("written");
            let search = Search {
                directory: Arc::new(directory.clone()),
                id: Needle::new(id),
                kind: IdKind::Any,
                segments: HashMap::new(),
            };
            assert_eq!(
                search.raw(&name).expect("read"),
                (bytes.len() as u64, 1),
                "{shift}"
            );
        }
    }
}
