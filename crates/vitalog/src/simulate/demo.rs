//! The demonstration: ninety days of a small B2B product with healthy, drifting and churning
//! accounts, ending now.
//!
//! The days before today depend on the seed and the date alone; today is cut at the clock.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitalog_event::{DAY_US, GROUP_EVENT, IDENTIFY_EVENT, day_of_timestamp_us, day_start_us};

use super::calendar::weekday_share;
use super::chunk::{ChunkBuilder, SimulatedChunk, SimulatedRow};
pub use super::demo_account::DEMO_ACCOUNTS;
use super::demo_account::{DemoAccount, DemoUser, Fate};
use super::render::mix;
use super::vocabulary::{COUNTRIES, FEATURES, country_pick};

/// Days of the demonstration, today included.
pub const DEMO_DAYS: u32 = 90;

const MINUTE_US: i64 = 60_000_000;

/// What anybody does who opens the product, whatever features the account took up.
const EVERYDAY: [&str; 3] = ["page_viewed", "record_opened", "record_updated"];

/// What to demonstrate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoConfig {
    /// Equal seeds give equal accounts and days.
    pub seed: u64,
    /// The clock, microseconds since 1970 UTC: nothing happens after it.
    pub now_us: i64,
}

/// The events of the demonstration, a chunk for each day, in order of time: an iterator.
///
/// The first day opens with what is known of everybody: a `$group` event with the traits of each
/// account (`name`, `plan`, `seats`, `mrr`, `created_at`, `renewal_at`), one that makes each user a
/// member, and an `$identify` event of each user. An account that leaves gets a last `$group` event
/// with `churned_at` and `churn_type`.
#[derive(Debug)]
pub struct Demo {
    config: DemoConfig,
    rng: ChaCha8Rng,
    accounts: Vec<DemoAccount>,
    /// Account and user; one user in fifty is a member of two accounts.
    members: Vec<(usize, usize)>,
    users: Vec<DemoUser>,
    first_day: i32,
    next_day: u32,
    next_ordinal: u64,
}

/// An event of a day, before the day is sorted.
struct DemoEvent {
    time_us: i64,
    event: &'static str,
    account: usize,
    user: Option<usize>,
    value: Option<f64>,
    properties: Option<String>,
}

