//! The symbols: dense `u32` codes for accounts, users, event names and members, store-wide, for
//! the life of the store, never reused.
//!
//! Codes start at 1; [`NULL_SYMBOL`] (0) stands for a null account or user, so that an array
//! indexed by symbol has a place for it. A member is a distinct (account, user) pair, null parts
//! included. Strings of flushed symbols stay in mapped files; a symbol costs at most 12 bytes of
//! memory beside them (one hash slot). Durable by two means: new symbols precede their events in
//! the write-ahead log, and a flush writes them into a symbol file before the manifest names it.

mod file;
mod members;
mod strings;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use arrow_array::StringArray;
use arrow_array::builder::StringBuilder;

pub(crate) use file::{
    SymbolPiece, decode_delta, encode_delta, encode_file, encode_file_without, read_file,
};
use members::MemberDomain;
use strings::StringDomain;
pub(crate) use strings::StringPiece;

use crate::error::Result;

/// The code of a null account or user. No string has it.
pub const NULL_SYMBOL: u32 = 0;

/// The (account, user) symbols of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// The account, or [`NULL_SYMBOL`].
    pub account: u32,
    /// The user, or [`NULL_SYMBOL`].
    pub user: u32,
}

/// The three domains of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Domain {
    /// `account_id`.
    Account,
    /// `user_id`.
    User,
    /// `event`.
    Event,
}

/// The next code of each domain at one moment: a bound on what has been logged or flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Marks {
    pub accounts: u32,
    pub users: u32,
    pub events: u32,
    pub members: u32,
}

impl Marks {
    /// The next code of a domain of strings.
    pub fn of(&self, domain: Domain) -> u32 {
        match domain {
            Domain::Account => self.accounts,
            Domain::User => self.users,
            Domain::Event => self.events,
        }
    }
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

/// All symbols of a store. Only the writer adds; everyone reads. Codes at or past the bounds of a
/// snapshot never occur in its rows, so readers need no copy.
#[derive(Debug, Default)]
pub struct Symbols {
    tables: RwLock<Tables>,
}

#[derive(Debug, Default)]
pub(crate) struct Tables {
    pub accounts: StringDomain,
    pub users: StringDomain,
    pub events: StringDomain,
    pub members: MemberDomain,
}

impl Tables {
    pub fn strings(&self, domain: Domain) -> &StringDomain {
        match domain {
            Domain::Account => &self.accounts,
            Domain::User => &self.users,
            Domain::Event => &self.events,
        }
    }

    pub fn strings_mut(&mut self, domain: Domain) -> &mut StringDomain {
        match domain {
            Domain::Account => &mut self.accounts,
            Domain::User => &mut self.users,
            Domain::Event => &mut self.events,
        }
    }

    /// Empty tables whose next codes are `from`, for writing a file that begins there.
    pub fn starting_at(from: Marks) -> Self {
        Self {
            accounts: StringDomain::starting_at(from.accounts),
            users: StringDomain::starting_at(from.users),
            events: StringDomain::starting_at(from.events),
            members: MemberDomain::starting_at(from.members),
        }
    }

    /// How many symbols each domain has, the reserved 0 counted: the next code to be given.
    pub fn marks(&self) -> Marks {
        Marks {
            accounts: self.accounts.next(),
            users: self.users.next(),
            events: self.events.next(),
            members: self.members.next(),
        }
    }
}

impl Symbols {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        // Tables stay whole through a panic: each change is one push.
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code of a string, where it has one. Cost: one hash and one comparison.
    #[must_use]
    pub fn lookup(&self, domain: Domain, text: &str) -> Option<u32> {
        self.read().strings(domain).lookup(text)
    }

    /// The string of a code; `None` for [`NULL_SYMBOL`], for codes never given and for those
    /// whose string was erased.
    #[must_use]
    pub fn resolve(&self, domain: Domain, symbol: u32) -> Option<String> {
        let tables = self.read();
        let strings = tables.strings(domain);
        let is_known = symbol != NULL_SYMBOL && symbol < strings.next();
        let text = is_known.then(|| strings.text(symbol).to_owned());
        text.filter(|text| !text.is_empty())
    }

    /// The strings of many codes, [`NULL_SYMBOL`] as null; for result rows only. An erased string
    /// is empty: a snapshot taken before the erasure may still have rows of it.
    ///
    /// # Panics
    /// On a code that was never given: codes come from this store's rows.
    #[must_use]
    pub fn resolve_all(&self, domain: Domain, symbols: &[u32]) -> StringArray {
        let tables = self.read();
        let strings = tables.strings(domain);
        let mut builder = StringBuilder::with_capacity(symbols.len(), symbols.len() * 12);
        for &symbol in symbols {
            builder.append_option((symbol != NULL_SYMBOL).then(|| strings.text(symbol)));
        }
        builder.finish()
    }

    /// The number of codes of a domain of strings, the reserved 0 counted: the length of an array
    /// indexed by symbol.
    #[must_use]
    pub fn bound(&self, domain: Domain) -> usize {
        self.read().strings(domain).next() as usize
    }

    /// The number of member codes, the reserved 0 counted.
    #[must_use]
    pub fn member_bound(&self) -> usize {
        self.read().members.next() as usize
    }

    /// The account and user of each member, indexed by member symbol; entry 0 is unused.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let tables = self.read();
        let unused = Member {
            account: NULL_SYMBOL,
            user: NULL_SYMBOL,
        };
        std::iter::once(unused)
            .chain((1..tables.members.next()).map(|member| tables.members.get(member)))
            .collect()
    }

    /// How many codes of a domain had their strings erased.
    pub(crate) fn erased(&self, domain: Domain) -> usize {
        self.read().strings(domain).erased() as usize
    }

    /// Takes over the symbols of the manifest's files, in order.
    pub(crate) fn load(&self, pieces: Vec<SymbolPiece>) -> Result<()> {
        let mut tables = self.write();
        for piece in pieces {
            tables.accounts.load(piece.accounts)?;
            tables.users.load(piece.users)?;
            tables.events.load(piece.events)?;
            tables.members.load(piece.members)?;
        }
        Ok(())
    }

    /// Gives the symbols of a logged delta again.
    pub(crate) fn replay(&self, piece: &SymbolPiece) -> std::result::Result<(), String> {
        let mut tables = self.write();
        tables.accounts.replay(&piece.accounts)?;
        tables.users.replay(&piece.users)?;
        tables.events.replay(&piece.events)?;
        tables.members.replay(&piece.members)
    }

    /// Takes the strings of a file that was written again without an erased one.
    pub(crate) fn replace(&self, piece: SymbolPiece) {
        let mut tables = self.write();
        tables.accounts.replace(piece.accounts);
        tables.users.replace(piece.users);
        tables.events.replace(piece.events);
        tables.members.replace(piece.members);
    }

    /// Moves flushed symbols from memory to the map of their new file.
    pub(crate) fn adopt(&self, piece: SymbolPiece) {
        let mut tables = self.write();
        tables.accounts.adopt(piece.accounts);
        tables.users.adopt(piece.users);
        tables.events.adopt(piece.events);
        tables.members.adopt(piece.members);
    }
}
