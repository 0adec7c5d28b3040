//! Beginning a removal, and its steps that only the writer may do: between two commit groups, while
//! no flush runs.
//!
//! Invariant: when a removal has begun, every row that goes lies in a file, the log from the
//! manifest's first file on holds none of them, and an erased id that is appended again gets a new
//! symbol.

use vitalog_disk::write_atomically;

use super::receipts::id_hash;
use super::{PendingRemoval, RANGES_MAX, Removal, RemovalKind, RemovalReceipt};
use crate::error::{Result, StoreError};
use crate::flush::symbol_name;
use crate::manifest::{Manifest, SymbolEntry};
use crate::symbols::{Domain, encode_file_without, read_file};
use crate::writer::Writer;

/// A removal as it is asked for.
#[derive(Clone, Debug)]
pub(crate) enum RemovalRequest {
    Account(String),
    User(String),
    /// Ranges of seqs, ends inclusive, in any order.
    Seqs(Vec<(i64, i64)>),
    /// The first day to be kept.
    Before(i32),
}

/// What a request became.
#[derive(Clone, Debug)]
pub(crate) enum Begun {
    /// The removal of this number is pending.
    Pending(u64),
    /// It was done before.
    Done(Box<RemovalReceipt>),
}

impl Writer {
    /// Makes a removal pending. Durable on return.
    ///
    /// # Errors
    /// [`StoreError::Invalid`]: an id that the store does not know, ranges that are none; a full
    /// or failing disk: nothing was begun.
    pub fn begin_removal(&mut self, request: &RemovalRequest) -> Result<Begun> {
        if let Some(reason) = self.wal.poisoned() {
            return Err(StoreError::Poisoned(reason.to_owned()));
        }
        let manifest = self.ledger.manifest();
        let what = match request {
            RemovalRequest::Account(id) | RemovalRequest::User(id) => {
                match self.symbol_to_erase(request, id) {
                    Some(what) => what,
                    None => return erased_before(&manifest, request, id),
                }
            }
            RemovalRequest::Seqs(ranges) => Removal::Seqs(checked_ranges(ranges, self.seq)?),
            RemovalRequest::Before(day) => {
                if manifest
                    .retained_from_day
                    .is_some_and(|floor| floor >= *day)
                {
                    return retained_before(&manifest);
                }
                Removal::Before(*day)
            }
        };
        self.flush_all()?;
        let pending = self.pending_removal(what, request);
        let number = pending.receipt.number;
        let floor = pending.receipt.before_day;
        let history = floor.filter(|floor| self.has_activity_before(*floor));
        self.ledger.commit(|manifest| {
            manifest.pending.push(pending.clone());
            manifest.retained_from_day = floor.or(manifest.retained_from_day);
            manifest.history_from_day = history.or(manifest.history_from_day);
        })?;
        if let Some((domain, symbol)) = pending.what.symbol() {
            self.symbols.write().strings_mut(domain).forget(symbol);
        }
        self.retained_from_day = floor.or(self.retained_from_day);
        self.history_from_day = history.or(self.history_from_day);
        self.removing.push(pending);
        self.publish();
        Ok(Begun::Pending(number))
    }

    /// The removal of an id that rows may have. One that was only looked up has none: its string
    /// is erased here and now, and nothing of it was ever written.
    fn symbol_to_erase(&mut self, request: &RemovalRequest, id: &str) -> Option<Removal> {
        let domain = match request {
            RemovalRequest::Account(_) => Domain::Account,
            _ => Domain::User,
        };
        let symbol = self.symbols.lookup(domain, id)?;
        if symbol >= self.logged_marks.of(domain) {
            let mut tables = self.symbols.write();
            tables.strings_mut(domain).forget(symbol);
            tables.strings_mut(domain).blank(symbol);
            return None;
        }
        Some(match domain {
            Domain::Account => Removal::Account(symbol),
            _ => Removal::User(symbol),
        })
    }

    /// Whether a day before `floor` may have activity, by statistics: those before the floor in
    /// force have traits at most.
    fn has_activity_before(&self, floor: i32) -> bool {
        let known = self.retained_from_day.unwrap_or(i32::MIN);
        let mut days = self.segments.by_day.keys();
        days.any(|&day| day >= known && day < floor)
    }

    fn pending_removal(&self, what: Removal, request: &RemovalRequest) -> PendingRemoval {
        let manifest = self.ledger.manifest();
        let pending = manifest.pending.iter().map(|pending| &pending.receipt);
        let numbers = manifest.receipts.iter().chain(pending);
        let number = numbers.map(|receipt| receipt.number).max().unwrap_or(0) + 1;
        let id_sha256 = match request {
            RemovalRequest::Account(id) | RemovalRequest::User(id) => Some(id_hash(number, id)),
            RemovalRequest::Seqs(_) | RemovalRequest::Before(_) => None,
        };
        let mut begun = PendingRemoval::begun(number, what, self.seq, self.clock.now_us());
        begun.receipt.id_sha256 = id_sha256;
        begun
    }

