//! The bytes of a frame, and of the header of a log file.
//!
//! ```text
//! file  = header(64)  frame*  zeroes
//! header = magic "VTLGWAL1"  version u32  buffered u32  number u64  chain u32  zero u32
//!          first group u64  zero…  crc32c u32 (of the 60 before)
//! frame = frame header(72)  payload  pad to 8
//! frame header =
//!    0 magic u32 "VFRM"      4 version u16         6 kind u16
//!    8 payload bytes u32    12 events u32         16 group u64
//!   24 seq first i64        32 received at i64    40 zero (16 bytes)
//!   56 previous frame's header crc32c u32         60 payload crc32c u32
//!   64 header crc32c u32 (of the 64 before)       68 zero u32
//! ```
//! All integers are little-endian.

use vitalog_disk::crc32c;

/// Bytes of a file's header.
pub(crate) const FILE_HEADER_BYTES: usize = 64;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_BYTES: usize = 72;

const FILE_MAGIC: &[u8; 8] = b"VTLGWAL1";
const FRAME_MAGIC: &[u8; 4] = b"VFRM";
/// The version of files and frames that this program writes.
pub(crate) const VERSION: u16 = 1;

/// What a frame holds. Kinds other than events and symbols are checkpointed in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum FrameKind {
    /// Rows of one commit group, as an Arrow IPC stream.
    Events = 1,
    /// New symbols that the following events use.
    Symbols = 2,
    /// One version of a model.
    Model = 3,
    /// One version of a named view.
    View = 4,
    /// The last numbers of the writers of a commit group.
    WriterStates = 7,
    /// The clean end of a file.
    Seal = 9,
}

impl FrameKind {
    /// Numbers 5, 6 and 8 are kept for what a later version logs.
    fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Events),
            2 => Some(Self::Symbols),
            3 => Some(Self::Model),
            4 => Some(Self::View),
            7 => Some(Self::WriterStates),
            9 => Some(Self::Seal),
            _ => None,
        }
    }
}

/// Why a header cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The bytes are no header.
    Damaged(String),
    /// A whole header of a version, or with a kind, that this program does not know.
    Version(u32),
}

impl<T: Into<String>> From<T> for HeaderError {
    fn from(reason: T) -> Self {
        Self::Damaged(reason.into())
    }
}

/// A frame without its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub kind: FrameKind,
    pub payload_bytes: u32,
    /// Events in the payload; of writer states, those of the events frame of their group, or 0
    /// where the group has none.
    pub events: u32,
    /// Number of the commit group; they follow each other within the log, and begin again at 1
    /// where no log file is left.
    pub group: u64,
    pub seq_first: i64,
    pub received_at_us: i64,
    pub previous_crc32c: u32,
    pub payload_crc32c: u32,
}

impl Frame {
    /// The bytes of the header; the last word before the padding is its checksum.
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[0..4].copy_from_slice(FRAME_MAGIC);
        out[4..6].copy_from_slice(&VERSION.to_le_bytes());
        out[6..8].copy_from_slice(&(self.kind as u16).to_le_bytes());
        out[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[12..16].copy_from_slice(&self.events.to_le_bytes());
        out[16..24].copy_from_slice(&self.group.to_le_bytes());
        out[24..32].copy_from_slice(&self.seq_first.to_le_bytes());
        out[32..40].copy_from_slice(&self.received_at_us.to_le_bytes());
        out[56..60].copy_from_slice(&self.previous_crc32c.to_le_bytes());
        out[60..64].copy_from_slice(&self.payload_crc32c.to_le_bytes());
        let crc = crc32c(&out[..64]);
        out[64..68].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a header and its checksum.
    pub fn decode(bytes: &[u8; FRAME_HEADER_BYTES]) -> Result<(Self, u32), HeaderError> {
        if &bytes[0..4] != FRAME_MAGIC {
            return Err("the magic of a frame is missing".into());
        }
        let crc = header_crc32c(bytes);
        let found = crc32c(&bytes[..64]);
        if found != crc || bytes[68..] != [0; 4] {
            let reason = format!("frame header has CRC32C {found:#010x}, expected {crc:#010x}");
            return Err(reason.into());
        }
        let version = u16::from_le_bytes([bytes[4], bytes[5]]);
        let kind = u16::from_le_bytes([bytes[6], bytes[7]]);
        // The checksum says that these were written so: by a later version of the program.
        if version != VERSION {
            return Err(HeaderError::Version(u32::from(version)));
        }
        let kind =
            FrameKind::from_number(kind).ok_or(HeaderError::Version(u32::from(VERSION) + 1))?;
        let frame = Self {
            kind,
            payload_bytes: word(bytes, 8),
            events: word(bytes, 12),
            group: long(bytes, 16),
            seq_first: long(bytes, 24) as i64,
            received_at_us: long(bytes, 32) as i64,
            previous_crc32c: word(bytes, 56),
            payload_crc32c: word(bytes, 60),
        };
        Ok((frame, crc))
    }

    /// Whether its commit group ends with it. Symbols, and the numbers that the group gives to
    /// writers, come before the events that they belong to and count only with them.
    pub fn ends_group(&self) -> bool {
        match self.kind {
            FrameKind::Symbols => false,
            FrameKind::WriterStates => self.events == 0,
            FrameKind::Events | FrameKind::Model | FrameKind::View | FrameKind::Seal => true,
        }
    }

    /// Bytes of the whole frame on disk.
    pub fn bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.payload_bytes).next_multiple_of(8)
    }
}

