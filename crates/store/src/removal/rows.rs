//! Which rows of a section go: asked of any section, of any tier.
//!
//! Statistics and the run index answer where they can; columns are read only of sections that have
//! such rows.

use super::{PendingRemoval, Removal};
use crate::error::Result;
use crate::section::Section;
use crate::section::trait_event_test;
use crate::symbols::Symbols;

/// For each row of `section` whether it goes; `None` where none does. An erasure takes no row that
/// came after it began, whatever its identity.
///
/// # Errors
/// Damage of the file, found on first touch.
pub(crate) fn rows_going(
    section: &Section,
    removal: &PendingRemoval,
    symbols: &Symbols,
) -> Result<Option<Vec<bool>>> {
    let seq_max = removal.seq_max;
    match &removal.what {
        Removal::Account(symbol) => of_runs(section, seq_max, |run| run.account == *symbol),
        Removal::User(symbol) => of_runs(section, seq_max, |run| run.user == *symbol),
        Removal::Seqs(ranges) => of_seqs(section, ranges),
        Removal::Before(day) => activity_before(section, *day, symbols),
    }
}

fn of_runs(
    section: &Section,
    seq_max: i64,
    goes: impl Fn(&crate::section::Run) -> bool,
) -> Result<Option<Vec<bool>>> {
    let mut going = Vec::new();
    if section.statistics().seq_min > seq_max {
        return Ok(None);
    }
    for run in section.runs_of_members()? {
        if goes(&run) {
            going.resize(section.rows(), false);
            going[run.rows].fill(true);
        }
    }
    if !going.is_empty() && section.statistics().seq_max > seq_max {
        for (going, &seq) in going.iter_mut().zip(section.seqs()?) {
            *going &= seq <= seq_max;
        }
    }
    Ok(going.contains(&true).then_some(going))
}

fn of_seqs(section: &Section, ranges: &[(i64, i64)]) -> Result<Option<Vec<bool>>> {
    let statistics = section.statistics();
    let overlaps =
        |&&(first, last): &&(i64, i64)| first <= statistics.seq_max && last >= statistics.seq_min;
    let ranges: Vec<(i64, i64)> = ranges.iter().filter(overlaps).copied().collect();
    if ranges.is_empty() {
        return Ok(None);
    }
    let is_going = |&seq: &i64| super::is_in_ranges(&ranges, seq);
    let going: Vec<bool> = section.seqs()?.iter().map(is_going).collect();
    Ok(going.contains(&true).then_some(going))
}

fn activity_before(section: &Section, day: i32, symbols: &Symbols) -> Result<Option<Vec<bool>>> {
    let statistics = section.statistics();
    if statistics.day >= day {
        return Ok(None);
    }
    if !statistics.has_trait_events {
        return Ok(Some(vec![true; statistics.rows]));
    }
    let is_trait = section.event_table(trait_event_test(symbols))?;
    let codes = section.event_codes()?;
    let going: Vec<bool> = (0..section.rows())
        .map(|row| !is_trait[codes.index(row)])
        .collect();
    Ok(going.contains(&true).then_some(going))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vitalog_disk::FaultyDirectory;
    use vitalog_event::{EventBatchBuilder, EventDraft};

    use super::*;
    use crate::config::{StoreConfig, SystemClock};
    use crate::store::Store;
    use crate::symbols::Domain;
    use crate::upkeep::CompactionGoal;

    /// The seqs that go of ten events of `ann` and `bob` in turn.
    fn seqs_going(is_cold: bool, seq_max: i64) -> Vec<i64> {
        let config = StoreConfig {
            reserved_bytes: 0,
            ..StoreConfig::default()
        };
        let directory = Arc::new(FaultyDirectory::new());
        let store = Store::open(directory, config, Arc::new(SystemClock))
            .expect("empty")
            .0;
        let mut builder = EventBatchBuilder::new(i64::MAX / 2);
        for n in 0..10 {
            builder.push(&EventDraft {
                event_id: Some(&n.to_string()),
                event_time_us: Some(n),
                event: Some("seen"),
                account_id: Some("acme"),
                user_id: Some(["ann", "bob"][n as usize % 2]),
                ..EventDraft::default()
            });
        }
        store.append(builder.finish().0).expect("appended");
        if is_cold {
            store.flush().expect("flushed");
            store.compact(CompactionGoal::AllCold).expect("compacted");
        }
        let snapshot = store.snapshot();
        let symbols = snapshot.symbols();
        let user = symbols.lookup(Domain::User, "bob").expect("known");
        let section = snapshot.slices()[0].sections[0].open();
        let removal = PendingRemoval::begun(1, Removal::User(user), seq_max, 0);
        let going = rows_going(&section, &removal, symbols).expect("read");
        let seqs = section.seqs().expect("read");
        let going = going.unwrap_or_default();
        let rows = seqs.iter().zip(going).filter(|(_, goes)| *goes);
        rows.map(|(&seq, _)| seq).collect()
    }

    #[test]
    fn an_erasure_takes_no_row_that_came_after_it_began() {
        for is_cold in [false, true] {
            for (seq_max, expected) in [
                (10, &[2, 4, 6, 8, 10][..]),
                (7, &[2, 4, 6]),
                (2, &[2]),
                (1, &[]),
                (0, &[]),
            ] {
                assert_eq!(seqs_going(is_cold, seq_max), expected, "up to {seq_max}");
            }
        }
    }
}
