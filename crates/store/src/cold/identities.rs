//! Strings become symbols: the identities of a cold file and its runs, from the identity columns.
//!
//! Dictionaries of row groups are mapped once an entry, rows are only compared with the row before.
//! The one place where a string of a cold file is looked for among the store's symbols.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, DictionaryArray, StringArray};
use arrow_buffer::ScalarBuffer;

use super::columns::visit_row_groups;
use super::file::ColdFile;
use super::schema::Column;
use crate::NULL_SYMBOL;
use crate::error::Result;
use crate::section::{EventCount, Identities, IdentityStrings, RunBounds, view_of, view_with_null};
use crate::symbols::{Domain, Member, Tables};

/// The events of a cold file: names in byte order, and what the sidecar knows of each.
#[derive(Debug)]
pub(super) struct FileEvents {
    pub names: StringArray,
    /// Event code → symbol.
    pub symbols: ScalarBuffer<u32>,
    /// By symbol.
    pub counts: Vec<EventCount>,
    /// Property keys by event code; `None` where no row has properties.
    pub property_keys: Vec<Option<Vec<String>>>,
}

impl FileEvents {
    pub fn read(file: &ColdFile) -> Result<(Self, usize)> {
        let events = file.sidecar()?.events()?;
        let names: StringArray = events
            .iter()
            .map(|event| Some(event.name.as_str()))
            .collect();
        if !events.is_sorted_by(|left, right| left.name < right.name) {
            return Err(file.damaged("the event names of the sidecar are not in byte order"));
        }
        let tables = file.symbols().read();
        let symbols = symbols_of(file, &tables, Domain::Event, &names)?;
        let mut counts: Vec<EventCount> = (events.iter().zip(&symbols))
            .map(|(event, &symbol)| event.count(symbol))
            .collect();
        counts.sort_unstable_by_key(|count| count.event);
        let property_keys: Vec<Option<Vec<String>>> = events
            .into_iter()
            .map(|event| event.property_keys)
            .collect();
        let keys = property_keys.iter().flatten().flatten();
        let bytes = keys.map(|key| key.len() + 24).sum::<usize>() + names.len() * 100;
        let symbols = symbols.into();
        let events = Self {
            names,
            symbols,
            counts,
            property_keys,
        };
        Ok((events, bytes))
    }
}

/// The symbols of strings that a file holds, in their order.
fn symbols_of(
    file: &ColdFile,
    tables: &Tables,
    domain: Domain,
    texts: &StringArray,
) -> Result<Vec<u32>> {
    let strings = tables.strings(domain);
    let symbol = |text: Option<&str>| {
        let text = text.unwrap_or_default();
        let reason = || format!("{domain:?} {text:?} has no symbol in the store");
        let known = strings.lookup_in_cold(text);
        known.ok_or_else(|| file.unknown(reason))
    };
    texts.iter().map(symbol).collect()
}

/// The identities of a cold file, and where their runs lie. One run a member, so a run's number is
/// its member code.
#[derive(Debug)]
pub(super) struct ColdIdentities {
    pub identities: Arc<Identities>,
    pub bounds: RunBounds,
}

impl ColdIdentities {
    /// Reads the identity columns. Checks that the rows are in the order that the file declares.
    pub fn read(file: &ColdFile, events: &FileEvents) -> Result<(Self, usize)> {
        let (opened, checked) = file.open()?;
        let mut collected = RunCollector::default();
        let columns = [Column::Account, Column::User];
        visit_row_groups(&checked, &opened.coded, &columns, |batch| {
            let accounts = batch.column(0).as_dictionary::<Int32Type>();
            let users = batch.column(1).as_dictionary::<Int32Type>();
            collected.push(accounts, users);
            Ok(())
        })?;
        if collected.rows != file.statistics().rows {
            return Err(file.damaged("the identity columns have another number of rows"));
        }
        collected.finish(file, events)
    }
}

/// A member of a cold file by its strings: account and user, each of which may be null.
pub(crate) type MemberStrings = (Option<String>, Option<String>);

impl ColdFile {
    /// The members whose rows it has, and its event names, by their strings alone: for a store
    /// whose symbols are lost.
    ///
    /// # Errors
    /// Damage of the file.
    pub fn strings_of_members(&self) -> Result<(Vec<MemberStrings>, Vec<String>)> {
        let (opened, checked) = self.open()?;
        let mut members: Vec<MemberStrings> = Vec::new();
        let columns = [Column::Account, Column::User];
        visit_row_groups(&checked, &opened.coded, &columns, |batch| {
            let accounts = batch.column(0).as_dictionary::<Int32Type>();
            let users = batch.column(1).as_dictionary::<Int32Type>();
            let text = |column: &DictionaryArray<Int32Type>, row: usize| {
                let strings: &StringArray = column.values().as_string();
                let key = column
                    .keys()
                    .is_valid(row)
                    .then(|| column.keys().value(row));
                key.map(|key| strings.value(key as usize).to_owned())
            };
            for row in 0..batch.num_rows() {
                let member = (text(accounts, row), text(users, row));
                if members.last() != Some(&member) {
                    members.push(member);
                }
            }
            Ok(())
        })?;
        let events = self.sidecar()?.events()?;
        let names = events.into_iter().map(|event| event.name).collect();
        Ok((members, names))
    }
}