    /// Writes the symbol file that holds a forgotten string again without it. Twice is once.
    ///
    /// # Errors
    /// A full or failing disk: nothing has changed.
    pub fn erase_symbol(&mut self, domain: Domain, symbol: u32) -> Result<()> {
        self.wait_for_flush()?;
        if self.symbols.read().strings(domain).bytes(symbol).is_empty() {
            return Ok(());
        }
        let files = self.ledger.manifest().symbols.clone();
        let at = files.partition_point(|file| file.from.of(domain) <= symbol);
        let Some(file) = at.checked_sub(1).map(|at| &files[at]) else {
            return Ok(());
        };
        let next = files.get(at).map_or(self.flushed_marks, |next| next.from);
        let erased = (domain, symbol);
        let bytes = encode_file_without(&self.symbols.read(), file.from, next, erased);
        let reservation = self.ledger.reserve();
        let name = symbol_name(reservation.number);
        write_atomically(self.directory.as_ref(), &name, &bytes)?;
        let piece = read_file(self.directory.as_ref(), &name)?;
        let entry = SymbolEntry {
            name,
            bytes: bytes.len() as u64,
            from: file.from,
        };
        self.ledger.commit(|manifest| {
            let old = manifest
                .symbols
                .iter_mut()
                .find(|old| old.name == file.name);
            // Only flushes change the list, and none runs.
            *old.expect("the file is of the manifest in force") = entry;
        })?;
        self.symbols.replace(piece);
        Ok(())
    }

    /// Removes the log before the manifest's first file: its events lie in segments.
    ///
    /// # Errors
    /// A failing disk.
    pub fn trim_log(&self) -> Result<()> {
        self.wal.trim_before(self.ledger.manifest().wal_first)
    }

    /// What is appended again is compared with the rows of this removal no more: they are gone.
    pub fn end_removal(&mut self, number: u64) {
        self.removing
            .retain(|pending| pending.receipt.number != number);
    }
}

/// The earlier removal of an id that has no symbol: pending still, or done.
fn erased_before(manifest: &Manifest, request: &RemovalRequest, id: &str) -> Result<Begun> {
    let kind = match request {
        RemovalRequest::Account(_) => RemovalKind::Account,
        _ => RemovalKind::User,
    };
    let is_same = |receipt: &RemovalReceipt| receipt.kind == kind && receipt.is_of(id);
    if let Some(same) = manifest
        .pending
        .iter()
        .find(|pending| is_same(&pending.receipt))
    {
        return Ok(Begun::Pending(same.receipt.number));
    }
    let same = manifest
        .receipts
        .iter()
        .rev()
        .find(|receipt| is_same(receipt));
    same.map(repeated).ok_or_else(|| {
        let noun = kind.as_str();
        StoreError::Invalid(format!(
            "no event has the {noun} {id:?}, and no receipt says that it was erased: nothing to \
             erase"
        ))
    })
}

fn repeated(receipt: &RemovalReceipt) -> Begun {
    let repeated = true;
    Begun::Done(Box::new(RemovalReceipt {
        repeated,
        ..receipt.clone()
    }))
}

/// The retention in force, where one asks for days that are dropped already.
fn retained_before(manifest: &Manifest) -> Result<Begun> {
    let floor = manifest.retained_from_day;
    let pending = manifest.pending.iter().map(|pending| &pending.receipt);
    if let Some(same) = pending.clone().find(|receipt| receipt.before_day == floor) {
        return Ok(Begun::Pending(same.number));
    }
    let same = manifest
        .receipts
        .iter()
        .rev()
        .find(|receipt| receipt.before_day == floor);
    same.map(repeated).ok_or_else(|| {
        let reason = "the days before were dropped already, and the receipt is no longer kept";
        StoreError::Invalid(reason.to_owned())
    })
}

/// `ranges` ascending and joined, up to `seq`.
fn checked_ranges(ranges: &[(i64, i64)], seq: i64) -> Result<Vec<(i64, i64)>> {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    let mut checked: Vec<(i64, i64)> = Vec::new();
    for (first, last) in sorted {
        if first < 1 || last < first || last > seq {
            let reason = format!("{first} to {last} is no range of seqs; the last seq is {seq}");
            return Err(StoreError::Invalid(reason));
        }
        match checked.last_mut() {
            Some(before) if first <= before.1 + 1 => before.1 = before.1.max(last),
            _ => checked.push((first, last)),
        }
    }
    if checked.is_empty() {
        return Err(StoreError::Invalid("no range of seqs was given".to_owned()));
    }
    if checked.len() > RANGES_MAX {
        return Err(StoreError::Limit {
            what: "ranges of seqs of one removal",
            found: checked.len() as u64,
            limit: RANGES_MAX as u64,
        });
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_sorted_joined_and_checked() {
        let checked = |ranges: &[(i64, i64)]| checked_ranges(ranges, 20);
        let joined = checked(&[(7, 9), (1, 2), (3, 3), (8, 12)]).expect("valid");
        assert_eq!(joined, [(1, 3), (7, 12)]);
        for wrong in [&[(0, 3)][..], &[(5, 4)], &[(19, 21)], &[]] {
            let error = checked(wrong).expect_err("refused");
            assert_eq!(error.kind(), crate::StoreErrorKind::Invalid);
        }
    }
}
