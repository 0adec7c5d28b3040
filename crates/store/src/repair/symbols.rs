//! Symbol files that are damaged or missing, made again from what else knows their strings.
//!
//! Every segment holds the strings and the symbols of its own codes, and the log the symbols of
//! its events. A cold file holds strings alone, so what only cold files have takes codes anew; an
//! event of the log with a code that nothing else knows cannot be read any more. A code that
//! nothing knows belongs to no row that is left: its string stays empty, which no id is, and a
//! member gets a pair that no other member has.

use std::sync::Arc;

use vitalog_disk::{Directory, write_atomically};

use super::codes::{Known, LostCodes};
use super::{RepairReport, log};
use crate::error::{Result, StoreError};
use crate::flush::symbol_name;
use crate::ledger::Ledger;
use crate::manifest::{Manifest, SymbolEntry};
use crate::segment::{Segment, number_in};
use crate::symbols::{
    Marks, SymbolPiece, Tables, decode_delta, encode_delta, encode_file, read_file,
};

/// A stretch of codes: in a file, or in none.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stretch {
    File(SymbolEntry),
    Gap { from: Marks, to: Marks },
}

/// Symbols that cover all codes, before anything of them is written.
#[derive(Debug)]
pub(super) struct Completed {
    made: Vec<Made>,
    /// What cannot be known of the codes.
    pub lost: LostCodes,
}

/// A part of [`Completed`].
#[derive(Debug)]
enum Made {
    File(SymbolEntry),
    New {
        tables: Box<Tables>,
        from: Marks,
        to: Marks,
        /// Strings that nothing knows.
        unknown: usize,
    },
}

/// The symbol files of `manifest`, which are candidates, and what is missing between them, so that
/// all codes are covered.
pub(super) fn complete(directory: &Arc<dyn Directory>, manifest: &Manifest) -> Result<Completed> {
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
    let lost = known.lost_below(bound);
    known.add_cold(directory, manifest, &mut bound)?;
    // Every member needs a pair of its own.
    while u64::from(bound.accounts) * u64::from(bound.users) < u64::from(bound.members) {
        bound.accounts += 1;
    }
    let ends: Vec<(SymbolEntry, Marks)> = pieces
        .into_iter()
        .map(|(entry, piece)| (entry, piece.to()))
        .collect();
    let made = cover(&ends, bound)
        .into_iter()
        .map(|stretch| match stretch {
            Stretch::File(entry) => Ok(Made::File(entry)),
            Stretch::Gap { from, to } => fill(&known, from, to, bound),
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Completed { made, lost })
}

impl Completed {
    /// The symbols as the files will hold them.
    pub fn pieces(&self, disk: &dyn Directory) -> Result<Vec<SymbolPiece>> {
        let made = self.made.iter();
        made.map(|made| match made {
            Made::File(entry) => read_file(disk, &entry.name),
            Made::New {
                tables, from, to, ..
            } => decode_delta(&encode_delta(tables, *from, *to), disk.path(), 0),
        })
        .collect()
    }

    /// Writes those that are missing, and names all of them in `manifest`.
    pub fn write(
        self,
        disk: &dyn Directory,
        ledger: &Arc<Ledger>,
        manifest: &mut Manifest,
        report: &mut RepairReport,
    ) -> Result<()> {
        manifest.symbols.clear();
        for made in self.made {
            manifest.symbols.push(match made {
                Made::File(entry) => entry,
                Made::New {
                    tables,
                    from,
                    to,
                    unknown,
                } => write(
                    disk,
                    ledger,
                    &encode_file(&tables, from, to),
                    from,
                    unknown,
                    report,
                )?,
            });
        }
        Ok(())
    }
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

/// What stands in a gap.
fn fill(known: &Known, from: Marks, to: Marks, bound: Marks) -> Result<Made> {
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
    Ok(Made::New {
        tables: Box::new(tables),
        from,
        to,
        unknown,
    })
}

/// Writes the file of a gap.
fn write(
    disk: &dyn Directory,
    ledger: &Arc<Ledger>,
    bytes: &[u8],
    from: Marks,
    unknown: usize,
    report: &mut RepairReport,
) -> Result<SymbolEntry> {
    let reservation = ledger.reserve();
    let name = symbol_name(reservation.number);
    write_atomically(disk, &name, bytes)?;
    let left = if unknown == 0 {
        String::new()
    } else {
        format!("; {unknown} strings are nowhere, and no event that is left uses them")
    };
    report.notes.push(format!(
        "{name} was made from the segments, the cold files and the log{left}"
    ));
    Ok(SymbolEntry {
        name,
        bytes: bytes.len() as u64,
        from,
    })
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
        assert_eq!(covered(std::slice::from_ref(&three), 9), ["1..5", "3"]);
        assert_eq!(covered(std::slice::from_ref(&one), 9), ["1", "5..9"]);
        let joined = file(7, 1, 9);
        assert_eq!(covered(&[one, three, joined], 9), ["7"]);
    }
}
