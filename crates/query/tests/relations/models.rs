//! Applying, checking and listing models: what is wrong with one, and what it would change.

use futures::TryStreamExt;
use vitalog_query::{ModelError, QueryEngine};

use crate::support::{Layout, answer, texts};
use crate::world::World;

fn world() -> World {
    let mut world = World::default();
    for (account, logins, exports) in [("acme", 9, 0), ("globex", 1, 3), ("initech", 3, 3)] {
        world.events(logins, "2025-12-20", "login", account, "ann");
        world.events(exports, "2025-12-21", "export", account, "bob");
    }
    world
}

fn engine() -> QueryEngine {
    world().engine(Layout::Mixed, &[])
}

/// The faults of a model, one a line.
async fn faults(engine: &QueryEngine, text: &str) -> String {
    match engine.apply_model(text, false).await {
        Err(ModelError::Faults(faults)) => {
            let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
        other => panic!("{other:?} for\n{text}"),
    }
}

#[tokio::test]
async fn every_fault_has_its_line() {
    let engine = engine();
    let text = "name = \"m\"
filter = \"plann = 'pro'\"
event_filter = \"value > 'x' || 5 5\"
features = [\"exprot\"]
weight = [
  { event = \"logn\", weight = 1 },
  { event = \"login\", where = \"valu > 10\", weight = 1 },
]
[[dimension]]
name = \"d\"
signal = [
  { name = \"a\", count = \"something else\", info = true },
  { name = \"b\", sql = \"a + nope\", info = true },
]
[[stage]]
name = \"s\"
when = \"a\"
[[segment]]
name = \"t\"
when = \"tenure_days < 30 extra\"";
    let found = faults(&engine, text).await;
    let lines: Vec<&str> = found.lines().collect();
    for (at, expected) in [
        "line 2: there is no column plann; did you mean plan?",
        "line 3: one expression is expected, and 5 follows it",
        "line 4: event \"exprot\" was never seen; did you mean export?",
        "line 6: event \"logn\" was never seen; did you mean login?",
        "line 7: there is no column valu; did you mean value?",
        "line 12: event \"something else\" was never seen",
        "line 13: there is no column nope",
        "line 17: is a condition (true or false), and a is Float64",
        "line 20: one expression is expected, and extra follows it",
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(lines.get(at), Some(expected), "{found}");
    }
    assert_eq!(lines.len(), 9, "{found}");
    assert!(
        engine
            .models()
            .unwrap()
            .iter()
            .all(|model| model.name != "m")
    );
}

/// SQL of a model depends on its row alone.
#[tokio::test]
async fn sql_that_is_refused() {
    let engine = engine();
    const ROW_ALONE: &str = "SQL of a model depends on its row alone";
    for (sql, expected) in [
        ("now() > created_at", ROW_ALONE),
        ("created_at < current_date", ROW_ALONE),
        ("random() < 0.5", ROW_ALONE),
        ("uuid() = 'x'", ROW_ALONE),
        ("max(score) > 5", ROW_ALONE),
        ("row_number() OVER () = 1", ROW_ALONE),
        ("score > $1", ROW_ALONE),
        ("score > (SELECT max(value) FROM events)", "line 5"),
        ("EXISTS (SELECT 1 FROM events)", "line 5"),
        ("account_id IN (SELECT account_id FROM events)", "line 5"),
        (
            "score > 5; SELECT 1",
            "one expression is expected, and ; follows it",
        ),
        (
            "score > 5) OR (TRUE",
            "one expression is expected, and ) follows it",
        ),
        ("", "line 5"),
        ("-- nothing", "line 5"),
        ("score >", "line 5"),
        ("score > 'abc' || ", "line 5"),
        ("nofunction(score) > 5", "there is no function nofunction"),
        ("accounts.plan = 'pro'", "there is no column accounts.plan"),
        ("\"$units\" > 5", "there is no column"),
        ("value > 5", "there is no column value"),
        ("plan", "is a condition (true or false), and plan is Utf8"),
    ] {
        let text = format!("name = \"m\"\n\n[[segment]]\nname = \"s\"\nwhen = {sql:?}");
        let found = faults(&engine, &text).await;
        assert!(found.starts_with("line 5: "), "{sql}: {found}");
        assert!(found.contains(expected), "{sql}: {found}");
    }
    let text = "name = \"m\"\ndimension = [{ name = \"d\", signal = [{ name = \"s\", sql = \"plan\", info = true }] }]";
    let found = faults(&engine, text).await;
    assert_eq!(found, "line 2: is a number, and plan is Utf8");
}

/// A signal that needs itself has no value, whichever way around.
#[tokio::test]
async fn circles_are_refused() {
    let engine = engine();
    let dimension = |signals: &str| {
        format!("name = \"m\"\n[[dimension]]\nname = \"d\"\nsignal = [{signals}]\n")
    };
    let sql = |name: &str, sql: &str| {
        format!("{{ name = \"{name}\", sql = \"{sql}\", red = \"< 1\", green = \">= 1\" }}")
    };
    for text in [
        dimension(&sql("a", "a + 1")),
        dimension(&format!(
            "{}, {}, {}",
            sql("a", "b"),
            sql("b", "c * 2"),
            sql("c", "coalesce(a, 0)")
        )),
        // The status needs the signal, and the signal the status.
        dimension(&sql("a", "CASE WHEN status = 'red' THEN 1 ELSE 0 END")),
        format!(
            "{}[[stage]]\nname = \"s\"\nwhen = \"stage = 'x'\"",
            dimension(&sql("a", "1"))
        ),
        dimension(&sql("a", "CASE stage WHEN 's' THEN 1 END"))
            + "[[stage]]\nname = \"s\"\nwhen = \"a > 0\"",
    ] {
        let found = faults(&engine, &text).await;
        assert!(found.contains("is defined by itself"), "{text}\n{found}");
    }
}

/// A signal cannot take a name that SQL of the model already means something by.
#[tokio::test]
async fn names_of_columns_are_taken() {
    let engine = engine();
    for name in [
        "band",
        "direction",
        "first_active",
        "last_active",
        "start_at",
        "user_name",
        "user_traits",
        "status",
        "stage",
        "segments",
        "traits",
        "plan",
        "email",
        "account_id",
        "peg",
        "score",
    ] {
        let text = format!(
            "name = \"m\"\ndimension = [{{ name = \"d\", signal = [{{ name = \"{name}\", count = \"login\", info = true }}] }}]"
        );
        let found = faults(&engine, &text).await;
        assert!(
            found.contains(&format!("a signal cannot be named {name}")),
            "{found}"
        );
    }
    // Names of events' columns and of keywords mean nothing here, and are free.
    let signals: Vec<String> = [
        "event", "value", "day", "units", "rule", "count", "n", "session", "select", "raws",
    ]
    .iter()
    .map(|name| format!("{{ name = \"{name}\", count = \"login\", info = true }}"))
    .collect();
    let text = format!(
        "name = \"m\"\ndimension = [{{ name = \"d\", signal = [{}] }}]\n
         [[segment]]\nname = \"s\"\nwhen = \"event + \\\"value\\\" + \\\"select\\\" >= 27\"",
        signals.join(", ")
    );
    engine.apply_model(&text, false).await.unwrap();
    let sql = "SELECT account_id, segments FROM health_scores(model => 'm', as_of => DATE '2025-12-31') ORDER BY 1";
    assert_eq!(
        answer(&engine, sql).await,
        [["acme", "[s]"], ["globex", "[]"], ["initech", "[]"]]
    );
    let sql = "SELECT DISTINCT value FROM account_signals(model => 'm', as_of => DATE '2025-12-31')
         WHERE account_id = 'acme'";
    assert_eq!(answer(&engine, sql).await, [["9.0"]]);
}

#[tokio::test]
async fn versions() {
    let engine = engine();
    let one = "name = \"m\"\ndescription = \"one\"\npriority = 3";
    let two = "name = \"m\"\nentity = \"user\"\nperiod_days = 7";
    let applied = engine.apply_model(one, false).await.unwrap();
    assert!(applied.is_new);
    assert_eq!((applied.model.version, applied.model.is_current), (1, true));
    assert_eq!(applied.model.description.as_deref(), Some("one"));
    assert_eq!(
        (applied.model.priority, applied.model.period_days),
        (Some(3), 30)
    );
    // The same text again is the version that is there.
    let again = engine.apply_model(one, false).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.model, applied.model);
    assert_eq!(
        engine.apply_model(two, false).await.unwrap().model.version,
        2
    );
    // An older text is a new version.
    let back = engine.apply_model(one, false).await.unwrap();
    assert_eq!((back.model.version, back.is_new), (3, true));
    assert_eq!(back.model.content_hash, applied.model.content_hash);

    let models = engine.models().unwrap();
    let shown: Vec<_> = models
        .iter()
        .map(|model| {
            (
                model.name.as_str(),
                model.version,
                model.is_current,
                model.entity.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("default", 0, true, "account"),
            ("m", 1, false, "account"),
            ("m", 2, false, "user"),
            ("m", 3, true, "account"),
        ]
    );
    assert_eq!((models[2].text.as_str(), models[2].period_days), (two, 7));
    assert_eq!(models[0].valid_from_us, None);

    // A default of one's own replaces the built-in one.
    let default = "name = \"default\"\nentity = \"member\"";
    engine.apply_model(default, false).await.unwrap();
    let models = engine.models().unwrap();
    assert_eq!((models[0].version, models[0].text.as_str()), (1, default));
    assert_eq!(
        models
            .iter()
            .filter(|model| model.name == "default")
            .count(),
        1
    );
    let rows = answer(
        &engine,
        "SELECT DISTINCT version, user_id FROM health_scores() ORDER BY 2",
    )
    .await;
    assert_eq!(rows, [["1", "ann"], ["1", "bob"]]);
}

#[tokio::test]
async fn a_refused_model_stores_nothing_and_unknown_events_may_be_allowed() {
    let engine = engine();
    let text = "name = \"m\"\nweight = [{ event = \"to come\", weight = 2 }]";
    let found = faults(&engine, text).await;
    assert_eq!(found, "line 2: event \"to come\" was never seen");
    assert_eq!(engine.models().unwrap().len(), 1);
    assert!(engine.apply_model(text, true).await.unwrap().is_new);
    // What is not TOML, and what has no name.
    for (text, expected) in [
        ("name = \"m\"\nperiod_days = ", "line 2"),
        ("period_days = 3", "the model has no name"),
        ("name = \"m\"\nperiod_days = 0\nperiod = 3", "line 3"),
    ] {
        let found = faults(&engine, text).await;
        assert!(found.contains(expected), "{found}");
    }
}

async fn difference(engine: &QueryEngine, text: &str) -> Vec<Vec<String>> {
    let stream = engine.check_model(text, false).await.unwrap();
    let names: Vec<String> = stream
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(
        names,
        [
            "account_id",
            "user_id",
            "old_score",
            "new_score",
            "old_band",
            "new_band",
            "old_status",
            "new_status"
        ]
    );
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    texts(&batches)
}

/// The worst change first, and nothing is stored.
#[tokio::test]
async fn what_a_model_would_change() {
    // The comparison is about now: events of no fixed time would not do.
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now_us = now.as_micros() as i64;
    let clock = crate::support::MovingClock::at("2025-12-31");
    clock.set_us(now_us);
    let mut world = World::default();
    for (account, logins, exports) in [("acme", 9, 0), ("globex", 1, 3), ("initech", 3, 3)] {
        for at in 0..logins {
            world.event_at(now_us - 3_600_000_000 + at, "login", account, "ann");
        }
        for at in 0..exports {
            world.event_at(now_us - 3_600_000_000 - at, "export", account, "bob");
        }
    }
    let store = crate::support::store_with(&world.rows, Layout::Mixed, clock);
    let engine = crate::support::engine_over(&store);
    let dimension =
        "dimension = [{ name = \"d\", signal = [{ metric = \"score\" }] }]\nmethod = \"winsor\"\n";
    let old = format!(
        "name = \"m\"\n{dimension}peg_floor = 100\nweight = [{{ event = \"login\", weight = 10 }}]"
    );
    let new = format!(
        "name = \"m\"\n{dimension}peg_floor = 100\nweight = [{{ event = \"export\", weight = 30 }}]"
    );
    engine.apply_model(&old, false).await.unwrap();
    assert_eq!(
        difference(&engine, &new).await,
        [
            [
                "acme", "NULL", "90.0", "1.0", "green", "red", "green", "red"
            ],
            [
                "initech", "NULL", "30.0", "90.0", "yellow", "green", "yellow", "green"
            ],
            [
                "globex", "NULL", "10.0", "90.0", "red", "green", "red", "green"
            ],
        ]
    );
    assert_eq!(engine.models().unwrap().len(), 2, "nothing was stored");
    // The same text changes nothing; a filter takes rows away.
    let same = difference(&engine, &old).await;
    assert!(
        same.iter().all(|row| row[2] == row[3] && row[6] == row[7]),
        "{same:?}"
    );
    let less = format!("filter = \"account_id <> 'acme'\"\n{old}");
    let row: [&str; 8] = [
        "acme", "NULL", "90.0", "NULL", "green", "NULL", "green", "NULL",
    ];
    assert_eq!(difference(&engine, &less).await[0], row);
    // A new name is compared with the default model, and the built-in one with its successor.
    for text in [
        old.replace("\"m\"", "\"other\""),
        old.replace("\"m\"", "\"default\""),
    ] {
        let found = difference(&engine, &text).await;
        assert_eq!(found.len(), 3, "{found:?}");
        assert_eq!(
            (&*found[0][0], &*found[0][3]),
            ("globex", "10.0"),
            "{found:?}"
        );
    }
    // What is wrong with it is said as by applying.
    let error = engine
        .check_model("name = \"m\"\nfeatures = [\"logn\"]", false)
        .await;
    let shown = error.err().map(|error| error.to_string());
    assert_eq!(
        shown.as_deref(),
        Some("line 2: event \"logn\" was never seen; did you mean login?")
    );
}

/// A large model plans: many rules, signals, stages and segments.
#[tokio::test]
async fn a_large_model() {
    let mut text = "name = \"large\"\n".to_owned();
    for at in 0..300 {
        text += &format!(
            "[[weight]]\nevent = \"e{at}\"\nweight = 0.{:03}1\ndaily_cap = {}\n",
            at,
            at + 1
        );
    }
    for dimension in 0..8 {
        text += &format!("[[dimension]]\nname = \"d{dimension}\"\n");
        for at in 0..5 {
            let source = match at {
                0 => "count = \"*\"".to_owned(),
                1 => format!("sum = \"e{at}\""),
                2 => format!("open = {{ opened = \"e{dimension}\", closed = \"f\" }}"),
                3 if dimension > 0 => format!("sql = \"coalesce(s{}_3, 0) + 1\"", dimension - 1),
                _ => "active_days = \"login\"".to_owned(),
            };
            text += &format!(
                "[[dimension.signal]]\nname = \"s{dimension}_{at}\"\n{source}\nred = \"< 1\"\ngreen = \">= 2\"\n"
            );
        }
    }
    for at in 0..30 {
        text += &format!("[[stage]]\nname = \"stage {at}\"\nwhen = \"s7_3 = {at}\"\n");
        text += &format!("[[segment]]\nname = \"segment {at}\"\nwhen = \"s7_3 > {at}\"\n");
    }
    let engine = engine();
    engine.apply_model(&text, true).await.unwrap();
    let sql = "SELECT status, stage, cardinality(segments) FROM health_scores(model => 'large',
         as_of => DATE '2025-12-31') WHERE account_id = 'acme'";
    assert_eq!(answer(&engine, sql).await, [["red", "stage 8", "8"]]);
}
