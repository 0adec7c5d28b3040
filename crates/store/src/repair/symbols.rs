//! Symbol files that are damaged or missing, made again from what else knows their strings.
//!
//! Every segment holds the strings and the symbols of its own codes, and the log the symbols of
//! its events. A code that nothing knows belongs to no row that is left; its string stays empty,
//! which no id is, and a member gets a pair that no other member has.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::{Array, StringViewArray};
use vitalog_disk::{Directory, write_atomically};

use super::files::cold_file;
use super::{RepairReport, log};
use crate::cold::MemberStrings;
use crate::error::{Result, StoreError};
use crate::flush::symbol_name;
use crate::ledger::Ledger;
use crate::manifest::{Manifest, SymbolEntry};
use crate::segment::{Segment, number_in};
use crate::symbols::{Marks, Member, NULL_SYMBOL, SymbolPiece, Tables, encode_file, read_file};

/// A stretch of codes: in a file, or in none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stretch {
    File(SymbolEntry),
    Gap { from: Marks, to: Marks },
}

/// Makes the symbol files of `manifest`, which are candidates, cover all codes; writes those that
/// are missing.
pub(super) fn complete(
    directory: &Arc<dyn Directory>,
    ledger: &Arc<Ledger>,
    manifest: &mut Manifest,
    report: &mut RepairReport,
) -> Result<()> {
    let disk = directory.as_ref();
    let mut pieces = Vec::new();
    for entry in &manifest.symbols {
        pieces.push((entry.clone(), read_file(disk, &entry.name)?));
    }
    let mut known = Known::default();
    for entry in &manifest.segments {
        known.add_segment(&Segment::new(Arc::clone(directory), entry.clone()))?;
    }
    let mut bound = known.bound();
    for (_, piece) in &pieces {
        known.add_piece(piece);
        bound = each(bound, piece.to(), u32::max);
    }
    let logged = log::symbols(disk, manifest)?;
    if let Some(first) = logged.first() {
        // What the log gives, replaying it gives again.
        bound = each(bound, first.from(), u32::max);
    }
    for piece in &logged {
        known.add_piece(piece);
    }
    // Cold files have strings and no codes: those that nothing else knows take the codes that
    // nothing else uses.
    for entry in &manifest.cold {
        let (members, events) = cold_file(directory, entry).strings_of_members()?;
        for name in &events {
            Known::give(&mut known.events, &mut bound.events, name);
        }
        for member in &members {
            known.give_member(member, &mut bound);
        }
    }
    // Every member needs a pair of its own.
    while u64::from(bound.accounts) * u64::from(bound.users) < u64::from(bound.members) {
        bound.accounts += 1;
    }
    let ends: Vec<(SymbolEntry, Marks)> = pieces
        .into_iter()
        .map(|(entry, piece)| (entry, piece.to()))
        .collect();
    manifest.symbols.clear();
    for stretch in cover(&ends, bound) {
        let entry = match stretch {
            Stretch::File(entry) => entry,
            Stretch::Gap { from, to } => write(disk, ledger, &known, (from, to, bound), report)?,
        };
        manifest.symbols.push(entry);
    }
    Ok(())
}

/// The files that cover the codes up to `bound`, the newest of those that begin at the same codes,
/// and the gaps between them.
fn cover(files: &[(SymbolEntry, Marks)], bound: Marks) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let mut at = Marks::default();
    loop {
        let here = files
            .iter()
            .filter(|(entry, to)| entry.from == at && *to != at);
        if let Some((entry, to)) = here.max_by_key(|(entry, _)| number_in(&entry.name)) {
            stretches.push(Stretch::File(entry.clone()));
            at = *to;
            continue;
        }
        // A file that begins before this place in one domain and behind it in another fits nowhere.
        let behind = files.iter().filter(|(entry, to)| {
            is_up_to(at, entry.from) && at != entry.from && *to != entry.from
        });
        let next = behind.min_by_key(|(entry, _)| size(entry.from));
        let to = next.map_or(each(at, bound, u32::max), |(entry, _)| entry.from);
        if to != at {
            stretches.push(Stretch::Gap { from: at, to });
        }
        if next.is_none() {
            return stretches;
        }
        at = to;
    }
}

fn each(left: Marks, right: Marks, of: impl Fn(u32, u32) -> u32) -> Marks {
    Marks {
        accounts: of(left.accounts, right.accounts),
        users: of(left.users, right.users),
        events: of(left.events, right.events),
        members: of(left.members, right.members),
    }
}

/// Whether `left` is at or before `right` in every domain.
fn is_up_to(left: Marks, right: Marks) -> bool {
    each(left, right, u32::max) == right
}

fn size(marks: Marks) -> u64 {
    [marks.accounts, marks.users, marks.events, marks.members]
        .into_iter()
        .map(u64::from)
        .sum()
}

