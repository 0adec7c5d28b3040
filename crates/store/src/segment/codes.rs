//! The codes of a segment file: the distinct strings of its rows in byte order, and the map from
//! symbols to them.

use std::sync::Arc;

use arrow_array::types::{Int8Type, Int16Type, Int32Type};
use arrow_array::{ArrayRef, DictionaryArray, PrimitiveArray, StringArray};
use arrow_schema::{ArrowError, DataType};

use crate::NULL_SYMBOL;
use crate::error::Result;
use crate::section::Section;
use crate::symbols::{Domain, Symbols};

const ABSENT: u32 = u32::MAX;

/// The codes of one domain: strings in byte order, null behind them.
#[derive(Debug)]
pub(crate) struct DomainCodes {
    /// Code → string.
    pub strings: Arc<StringArray>,
    /// Code → symbol; the last entry is null's.
    pub symbols: Vec<u32>,
    codes: Vec<u32>,
}

impl DomainCodes {
    fn new(store: &Symbols, domain: Domain, mut present: Vec<bool>) -> Self {
        present[NULL_SYMBOL as usize] = false;
        let symbols: Vec<u32> = (0..present.len() as u32)
            .filter(|&symbol| present[symbol as usize])
            .collect();
        let strings = store.resolve_all(domain, &symbols);
        let mut order: Vec<usize> = (0..symbols.len()).collect();
        order.sort_unstable_by(|&left, &right| strings.value(left).cmp(strings.value(right)));
        let sorted: StringArray = order.iter().map(|&at| Some(strings.value(at))).collect();
        let mut codes = vec![ABSENT; present.len()];
        let mut by_code = Vec::with_capacity(symbols.len() + 1);
        for (code, &at) in order.iter().enumerate() {
            codes[symbols[at] as usize] = code as u32;
            by_code.push(symbols[at]);
        }
        codes[NULL_SYMBOL as usize] = by_code.len() as u32;
        by_code.push(NULL_SYMBOL);
        Self {
            strings: Arc::new(sorted),
            symbols: by_code,
            codes,
        }
    }

    /// The code of a symbol that the file holds.
    pub fn code(&self, symbol: u32) -> u32 {
        self.codes[symbol as usize]
    }

    /// The code of a symbol; `None` where the file does not hold it.
    pub fn known_code(&self, symbol: u32) -> Option<u32> {
        let code = self.codes.get(symbol as usize).copied();
        code.filter(|&code| code != ABSENT)
    }

    /// The number of strings, which is the code of null.
    pub fn null(&self) -> u32 {
        self.symbols.len() as u32 - 1
    }

    pub fn key_type(&self) -> DataType {
        key_type(self.strings_len())
    }

    fn strings_len(&self) -> usize {
        self.symbols.len() - 1
    }

    /// The dictionary column of a row's codes.
    pub fn column(&self, codes: &[u32]) -> std::result::Result<ArrayRef, ArrowError> {
        let null = self.null();
        let values: ArrayRef = Arc::clone(&self.strings) as ArrayRef;
        macro_rules! dictionary {
            ($key:ty, $native:ty) => {{
                let keys: PrimitiveArray<$key> = codes
                    .iter()
                    .map(|&code| (code != null).then_some(code as $native))
                    .collect();
                Ok(Arc::new(DictionaryArray::<$key>::try_new(keys, values)?))
            }};
        }
        match self.key_type() {
            DataType::Int8 => dictionary!(Int8Type, i8),
            DataType::Int16 => dictionary!(Int16Type, i16),
            _ => dictionary!(Int32Type, i32),
        }
    }
}

/// The narrowest signed key that holds the codes of so many strings; signed, as Arrow recommends.
pub(super) fn key_type(strings: usize) -> DataType {
    match strings {
        0..=127 => DataType::Int8,
        128..=32_767 => DataType::Int16,
        _ => DataType::Int32,
    }
}

/// All codes of a file. Members are in the byte order of (account, user), nulls last.
#[derive(Debug)]
pub(crate) struct FileCodes {
    pub accounts: DomainCodes,
    pub users: DomainCodes,
    pub events: DomainCodes,
    /// Member code → symbol.
    pub member_symbols: Vec<u32>,
    /// Member code → account code.
    pub member_accounts: Vec<u32>,
    /// Member code → user code.
    pub member_users: Vec<u32>,
    member_codes: Vec<u32>,
}

impl FileCodes {
    /// The codes of all rows of `sections`.
    ///
    /// Cost: a sort of the distinct strings of each domain, then of the members by integers.
    pub fn new(store: &Symbols, sections: &[&Section]) -> Result<Self> {
        let members = store.members();
        let mut member_present = vec![false; members.len()];
        let mut event_present = vec![false; store.bound(Domain::Event)];
        for section in sections {
            // By runs: a file's table may name members that only other sections have.
            for run in section.runs_of_members()? {
                member_present[run.member as usize] = true;
            }
            for count in section.event_counts()? {
                event_present[count.event as usize] = true;
            }
        }
        let mut account_present = vec![false; store.bound(Domain::Account)];
        let mut user_present = vec![false; store.bound(Domain::User)];
        let mut symbols: Vec<u32> = (0..members.len() as u32)
            .filter(|&member| member_present[member as usize])
            .collect();
        for &member in &symbols {
            account_present[members[member as usize].account as usize] = true;
            user_present[members[member as usize].user as usize] = true;
        }
        let accounts = DomainCodes::new(store, Domain::Account, account_present);
        let users = DomainCodes::new(store, Domain::User, user_present);
        let events = DomainCodes::new(store, Domain::Event, event_present);
        let codes = |symbol: u32| {
            let member = members[symbol as usize];
            (accounts.code(member.account), users.code(member.user))
        };
        symbols.sort_unstable_by_key(|&symbol| codes(symbol));
        let (member_accounts, member_users) = symbols.iter().map(|&symbol| codes(symbol)).unzip();
        let mut member_codes = vec![ABSENT; members.len()];
        for (code, &symbol) in symbols.iter().enumerate() {
            member_codes[symbol as usize] = code as u32;
        }
        let member_symbols = symbols;
        Ok(Self {
            accounts,
            users,
            events,
            member_symbols,
            member_accounts,
            member_users,
            member_codes,
        })
    }

    /// The code of a member symbol that the file holds; its rank in the file.
    pub fn member_code(&self, member: u32) -> u32 {
        self.member_codes[member as usize]
    }
}