impl Demo {
    /// Draws accounts and users.
    #[must_use]
    pub fn new(config: DemoConfig) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let first_day = day_of_timestamp_us(config.now_us) - (DEMO_DAYS as i32 - 1);
        let accounts = DemoAccount::draw_all(&mut rng, first_day);
        let countries = country_pick();
        let (mut users, mut members) = (Vec::new(), Vec::new());
        for (account, drawn) in accounts.iter().enumerate() {
            let country = COUNTRIES[usize::from(countries.pick(rng.random()))].code;
            for _ in 0..drawn.members {
                // Now and then a consultant, who was there for another customer before.
                let consultant = !users.is_empty() && rng.random_range(0..50) == 0;
                let user = if consultant {
                    rng.random_range(0..users.len())
                } else {
                    users.len()
                };
                if user == users.len() {
                    users.push(DemoUser::draw(&mut rng, user as u32 + 1, country));
                }
                members.push((account, user));
            }
        }
        Self {
            config,
            rng,
            accounts,
            members,
            users,
            first_day,
            next_day: 0,
            next_ordinal: 0,
        }
    }

    /// Who everybody is, as the first minutes of the first day tell it.
    fn introductions(&self) -> Vec<DemoEvent> {
        let start_us = day_start_us(self.first_day);
        let mut known = vec![false; self.users.len()];
        let mut events = Vec::new();
        for (account, drawn) in self.accounts.iter().enumerate() {
            let introduce = |event, user, properties| DemoEvent {
                time_us: start_us + account as i64 * 1_000_000,
                event,
                account,
                user,
                value: None,
                properties: Some(properties),
            };
            events.push(introduce(GROUP_EVENT, None, drawn.traits(None)));
            for (_, user) in self.members.iter().filter(|(of, _)| *of == account) {
                events.push(introduce(GROUP_EVENT, Some(*user), drawn.traits(None)));
                if !std::mem::replace(&mut known[*user], true) {
                    let traits = self.users[*user].traits(drawn);
                    events.push(introduce(IDENTIFY_EVENT, Some(*user), traits));
                }
            }
        }
        events
    }

    fn day_events(&mut self, day: u32) -> Vec<DemoEvent> {
        let date = self.first_day + day as i32;
        let mut events = if day == 0 {
            self.introductions()
        } else {
            Vec::new()
        };
        for member in 0..self.members.len() {
            let (account, user) = self.members[member];
            let activity = self.accounts[account].fate.activity(day);
            let chance = self.users[user].diligence * activity * weekday_share(date).min(1.0);
            if self.rng.random::<f64>() < chance {
                self.session(date, account, user, activity, &mut events);
            }
        }
        for account in 0..self.accounts.len() {
            self.account_events(day, account, &mut events);
        }
        events
    }

    /// One visit: longer where the account is busy.
    fn session(
        &mut self,
        date: i32,
        account: usize,
        user: usize,
        activity: f64,
        events: &mut Vec<DemoEvent>,
    ) {
        let rng = &mut self.rng;
        let mut time_us = day_start_us(date) + rng.random_range(7 * 60..17 * 60) * MINUTE_US;
        let busy = (14.0 * activity) as u32 + 3;
        let count = rng.random_range(3..=busy);
        let features = self.accounts[account].features;
        let (country, plan) = (self.users[user].country, self.accounts[account].plan());
        for position in 0..count {
            time_us += rng.random_range(2_000_000..3 * MINUTE_US);
            let event = if position == 0 {
                "login"
            } else {
                draw_action(rng, features)
            };
            let duration_ms = rng.random_range(20..4_000) * rng.random_range(1..=4);
            let properties = format!(
                "{{\"country\":\"{country}\",\"duration_ms\":{duration_ms},\"plan\":\"{plan}\"}}"
            );
            let (user, properties) = (Some(user), Some(properties));
            events.push(DemoEvent {
                time_us,
                event,
                account,
                user,
                value: None,
                properties,
            });
        }
    }

    /// What happens to the account as a whole: the monthly invoice, tickets, the notice.
    fn account_events(&mut self, day: u32, account: usize, events: &mut Vec<DemoEvent>) {
        let drawn = &self.accounts[account];
        let noon_us = day_start_us(self.first_day + day as i32) + DAY_US / 2;
        let mut happen = |time_us, event, value, properties| {
            let user = None;
            events.push(DemoEvent {
                time_us,
                event,
                account,
                user,
                value,
                properties,
            });
        };
        let silent = match drawn.fate {
            Fate::Churning { silent, .. } => silent,
            Fate::Healthy { .. } | Fate::Drifting { .. } => DEMO_DAYS,
        };
        if day % 30 == account as u32 % 30 && day < silent {
            happen(noon_us, "invoice_paid", Some(f64::from(drawn.mrr())), None);
        }
        let ticket_chance = if matches!(drawn.fate, Fate::Healthy { .. }) {
            0.01
        } else {
            0.04
        };
        if day < silent && self.rng.random::<f64>() < ticket_chance {
            let properties = format!("{{\"ticket\":\"T-{:05}\"}}", self.next_ordinal % 100_000);
            happen(
                noon_us + 5 * MINUTE_US,
                "ticket_opened",
                None,
                Some(properties),
            );
        }
        if let Fate::Churning {
            left: true, silent, ..
        } = drawn.fate
            && day == silent
        {
            happen(
                noon_us,
                GROUP_EVENT,
                None,
                Some(drawn.traits(Some(noon_us))),
            );
        }
    }

    fn chunk(&mut self, mut events: Vec<DemoEvent>) -> SimulatedChunk {
        events.retain(|event| event.time_us <= self.config.now_us);
        events.sort_by_key(|event| event.time_us);
        let mut chunk = ChunkBuilder::with_capacity(events.len());
        let key = mix(self.config.seed);
        for event in &events {
            let event_id = format!("{:016x}", mix(key ^ self.next_ordinal));
            self.next_ordinal += 1;
            chunk.push(&SimulatedRow {
                event_time_us: event.time_us,
                event: event.event,
                account_id: Some(&self.accounts[event.account].id)
                    .filter(|_| event.event != IDENTIFY_EVENT)
                    .map(String::as_str),
                user_id: event.user.map(|user| self.users[user].id.as_str()),
                value: event.value,
                properties: event.properties.as_deref(),
                event_id: &event_id,
            });
        }
        chunk.finish()
    }
}

