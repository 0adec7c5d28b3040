//! Models and views through the binary: what is taken, what is refused and where, what is kept.

use vitalog_tests::Vitalog;

use crate::{Place, assert_failed};

/// A store of five accounts: `acct-1` reports once, `acct-5` five times a day, on twenty days from
/// 2025-03-01 on.
pub(crate) fn reporting_store(place: &Place) -> Vitalog {
    reporting_store_from(place, 1_740_787_200_000_000)
}

fn reporting_store_from(place: &Place, start_us: i64) -> Vitalog {
    let mut lines = String::new();
    let mut push = |account: u64, user: &str, event: &str, time_us: i64, more: &str| {
        let time = vitalog_event::format_timestamp_us(time_us);
        lines.push_str(&format!(
            "{{\"event_id\":\"{account}-{user}-{event}-{time_us}\",\"event_time\":\"{time}\",\
             \"event\":\"{event}\",\"account_id\":\"acct-{account}\",\"user_id\":\"{user}\"{more}}}\n"
        ));
    };
    for account in 1..=5_u64 {
        let name = ["One", "Two", "Three", "Four", "Five"][account as usize - 1];
        let traits = format!(
            ",\"properties\":{{\"name\":\"{name} Ltd\",\"plan\":\"pro\",\"mrr\":{},\
             \"created_at\":\"2025-02-01T00:00:00Z\"}}",
            account * 100
        );
        push(account, "boss", "$group", start_us, &traits);
        for day in 0..20_i64 {
            for hour in 0..account as i64 {
                let time_us = start_us + (day * 24 + hour + 1) * 3_600_000_000;
                push(account, "boss", "report_created", time_us, "");
            }
        }
        push(account, "guest", "login", start_us + 3_600_000_000, "");
    }
    let file = place.write("reports.jsonl", lines);
    let vitalog = place.vitalog();
    assert_eq!(vitalog.run(&["import", &file]).code, 0);
    vitalog
}

/// A day after the last event of [`reporting_store`].
pub(crate) const AS_OF: &str = "2025-03-21T12:00:00Z";

pub(crate) const MODEL: &str = r#"name = "default"
description = "Reports."
period_days = 28
features = ["report_created"]
steps = ["login", "report_created"]

[[weight]]
event = "report_created"
weight = 5

[[weight]]
event = "login"
weight = 0.5
"#;

#[test]
fn a_model_is_stored_once_a_text_and_shown_as_it_was_written() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let listed = vitalog.stdout_of(&["model", "list"]);
    assert!(listed.contains("built-in default"), "{listed}");

    let file = place.write("health.toml", MODEL);
    let applied = vitalog.stdout_of(&["model", "apply", &file]);
    assert_eq!(applied, "model default version 1 is in force\n");
    let again = vitalog.stdout_of(&["model", "apply", &file]);
    assert!(
        again.contains("nothing new") && again.contains("version 1"),
        "{again}"
    );
    assert_eq!(vitalog.stdout_of(&["model", "show", "default"]), MODEL);

    let heavier = MODEL.replace("weight = 5", "weight = 7");
    let file = place.write("health.toml", &heavier);
    let applied = vitalog.stdout_of(&["model", "apply", &file]);
    assert_eq!(applied, "model default version 2 is in force\n");
    assert_eq!(vitalog.stdout_of(&["model", "show", "default"]), heavier);
    let first = ["model", "show", "default", "--version", "1"];
    assert_eq!(vitalog.stdout_of(&first), MODEL);

    let listed = vitalog.stdout_of(&["model", "list"]);
    let in_force = |version: &str| {
        let line = listed.lines().find(|line| {
            let cells: Vec<&str> = line.split_whitespace().collect();
            cells.first() == Some(&"default") && cells.get(1) == Some(&version)
        });
        let line = line.unwrap_or_else(|| panic!("no version {version} in {listed}"));
        line.split_whitespace().nth(2) == Some("yes")
    };
    assert_eq!((in_force("1"), in_force("2")), (false, true), "{listed}");
    assert!(!listed.contains("built-in"), "{listed}");

    assert_failed(
        &vitalog.run(&["model", "show", "defualt"]),
        1,
        &["there is no model", "did you mean default?"],
    );
    assert_failed(
        &vitalog.run(&["model", "show", "default", "--version", "9"]),
        1,
        &["no version 9"],
    );
}

