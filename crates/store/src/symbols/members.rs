//! The domain of members: pairs of symbols in mapped pieces, and a tail in memory for those not yet
//! flushed.
//!
//! Invariant: as for strings, pieces and then the tail cover all codes from 1 without a gap.

use arrow_buffer::ScalarBuffer;
use hashbrown::HashTable;

use super::Member;
use crate::error::{Result, StoreError};

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
    /// An empty domain whose next code is `first`, for writing a file that begins there.
    pub fn starting_at(first: u32) -> Self {
        Self {
            tail_first: first,
            ..Self::default()
        }
    }

    /// The next code to be given.
    pub fn next(&self) -> u32 {
        self.tail_first + self.tail.len() as u32
    }

    /// The pair of a code.
    pub fn get(&self, symbol: u32) -> Member {
        member_of(&self.pieces, self.tail_first, &self.tail, symbol)
    }

    /// The code of a pair, where it has one.
    pub fn lookup(&self, member: Member) -> Option<u32> {
        self.table
            .find(hash_of(member), |&symbol| self.get(symbol) == member)
            .copied()
    }

    /// The code of a pair, given now where it has none.
    pub fn intern(&mut self, member: Member) -> u32 {
        if let Some(symbol) = self.lookup(member) {
            return symbol;
        }
        self.push(member)
    }

    /// Gives the next code to a pair that has none.
    pub fn push(&mut self, member: Member) -> u32 {
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

    /// Takes the place of the piece with the same codes.
    pub fn replace(&mut self, piece: MemberPiece) {
        let place = self
            .pieces
            .iter_mut()
            .find(|known| known.first == piece.first);
        if let Some(known) = place.filter(|known| known.count() == piece.count()) {
            *known = piece;
        }
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
