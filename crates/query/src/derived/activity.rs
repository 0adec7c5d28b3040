//! First and last time and number of events of each member: arrays indexed by member symbol.
//!
//! `$group` and `$identify` events are no activity: they make a member known and count for
//! nothing else.

use std::collections::HashMap;

use vitalog_event::{GROUP_EVENT, IDENTIFY_EVENT};
use vitalog_store::{Domain, Section};

use super::Result;
use super::runs::{damage, seen_sections, visit_runs};
use super::traits::{Moment, Traits};
use crate::snapshot::StatementSnapshot;

/// What is known of one member, account or user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    /// Whether any event names it.
    pub is_known: bool,
    first_us: i64,
    last_us: i64,
    /// Events that are activity.
    pub events: i64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            is_known: false,
            first_us: i64::MAX,
            last_us: i64::MIN,
            events: 0,
        }
    }
}

impl Seen {
    /// Time of the earliest activity, microseconds.
    pub fn first_us(&self) -> Option<i64> {
        (self.events > 0).then_some(self.first_us)
    }

    /// Time of the latest activity, microseconds.
    pub fn last_us(&self) -> Option<i64> {
        (self.events > 0).then_some(self.last_us)
    }

    /// Takes in what is known of a part.
    pub fn merge(&mut self, part: &Self) {
        self.is_known |= part.is_known;
        self.first_us = self.first_us.min(part.first_us);
        self.last_us = self.last_us.max(part.last_us);
        self.events += part.events;
    }
}

/// The activity of every member.
#[derive(Debug)]
pub(super) struct MemberActivity {
    /// Indexed by member symbol.
    pub members: Vec<Seen>,
    /// The latest event of any kind of the members that `$group` events removed.
    pub latest_of_removed: HashMap<u32, Moment>,
}

impl MemberActivity {
    /// Cost: the run index of most sections, the rows of those that are cut by the statement's
    /// `seq`.
    pub fn collect(snapshot: &StatementSnapshot, traits: &Traits) -> Result<Self> {
        let symbols = snapshot.snapshot.symbols();
        let trait_events: Vec<u32> = [GROUP_EVENT, IDENTIFY_EVENT]
            .into_iter()
            .filter_map(|name| symbols.lookup(Domain::Event, name))
            .collect();
        let members = vec![Seen::default(); symbols.member_bound()];
        let mut activity = Self {
            members,
            latest_of_removed: HashMap::new(),
        };
        let filter = snapshot.row_filter();
        for section in seen_sections(snapshot) {
            let section = section?;
            if section.is_kept_whole_by(&filter) {
                activity.add_summaries(&section)?;
            } else {
                activity.add_rows(snapshot, &section, &trait_events)?;
            }
            if !traits.removals.is_empty() {
                activity.note_latest(snapshot, &section, traits)?;
            }
        }
        Ok(activity)
    }

    fn add_summaries(&mut self, section: &Section) -> Result<()> {
        for summary in section.summaries().map_err(damage)? {
            self.members[summary.member as usize].merge(&Seen {
                is_known: true,
                first_us: summary.first_us,
                last_us: summary.last_us,
                events: summary.events as i64,
            });
        }
        Ok(())
    }

    fn add_rows(
        &mut self,
        snapshot: &StatementSnapshot,
        section: &Section,
        trait_events: &[u32],
    ) -> Result<()> {
        let selection = section.select(&snapshot.row_filter()).map_err(damage)?;
        let is_trait = section
            .event_table(|event| trait_events.contains(&event))
            .map_err(damage)?;
        let codes = section.event_codes().map_err(damage)?;
        let times = section.times().map_err(damage)?;
        visit_runs(section, &selection, |run, rows| {
            let seen = &mut self.members[run.member as usize];
            seen.is_known = true;
            for row in rows.filter(|&row| !is_trait[codes.index(row)]) {
                seen.first_us = seen.first_us.min(times[row]);
                seen.last_us = seen.last_us.max(times[row]);
                seen.events += 1;
            }
            Ok(())
        })
    }

    fn note_latest(
        &mut self,
        snapshot: &StatementSnapshot,
        section: &Section,
        traits: &Traits,
    ) -> Result<()> {
        let selection = section.select(&snapshot.row_filter()).map_err(damage)?;
        let (times, seqs) = (
            section.times().map_err(damage)?,
            section.seqs().map_err(damage)?,
        );
        visit_runs(section, &selection, |run, rows| {
            if traits.removals.contains_key(&run.member) {
                // Rows of a run are ordered by time, then seq.
                let last = (times[rows.end - 1], seqs[rows.end - 1]);
                let latest = self.latest_of_removed.entry(run.member).or_insert(last);
                *latest = last.max(*latest);
            }
            Ok(())
        })
    }
}