#[test]
fn a_bad_model_is_refused_with_file_line_and_reason_and_stores_nothing() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let dimension = "[[dimension]]\nname = \"d\"\n[[dimension.signal]]\nname = \"s\"\n";
    let with_signal = |rest: &str| format!("{MODEL}{dimension}{rest}\n");
    let lines = MODEL.lines().count();
    let cases = [
        (
            MODEL.replace("\"login\"\nweight", "\"logn\"\nweight"),
            12,
            "logn",
        ),
        (MODEL.replace("weight = 5", "weight = 1000000"), 9, "weight"),
        (
            MODEL.replace("period_days = 28", "period_days = 0"),
            3,
            "period_days",
        ),
        (
            MODEL.replace("period_days", "period_dais"),
            3,
            "period_days",
        ),
        (
            with_signal("count = \"login\"\nred = \">= 3\"\ngreen = \">= 2\""),
            lines + 7,
            "green",
        ),
        (
            with_signal("sql = \"scoore + 1\"\nred = \"< 1\"\ngreen = \"> 2\""),
            lines + 5,
            "scoore",
        ),
    ];
    for (text, line, word) in cases {
        let file = place.write("bad.toml", &text);
        for action in ["check", "apply"] {
            let outcome = vitalog.run(&["model", action, &file]);
            let place = format!("bad.toml:{line}: ");
            assert_failed(&outcome, 1, &[&place, word]);
            assert_eq!(outcome.stdout, "", "{outcome:?}");
        }
    }
    assert_failed(
        &vitalog.run(&["model", "apply", "absent.toml"]),
        1,
        &["absent.toml"],
    );
    let listed = vitalog.stdout_of(&["model", "list"]);
    assert!(listed.contains("built-in default"), "{listed}");

    // What is planned may be applied before its first event.
    let text = MODEL.replace("\"login\"\nweight", "\"invited\"\nweight");
    let file = place.write("planned.toml", text);
    assert_failed(
        &vitalog.run(&["model", "apply", &file]),
        1,
        &["planned.toml:12: ", "invited"],
    );
    let applied = vitalog.stdout_of(&["model", "apply", &file, "--allow-unknown-events"]);
    assert!(applied.contains("version 1 is in force"), "{applied}");
}

#[test]
fn a_check_lists_what_would_change_and_stores_nothing() {
    let place = Place::new();
    // A check asks about now.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_us = i64::try_from(now.unwrap().as_micros()).unwrap();
    let vitalog = reporting_store_from(&place, now_us - 20 * vitalog_event::DAY_US);
    let file = place.write("health.toml", MODEL);
    let list = vitalog.stdout_of(&["model", "list"]);
    let first = vitalog.stdout_of(&["model", "check", &file]);
    assert!(first.contains(" of 5 would change"), "{first}");
    assert_eq!(vitalog.stdout_of(&["model", "list"]), list);

    vitalog.stdout_of(&["model", "apply", &file]);
    let same = vitalog.stdout_of(&["model", "check", &file]);
    assert_eq!(same, "0 of 5 would change\n");
    let all = vitalog.stdout_of(&["model", "check", &file, "--all"]);
    for account in 1..=5 {
        assert!(all.contains(&format!("acct-{account} ")), "{all}");
    }
    assert!(all.ends_with("0 of 5 would change\n"), "{all}");

    // Whoever is below the peg turns red.
    let strict = "[thresholds]\nscore = { red = \"<= 99.5\", green = \"> 99.9\" }\n";
    let file = place.write("strict.toml", format!("{MODEL}{strict}"));
    let strict = vitalog.stdout_of(&["model", "check", &file]);
    assert!(strict.contains("4 of 5 would change"), "{strict}");
    assert!(strict.contains("→ red"), "{strict}");
    assert!(!strict.contains("acct-5"), "{strict}");
    let worst = strict.lines().nth(1).unwrap();
    assert!(
        worst.contains("→ red"),
        "the worst change is not first: {strict}"
    );
}

