//! The bytes of symbols: a symbol file, and the delta that a frame of the log carries.
//!
//! Both hold the same four blocks, so one reader serves both (docs/formats/symbols.md):
//!
//! ```text
//! file   = magic "VTLGSYM1"  version u32  blocks_crc32c u32  blocks_bytes u64  pad to 64  blocks
//! blocks = strings(accounts) strings(users) strings(events) members
//! strings = first u32  count u32  bytes u64  offsets u32[count + 1]  utf8[bytes]  pad to 8
//! members = first u32  count u32  zero u64   (account u32, user u32)[count]       pad to 8
//! ```
//! All integers are little-endian.

use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_buffer::{Buffer, ScalarBuffer};
use vitalog_disk::{Directory, crc32c};

use super::members::MemberPiece;
use super::strings::StringPiece;
use super::{Domain, Marks, Tables};
use crate::error::{Result, StoreError};

const MAGIC: &[u8; 8] = b"VTLGSYM1";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 64;

/// Symbols of consecutive codes in all four domains.
#[derive(Clone, Debug)]
pub(crate) struct SymbolPiece {
    pub accounts: StringPiece,
    pub users: StringPiece,
    pub events: StringPiece,
    pub members: MemberPiece,
}

impl SymbolPiece {
    /// The first code of each domain.
    pub fn from(&self) -> Marks {
        Marks {
            accounts: self.accounts.first,
            users: self.users.first,
            events: self.events.first,
            members: self.members.first,
        }
    }

    /// The code behind the last of each domain.
    pub fn to(&self) -> Marks {
        Marks {
            accounts: self.accounts.first + self.accounts.count(),
            users: self.users.first + self.users.count(),
            events: self.events.first + self.events.count(),
            members: self.members.first + self.members.count(),
        }
    }
}

/// The blocks of all symbols in `[from, to)`.
pub(crate) fn encode_delta(tables: &Tables, from: Marks, to: Marks) -> Vec<u8> {
    encode_blocks(tables, from, to, None)
}

/// The blocks of all symbols in `[from, to)`; the string of `erased` is left empty.
fn encode_blocks(
    tables: &Tables,
    from: Marks,
    to: Marks,
    erased: Option<(Domain, u32)>,
) -> Vec<u8> {
    let mut out = Vec::new();
    for (domain, first, end) in [
        (Domain::Account, from.accounts, to.accounts),
        (Domain::User, from.users, to.users),
        (Domain::Event, from.events, to.events),
    ] {
        let erased = erased.filter(|erased| erased.0 == domain);
        let erased = erased.map(|(_, symbol)| symbol);
        encode_strings(tables, domain, first..end, erased, &mut out);
    }
    put_header(&mut out, from.members, to.members - from.members, 0);
    for symbol in from.members..to.members {
        let member = tables.members.get(symbol);
        out.extend_from_slice(&member.account.to_le_bytes());
        out.extend_from_slice(&member.user.to_le_bytes());
    }
    pad(&mut out, 8);
    out
}

/// A whole symbol file with all symbols in `[from, to)`.
pub(crate) fn encode_file(tables: &Tables, from: Marks, to: Marks) -> Vec<u8> {
    file_of(&encode_delta(tables, from, to))
}

/// A whole symbol file with all symbols in `[from, to)`, without the string of `erased`.
pub(crate) fn encode_file_without(
    tables: &Tables,
    from: Marks,
    to: Marks,
    erased: (Domain, u32),
) -> Vec<u8> {
    file_of(&encode_blocks(tables, from, to, Some(erased)))
}

fn file_of(blocks: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + blocks.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&crc32c(blocks).to_le_bytes());
    out.extend_from_slice(&(blocks.len() as u64).to_le_bytes());
    out.resize(HEADER_BYTES, 0);
    out.extend_from_slice(blocks);
    out
}

/// Reads and checks a symbol file; the strings stay in the map.
pub(crate) fn read_file(directory: &dyn Directory, name: &str) -> Result<SymbolPiece> {
    let path = directory.path().join(name);
    let buffer = directory.map(name)?;
    let damaged = |offset: usize, reason: String| StoreError::damaged(&path, offset as u64, reason);
    if buffer.len() < HEADER_BYTES || &buffer[..8] != MAGIC {
        return Err(damaged(
            0,
            "no symbol file: its magic is missing".to_owned(),
        ));
    }
    let version = u32_at(&buffer, 8);
    if version != VERSION {
        return Err(StoreError::Version {
            path,
            found: version,
            known: VERSION,
        });
    }
    let blocks = buffer.slice(HEADER_BYTES);
    let (expected, length) = (u32_at(&buffer, 12), u64_at(&buffer, 16));
    if length != blocks.len() as u64 || buffer[24..HEADER_BYTES].iter().any(|&byte| byte != 0) {
        let reason = format!("{} bytes of blocks, expected {length}", blocks.len());
        return Err(damaged(16, reason));
    }
    let found = crc32c(&blocks);
    if found != expected {
        let reason = format!("CRC32C {found:#010x}, expected {expected:#010x}");
        return Err(damaged(HEADER_BYTES, reason));
    }
    decode(&blocks, &path, HEADER_BYTES)
}

