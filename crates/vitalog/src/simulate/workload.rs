//! The workload: a B2B product's events, streamed in the order in which they arrive.
//!
//! Memory is bounded by the events of three days (a day in the making and what is late from the
//! two before it) and one entry for each user and account.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;
use vitalog_event::day_start_us;

use super::calendar::deal_rows;
use super::chunk::{ChunkBuilder, SimulatedChunk, SimulatedRow};
use super::population::{Population, Seat};
use super::render::{RowTexts, mix};
use super::session::{PendingEvent, Sessions};
use super::vocabulary::EVENT_NAMES;

/// Rows of a chunk; the last one may be shorter.
const CHUNK_ROWS: usize = 1 << 16;

/// Most days of a simulation.
const DAYS_MAX: u32 = 36_525;

/// Most accounts, and most users.
const ENTITIES_MAX: u32 = 10_000_000;

/// What to simulate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulationConfig {
    /// Events in all, exactly.
    pub rows: u64,
    /// Equal seeds give equal events.
    pub seed: u64,
    /// Days the events lie on, ending with `end_day`.
    pub days: u32,
    /// Accounts; with fewer users than accounts some have none.
    pub accounts: u32,
    /// Users.
    pub users: u32,
    /// The last UTC day, counted from 1970-01-01.
    pub end_day: i32,
}

impl SimulationConfig {
    /// 20 million events over 180 days of 5,000 accounts and 70,000 users.
    #[must_use]
    pub fn new(seed: u64, end_day: i32) -> Self {
        Self {
            rows: 20_000_000,
            seed,
            days: 180,
            accounts: 5_000,
            users: 70_000,
            end_day,
        }
    }

    /// As [`SimulationConfig::new`], with `rows` events and accounts and users in proportion.
    #[must_use]
    pub fn scaled(rows: u64, seed: u64, end_day: i32) -> Self {
        let whole = Self::new(seed, end_day);
        let scale = |entities: u32, least: u64| {
            let scaled = u64::from(entities).saturating_mul(rows) / whole.rows;
            scaled.clamp(least, u64::from(ENTITIES_MAX)) as u32
        };
        Self {
            rows,
            accounts: scale(whole.accounts, 10),
            users: scale(whole.users, 50),
            ..whole
        }
    }

    fn check(&self) -> Result<(), SimulationError> {
        let ranges = [
            ("days", self.days, DAYS_MAX),
            ("accounts", self.accounts, ENTITIES_MAX),
            ("users", self.users, ENTITIES_MAX),
        ];
        for (field, found, max) in ranges {
            if found == 0 || found > max {
                return Err(SimulationError::OutOfRange { field, found, max });
            }
        }
        if i64::from(self.end_day) + 1 < i64::from(self.days) {
            return Err(SimulationError::BeforeEpoch {
                days: self.days,
                end_day: self.end_day,
            });
        }
        Ok(())
    }
}

/// Why a simulation cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SimulationError {
    /// A count is 0 or too large.
    #[error("{field}: {found} given, from 1 to {max} are taken")]
    OutOfRange {
        /// The field of the configuration.
        field: &'static str,
        /// What was given.
        found: u32,
        /// The most that is taken.
        max: u32,
    },
    /// The first day would lie before 1970.
    #[error("days: {days} days that end on day {end_day} since 1970 begin before 1970")]
    BeforeEpoch {
        /// Days asked for.
        days: u32,
        /// The last day.
        end_day: i32,
    },
}

/// The events of a workload as chunks of 65,536 rows, in order of arrival: an iterator.
///
/// An event arrives when it happens, but 2 % arrive up to 48 hours late; those of the last days
/// come after everything else.
///
/// Cost: a fifth to a third of a microsecond a row, at 40 bytes for each event of a day.
#[derive(Debug)]
pub struct Simulation {
    config: SimulationConfig,
    rng: ChaCha8Rng,
    population: Population,
    sessions: Sessions,
    day_rows: Vec<u64>,
    next_day: u32,
    /// Happened, and arriving after the last generated day.
    pending: Vec<PendingEvent>,
    /// In order of arrival; those before `next_ready` are out.
    ready: Vec<PendingEvent>,
    next_ready: usize,
    id_key: u64,
    texts: RowTexts,
}