#[test]
fn a_server_keeps_models_as_a_directory_does() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    let good = place.write("health.toml", MODEL);
    let bad = place.write("bad.toml", MODEL.replace("weight = 5", "weight = 1000000"));
    let mut serving = vitalog.serve();
    let url = serving.url();
    let with_url = |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["--url", &url]);
        vitalog.run(&all)
    };
    assert_failed(&with_url(&["model", "apply", &bad]), 1, &["bad.toml:9: "]);
    assert_failed(&with_url(&["model", "check", &bad]), 1, &["bad.toml:9: "]);
    let applied = with_url(&["model", "apply", &good]);
    assert_eq!(
        applied.stdout, "model default version 1 is in force\n",
        "{applied:?}"
    );
    let again = with_url(&["model", "apply", &good]);
    assert!(again.stdout.contains("nothing new"), "{again:?}");
    assert_eq!(with_url(&["model", "show", "default"]).stdout, MODEL);
    assert_eq!(
        with_url(&["model", "check", &good]).stdout,
        "0 of 5 would change\n"
    );
    let listed = with_url(&["model", "list"]);
    serving.signal("TERM");
    assert_eq!(serving.wait().code, 0);
    assert_eq!(listed.stdout, vitalog.stdout_of(&["model", "list"]));
}

#[test]
fn a_view_is_read_like_a_table_until_it_is_dropped() {
    let place = Place::new();
    let vitalog = reporting_store(&place);
    assert!(
        vitalog
            .stdout_of(&["view", "list"])
            .contains("there is no view")
    );
    let file = place.write(
        "reports.sql",
        "SELECT account_id, count(*) AS reports FROM events\n\
         WHERE event = 'report_created' GROUP BY account_id;\n",
    );
    let applied = vitalog.stdout_of(&["view", "apply", &file]);
    assert_eq!(applied, "view reports version 1 is in force\n");
    let busy = "SELECT account_id FROM reports WHERE reports >= 80 ORDER BY account_id";
    let accounts = |sql: &str| -> Vec<String> {
        let rows = vitalog.rows(sql);
        rows.iter()
            .map(|row| row["account_id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(accounts(busy), ["acct-4", "acct-5"]);

    let file = place.write(
        "other.sql",
        "SELECT account_id, 80 AS reports FROM accounts",
    );
    let applied = vitalog.stdout_of(&["view", "apply", &file, "--name", "reports"]);
    assert_eq!(applied, "view reports version 2 is in force\n");
    assert_eq!(accounts(busy).len(), 5);
    let listed = vitalog.stdout_of(&["view", "list"]);
    assert!(
        listed.contains("in force") && !listed.contains("replaced"),
        "{listed}"
    );
    assert!(
        vitalog
            .stdout_of(&["view", "list", "--all"])
            .contains("replaced")
    );

    let broken = place.write("broken.sql", "SELECT acount_id FROM events");
    let words = ["broken.sql", "did you mean account_id?"];
    assert_failed(&vitalog.run(&["view", "apply", &broken]), 1, &words);

    assert_eq!(
        vitalog.stdout_of(&["view", "drop", "reports"]),
        "view reports is dropped\n"
    );
    let gone = vitalog.run(&["sql", "-c", busy]);
    assert_failed(&gone, 1, &["there is no table reports"]);
    assert!(
        vitalog
            .stdout_of(&["view", "list"])
            .contains("there is no view")
    );
    assert!(
        vitalog
            .stdout_of(&["view", "list", "--all"])
            .contains("dropped")
    );
    assert_failed(&vitalog.run(&["view", "drop", "reports"]), 1, &["reports"]);
}
