//! One domain of symbols: a hash table of codes over strings that lie in mapped pieces, and a tail
//! in memory for those not yet flushed.
//!
//! Invariant: piece `i` covers the codes `[first, first + count)`, pieces and then the tail cover
//! all codes from 1 without a gap.

use arrow_buffer::{Buffer, ScalarBuffer};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::{Member, NULL_SYMBOL};
use crate::error::{Result, StoreError};

/// The next code of each domain at one moment: a bound on what has been logged or flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Marks {
    pub accounts: u32,
    pub users: u32,
    pub events: u32,
    pub members: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Self {
            accounts: 1,
            users: 1,
            events: 1,
            members: 1,
        }
    }
}

/// Strings of consecutive codes in a mapped file.
#[derive(Clone, Debug)]
pub(crate) struct StringPiece {
    pub first: u32,
    /// `count + 1` offsets into `bytes`.
    pub offsets: ScalarBuffer<u32>,
    pub bytes: Buffer,
}

impl StringPiece {
    pub fn count(&self) -> u32 {
        self.offsets.len() as u32 - 1
    }

    fn get(&self, symbol: u32) -> &[u8] {
        let at = (symbol - self.first) as usize;
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }
}

/// A domain of strings.
#[derive(Debug)]
pub(crate) struct StringDomain {
    table: HashTable<u32>,
    pieces: Vec<StringPiece>,
    tail_first: u32,
    tail_offsets: Vec<u32>,
    tail_bytes: Vec<u8>,
}

impl Default for StringDomain {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            pieces: Vec::new(),
            tail_first: 1,
            tail_offsets: vec![0],
            tail_bytes: Vec::new(),
        }
    }
}

impl StringDomain {
    /// The next code to be given.
    pub fn next(&self) -> u32 {
        self.tail_first + self.tail_offsets.len() as u32 - 1
    }

    pub fn lookup(&self, text: &str) -> Option<u32> {
        let hash = xxh3_64(text.as_bytes());
        self.table
            .find(hash, |&symbol| self.bytes(symbol) == text.as_bytes())
            .copied()
    }

    /// The code of `text`, given now where it has none.
    pub fn intern(&mut self, text: &str) -> u32 {
        if let Some(symbol) = self.lookup(text) {
            return symbol;
        }
        self.push(text)
    }

    /// Gives the next code to a string that has none.
    pub fn push(&mut self, text: &str) -> u32 {
        let symbol = self.next();
        self.tail_bytes.extend_from_slice(text.as_bytes());
        self.tail_offsets.push(self.tail_bytes.len() as u32);
        self.insert(symbol);
        symbol
    }

    fn insert(&mut self, symbol: u32) {
        let Self {
            table,
            pieces,
            tail_first,
            tail_offsets,
            tail_bytes,
        } = self;
        let bytes = |symbol: u32| bytes_of(pieces, *tail_first, tail_offsets, tail_bytes, symbol);
        let hash = xxh3_64(bytes(symbol));
        table.insert_unique(hash, symbol, |&other| xxh3_64(bytes(other)));
    }

    /// The bytes of a code; empty for [`NULL_SYMBOL`].
    pub fn bytes(&self, symbol: u32) -> &[u8] {
        let Self {
            pieces,
            tail_first,
            tail_offsets,
            tail_bytes,
            ..
        } = self;
        bytes_of(pieces, *tail_first, tail_offsets, tail_bytes, symbol)
    }

    /// The string of a code.
    pub fn text(&self, symbol: u32) -> &str {
        // Strings enter as `&str` and pieces are validated when they are read.
        str::from_utf8(self.bytes(symbol)).expect("symbols are UTF-8")
    }

    /// Adds a piece read from a file; its codes must be the next ones.
    pub fn load(&mut self, piece: StringPiece) -> Result<()> {
        if piece.count() == 0 {
            return Ok(());
        }
        if piece.first != self.next() || self.tail_offsets.len() > 1 {
            let reason = format!("starts at code {}, expected {}", piece.first, self.next());
            return Err(StoreError::damaged("symbols", 0, reason));
        }
        let (first, count) = (piece.first, piece.count());
        self.pieces.push(piece);
        self.tail_first = first + count;
        for symbol in first..first + count {
            self.insert(symbol);
        }
        Ok(())
    }