/// Writes the file of a gap.
fn write(
    disk: &dyn Directory,
    ledger: &Arc<Ledger>,
    known: &Known,
    (from, to, bound): (Marks, Marks, Marks),
    report: &mut RepairReport,
) -> Result<SymbolEntry> {
    let mut tables = Tables::starting_at(from);
    let mut unknown = 0;
    for (domain, strings, codes) in [
        (
            &mut tables.accounts,
            &known.accounts,
            from.accounts..to.accounts,
        ),
        (&mut tables.users, &known.users, from.users..to.users),
        (&mut tables.events, &known.events, from.events..to.events),
    ] {
        for code in codes {
            let text = strings.get(&code);
            unknown += usize::from(text.is_none());
            domain.push(text.map_or("", String::as_str));
        }
    }
    let mut unused = known.unused_members(bound);
    for code in from.members..to.members {
        let member = known.members.get(&code).copied().or_else(|| unused.next());
        tables.members.push(member.ok_or_else(|| {
            StoreError::Invalid("there are more members than pairs of accounts and users".into())
        })?);
    }
    let bytes = encode_file(&tables, from, to);
    let reservation = ledger.reserve();
    let name = symbol_name(reservation.number);
    write_atomically(disk, &name, &bytes)?;
    let left = if unknown == 0 {
        String::new()
    } else {
        format!("; {unknown} strings are nowhere, and no segment uses them")
    };
    report.notes.push(format!(
        "{name} was made from the segments and the log{left}"
    ));
    Ok(SymbolEntry {
        name,
        bytes: bytes.len() as u64,
        from,
    })
}

/// What codes stand for, as far as anything says it.
#[derive(Debug, Default)]
struct Known {
    accounts: BTreeMap<u32, String>,
    users: BTreeMap<u32, String>,
    events: BTreeMap<u32, String>,
    members: BTreeMap<u32, Member>,
}

impl Known {
    fn add_segment(&mut self, segment: &Segment) -> Result<()> {
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

    fn add_piece(&mut self, piece: &SymbolPiece) {
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

    /// The code of `text`; one that nothing uses where it has none, below `bound` if there is one.
    fn give(known: &mut BTreeMap<u32, String>, bound: &mut u32, text: &str) -> u32 {
        if let Some((&code, _)) = known.iter().find(|(_, other)| *other == text) {
            return code;
        }
        let code = (1..*bound).find(|code| !known.contains_key(code));
        let code = code.unwrap_or(*bound);
        *bound = (*bound).max(code + 1);
        known.insert(code, text.to_owned());
        code
    }

    /// Makes sure that a member of a cold file has a code.
    fn give_member(&mut self, (account, user): &MemberStrings, bound: &mut Marks) {
        let account = account.as_ref().map_or(NULL_SYMBOL, |text| {
            Self::give(&mut self.accounts, &mut bound.accounts, text)
        });
        let user = user.as_ref().map_or(NULL_SYMBOL, |text| {
            Self::give(&mut self.users, &mut bound.users, text)
        });
        let member = Member { account, user };
        if self.members.values().any(|known| *known == member) {
            return;
        }
        let code = (1..bound.members).find(|code| !self.members.contains_key(code));
        let code = code.unwrap_or(bound.members);
        bound.members = bound.members.max(code + 1);
        self.members.insert(code, member);
    }

    /// The code behind the last of each domain.
    fn bound(&self) -> Marks {
        let behind = |last: Option<&u32>| last.map_or(1, |code| code + 1);
        Marks {
            accounts: behind(self.accounts.keys().next_back()),
            users: behind(self.users.keys().next_back()),
            events: behind(self.events.keys().next_back()),
            members: behind(self.members.keys().next_back()),
        }
    }

    /// Pairs that no member has.
    fn unused_members(&self, bound: Marks) -> impl Iterator<Item = Member> + use<> {
        let used: BTreeSet<Member> = self.members.values().copied().collect();
        (0..bound.accounts)
            .flat_map(move |account| (0..bound.users).map(move |user| Member { account, user }))
            .filter(move |member| !used.contains(member))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(code: u32) -> Marks {
        Marks {
            accounts: code,
            users: code,
            events: code,
            members: code,
        }
    }

    fn file(number: u64, from: u32, to: u32) -> (SymbolEntry, Marks) {
        let entry = SymbolEntry {
            name: symbol_name(number),
            bytes: 1,
            from: marks(from),
        };
        (entry, marks(to))
    }

    fn covered(files: &[(SymbolEntry, Marks)], bound: u32) -> Vec<String> {
        cover(files, marks(bound))
            .into_iter()
            .map(|stretch| match stretch {
                Stretch::File(entry) => number_in(&entry.name).expect("a number").to_string(),
                Stretch::Gap { from, to } => format!("{}..{}", from.users, to.users),
            })
            .collect()
    }

    #[test]
    fn the_newest_files_cover_and_gaps_are_named() {
        let (one, two, three) = (file(1, 1, 5), file(2, 5, 7), file(3, 5, 9));
        assert_eq!(covered(&[], 1), [""; 0]);
        assert_eq!(covered(&[], 4), ["1..4"]);
        assert_eq!(covered(&[one.clone(), two.clone()], 7), ["1", "2"]);
        assert_eq!(covered(&[one.clone(), two, three.clone()], 9), ["1", "3"]);
        assert_eq!(covered(&[three.clone()], 9), ["1..5", "3"]);
        assert_eq!(covered(&[one.clone()], 9), ["1", "5..9"]);
        let joined = file(7, 1, 9);
        assert_eq!(covered(&[one, three, joined], 9), ["7"]);
    }
}
