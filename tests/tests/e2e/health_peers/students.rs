//! Students of the presentations that the page of the back-test asks about, where the real ones are
//! not there: a file of clicks, and beside it one of enrolments, in the shape of theirs.

use std::fmt::Write;
use std::path::PathBuf;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitalog_event::{format_timestamp_us, parse_timestamp_us};

use crate::Place;

const PRESENTATIONS: [(&str, &str); 4] = [
    ("BBB-2013B", "2013-02-01"),
    ("AAA-2013J", "2013-10-01"),
    ("BBB-2013J", "2013-10-01"),
    ("AAA-2014J", "2014-10-01"),
];
const REGIONS: [&str; 3] = ["Scotland", "Wales", "North Region"];
/// Of a presentation.
const STUDENTS: u32 = 90;
/// Days of a presentation with clicks: from before its start.
const FIRST_DAY: i64 = -20;
const LAST_DAY: i64 = 240;

/// An enrolment: days count from the start of the presentation.
struct Enrolment {
    account: String,
    user: String,
    registered: i64,
    unregistered: Option<i64>,
    withdrew: bool,
    /// The share of days with clicks.
    diligence: f64,
}

/// Writes `events.csv` and `labels.csv`, and returns the path of the former.
pub(super) fn students(place: &Place) -> Result<PathBuf, String> {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let mut events = "event_id,event_time,event,account_id,user_id,value\n".to_owned();
    let mut labels = "account_id,user_id,presentation,final_result,churned,registered_date,\
                      unregistered_date,presentation_start\n"
        .to_owned();
    for (presentation, start) in PRESENTATIONS {
        for number in 0..STUDENTS {
            let enrolment = enrolment(&mut random, presentation, number);
            labels.push_str(&label(&enrolment, presentation, start));
            clicks(&mut random, &enrolment, start, &mut events);
        }
    }
    place.write("events.csv", events);
    place.write("labels.csv", labels);
    Ok(place.path("events.csv"))
}

fn enrolment(random: &mut ChaCha8Rng, presentation: &str, number: u32) -> Enrolment {
    // The first ten of each presentation are people of all of them.
    let of = if number < 10 { "all" } else { presentation };
    let user = format!("{number} of {of}");
    let leaves = random.random_bool(0.35);
    let diligence = if random.random_bool(0.1) {
        0.0
    } else {
        random.random_range(0.01..0.3) * if leaves { 0.7 } else { 1.0 }
    };
    Enrolment {
        account: format!(
            "{presentation}/{}",
            REGIONS[number as usize % REGIONS.len()]
        ),
        user,
        registered: random.random_range(-120..45),
        unregistered: leaves.then(|| random.random_range(-30..230)),
        withdrew: leaves && random.random_bool(0.95),
        diligence,
    }
}

/// The date of a day of a presentation.
fn date(start: &str, day: i64) -> String {
    let time_us = parse_timestamp_us(start).unwrap() + day * 86_400_000_000;
    format_timestamp_us(time_us)[..10].to_owned()
}

fn label(enrolment: &Enrolment, presentation: &str, start: &str) -> String {
    let Enrolment {
        account,
        user,
        registered,
        unregistered,
        withdrew,
        ..
    } = enrolment;
    let result = if *withdrew { "Withdrawn" } else { "Pass" };
    let registered = date(start, *registered);
    let left = unregistered.map_or_else(String::new, |day| date(start, day));
    let churned = u8::from(*withdrew);
    format!("{account},{user},{presentation},{result},{churned},{registered},{left},{start}\n")
}

fn clicks(random: &mut ChaCha8Rng, enrolment: &Enrolment, start: &str, events: &mut String) {
    let Enrolment { account, user, .. } = enrolment;
    let end = enrolment.unregistered.unwrap_or(LAST_DAY);
    for day in FIRST_DAY..end {
        if !random.random_bool(enrolment.diligence) {
            continue;
        }
        let date = date(start, day);
        for click in 0..random.random_range(1..6) {
            let id = format!("{account} {user} {date} {click}");
            writeln!(
                events,
                "{id},{date},homepage,{account},{user},{}",
                click + 1
            )
            .unwrap();
        }
    }
}