/// Marks null before the number of strings is known.
const NULL_MARK: u32 = u32::MAX;

/// Distinct strings in the order of their first appearance.
#[derive(Debug, Default)]
struct Distinct {
    codes: HashMap<String, u32>,
}

impl Distinct {
    /// The code of each entry of a dictionary.
    fn codes_of(&mut self, column: &DictionaryArray<Int32Type>) -> Vec<u32> {
        let values: &StringArray = column.values().as_string();
        let values = values.iter().map(Option::unwrap_or_default);
        values
            .map(|text| match self.codes.get(text) {
                Some(&code) => code,
                None => {
                    let code = self.codes.len() as u32;
                    self.codes.insert(text.to_owned(), code);
                    code
                }
            })
            .collect()
    }

    /// The strings in byte order, and the place of each code in it; null is behind them.
    fn sorted(self) -> (StringArray, Vec<u32>) {
        let mut texts: Vec<(String, u32)> = self.codes.into_iter().collect();
        texts.sort_unstable();
        let mut places = vec![0; texts.len()];
        for (place, (_, code)) in texts.iter().enumerate() {
            places[*code as usize] = place as u32;
        }
        let strings = texts.iter().map(|(text, _)| Some(text.as_str())).collect();
        (strings, places)
    }
}

/// Finds the runs while row groups pass by.
#[derive(Debug, Default)]
struct RunCollector {
    accounts: Distinct,
    users: Distinct,
    /// The account and user of each run.
    members: Vec<(u32, u32)>,
    starts: Vec<u32>,
    rows: usize,
}

impl RunCollector {
    fn push(&mut self, accounts: &DictionaryArray<Int32Type>, users: &DictionaryArray<Int32Type>) {
        let of_account = self.accounts.codes_of(accounts);
        let of_user = self.users.codes_of(users);
        let code = |column: &DictionaryArray<Int32Type>, codes: &[u32], row: usize| {
            if column.is_null(row) {
                return NULL_MARK;
            }
            codes[column.keys().value(row) as usize]
        };
        for row in 0..accounts.len() {
            let account = code(accounts, &of_account, row);
            let member = (account, code(users, &of_user, row));
            if self.members.last() != Some(&member) {
                self.members.push(member);
                self.starts.push((self.rows + row) as u32);
            }
        }
        self.rows += accounts.len();
    }

    fn finish(mut self, file: &ColdFile, events: &FileEvents) -> Result<(ColdIdentities, usize)> {
        let (accounts, account_places) = self.accounts.sorted();
        let (users, user_places) = self.users.sorted();
        let place = |places: &[u32], code: u32| match code {
            NULL_MARK => places.len() as u32,
            code => places[code as usize],
        };
        let members: Vec<(u32, u32)> = (self.members.iter())
            .map(|&(account, user)| (place(&account_places, account), place(&user_places, user)))
            .collect();
        if !members.is_sorted_by(|left, right| left < right) {
            return Err(file.damaged("the rows are not in the order of account and user"));
        }
        let tables = file.symbols().read();
        let with_null = |domain, texts| {
            let mut symbols = symbols_of(file, &tables, domain, texts)?;
            symbols.push(NULL_SYMBOL);
            Ok::<_, crate::StoreError>(symbols)
        };
        let account_symbols = with_null(Domain::Account, &accounts)?;
        let user_symbols = with_null(Domain::User, &users)?;
        let member_symbol = |&(account, user): &(u32, u32)| {
            let account = account_symbols[account as usize];
            let user = user_symbols[user as usize];
            let known = tables.members.lookup(Member { account, user });
            let reason = || "an account and user that are no member of the store".to_owned();
            known.ok_or_else(|| file.unknown(reason))
        };
        let member_symbols = members
            .iter()
            .map(member_symbol)
            .collect::<Result<Vec<_>>>()?;
        drop(tables);
        let (member_accounts, member_users): (Vec<u32>, Vec<u32>) = members.into_iter().unzip();
        let strings = IdentityStrings {
            accounts: view_with_null(&accounts)?,
            users: view_with_null(&users)?,
            events: view_of(&events.names),
        };
        let runs = self.starts.len();
        self.starts.push(self.rows as u32);
        let bounds = RunBounds {
            members: (0..runs as u32).collect(),
            starts: self.starts.into(),
        };
        let text_bytes = accounts.get_array_memory_size() + users.get_array_memory_size();
        let codes = account_symbols.len() + user_symbols.len() + 5 * runs;
        let bytes = text_bytes + (account_symbols.len() + user_symbols.len()) * 16 + codes * 4;
        let identities = Identities {
            account_symbols: account_symbols.into(),
            user_symbols: user_symbols.into(),
            event_symbols: events.symbols.clone(),
            member_symbols: member_symbols.into(),
            member_accounts: member_accounts.into(),
            member_users: member_users.into(),
            strings: OnceLock::from(strings),
        };
        let identities = Arc::new(identities);
        Ok((ColdIdentities { identities, bounds }, bytes))
    }
}
