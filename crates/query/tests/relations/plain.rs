//! Raw scores, pegs and scores once more: plain Rust over a `Vec` of events, to compare with.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use chrono_tz::Tz;

use crate::support::Row;

/// A weight rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// None: every event.
    pub events: Option<Vec<&'static str>>,
    /// Only events with a value above this.
    pub above: Option<f64>,
    /// In ten-thousandths.
    pub units: i64,
    pub times_value: bool,
    pub cap: Option<u64>,
}

/// How raw scores become scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// With the curve's k.
    Peg(f64),
    Winsor,
    Rank,
}

/// As much of a model as decides scores.
#[derive(Clone, Debug)]
pub struct PlainModel {
    pub zone: Tz,
    pub period_days: i64,
    pub rules: Vec<Rule>,
    pub method: Method,
    pub percentile: f64,
    pub floor: Option<f64>,
    pub min_population: usize,
}

/// Account and user of an entity, as far as it has them.
pub type Key = (Option<String>, Option<String>);

/// What is known of an entity.
#[derive(Clone, Debug, Default)]
pub struct Plain {
    pub units: i128,
    /// Count, counted and units by event and position of the rule, from 1.
    pub parts: BTreeMap<(String, usize), (u64, u64, i128)>,
}

impl PlainModel {
    /// The TOML of the model, named m.
    pub fn toml(&self) -> String {
        let mut text = format!(
            "name = \"m\"\ntime_zone = \"{}\"\nperiod_days = {}\npercentile = {:?}\nmin_population = {}\n",
            self.zone, self.period_days, self.percentile, self.min_population
        );
        if let Some(floor) = self.floor {
            text += &format!("peg_floor = {floor:?}\n");
        }
        text += &match self.method {
            Method::Peg(k) if k == -(1.0 - self.percentile).ln() => String::new(),
            Method::Peg(k) => format!("curve = {k:?}\n"),
            Method::Winsor => "method = \"winsor\"\n".to_owned(),
            Method::Rank => "method = \"rank\"\n".to_owned(),
        };
        for rule in &self.rules {
            let events = rule.events.clone().unwrap_or_else(|| vec!["*"]);
            let subject = match events.as_slice() {
                [one] => format!("event = {one:?}"),
                many => format!("events = {many:?}"),
            };
            text += &format!("[[weight]]\n{subject}\nweight = {}\n", decimal(rule.units));
            if let Some(above) = rule.above {
                text += &format!("where = \"value > {above:?}\"\n");
            }
            if rule.times_value {
                text += "times_value = true\n";
            }
            if let Some(cap) = rule.cap {
                text += &format!("daily_cap = {cap}\n");
            }
        }
        text
    }

    fn day(&self, time_us: i64) -> i64 {
        let time = DateTime::from_timestamp_micros(time_us).unwrap();
        let local = time.with_timezone(&self.zone).naive_local();
        local.and_utc().timestamp().div_euclid(86_400)
    }

    fn rule_of(&self, row: &Row) -> Option<usize> {
        let takes = |rule: &Rule| {
            let events = rule.events.as_ref();
            events.is_none_or(|events| events.contains(&row.event.as_str()))
                && rule
                    .above
                    .is_none_or(|above| row.value.is_some_and(|value| value > above))
        };
        self.rules.iter().position(takes)
    }

    /// Every entity that was seen before the instant, with what it did in the period.
    pub fn entities(&self, rows: &[Row], entity: &str, until_us: i64) -> BTreeMap<Key, Plain> {
        let today = self.day(until_us - 1);
        let mut entities: BTreeMap<Key, Plain> = BTreeMap::new();
        let mut days: BTreeMap<(Key, Key, &str, usize, i64), u64> = BTreeMap::new();
        for row in rows.iter().filter(|row| row.time_us < until_us) {
            let member = (row.account_id.clone(), row.user_id.clone());
            let key = match entity {
                "account" => (member.0.clone(), None),
                "user" => (None, member.1.clone()),
                _ => member.clone(),
            };
            let is_one = match entity {
                "account" => key.0.is_some(),
                "user" => key.1.is_some(),
                _ => key.0.is_some() && key.1.is_some(),
            };
            if !is_one {
                continue;
            }
            let plain = entities.entry(key.clone()).or_default();
            let day = self.day(row.time_us);
            if day <= today - self.period_days {
                continue;
            }
            let Some(at) = self.rule_of(row) else {
                continue;
            };
            let rule = &self.rules[at];
            let done = days.entry((key, member, &row.event, at, day)).or_default();
            *done += 1;
            let part = plain.parts.entry((row.event.clone(), at + 1)).or_default();
            part.0 += 1;
            if rule.cap.is_none_or(|cap| *done <= cap) {
                let units = match rule.times_value {
                    true => row
                        .value
                        .map_or(0, |value| (value * rule.units as f64).round() as i128),
                    false => i128::from(rule.units),
                };
                part.1 += 1;
                part.2 += units;
                plain.units += units;
            }
        }
        entities
    }

    /// The peg of raw scores, and how many make it.
    pub fn peg(&self, raws: &[f64]) -> (Option<f64>, usize) {
        let mut counted: Vec<f64> = raws.iter().copied().filter(|raw| *raw > 0.0).collect();
        counted.sort_unstable_by(f64::total_cmp);
        let count = counted.len();
        if count < self.min_population {
            return (self.floor, count);
        }
        let own = (count > 0).then(|| {
            let at = (count - 1) as f64 * self.percentile;
            let (below, part) = (at.floor() as usize, at.fract());
            let above = counted[(below + 1).min(count - 1)];
            counted[below] + part * (above - counted[below])
        });
        match (own, self.floor) {
            (Some(own), Some(floor)) => (Some(own.max(floor)), count),
            (own, floor) => (own.or(floor), count),
        }
    }

    /// The score of one of `raws`.
    pub fn score(&self, raw: f64, raws: &[f64]) -> Option<f64> {
        if raw <= 0.0 {
            return Some(1.0);
        }
        if self.method == Method::Rank {
            let lower = raws.iter().filter(|other| other.max(0.0) < raw).count() as f64;
            let others = raws.len() - 1;
            let rank = if others == 0 {
                0.0
            } else {
                lower / others as f64
            };
            return Some(1.0 + 99.0 * rank);
        }
        let share = (raw / self.peg(raws).0?).min(1.0);
        Some(match self.method {
            Method::Peg(0.0) => 1.0 + 99.0 * share,
            Method::Peg(k) => 1.0 + 99.0 * (1.0 - (-k * share).exp()) / (1.0 - (-k).exp()),
            Method::Winsor | Method::Rank => (100.0 * share).clamp(1.0, 100.0),
        })
    }

    /// The events that the rules name, each with the positions of its rules.
    pub fn named(&self) -> BTreeSet<(String, usize)> {
        let rules = self.rules.iter().zip(1..);
        rules
            .flat_map(|(rule, at)| {
                let events = rule.events.clone().unwrap_or_default();
                events.into_iter().map(move |event| (event.to_owned(), at))
            })
            .collect()
    }
}

/// Ten-thousandths as a decimal.
fn decimal(units: i64) -> String {
    let sign = if units < 0 { "-" } else { "" };
    let units = units.unsigned_abs();
    format!("{sign}{}.{:04}", units / 10_000, units % 10_000)
}
