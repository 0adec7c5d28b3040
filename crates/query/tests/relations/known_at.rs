//! What was known at an instant, or up to a `seq`, stays the answer whatever comes in later.

use vitalog_query::{QueryEngine, QueryRequest};
use vitalog_store::Store;

use crate::support::{MovingClock, append_at, empty_store_with, engine_over, request, rows};
use crate::world::{World, define, random};
use vitalog_store::Clock;

const MODEL: &str = "
name = \"m\"
period_days = 4
healthy_days_max = 3
priority = 5
filter = \"plan IS NULL OR plan <> 'internal'\"
features = [\"event 0\", \"event 1\"]
steps = [\"event 2\", \"event 3\"]
key_event = \"event 1\"
weight = [{ event = \"event 1\", weight = 2, daily_cap = 1 }, { event = \"*\", weight = 1 }]
[[dimension]]
name = \"d\"
signal = [
  { metric = \"usage_frequency\" },
  { name = \"latest\", last = \"event 2\", info = true },
  { name = \"unsolved\", open = { opened = \"event 0\", closed = \"event 3\" }, info = true },
  { name = \"visits\", sessions = \"count\", info = true },
  { name = \"nps\", trait = \"nps\", info = true },
]
[[stage]]
name = \"paying\"
when = \"mrr > 0\"
[[segment]]
name = \"first\"
when = \"trait_text(traits, 'plan') = 'pro'\"";

/// All columns of all relations, and the default model; `{known}` may be another argument.
const QUESTIONS: [&str; 7] = [
    "SELECT * FROM health_scores(model => 'm', as_of => DATE '2025-03-08'{known})",
    "SELECT * FROM health_scores(as_of => DATE '2025-03-06', entity => 'member'{known})",
    "SELECT * FROM account_signals(model => 'm', as_of => DATE '2025-03-08'{known})",
    "SELECT * FROM health_explain(model => 'm', as_of => DATE '2025-03-08'{known})",
    "SELECT * FROM health_steps(model => 'm', as_of => DATE '2025-03-08', entity => 'user'{known})",
    "SELECT * FROM health_history(model => 'm', every => 'day', since => DATE '2025-03-07',
     until => DATE '2025-03-08'{known})",
    "SELECT * FROM sessions(since => DATE '2025-03-01', until => DATE '2025-03-08'{known})",
];

/// Where the rows lie when more come in.
#[derive(Clone, Copy, Debug)]
struct Flushes {
    before: bool,
    after: bool,
}

fn early() -> World {
    let mut world = random(3, 90);
    let group = |world: &mut World, account: &str, user: &str, traits: &str| {
        let account = format!("an account with a long id {account}");
        world.group("2025-03-02", &account, user, traits);
    };
    group(
        &mut world,
        "0",
        "",
        r#"{"plan":"pro","seats":3,"mrr":10,"nps":9}"#,
    );
    group(
        &mut world,
        "1",
        "",
        r#"{"plan":"free","created_at":"2025-01-01"}"#,
    );
    group(&mut world, "1", "user 1", r#"{"removed_at":"2025-03-02"}"#);
    world.identify("2025-03-02", "user 2", r#"{"name":"Two","role":"admin"}"#);
    for (at, row) in world.rows.iter_mut().enumerate() {
        row.event_id = format!("early {at}");
    }
    world
}

/// Everything that may come in late, at times that every question looks at.
fn late() -> World {
    let mut world = random(4, 60);
    let group = |world: &mut World, account: &str, user: &str, traits: &str| {
        let account = format!("an account with a long id {account}");
        world.group("2025-03-03", &account, user, traits);
    };
    group(
        &mut world,
        "0",
        "",
        r#"{"plan":"free","seats":9,"mrr":0,"nps":1}"#,
    );
    group(&mut world, "1", "", r#"{"churned_at":"2025-03-04"}"#);
    group(&mut world, "2", "", r#"{"plan":"internal"}"#);
    group(&mut world, "9", "", r#"{"plan":"pro"}"#);
    group(&mut world, "0", "user 2", r#"{"removed_at":"2025-03-03"}"#);
    group(&mut world, "1", "user 1", "{}");
    world.identify("2025-03-03", "user 2", r#"{"name":"Too","role":null}"#);
    for (at, row) in world.rows.iter_mut().enumerate() {
        row.event_id = format!("late {at}");
    }
    world
}

async fn ask(
    engine: &QueryEngine,
    question: &str,
    known: &str,
    as_of_seq: Option<i64>,
) -> Vec<Vec<String>> {
    let request = QueryRequest {
        as_of_seq,
        ..request(&question.replace("{known}", known))
    };
    let mut found = rows(engine, request).await;
    found.sort_unstable();
    found
}

fn flush(store: &Store, is_wanted: bool) {
    if is_wanted {
        store.flush().unwrap();
    }
}

async fn check(flushes: Flushes) {
    let clock = MovingClock::at("2025-04-01T00:00:00Z");
    let store = empty_store_with(clock.clone());
    append_at(&store, &early().rows, clock.now_us());
    define(&store, MODEL);
    flush(&store, flushes.before);
    let seq = store.snapshot().seq();
    let engine = engine_over(&store);
    let mut before = Vec::new();
    for question in QUESTIONS {
        let found = ask(&engine, question, "", None).await;
        assert!(!found.is_empty(), "{question}");
        before.push(found);
    }

    clock.set("2025-04-01T00:00:00.000002Z");
    append_at(&store, &late().rows, clock.now_us());
    flush(&store, flushes.after);
    // Versions that change every answer, and a rival that takes accounts away.
    define(
        &store,
        &MODEL
            .replace("period_days = 4", "period_days = 2")
            .replace("weight = 2", "weight = -3"),
    );
    define(
        &store,
        "name = \"rival\"\npriority = 1\nfilter = \"plan = 'free'\"",
    );
    define(&store, "name = \"default\"\nperiod_days = 3");

    for (question, before) in QUESTIONS.iter().zip(&before) {
        // The instant itself still knows; so does the one after it.
        let known = ", known_at => TIMESTAMP '2025-04-01T00:00:00.000001Z'";
        assert_eq!(
            &ask(&engine, question, known, None).await,
            before,
            "{question} {flushes:?}"
        );
        assert_eq!(
            &ask(&engine, question, "", Some(seq)).await,
            before,
            "{question} at seq {seq}"
        );
        let now = ask(&engine, question, "", None).await;
        assert_ne!(&now, before, "the late events change {question}");
    }
    // All that is known now is what is known at the end; before the beginning nothing was.
    let now = ask(&engine, QUESTIONS[6], "", None).await;
    let end = ", known_at => TIMESTAMP '2025-04-01T00:00:00.000002Z'";
    assert_eq!(ask(&engine, QUESTIONS[6], end, None).await, now);
    let nothing = ", known_at => TIMESTAMP '2025-03-31T23:59:59.999999Z'";
    assert!(ask(&engine, QUESTIONS[1], nothing, None).await.is_empty());
}

#[tokio::test]
async fn in_memory() {
    check(Flushes {
        before: false,
        after: false,
    })
    .await;
}

#[tokio::test]
async fn in_a_segment_and_in_memory() {
    check(Flushes {
        before: true,
        after: false,
    })
    .await;
}

#[tokio::test]
async fn in_two_segments() {
    check(Flushes {
        before: true,
        after: true,
    })
    .await;
}

/// A version of a model can be asked for as long as it was known, and of no other name.
#[tokio::test]
async fn versions_by_number() {
    let clock = MovingClock::at("2025-04-01");
    let store = empty_store_with(clock.clone());
    append_at(&store, &early().rows, clock.now_us());
    for days in 1..=3 {
        clock.set(&format!("2025-04-0{days}"));
        define(&store, &format!("name = \"m\"\nperiod_days = {days}"));
    }
    let engine = engine_over(&store);
    let frequency = |arguments: &str| {
        format!(
            "SELECT DISTINCT version, round(active_days / usage_frequency, 6) FROM health_scores(
             model => 'm', as_of => DATE '2025-03-08'{arguments}) WHERE active_days > 0"
        )
    };
    for (arguments, expected) in [
        ("", ["3", "3.0"]),
        (", version => 1", ["1", "1.0"]),
        (
            ", version => 2, known_at => TIMESTAMP '2025-04-02T00:00:00Z'",
            ["2", "2.0"],
        ),
        (
            ", known_at => TIMESTAMP '2025-04-01T12:00:00Z'",
            ["1", "1.0"],
        ),
        // A DATE is the end of that day.
        (", known_at => DATE '2025-04-02'", ["3", "3.0"]),
        (
            ", known_at => TIMESTAMP '2025-04-02T23:59:59Z'",
            ["2", "2.0"],
        ),
    ] {
        let found = rows(&engine, request(&frequency(arguments))).await;
        assert_eq!(found, [expected], "{arguments}");
    }
    let too_early = frequency(", version => 2, known_at => TIMESTAMP '2025-04-01T12:00:00Z'");
    let error = crate::support::error_of(&engine, request(&too_early)).await;
    assert!(
        error
            .to_string()
            .contains("model 'm' has no version 2; the one in force is 1"),
        "{error}"
    );
}
