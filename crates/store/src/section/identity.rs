//! The identities of a file or chunk: its own codes for accounts, users, events and members, the
//! map from them to store-wide symbols, and their strings.
//!
//! Code `n` of a domain with `n` strings stands for null: nulls sort last, and the tables of
//! symbols have one entry more than there are strings, which is
//! [`NULL_SYMBOL`](crate::NULL_SYMBOL); so nothing branches on null.

use std::sync::OnceLock;

use arrow_array::{Array, StringArray, StringViewArray};
use arrow_buffer::ScalarBuffer;

use crate::error::Result;
use crate::symbols::{Domain, Symbols};

/// Codes of a file or chunk and what they stand for.
#[derive(Debug)]
pub(crate) struct Identities {
    /// Account code → symbol; the last entry is null's.
    pub account_symbols: ScalarBuffer<u32>,
    /// User code → symbol; the last entry is null's.
    pub user_symbols: ScalarBuffer<u32>,
    /// Event code → symbol. In memory: empty, the event column holds symbols.
    pub event_symbols: ScalarBuffer<u32>,
    /// Member code → symbol.
    pub member_symbols: ScalarBuffer<u32>,
    /// Member code → account code.
    pub member_accounts: ScalarBuffer<u32>,
    /// Member code → user code.
    pub member_users: ScalarBuffer<u32>,
    pub strings: OnceLock<IdentityStrings>,
}

/// The strings of a file's or chunk's codes, as views over mapped bytes.
#[derive(Clone, Debug)]
pub struct IdentityStrings {
    /// Account code → string; the last entry is null.
    pub accounts: StringViewArray,
    /// User code → string; the last entry is null.
    pub users: StringViewArray,
    /// Event code → string; in memory indexed by symbol, entry 0 is null.
    pub events: StringViewArray,
}

impl Identities {
    /// The account symbol of a member code.
    #[inline]
    pub fn account_symbol(&self, member: usize) -> u32 {
        self.account_symbols[self.member_accounts[member] as usize]
    }

    /// The user symbol of a member code.
    #[inline]
    pub fn user_symbol(&self, member: usize) -> u32 {
        self.user_symbols[self.member_users[member] as usize]
    }

    /// The identities of the distinct `members` (ascending symbols) of a chunk in memory. Account
    /// and user codes follow their first appearance.
    pub fn of_chunk(symbols: &Symbols, members: Vec<u32>) -> Self {
        let tables = symbols.read();
        let mut accounts = LocalCodes::default();
        let mut users = LocalCodes::default();
        let mut member_accounts = Vec::with_capacity(members.len());
        let mut member_users = Vec::with_capacity(members.len());
        for &member in &members {
            let pair = tables.members.get(member);
            member_accounts.push(accounts.code(pair.account));
            member_users.push(users.code(pair.user));
        }
        accounts.close(&mut member_accounts);
        users.close(&mut member_users);
        Self {
            account_symbols: accounts.symbols.into(),
            user_symbols: users.symbols.into(),
            event_symbols: ScalarBuffer::from(Vec::new()),
            member_symbols: members.into(),
            member_accounts: member_accounts.into(),
            member_users: member_users.into(),
            strings: OnceLock::new(),
        }
    }

    /// The strings of a chunk in memory, looked up once.
    pub fn chunk_strings(&self, symbols: &Symbols, event_bound: u32) -> &IdentityStrings {
        self.strings.get_or_init(|| {
            let view = |domain, codes: &[u32]| view_of(&symbols.resolve_all(domain, codes));
            IdentityStrings {
                accounts: view(Domain::Account, &self.account_symbols),
                users: view(Domain::User, &self.user_symbols),
                events: view(Domain::Event, &(0..event_bound).collect::<Vec<_>>()),
            }
        })
    }
}

/// Views over the values of `strings`, without a copy of their bytes.
pub(crate) fn view_of(strings: &StringArray) -> StringViewArray {
    StringViewArray::from(strings)
}

/// `strings` and one null behind them, as views.
pub(crate) fn view_with_null(strings: &StringArray) -> Result<StringViewArray> {
    let views = view_of(strings);
    let null = StringViewArray::new_null(1);
    let both: [&dyn Array; 2] = [&views, &null];
    let joined = arrow_select::concat::concat(&both)
        .map_err(crate::error::StoreError::arrow("identity strings"))?;
    Ok(joined
        .as_any()
        .downcast_ref::<StringViewArray>()
        .expect("views stay views")
        .clone())
}

/// Gives codes to symbols in order of appearance; null (symbol 0) gets the last code.
#[derive(Default)]
struct LocalCodes {
    symbols: Vec<u32>,
    codes: std::collections::HashMap<u32, u32>,
}

const NULL_MARK: u32 = u32::MAX;

impl LocalCodes {
    fn code(&mut self, symbol: u32) -> u32 {
        if symbol == crate::NULL_SYMBOL {
            return NULL_MARK;
        }
        *self.codes.entry(symbol).or_insert_with(|| {
            self.symbols.push(symbol);
            self.symbols.len() as u32 - 1
        })
    }

    fn close(&mut self, codes: &mut [u32]) {
        let null = self.symbols.len() as u32;
        self.symbols.push(crate::NULL_SYMBOL);
        for code in codes.iter_mut().filter(|code| **code == NULL_MARK) {
            *code = null;
        }
    }
}
