//! What codes stand for, as far as the files of a store say it, and codes for what has none.
//!
//! Segments, symbol files and the log say which string a code stands for; cold files have strings
//! alone. What is not known stays unknown: it is not guessed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use arrow_array::{Array, StringViewArray};
use vitalog_disk::Directory;

use super::files::cold_file;
use crate::error::Result;
use crate::manifest::Manifest;
use crate::segment::Segment;
use crate::symbols::{Marks, Member, NULL_SYMBOL, SymbolPiece};
use crate::wal::GroupColumns;

/// What codes stand for, as far as anything says it.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub accounts: BTreeMap<u32, String>,
    pub users: BTreeMap<u32, String>,
    pub events: BTreeMap<u32, String>,
    pub members: BTreeMap<u32, Member>,
}

impl Known {
    pub fn add_segment(&mut self, segment: &Segment) -> Result<()> {
        let identities = segment.identities()?;
        let strings = segment.strings()?;
        let add = |known: &mut BTreeMap<u32, String>, symbols: &[u32], texts: &StringViewArray| {
            for (code, &symbol) in symbols.iter().enumerate() {
                if symbol != NULL_SYMBOL && code < texts.len() && texts.is_valid(code) {
                    known.insert(symbol, texts.value(code).to_owned());
                }
            }
        };
        add(
            &mut self.accounts,
            &identities.account_symbols,
            &strings.accounts,
        );
        add(&mut self.users, &identities.user_symbols, &strings.users);
        add(&mut self.events, &identities.event_symbols, &strings.events);
        for (at, &symbol) in identities.member_symbols.iter().enumerate() {
            let account = identities.account_symbol(at);
            let user = identities.user_symbol(at);
            self.members.insert(symbol, Member { account, user });
        }
        Ok(())
    }

    pub fn add_piece(&mut self, piece: &SymbolPiece) {
        for (known, strings) in [
            (&mut self.accounts, &piece.accounts),
            (&mut self.users, &piece.users),
            (&mut self.events, &piece.events),
        ] {
            for code in strings.first..strings.first + strings.count() {
                // Empty where the string was erased: another file may not know that.
                if let Ok(text) = str::from_utf8(strings.get(code)) {
                    known.insert(code, text.to_owned());
                }
            }
        }
        for (at, pair) in piece.members.pairs.chunks_exact(2).enumerate() {
            let (account, user) = (pair[0], pair[1]);
            let code = piece.members.first + at as u32;
            self.members.insert(code, Member { account, user });
        }
    }

    /// Gives codes to what only cold files have: they hold strings and no codes, so those that nothing
    /// else knows take the codes that nothing else uses.
    pub fn add_cold(
        &mut self,
        directory: &Arc<dyn Directory>,
        manifest: &Manifest,
        bound: &mut Marks,
    ) -> Result<()> {
        let mut accounts = Giver::new(&mut self.accounts, &mut bound.accounts);
        let mut users = Giver::new(&mut self.users, &mut bound.users);
        let mut events = Giver::new(&mut self.events, &mut bound.events);
        let mut members = Giver::new(&mut self.members, &mut bound.members);
        for entry in &manifest.cold {
            let (found, names) = cold_file(directory, entry).strings_of_members()?;
            for name in names {
                events.give(name);
            }
            for (account, user) in found {
                members.give(Member {
                    account: account.map_or(NULL_SYMBOL, |text| accounts.give(text)),
                    user: user.map_or(NULL_SYMBOL, |text| users.give(text)),
                });
            }
        }
        Ok(())
    }

    /// The code behind the last of each domain.
    pub fn bound(&self) -> Marks {
        let behind = |last: Option<&u32>| last.map_or(1, |code| code + 1);
        Marks {
            accounts: behind(self.accounts.keys().next_back()),
            users: behind(self.users.keys().next_back()),
            events: behind(self.events.keys().next_back()),
            members: behind(self.members.keys().next_back()),
        }
    }

    /// The codes below `bound` that nothing says anything of, and members of such.
    pub fn lost_below(&self, bound: Marks) -> LostCodes {
        let is_lost = |strings: &BTreeMap<u32, String>, code: u32| {
            code != NULL_SYMBOL && !strings.contains_key(&code)
        };
        let is_lost_member = |code: &u32| {
            self.members.get(code).is_none_or(|pair| {
                is_lost(&self.accounts, pair.account) || is_lost(&self.users, pair.user)
            })
        };
        LostCodes {
            events: (1..bound.events)
                .filter(|&code| is_lost(&self.events, code))
                .collect(),
            members: (1..bound.members).filter(is_lost_member).collect(),
        }
    }

    /// Pairs that no member has.
    pub fn unused_members(&self, bound: Marks) -> impl Iterator<Item = Member> + use<> {
        let used: BTreeSet<Member> = self.members.values().copied().collect();
        (0..bound.accounts)
            .flat_map(move |account| (0..bound.users).map(move |user| Member { account, user }))
            .filter(move |member| !used.contains(member))
    }
}

/// Codes of which it is lost what they stood for: an event of the log that has one cannot be told
/// from others.
#[derive(Debug, Default)]
pub(super) struct LostCodes {
    events: BTreeSet<u32>,
    members: BTreeSet<u32>,
}

impl LostCodes {
    /// Whether an event of `group` has such a code.
    pub fn are_in(&self, group: &GroupColumns) -> bool {
        group.events.iter().any(|code| self.events.contains(code))
            || group.members.iter().any(|code| self.members.contains(code))
    }
}

/// Gives codes of one domain to what has none yet.
#[derive(Debug)]
struct Giver<'a, T> {
    known: &'a mut BTreeMap<u32, T>,
    /// The other way round. Of erased strings, which are all empty, one is in it: no id is empty.
    codes: HashMap<T, u32>,
    /// The code behind the last one.
    bound: &'a mut u32,
    /// Every code below it is known.
    next: u32,
}

impl<'a, T: Clone + Eq + Hash> Giver<'a, T> {
    fn new(known: &'a mut BTreeMap<u32, T>, bound: &'a mut u32) -> Self {
        let codes = known.iter().rev();
        Self {
            codes: codes.map(|(&code, one)| (one.clone(), code)).collect(),
            known,
            bound,
            next: 1,
        }
    }

    /// The code of `one`; where it has none the lowest that nothing uses, below the bound if there
    /// is one. Cost: constant, but for the codes in use that the lowest free one moves over.
    fn give(&mut self, one: T) -> u32 {
        if let Some(&code) = self.codes.get(&one) {
            return code;
        }
        while self.known.contains_key(&self.next) {
            self.next += 1;
        }
        let code = self.next;
        *self.bound = (*self.bound).max(code + 1);
        self.known.insert(code, one.clone());
        self.codes.insert(one, code);
        code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_code_takes_the_lowest_free_one() {
        let text = |text: &str| text.to_owned();
        let mut known = BTreeMap::from([(2, text("b")), (3, text("")), (9, text("i"))]);
        // The codes from 6 on are the log's: it gives them again.
        let mut bound = 6;
        let mut giver = Giver::new(&mut known, &mut bound);
        let codes = ["b", "new", "i", "new", "other", "five"].map(|one| giver.give(text(one)));
        assert_eq!(codes, [2, 1, 9, 1, 4, 5]);
        assert_eq!(*giver.bound, 6);
        let codes = ["six", "seven", "eight", "ten"].map(|one| giver.give(text(one)));
        assert_eq!(codes, [6, 7, 8, 10], "9 is in use");
        assert_eq!(*giver.bound, 11);
        assert_eq!(known.len(), 10);
    }
}
