//! The demonstration: 120 days of a small B2B product with healthy, drifting and churning
//! accounts, ending now.
//!
//! It owns the days of work and the order of everything; what happens around the product stands in
//! `demo_business.rs`. The days before today depend on the seed and the date alone; today is cut at
//! the clock.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitalog_event::{GROUP_EVENT, IDENTIFY_EVENT, day_of_timestamp_us, day_start_us};

use super::calendar::weekday_share;
use super::chunk::{ChunkBuilder, SimulatedChunk, SimulatedRow};
pub use super::demo_account::DEMO_ACCOUNTS;
use super::demo_account::DemoAccount;
use super::demo_business::Business;
use super::demo_user::DemoUser;
use super::render::mix;
use super::vocabulary::{COUNTRIES, FEATURES, country_pick};

/// Days of the demonstration, today included.
pub const DEMO_DAYS: u32 = 120;

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

/// The events of the demonstration, in order of time: an iterator of one chunk with all that
/// happened before the first day, and one for each day.
///
/// On the day on which an account becomes a customer come a `$group` event with its traits
/// (`name`, `plan`, `seats`, `mrr`, `created_at`, `renewal_at`), one that makes each user a member,
/// an `$identify` event of each user, and the first steps of its onboarding. An account that
/// leaves gets a last `$group` event with `churned_at` and `churn_type`.
#[derive(Debug)]
pub struct Demo {
    config: DemoConfig,
    rng: ChaCha8Rng,
    accounts: Vec<DemoAccount>,
    /// Account and user; one user in fifty is a member of two accounts.
    members: Vec<(usize, usize)>,
    users: Vec<DemoUser>,
    first_day: i32,
    /// What is known beforehand, by day; days before the first one come with the past.
    planned: BTreeMap<i32, Vec<DemoEvent>>,
    is_past_told: bool,
    next_day: u32,
    next_ordinal: u64,
}

/// An event before its chunk is sorted.
#[derive(Debug)]
pub(super) struct DemoEvent {
    pub time_us: i64,
    pub event: &'static str,
    pub account: usize,
    pub user: Option<usize>,
    pub value: Option<f64>,
    pub properties: Option<String>,
}

impl Demo {
    /// Draws accounts and users, and what is planned for them.
    #[must_use]
    pub fn new(config: DemoConfig) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let first_day = day_of_timestamp_us(config.now_us) - (DEMO_DAYS as i32 - 1);
        let accounts = DemoAccount::draw_all(&mut rng, first_day);
        let (users, members) = draw_members(&mut rng, &accounts);
        let mut demo = Self {
            config,
            rng,
            accounts,
            members,
            users,
            first_day,
            planned: BTreeMap::new(),
            is_past_told: false,
            next_day: 0,
            next_ordinal: 0,
        };
        demo.plan();
        demo
    }

    /// Lays what is known beforehand on its days.
    fn plan(&mut self) {
        let mut events = self.introductions();
        for known in self.accounts.iter().enumerate() {
            let first = self.members.iter().find(|(account, _)| *account == known.0);
            let user = first.map_or(0, |(_, user)| *user);
            events.extend(Business::draw(&mut self.rng, known, user, self.first_day));
        }
        for event in events {
            let day = day_of_timestamp_us(event.time_us);
            self.planned.entry(day).or_default().push(event);
        }
    }

    /// Who everybody is, as the first minutes of each account tell it.
    fn introductions(&self) -> Vec<DemoEvent> {
        let mut known = vec![false; self.users.len()];
        let mut events = Vec::new();
        for (account, drawn) in self.accounts.iter().enumerate() {
            let introduce = |event, user, properties| DemoEvent {
                time_us: drawn.created_us(),
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

    /// What happened before the first day.
    fn past(&mut self) -> Vec<DemoEvent> {
        let later = self.planned.split_off(&self.first_day);
        let past = std::mem::replace(&mut self.planned, later);
        past.into_values().flatten().collect()
    }

    fn day_events(&mut self, day: u32) -> Vec<DemoEvent> {
        let date = self.first_day + day as i32;
        let mut events = self.planned.remove(&date).unwrap_or_default();
        for member in 0..self.members.len() {
            let (account, user) = self.members[member];
            let activity = self.accounts[account].fate.activity(day);
            let chance = self.users[user].diligence * activity * weekday_share(date).min(1.0);
            if self.rng.random::<f64>() < chance {
                self.session(date, account, user, activity, &mut events);
            }
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
        // Accounts begin before ten, so nobody works before the account is there.
        let mut time_us = day_start_us(date) + rng.random_range(10 * 60..18 * 60) * MINUTE_US;
        let busy = (10.0 * activity) as u32 + 3;
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

/// The people of every account, and who is a member of which.
fn draw_members(
    rng: &mut ChaCha8Rng,
    accounts: &[DemoAccount],
) -> (Vec<DemoUser>, Vec<(usize, usize)>) {
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
                users.push(DemoUser::draw(rng, user as u32 + 1, country));
            }
            members.push((account, user));
        }
    }
    (users, members)
}

impl Iterator for Demo {
    type Item = SimulatedChunk;

    fn next(&mut self) -> Option<SimulatedChunk> {
        if !std::mem::replace(&mut self.is_past_told, true) {
            let past = self.past();
            let chunk = self.chunk(past);
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
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
#[path = "demo_tests.rs"]
mod tests;
