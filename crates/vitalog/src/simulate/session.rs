//! Sessions: about twenty events of one seat within some minutes of working hours.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use vitalog_event::{DAY_US, day_start_us};

use super::population::{Population, Seat};
use super::vocabulary::{COUNTRIES, EVENT_NAMES, PLANS, WeightedPick, event_pick, is_billing};

const MINUTE_US: i64 = 60_000_000;

/// Fewest and most events of a session; the mean is 20.
const SESSION_EVENTS: (u64, u64) = (5, 35);

/// The longest pause between two events of a session; the mean is a quarter of it.
const PAUSE_US_MAX: u64 = 72_000_000;

/// Of 65,536 events so many arrive late (2 %), by up to [`LATE_US_MAX`].
const LATE_SHARE: u64 = 1_311;
const LATE_US_MAX: i64 = 2 * DAY_US;

/// Of 1,024 events so many come from a machine and have no user (1 %).
const NO_USER_SHARE: u64 = 10;

/// Of 64 events so many have no properties (3 %).
const NO_PROPERTIES_SHARE: u64 = 2;

/// An event that has happened and waits for its arrival.
#[derive(Clone, Copy, Debug)]
pub(super) struct PendingEvent {
    pub arrival_us: i64,
    pub ordinal: u64,
    pub event_time_us: i64,
    pub seat: u32,
    pub duration_ms: u32,
    /// 0 where the event carries no value.
    pub value: u32,
    pub name: u8,
    pub has_user: bool,
    pub has_properties: bool,
}

/// Makes the sessions of one day after the other.
#[derive(Debug)]
pub(super) struct Sessions {
    names: WeightedPick,
    billing: [bool; EVENT_NAMES.len()],
    next_ordinal: u64,
}

impl Sessions {
    pub(super) fn new() -> Self {
        let billing = std::array::from_fn(|name| is_billing(name as u8));
        Self {
            names: event_pick(),
            billing,
            next_ordinal: 0,
        }
    }

    /// Appends exactly `rows` events of `day` to `pending`, in no particular order.
    pub(super) fn generate_day(
        &mut self,
        rng: &mut ChaCha8Rng,
        population: &Population,
        day: i32,
        rows: u64,
        pending: &mut Vec<PendingEvent>,
    ) {
        let mut left = rows;
        while left > 0 {
            let seat = population.pick(rng);
            left -= self.generate_session(rng, population, day, seat, left, pending);
            // One seat in five comes back on the same day.
            if left > 0 && rng.random_range(0..5) == 0 {
                left -= self.generate_session(rng, population, day, seat, left, pending);
            }
        }
    }

    /// One session of at most `rows_max` events; returns how many it got.
    fn generate_session(
        &mut self,
        rng: &mut ChaCha8Rng,
        population: &Population,
        day: i32,
        seat: usize,
        rows_max: u64,
        pending: &mut Vec<PendingEvent>,
    ) -> u64 {
        let rows = rng
            .random_range(SESSION_EVENTS.0..=SESSION_EVENTS.1)
            .min(rows_max);
        let Seat {
            account, country, ..
        } = population.seats[seat];
        let plan = account.map_or(0, |account| population.plans[account as usize]);
        let price = PLANS[usize::from(plan)].seat_price;
        let last_us = day_start_us(day) + DAY_US - 1;
        let mut time_us = start_us(rng, day, country);
        for _ in 0..rows {
            time_us = (time_us + pause_us(rng.random())).min(last_us);
            let event = self.draw_event(rng, time_us, seat, price);
            pending.push(event);
        }
        rows
    }

    fn draw_event(
        &mut self,
        rng: &mut ChaCha8Rng,
        event_time_us: i64,
        seat: usize,
        price: u32,
    ) -> PendingEvent {
        // Sixty-four bits serve all the draws of a row: 12 + 16 + 10 + 6 + 20.
        let bits: u64 = rng.random();
        let name = self.names.pick(bits);
        let late = (bits >> 12) & 0xffff < LATE_SHARE;
        let arrival_us = if late {
            event_time_us + rng.random_range(1..=LATE_US_MAX)
        } else {
            event_time_us
        };
        let (left, right) = (bits >> 44 & 0x3ff, bits >> 54);
        let value = if self.billing[usize::from(name)] {
            price.max(9) * (1 + left as u32)
        } else {
            0
        };
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        PendingEvent {
            arrival_us,
            ordinal,
            event_time_us,
            seat: seat as u32,
            // Up to 65 s, the mean a quarter of that.
            duration_ms: (left * right) as u32 / 16 + 3,
            value,
            name,
            has_user: (bits >> 28) & 0x3ff >= NO_USER_SHARE,
            has_properties: (bits >> 38) & 0x3f >= NO_PROPERTIES_SHARE,
        }
    }
}

/// The mean of two draws from 8 to 18 o'clock, local time: busiest around one o'clock.
fn start_us(rng: &mut ChaCha8Rng, day: i32, country: u8) -> i64 {
    let hours_us = 10 * 60 * MINUTE_US;
    let drawn = (rng.random_range(0..hours_us) + rng.random_range(0..hours_us)) / 2;
    let offset = i64::from(COUNTRIES[usize::from(country)].utc_offset_minutes) * MINUTE_US;
    day_start_us(day) + 8 * 60 * MINUTE_US - offset + drawn
}

/// The product of two uniform draws: many short pauses, few long ones.
fn pause_us(bits: u64) -> i64 {
    let product = ((bits >> 32) * (bits & 0xffff_ffff)) >> 32;
    ((product * PAUSE_US_MAX) >> 32) as i64
}
