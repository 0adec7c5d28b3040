//! Which rows of a section go: asked of any section, of any tier.
//!
//! Statistics and the run index answer where they can; columns are read only of sections that have
//! such rows.

use super::Removal;
use crate::error::Result;
use crate::section::Section;
use crate::section::trait_event_test;
use crate::symbols::Symbols;

/// For each row of `section` whether it goes; `None` where none does.
///
/// # Errors
/// Damage of the file, found on first touch.
pub(crate) fn rows_going(
    section: &Section,
    removal: &Removal,
    symbols: &Symbols,
) -> Result<Option<Vec<bool>>> {
    match removal {
        Removal::Account(symbol) => of_runs(section, |run| run.account == *symbol),
        Removal::User(symbol) => of_runs(section, |run| run.user == *symbol),
        Removal::Seqs(ranges) => of_seqs(section, ranges),
        Removal::Before(day) => activity_before(section, *day, symbols),
    }
}

fn of_runs(
    section: &Section,
    goes: impl Fn(&crate::section::Run) -> bool,
) -> Result<Option<Vec<bool>>> {
    let mut going = Vec::new();
    for run in section.runs_of_members()? {
        if goes(&run) {
            going.resize(section.rows(), false);
            going[run.rows].fill(true);
        }
    }
    Ok((!going.is_empty()).then_some(going))
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