/// The checksum that an encoded header carries: the next frame's link.
pub(crate) fn header_crc32c(header: &[u8; FRAME_HEADER_BYTES]) -> u32 {
    word(header, 64)
}

/// The header of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub number: u64,
    /// The link that the first frame must carry: the last checksum of the file before.
    pub chain: u32,
    /// The number of the first group: what is torn before any whole group is known by it.
    pub group: u64,
    /// Whether groups were written without a sync each: then a later one may survive an earlier.
    pub is_buffered: bool,
}

impl FileHeader {
    pub fn encode(self) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0; FILE_HEADER_BYTES];
        out[0..8].copy_from_slice(FILE_MAGIC);
        out[8..12].copy_from_slice(&u32::from(VERSION).to_le_bytes());
        out[12..16].copy_from_slice(&u32::from(self.is_buffered).to_le_bytes());
        out[16..24].copy_from_slice(&self.number.to_le_bytes());
        out[24..28].copy_from_slice(&self.chain.to_le_bytes());
        out[32..40].copy_from_slice(&self.group.to_le_bytes());
        let crc = crc32c(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() < FILE_HEADER_BYTES || &bytes[..8] != FILE_MAGIC {
            return Err("no log file: its magic is missing".into());
        }
        let (found, expected) = (crc32c(&bytes[..60]), word(bytes, 60));
        if found != expected {
            let reason = format!("file header has CRC32C {found:#010x}, expected {expected:#010x}");
            return Err(reason.into());
        }
        let version = word(bytes, 8);
        if version != u32::from(VERSION) {
            return Err(HeaderError::Version(version));
        }
        Ok(Self {
            number: long(bytes, 16),
            chain: word(bytes, 24),
            group: long(bytes, 32),
            is_buffered: word(bytes, 12) != 0,
        })
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Frame = Frame {
        kind: FrameKind::Events,
        payload_bytes: 13,
        events: 2,
        group: 7,
        seq_first: 41,
        received_at_us: -5,
        previous_crc32c: 0xdead_beef,
        payload_crc32c: 0xfeed_f00d,
    };

    #[test]
    fn a_header_reads_back_and_every_flipped_bit_shows() {
        let bytes = FRAME.encode();
        assert_eq!(Frame::decode(&bytes), Ok((FRAME, header_crc32c(&bytes))));
        assert_eq!(FRAME.bytes(), 72 + 16);
        for bit in 0..FRAME_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::decode(&flipped).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_file_header_reads_back_and_every_flipped_bit_shows() {
        let header = FileHeader {
            number: 3,
            chain: 9,
            group: 5,
            is_buffered: true,
        };
        let bytes = header.encode();
        assert_eq!(FileHeader::decode(&bytes), Ok(header));
        for bit in 0..FILE_HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&flipped).is_err(), "bit {bit}");
        }
    }
}