impl Simulation {
    /// Draws the population and the rows of each day.
    ///
    /// # Errors
    /// [`SimulationError`] for a count of 0, one beyond its limit, or days before 1970.
    pub fn new(config: SimulationConfig) -> Result<Self, SimulationError> {
        config.check()?;
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let mut population = Population::draw(&mut rng, config.accounts, config.users, config.days);
        let activities: Vec<f64> = (0..config.days)
            .map(|day| population.advance(day, config.days))
            .collect();
        population.rewind();
        let first_day = config.end_day - (config.days as i32 - 1);
        Ok(Self {
            day_rows: deal_rows(&mut rng, config.rows, first_day, &activities),
            sessions: Sessions::new(),
            next_day: 0,
            pending: Vec::new(),
            ready: Vec::new(),
            next_ready: 0,
            id_key: mix(config.seed),
            texts: RowTexts::default(),
            config,
            rng,
            population,
        })
    }

    /// What is simulated.
    #[must_use]
    pub fn config(&self) -> &SimulationConfig {
        &self.config
    }

    /// Generates the next day and moves what has arrived by its end to `ready`. False after the
    /// last day, when everything late has been moved too.
    fn next_day(&mut self) -> bool {
        if self.next_day == self.config.days && self.pending.is_empty() {
            return false;
        }
        self.ready.clear();
        self.next_ready = 0;
        if self.next_day == self.config.days {
            self.ready.append(&mut self.pending);
        } else {
            let day = self.config.end_day - (self.config.days - 1 - self.next_day) as i32;
            self.population.advance(self.next_day, self.config.days);
            let rows = self.day_rows[self.next_day as usize];
            let Self {
                rng,
                population,
                pending,
                ..
            } = self;
            self.sessions
                .generate_day(rng, population, day, rows, pending);
            let end_us = day_start_us(day + 1);
            self.ready
                .extend(pending.extract_if(.., |event| event.arrival_us < end_us));
            self.next_day += 1;
        }
        self.ready
            .sort_unstable_by_key(|event| (event.arrival_us, event.ordinal));
        true
    }

    fn write_row(&mut self, event: &PendingEvent, chunk: &mut ChunkBuilder) {
        let Seat {
            user,
            account,
            country,
            ..
        } = self.population.seats[event.seat as usize];
        let plan = account.map_or(0, |account| self.population.plans[account as usize]);
        self.texts.event_id(mix(self.id_key ^ event.ordinal));
        self.texts.user_id(user);
        self.texts.account_id(account.unwrap_or(0));
        self.texts.properties(country, event.duration_ms, plan);
        let (event_id, account_id, user_id, properties) = self.texts.texts();
        chunk.push(&SimulatedRow {
            event_time_us: event.event_time_us,
            event: EVENT_NAMES[usize::from(event.name)],
            account_id: account.is_some().then_some(account_id),
            user_id: event.has_user.then_some(user_id),
            value: (event.value > 0).then(|| f64::from(event.value)),
            properties: event.has_properties.then_some(properties),
            event_id,
        });
    }
}

impl Iterator for Simulation {
    type Item = SimulatedChunk;

