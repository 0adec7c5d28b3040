//! Events of a small product around a change of clocks, made to meet every rule of a model: rows
//! without an account or a user, users of several accounts, bots, values and none, accounts whose
//! plan changes and one that churns, and times at midnights of Berlin to the microsecond.

use std::path::PathBuf;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use vitalog_event::{format_timestamp_us, parse_timestamp_us};

use crate::Place;

const DAY_US: i64 = 86_400_000_000;
const HOUR_US: i64 = 3_600_000_000;
/// Berlin's clocks went forward on 30 March 2025.
const START: &str = "2025-03-03T00:00:00Z";
const DAYS: i64 = 45;
const EVENTS: usize = 15_000;
const ACCOUNTS: u32 = 12;
const USERS: u32 = 60;
const NAMES: [&str; 8] = [
    "report_created",
    "invite_sent",
    "export_done",
    "rows_imported",
    "login",
    "report_deleted",
    "search",
    "page_viewed",
];

/// Writes the events as JSON Lines.
pub(super) fn events(place: &Place) -> Result<PathBuf, String> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut lines = traits();
    for _ in 0..EVENTS {
        lines.push(event(&mut random));
    }
    let mut text = String::new();
    for (number, mut line) in lines.into_iter().enumerate() {
        line["event_id"] = json!(format!("event-{number}"));
        text.push_str(&format!("{line}\n"));
    }
    place.write("events.jsonl", text);
    Ok(place.path("events.jsonl"))
}

fn at(days: i64, us: i64) -> String {
    let start_us = parse_timestamp_us(START).unwrap();
    format_timestamp_us(start_us + days * DAY_US + us)
}

/// Plans, changes of plans that came in the wrong order, an account that churns, and a silent one.
fn traits() -> Vec<Value> {
    let group = |account: &str, time: String, properties: Value| {
        json!({"event_time": time, "event": "$group", "account_id": account,
               "properties": properties})
    };
    let mut lines = vec![
        group("account-1", at(29, 0), json!({"plan": "internal"})),
        group("account-2", at(20, 0), json!({"plan": "free"})),
        group("account-2", at(10, 0), json!({"plan": "internal"})),
        group(
            "account-5",
            at(1, 0),
            json!({"churned_at": at(25, HOUR_US)}),
        ),
        group("account-silent", at(2, 0), json!({"plan": "pro"})),
    ];
    for account in 0..ACCOUNTS {
        let plan = ["pro", "free", "internal", "pro"][account as usize % 4];
        if account % 5 != 4 {
            let name = format!("account-{account}");
            lines.push(group(&name, at(0, 0), json!({"plan": plan})));
        }
    }
    lines
}

fn event(random: &mut ChaCha8Rng) -> Value {
    // Few do much.
    let share: f64 = random.random();
    let number = (share * share * f64::from(USERS)) as u32;
    let user = match random.random_range(0..100) {
        0..5 => None,
        5..10 => Some(format!("bot-{}", number % 4)),
        _ => Some(format!("user-{number}")),
    };
    let account = match random.random_range(0..100) {
        0..5 => None,
        5..10 => Some(format!("account-{}", random.random_range(0..ACCOUNTS))),
        _ => Some(format!("account-{}", number % ACCOUNTS)),
    };
    let name = NAMES[(random.random::<f64>().powi(2) * NAMES.len() as f64) as usize];
    // Hundredths, so that a weight of hundredths times a value is a whole number of units.
    let value = random
        .random_bool(0.6)
        .then(|| f64::from(random.random_range(-2_000..20_000)) / 100.0);
    json!({"event_time": time(random), "event": name, "account_id": account, "user_id": user,
           "value": value})
}

fn time(random: &mut ChaCha8Rng) -> String {
    let day = random.random_range(0..DAYS);
    if random.random_bool(0.1) {
        // Midnight in Berlin is at 23:00 UTC in winter and at 22:00 in summer.
        let hour = random.random_range(22..24);
        return at(day, hour * HOUR_US + random.random_range(-1..=1));
    }
    at(day, random.random_range(0..DAY_US))
}
