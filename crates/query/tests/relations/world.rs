//! Histories as tests write them, and engines over them with models applied.

use std::sync::Arc;

use vitalog_event::parse_timestamp_us;
use vitalog_query::QueryEngine;
use vitalog_store::{DefinitionKind, Store};

use crate::support::{Layout, MovingClock, Row, answer, engine_over, store_with};

/// Events in the order in which they arrive.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub rows: Vec<Row>,
}

impl World {
    /// One event; empty text is NULL.
    pub fn event(&mut self, time: &str, event: &str, account: &str, user: &str) -> &mut Row {
        self.event_at(parse_timestamp_us(time).unwrap(), event, account, user)
    }

    /// One event at a time in microseconds.
    pub fn event_at(&mut self, time_us: i64, event: &str, account: &str, user: &str) -> &mut Row {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.rows.push(Row {
            event_id: format!("event {}", self.rows.len()),
            time_us,
            event: event.to_owned(),
            account_id: text(account),
            user_id: text(user),
            ..Row::default()
        });
        self.rows.last_mut().unwrap()
    }

    /// `count` events a minute apart.
    pub fn events(&mut self, count: i64, time: &str, event: &str, account: &str, user: &str) {
        let start_us = parse_timestamp_us(time).unwrap();
        for at in 0..count {
            self.event_at(start_us + at * 60_000_000, event, account, user);
        }
    }

    /// One event with a value.
    pub fn valued(&mut self, time: &str, event: &str, account: &str, user: &str, value: f64) {
        self.event(time, event, account, user).value = Some(value);
    }

    /// Traits of an account, or with a user the membership's end.
    pub fn group(&mut self, time: &str, account: &str, user: &str, traits: &str) {
        self.event(time, "$group", account, user).properties = Some(traits.to_owned());
    }

    /// Traits of a user.
    pub fn identify(&mut self, time: &str, user: &str, traits: &str) {
        self.event(time, "$identify", "", user).properties = Some(traits.to_owned());
    }

    /// A store with the events, at the end of their year.
    pub fn store(&self, layout: Layout) -> Arc<Store> {
        store_with(&self.rows, layout, MovingClock::at("2025-12-31"))
    }

    /// An engine over the events with `models`, as they would be after they were applied.
    pub fn engine(&self, layout: Layout, models: &[&str]) -> QueryEngine {
        let store = self.store(layout);
        for text in models {
            define(&store, text);
        }
        engine_over(&store)
    }

    /// Asserts the answers to statements in every layout.
    pub async fn check(&self, models: &[&str], expected: &[(&str, &[&[&str]])]) {
        for layout in Layout::ALL {
            let engine = self.engine(layout, models);
            for (sql, rows) in expected {
                let found = answer(&engine, sql).await;
                assert_eq!(&found, rows, "{sql} ({layout:?})");
            }
        }
    }
}

/// Stores a model under its name, unchecked: checks plan everything, and take their time.
pub fn define(store: &Store, text: &str) {
    let after = text.split_once("name = \"").unwrap().1;
    let name = after.split_once('"').unwrap().0;
    store
        .define(DefinitionKind::Model, name, Some(text))
        .unwrap();
}

/// A number of an answer; NULL is NaN.
pub fn number(text: &str) -> f64 {
    match text {
        "NULL" => f64::NAN,
        text => text.parse().unwrap(),
    }
}

/// Random events of a few accounts, users and names over the first eight days of March.
pub fn random(seed: u64, count: usize) -> World {
    let rows = crate::support::random_rows(seed, count);
    World { rows }
}