    fn next(&mut self) -> Option<SimulatedChunk> {
        let mut chunk = ChunkBuilder::with_capacity(CHUNK_ROWS.min(self.config.rows as usize));
        let mut rows = 0;
        while rows < CHUNK_ROWS {
            if self.next_ready == self.ready.len() {
                if self.next_day() {
                    continue;
                }
                break;
            }
            let event = self.ready[self.next_ready];
            self.next_ready += 1;
            self.write_row(&event, &mut chunk);
            rows += 1;
        }
        (rows > 0).then(|| chunk.finish())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use vitalog_event::{DAY_US, day_of_timestamp_us};

    use super::*;

    const END_DAY: i32 = 20_148;

    fn config(rows: u64) -> SimulationConfig {
        SimulationConfig::scaled(rows, 11, END_DAY)
    }

    fn chunks(config: SimulationConfig) -> Vec<SimulatedChunk> {
        Simulation::new(config)
            .expect("a valid configuration")
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_does_not() {
        let first = chunks(config(20_000));
        let again = chunks(config(20_000));
        assert_eq!(first.len(), again.len());
        for (left, right) in first.iter().zip(&again) {
            assert_eq!(left.batch(), right.batch());
        }
        let other = chunks(SimulationConfig {
            seed: 12,
            ..config(20_000)
        });
        assert_ne!(first[0].batch(), other[0].batch());
    }

    #[test]
    fn exactly_the_rows_asked_for_within_the_days_asked_for() {
        for (rows, days) in [(1, 1), (99, 30), (70_001, 180), (30_000, 3)] {
            let config = SimulationConfig {
                days,
                ..config(rows)
            };
            let chunks = chunks(config);
            assert_eq!(
                chunks.iter().map(SimulatedChunk::len).sum::<usize>() as u64,
                rows
            );
            let (last, whole) = chunks.split_last().expect("at least one chunk");
            assert!(whole.iter().all(|chunk| chunk.len() == CHUNK_ROWS) && !last.is_empty());
            for draft in chunks.iter().flat_map(SimulatedChunk::drafts) {
                let day = day_of_timestamp_us(draft.event_time_us.expect("a time"));
                assert!(
                    (END_DAY - days as i32 + 1..=END_DAY).contains(&day),
                    "day {day}"
                );
            }
        }
        assert!(chunks(config(0)).is_empty());
    }

    #[test]
    fn rows_have_the_shape_of_the_workload() {
        let rows = 60_000;
        let chunks = chunks(config(rows));
        let share = |holds: &dyn Fn(&vitalog_event::EventDraft<'_>) -> bool| {
            let drafts = chunks.iter().flat_map(SimulatedChunk::drafts);
            drafts.filter(|draft| holds(draft)).count() as f64 / rows as f64
        };
        let near =
            |found: f64, low: f64, high: f64| assert!(low < found && found < high, "{found}");
        near(share(&|draft| draft.account_id.is_none()), 0.001, 0.04);
        near(share(&|draft| draft.user_id.is_none()), 0.008, 0.012);
        near(share(&|draft| draft.properties.is_none()), 0.025, 0.037);
        near(share(&|draft| draft.value.is_some()), 0.01, 0.04);
        near(
            share(&|draft| draft.event == Some(EVENT_NAMES[0])),
            0.22,
            0.25,
        );
        let ids: HashSet<_> = chunks
            .iter()
            .flat_map(SimulatedChunk::drafts)
            .map(|d| d.event_id)
            .collect();
        assert_eq!(ids.len() as u64, rows);
    }

    #[test]
    fn one_in_fifty_is_late_and_none_by_more_than_two_days() {
        let rows = 100_000;
        let chunks = chunks(config(rows));
        // An event is late where a later one arrived before it.
        let (mut latest_us, mut late) = (0, 0);
        for draft in chunks.iter().flat_map(SimulatedChunk::drafts) {
            let time_us = draft.event_time_us.expect("a time");
            assert!(
                latest_us - time_us <= 2 * DAY_US,
                "late by {} µs",
                latest_us - time_us
            );
            late += u64::from(time_us < latest_us);
            latest_us = latest_us.max(time_us);
        }
        assert!(
            (rows / 60..rows / 45).contains(&late),
            "{late} of {rows} are late"
        );
    }

    #[test]
    fn events_come_in_sessions() {
        let chunks = chunks(config(100_000));
        let mut times: HashMap<_, Vec<i64>> = HashMap::new();
        for draft in chunks.iter().flat_map(SimulatedChunk::drafts) {
            let Some(user) = draft.user_id else { continue };
            times
                .entry(user)
                .or_default()
                .push(draft.event_time_us.expect("a time"));
        }
        let mut sessions = 0;
        for times in times.values_mut() {
            times.sort_unstable();
            sessions += 1 + times
                .windows(2)
                .filter(|pair| pair[1] - pair[0] > 1_800_000_000)
                .count();
        }
        assert!(
            (4_000..6_000).contains(&sessions),
            "{sessions} sessions of 100,000 events"
        );
    }

    #[test]
    fn every_row_is_valid() {
        let now_us = day_start_us(END_DAY + 1);
        for chunk in chunks(config(30_000)) {
            let (batch, rejections) = chunk.to_event_batch(now_us);
            assert_eq!((batch.len(), rejections), (chunk.len(), Vec::new()));
        }
    }

    #[test]
    fn impossible_configurations_are_named() {
        for (config, field) in [
            (
                SimulationConfig {
                    days: 0,
                    ..config(1)
                },
                "days",
            ),
            (
                SimulationConfig {
                    accounts: 0,
                    ..config(1)
                },
                "accounts",
            ),
            (
                SimulationConfig {
                    users: u32::MAX,
                    ..config(1)
                },
                "users",
            ),
            (
                SimulationConfig {
                    end_day: 10,
                    ..config(1)
                },
                "days",
            ),
        ] {
            let error = Simulation::new(config).expect_err("impossible");
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }
}