    /// Takes the place of every symbol from the first of `piece` to its end, once its file is
    /// durable.
    pub fn adopt(&mut self, piece: StringPiece) {
        let end = piece.first + piece.count();
        debug_assert!(end >= self.tail_first && end <= self.next());
        let gone = (end - self.tail_first) as usize;
        let cut = self.tail_offsets[gone];
        self.tail_bytes.drain(..cut as usize);
        self.tail_offsets.drain(..gone);
        for offset in &mut self.tail_offsets {
            *offset -= cut;
        }
        self.tail_first = end;
        self.pieces.retain(|known| known.first < piece.first);
        if piece.count() > 0 {
            self.pieces.push(piece);
        }
    }

    /// Gives the symbols of a logged delta again, in order; those known are skipped.
    pub fn replay(&mut self, piece: &StringPiece) -> std::result::Result<(), String> {
        if piece.first > self.next() {
            return Err(format!(
                "symbols from {}, expected {}",
                piece.first,
                self.next()
            ));
        }
        for symbol in piece.first..piece.first + piece.count() {
            if symbol < self.next() {
                continue;
            }
            let text = str::from_utf8(piece.get(symbol)).map_err(|error| error.to_string())?;
            self.push(text);
        }
        Ok(())
    }
}

fn bytes_of<'a>(
    pieces: &'a [StringPiece],
    tail_first: u32,
    tail_offsets: &[u32],
    tail_bytes: &'a [u8],
    symbol: u32,
) -> &'a [u8] {
    if symbol == NULL_SYMBOL {
        return &[];
    }
    if symbol >= tail_first {
        let at = (symbol - tail_first) as usize;
        return &tail_bytes[tail_offsets[at] as usize..tail_offsets[at + 1] as usize];
    }
    let piece = pieces.partition_point(|piece| piece.first <= symbol) - 1;
    pieces[piece].get(symbol)
}

/// Members of consecutive codes in a mapped file: account and user symbols side by side.
#[derive(Clone, Debug)]
pub(crate) struct MemberPiece {
    pub first: u32,
    /// `2 · count` symbols.
    pub pairs: ScalarBuffer<u32>,
}

impl MemberPiece {
    pub fn count(&self) -> u32 {
        (self.pairs.len() / 2) as u32
    }
}

/// The domain of members.
#[derive(Debug)]
pub(crate) struct MemberDomain {
    table: HashTable<u32>,
    pieces: Vec<MemberPiece>,
    tail_first: u32,
    tail: Vec<Member>,
}

impl Default for MemberDomain {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            pieces: Vec::new(),
            tail_first: 1,
            tail: Vec::new(),
        }
    }
}

impl MemberDomain {
    /// The next code to be given.
    pub fn next(&self) -> u32 {
        self.tail_first + self.tail.len() as u32
    }

    /// The pair of a code.
    pub fn get(&self, symbol: u32) -> Member {
        member_of(&self.pieces, self.tail_first, &self.tail, symbol)
    }

    /// The code of a pair, given now where it has none.
    pub fn intern(&mut self, member: Member) -> u32 {
        let found = self
            .table
            .find(hash_of(member), |&symbol| self.get(symbol) == member);
        if let Some(&symbol) = found {
            return symbol;
        }
        let symbol = self.next();
        self.tail.push(member);
        self.insert(symbol);
        symbol
    }

    fn insert(&mut self, symbol: u32) {
        let Self {
            table,
            pieces,
            tail_first,
            tail,
        } = self;
        let hash = |symbol: u32| hash_of(member_of(pieces, *tail_first, tail, symbol));
        table.insert_unique(hash(symbol), symbol, |&other| hash(other));
    }