/// Reads the blocks of a frame of the log, whose checksum the frame has verified.
pub(crate) fn decode_delta(bytes: &[u8], path: &Path, offset: u64) -> Result<SymbolPiece> {
    decode(&Buffer::from(bytes), path, offset as usize)
}

fn encode_strings(
    tables: &Tables,
    domain: Domain,
    symbols: Range<u32>,
    erased: Option<u32>,
    out: &mut Vec<u8>,
) {
    let strings = tables.strings(domain);
    let text = |symbol: u32| match erased {
        Some(erased) if erased == symbol => &[],
        _ => strings.bytes(symbol),
    };
    let bytes: usize = symbols.clone().map(|symbol| text(symbol).len()).sum();
    put_header(
        out,
        symbols.start,
        symbols.end - symbols.start,
        bytes as u64,
    );
    let mut offset = 0u32;
    out.extend_from_slice(&offset.to_le_bytes());
    for symbol in symbols.clone() {
        offset += text(symbol).len() as u32;
        out.extend_from_slice(&offset.to_le_bytes());
    }
    for symbol in symbols {
        out.extend_from_slice(text(symbol));
    }
    pad(out, 8);
}

fn put_header(out: &mut Vec<u8>, first: u32, count: u32, bytes: u64) {
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&bytes.to_le_bytes());
}

fn pad(out: &mut Vec<u8>, alignment: usize) {
    out.resize(out.len().next_multiple_of(alignment), 0);
}

fn decode(blocks: &Buffer, path: &Path, base: usize) -> Result<SymbolPiece> {
    let mut reader = BlockReader {
        blocks,
        at: 0,
        path: path.to_owned(),
        base,
    };
    let piece = SymbolPiece {
        accounts: reader.strings()?,
        users: reader.strings()?,
        events: reader.strings()?,
        members: reader.members()?,
    };
    if reader.at != blocks.len() {
        return Err(reader.damaged("bytes behind the last block"));
    }
    Ok(piece)
}

struct BlockReader<'a> {
    blocks: &'a Buffer,
    at: usize,
    path: PathBuf,
    base: usize,
}

impl BlockReader<'_> {
    fn damaged(&self, reason: &str) -> StoreError {
        StoreError::damaged(&self.path, (self.base + self.at) as u64, reason)
    }

    fn take(&mut self, bytes: u64) -> Result<Buffer> {
        let rest = (self.blocks.len() - self.at) as u64;
        if bytes > rest {
            return Err(self.damaged(&format!("{bytes} bytes expected, {rest} left")));
        }
        let slice = self.blocks.slice_with_length(self.at, bytes as usize);
        self.at += bytes as usize;
        Ok(slice)
    }

    fn skip_padding(&mut self) -> Result<()> {
        let padding = self.at.next_multiple_of(8) - self.at;
        self.take(padding as u64).map(drop)
    }

    fn header(&mut self) -> Result<(u32, u32, u64)> {
        let header = self.take(16)?;
        Ok((u32_at(&header, 0), u32_at(&header, 4), u64_at(&header, 8)))
    }

    fn strings(&mut self) -> Result<StringPiece> {
        let (first, count, length) = self.header()?;
        let offsets = ScalarBuffer::<u32>::from(self.take((u64::from(count) + 1) * 4)?);
        let bytes = self.take(length)?;
        let ordered = offsets[0] == 0 && offsets.windows(2).all(|pair| pair[0] <= pair[1]);
        if !ordered || u64::from(offsets[count as usize]) != length {
            return Err(self.damaged("the offsets of the strings are out of order"));
        }
        let text = str::from_utf8(&bytes).map_err(|_| self.damaged("strings are not UTF-8"))?;
        if !offsets
            .iter()
            .all(|&offset| text.is_char_boundary(offset as usize))
        {
            return Err(self.damaged("an offset cuts a character"));
        }
        self.skip_padding()?;
        Ok(StringPiece {
            first,
            offsets,
            bytes,
        })
    }

    fn members(&mut self) -> Result<MemberPiece> {
        let (first, count, _) = self.header()?;
        let pairs = ScalarBuffer::<u32>::from(self.take(u64::from(count) * 8)?);
        self.skip_padding()?;
        Ok(MemberPiece { first, pairs })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
