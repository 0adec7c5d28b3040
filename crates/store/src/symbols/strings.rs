//! A domain of strings: a hash table of codes over strings that lie in mapped pieces, and a tail in
//! memory for those not yet flushed.
//!
//! Invariant: piece `i` covers the codes `[first, first + count)`, pieces and then the tail cover
//! all codes from 1 without a gap. Ids are never empty: a code with an empty string is an erased
//! one, which is not in the table.

use arrow_buffer::{Buffer, ScalarBuffer};
use hashbrown::HashTable;
use xxhash_rust::xxh3::xxh3_64;

use super::NULL_SYMBOL;
use crate::error::{Result, StoreError};

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

    pub fn get(&self, symbol: u32) -> &[u8] {
        let at = (symbol - self.first) as usize;
        &self.bytes[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    /// Its strings in the order of their codes.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let bytes = |pair: &[u32]| &self.bytes[pair[0] as usize..pair[1] as usize];
        // Validated when the piece was read.
        let text = |bytes| str::from_utf8(bytes).expect("symbols are UTF-8");
        self.offsets.windows(2).map(move |pair| text(bytes(pair)))
    }

    /// How many of its strings were erased.
    fn erased(&self) -> u32 {
        self.offsets
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .count() as u32
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
    /// Codes whose strings were erased.
    erased: u32,
    /// Codes that are being erased and still have their strings: rows in files may have them.
    forgotten: Vec<u32>,
}

impl Default for StringDomain {
    fn default() -> Self {
        Self {
            table: HashTable::new(),
            pieces: Vec::new(),
            tail_first: 1,
            tail_offsets: vec![0],
            tail_bytes: Vec::new(),
            erased: 0,
            forgotten: Vec::new(),
        }
    }
}

impl StringDomain {
    /// An empty domain whose next code is `first`, for writing a file that begins there.
    pub fn starting_at(first: u32) -> Self {
        Self {
            tail_first: first,
            ..Self::default()
        }
    }

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

    /// Gives the next code to a string that has none; an empty one was erased.
    pub fn push(&mut self, text: &str) -> u32 {
        let symbol = self.next();
        self.tail_bytes.extend_from_slice(text.as_bytes());
        self.tail_offsets.push(self.tail_bytes.len() as u32);
        self.insert(symbol);
        symbol
    }

    /// Codes whose strings were erased.
    pub fn erased(&self) -> u32 {
        self.erased
    }

    /// The code of a string that stands in a cold file: the forgotten one until its string is
    /// erased. Rows that came later are in no cold file before that: the compaction waits.
    ///
    /// Cost: as [`Self::lookup`], and a comparison with each string that is being erased.
    pub fn lookup_in_cold(&self, text: &str) -> Option<u32> {
        let is_it = |&&symbol: &&u32| self.bytes(symbol) == text.as_bytes();
        let forgotten = self.forgotten.iter().find(is_it).copied();
        forgotten.or_else(|| self.lookup(text))
    }

    /// Takes `symbol` out of the table: its string is given a new code from now on. The string
    /// stays for those who hold the code.
    pub fn forget(&mut self, symbol: u32) {
        if self.is_blank(symbol) {
            return;
        }
        if !self.forgotten.contains(&symbol) {
            self.forgotten.push(symbol);
        }
        let hash = xxh3_64(self.bytes(symbol));
        if let Ok(found) = self.table.find_entry(hash, |&other| other == symbol) {
            found.remove();
        }
    }

    /// Finds a forgotten symbol by its string again.
    pub fn remember(&mut self, symbol: u32) {
        if self.is_blank(symbol) {
            return;
        }
        self.forget(symbol);
        self.forgotten.retain(|&other| other != symbol);
        self.insert(symbol);
    }

    /// Whether there is no string to be forgotten: of null, of codes never given and of erased ones.
    fn is_blank(&self, symbol: u32) -> bool {
        symbol >= self.next() || self.bytes(symbol).is_empty()
    }

    /// Erases the string of a forgotten symbol that lies in memory only; true where it does.
    pub fn blank(&mut self, symbol: u32) -> bool {
        if symbol < self.tail_first || symbol >= self.next() {
            return false;
        }
        let at = (symbol - self.tail_first) as usize;
        let (start, end) = (self.tail_offsets[at], self.tail_offsets[at + 1]);
        self.tail_bytes.drain(start as usize..end as usize);
        for offset in &mut self.tail_offsets[at + 1..] {
            *offset -= end - start;
        }
        self.erased += u32::from(end > start);
        self.forgotten.retain(|&other| other != symbol);
        true
    }

    /// Takes the place of the piece with the same codes, of which some strings were erased and
    /// forgotten.
    pub fn replace(&mut self, piece: StringPiece) {
        let place = self
            .pieces
            .iter_mut()
            .find(|known| known.first == piece.first);
        if let Some(known) = place.filter(|known| known.count() == piece.count()) {
            self.erased += piece.erased() - known.erased();
            *known = piece;
        }
        let mut forgotten = std::mem::take(&mut self.forgotten);
        forgotten.retain(|&symbol| !self.is_blank(symbol));
        self.forgotten = forgotten;
    }

    /// Puts a code into the table, where its string was not erased.
    fn insert(&mut self, symbol: u32) {
        if self.bytes(symbol).is_empty() {
            self.erased += 1;
            return;
        }
        let Self {
            table,
            pieces,
            tail_first,
            tail_offsets,
            tail_bytes,
            ..
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
    fn an_erased_string_is_not_found_and_its_code_is_not_given_again() {
        let mut domain = StringDomain::default();
        for name in ["ann", "bob", "eve"] {
            domain.intern(name);
        }
        domain.forget(2);
        assert_eq!((domain.lookup("bob"), domain.text(2)), (None, "bob"));
        domain.remember(2);
        assert_eq!(domain.lookup("bob"), Some(2));
        domain.forget(2);
        assert_eq!(domain.intern("bob"), 4, "a new code");
        assert_eq!(domain.lookup_in_cold("bob"), Some(2), "until it is erased");
        assert!(domain.blank(2));
        assert_eq!(domain.lookup_in_cold("bob"), Some(4));
        assert!(domain.forgotten.is_empty());
        domain.forget(2);
        assert!(domain.forgotten.is_empty(), "it has no string");
        let texts: Vec<&str> = (1..5).map(|symbol| domain.text(symbol)).collect();
        assert_eq!(texts, ["ann", "", "eve", "bob"]);
        assert_eq!((domain.lookup("eve"), domain.lookup("")), (Some(3), None));
        assert_eq!(domain.erased(), 1);
        // The same from a file, and once more from one of which another string was erased.
        let piece = |ends: [u32; 5], bytes: &[u8]| StringPiece {
            first: 1,
            offsets: ends.to_vec().into(),
            bytes: Buffer::from(bytes),
        };
        let mut loaded = StringDomain::default();
        loaded
            .load(piece([0, 3, 3, 6, 9], b"annevebob"))
            .expect("follows");
        assert_eq!((loaded.lookup("bob"), loaded.erased()), (Some(4), 1));
        loaded.forget(4);
        assert!(!loaded.blank(4), "its string lies in a file");
        loaded.replace(piece([0, 3, 3, 6, 9], b"annevebob"));
        assert_eq!(loaded.forgotten, [4], "another string went");
        loaded.replace(piece([0, 3, 3, 6, 6], b"anneve"));
        assert!(loaded.forgotten.is_empty());
        assert_eq!((loaded.text(4), loaded.erased()), ("", 2));
        assert_eq!((loaded.lookup("eve"), loaded.intern("bob")), (Some(3), 5));
    }
}