    /// Adds a piece read from a file; its codes must be the next ones.
    pub fn load(&mut self, piece: MemberPiece) -> Result<()> {
        if piece.count() == 0 {
            return Ok(());
        }
        if piece.first != self.next() || !self.tail.is_empty() {
            let reason = format!("starts at member {}, expected {}", piece.first, self.next());
            return Err(StoreError::damaged("symbols", 0, reason));
        }
        let (first, count) = (piece.first, piece.count());
        self.pieces.push(piece);
        self.tail_first = first + count;
        for symbol in first..first + count {
            self.insert(symbol);
        }
        Ok(())
    }

    /// Takes the place of every member from the first of `piece` to its end, once its file is
    /// durable.
    pub fn adopt(&mut self, piece: MemberPiece) {
        let end = piece.first + piece.count();
        debug_assert!(end >= self.tail_first && end <= self.next());
        self.tail.drain(..(end - self.tail_first) as usize);
        self.tail_first = end;
        self.pieces.retain(|known| known.first < piece.first);
        if piece.count() > 0 {
            self.pieces.push(piece);
        }
    }

    /// Gives the members of a logged delta again, in order; those known are skipped.
    pub fn replay(&mut self, piece: &MemberPiece) -> std::result::Result<(), String> {
        if piece.first > self.next() {
            return Err(format!(
                "members from {}, expected {}",
                piece.first,
                self.next()
            ));
        }
        for (at, pair) in piece.pairs.chunks_exact(2).enumerate() {
            if piece.first + at as u32 == self.next() {
                self.intern(Member {
                    account: pair[0],
                    user: pair[1],
                });
            }
        }
        Ok(())
    }
}

fn member_of(pieces: &[MemberPiece], tail_first: u32, tail: &[Member], symbol: u32) -> Member {
    if symbol >= tail_first {
        return tail[(symbol - tail_first) as usize];
    }
    let piece = &pieces[pieces.partition_point(|piece| piece.first <= symbol) - 1];
    let at = (symbol - piece.first) as usize * 2;
    Member {
        account: piece.pairs[at],
        user: piece.pairs[at + 1],
    }
}

fn hash_of(member: Member) -> u64 {
    // The finaliser of SplitMix64: codes are dense, so the bits need mixing, not keying.
    let mut bits = (u64::from(member.account) << 32) | u64::from(member.user);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_dense_and_found_again() {
        let mut domain = StringDomain::default();
        let codes: Vec<u32> = (0..1000)
            .map(|i| domain.intern(&format!("name {i}")))
            .collect();
        assert_eq!(codes, (1..=1000).collect::<Vec<_>>());
        for (i, &code) in codes.iter().enumerate() {
            assert_eq!(domain.lookup(&format!("name {i}")), Some(code));
            assert_eq!(domain.text(code), format!("name {i}"));
        }
        assert_eq!(domain.lookup("other"), None);
        assert_eq!(domain.bytes(NULL_SYMBOL), b"");
    }

    #[test]
    fn adopted_pieces_answer_as_the_tail_did() {
        let mut domain = StringDomain::default();
        for i in 0..10 {
            domain.intern(&format!("{i}"));
        }
        let piece = StringPiece {
            first: 1,
            offsets: (0..=6u32).collect::<Vec<_>>().into(),
            bytes: Buffer::from(b"012345".as_slice()),
        };
        domain.adopt(piece);
        assert_eq!(domain.next(), 11);
        for i in 0..10 {
            assert_eq!(domain.lookup(&format!("{i}")), Some(i + 1));
        }
        assert_eq!(domain.intern("new"), 11);
    }

    #[test]
    fn members_keep_null_parts_apart() {
        let mut domain = MemberDomain::default();
        let pairs = [(0, 0), (0, 1), (1, 0), (1, 1)];
        let member = |(account, user)| Member { account, user };
        let codes: Vec<u32> = pairs.map(|pair| domain.intern(member(pair))).to_vec();
        assert_eq!(codes, [1, 2, 3, 4]);
        assert_eq!(domain.intern(member((1, 0))), 3);
        domain.adopt(MemberPiece {
            first: 1,
            pairs: vec![0, 0, 0, 1].into(),
        });
        assert_eq!(domain.intern(member((0, 1))), 2);
        assert_eq!(domain.intern(member((1, 1))), 4);
    }
}