/// Half of what people do is everyday work, the rest falls on features they know, the popular
/// ones more often.
fn draw_action(rng: &mut ChaCha8Rng, features: u32) -> &'static str {
    if features == 0 || rng.random_range(0..2) == 0 {
        return EVERYDAY[rng.random_range(0..EVERYDAY.len())];
    }
    loop {
        let feature = rng.random_range(0..20_usize).min(rng.random_range(0..20));
        if features >> feature & 1 == 1 {
            return FEATURES[feature];
        }
    }
}

impl Iterator for Demo {
    type Item = SimulatedChunk;

    fn next(&mut self) -> Option<SimulatedChunk> {
        while self.next_day < DEMO_DAYS {
            let events = self.day_events(self.next_day);
            self.next_day += 1;
            let chunk = self.chunk(events);
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    /// 2025-03-03, a Monday, a quarter past three in the afternoon.
    const NOW_US: i64 = 1_741_014_900_000_000;

    fn demo() -> Demo {
        Demo::new(DemoConfig {
            seed: 1,
            now_us: NOW_US,
        })
    }

    fn traits(properties: Option<&str>) -> serde_json::Value {
        serde_json::from_str(properties.expect("traits")).expect("JSON")
    }

    #[test]
    fn the_same_seed_gives_the_same_events_and_all_are_valid() {
        let other = Demo::new(DemoConfig {
            seed: 2,
            now_us: NOW_US,
        })
        .next();
        assert_ne!(
            other.expect("a day").batch(),
            demo().next().expect("a day").batch()
        );
        for (chunk, again) in demo().take(10).zip(demo()) {
            assert_eq!(chunk.batch(), again.batch());
            let (batch, rejections) = chunk.to_event_batch(NOW_US);
            assert_eq!((batch.len(), rejections), (chunk.len(), Vec::new()));
        }
    }

    #[test]
    fn every_account_introduces_itself() {
        let mut introduced = HashMap::new();
        let first = demo().next().expect("a first day");
        for draft in first
            .drafts()
            .filter(|draft| draft.event == Some(GROUP_EVENT))
        {
            let traits = traits(draft.properties);
            for key in ["name", "plan", "seats", "mrr", "created_at", "renewal_at"] {
                assert!(!traits[key].is_null(), "{key} of {:?}", draft.account_id);
            }
            *introduced
                .entry(draft.account_id.expect("an account").to_owned())
                .or_insert(0) += 1;
        }
        assert_eq!(introduced.len(), DEMO_ACCOUNTS);
        assert!(introduced.values().all(|events| *events >= 3));
        let identified = first
            .drafts()
            .filter(|draft| draft.event == Some(IDENTIFY_EVENT));
        assert_eq!(identified.count(), demo().users.len());
    }

    #[test]
    fn time_runs_until_now_and_those_who_leave_are_silent_afterwards() {
        let (mut rows, mut ids, mut latest_us) = (0, HashSet::new(), 0);
        let mut left: HashMap<String, i64> = HashMap::new();
        let mut last_active: HashMap<String, i64> = HashMap::new();
        for chunk in demo() {
            for draft in chunk.drafts() {
                let time_us = draft.event_time_us.expect("a time");
                assert!(time_us >= latest_us && time_us <= NOW_US);
                latest_us = time_us;
                rows += 1;
                ids.insert(draft.event_id.expect("an id").to_owned());
                let Some(account) = draft.account_id.map(str::to_owned) else {
                    continue;
                };
                if draft.event != Some(GROUP_EVENT) {
                    last_active.insert(account, time_us);
                } else if traits(draft.properties)["churned_at"].is_string() {
                    left.insert(account, time_us);
                }
            }
        }
        assert_eq!(ids.len(), rows);
        assert!((60_000..250_000).contains(&rows), "{rows} events");
        assert!(
            NOW_US - latest_us < DAY_US / 4,
            "silence for {} µs",
            NOW_US - latest_us
        );
        assert_eq!(left.len(), 6);
        for (account, left_us) in left {
            assert!(
                last_active[&account] < left_us,
                "{account} acts after it left"
            );
        }
        let silent = last_active
            .values()
            .filter(|last_us| NOW_US - **last_us > 7 * DAY_US);
        assert!((9..=13).contains(&silent.count()));
    }
}
