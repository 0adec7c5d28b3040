//! `compact`, `stats` and `backup`, on a directory and through a server: files change their shape,
//! answers do not.

use vitalog_tests::{Outcome, Vitalog};

use crate::{Place, assert_failed, text};

const QUESTIONS: [&str; 3] = [
    "SELECT * FROM events ORDER BY seq",
    "SELECT account_id, event, count(*) AS n, max(value) AS most FROM events \
     GROUP BY account_id, event ORDER BY account_id, event",
    "SELECT count(*) AS n FROM events WHERE event_time >= '2025-03-02' AND user_id IS NOT NULL",
];

/// Flags that name the server, where there is one.
fn asking<'a>(url: Option<&'a str>, arguments: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = arguments.to_vec();
    arguments.extend(url.into_iter().flat_map(|url| ["--url", url]));
    arguments
}

fn answers(vitalog: &Vitalog, url: Option<&str>) -> Vec<String> {
    let ask = |sql| vitalog.stdout_of(&asking(url, &["sql", "--format", "jsonl", "-c", sql]));
    QUESTIONS.into_iter().map(ask).collect()
}

/// The columns of the line that `stats` has for a tier, from `files` on.
fn tier(outcome: &Outcome, name: &str) -> Vec<String> {
    let mut lines = outcome.stdout.lines();
    let line = lines.find(|line| line.split_whitespace().next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no tier {name} in {outcome:?}"));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

/// The events of a tier.
fn events_of(outcome: &Outcome, name: &str) -> u64 {
    tier(outcome, name)[2].replace(',', "").parse().unwrap()
}

fn fact(outcome: &Outcome, name: &str) -> String {
    let mut lines = outcome.stdout.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    found
        .unwrap_or_else(|| panic!("no {name} in {outcome:?}"))
        .trim()
        .to_owned()
}

#[test]
fn files_become_cold_and_answers_stay() {
    let place = Place::new();
    let vitalog = place.vitalog();
    for part in 0..3 {
        let file = place.write_events("part.jsonl", part * 200..part * 200 + 200);
        vitalog.stdout_of(&["import", &file]);
    }
    let before = answers(&vitalog, None);
    let stats = vitalog.run(&["stats"]);
    assert_eq!((stats.code, stats.fact("events")), (0, 600), "{stats:?}");
    assert_eq!(events_of(&stats, "hot"), 600);
    assert_eq!(events_of(&stats, "cold"), 0);

    // So little is not due.
    let due = vitalog.run(&["compact"]);
    assert_eq!((due.code, due.fact("events made cold")), (0, 0), "{due:?}");
    let all = vitalog.run(&["compact", "--all"]);
    assert_eq!(
        (all.code, all.fact("events made cold")),
        (0, 600),
        "{all:?}"
    );
    assert!(all.fact("cold files written") > 0, "{all:?}");
    assert_ne!(fact(&all, "bytes written"), "0 B");
    assert_eq!(answers(&vitalog, None), before);
    let stats = vitalog.run(&["stats"]);
    assert_eq!(stats.fact("events"), 600);
    assert_eq!(
        (events_of(&stats, "hot"), events_of(&stats, "cold")),
        (0, 600)
    );
    // A file and its sidecar for each day.
    let files: u64 = tier(&stats, "cold")[0].parse().unwrap();
    assert_eq!(files, 2 * stats.fact("days"));
    assert_eq!(vitalog.run(&["verify"]).code, 0);
}

#[test]
fn a_budget_makes_old_events_cold_by_itself() {
    let place = Place::new();
    let vitalog = place
        .vitalog()
        .with_setting("VITALOG_STORE__HOT_BYTES_MAX", "1");
    let file = place.write_events("part.jsonl", 0..500);
    vitalog.stdout_of(&["import", &file]);
    // What the import left is taken up where a store is opened; `compact` comes after that.
    vitalog.stdout_of(&["compact"]);
    let stats = vitalog.run(&["stats"]);
    assert_eq!(
        (events_of(&stats, "hot"), events_of(&stats, "cold")),
        (0, 500)
    );
}

#[test]
fn a_server_does_the_same_and_says_so() {
    let place = Place::new();
    let vitalog = place.vitalog();
    vitalog.stdout_of(&["import", &place.write_events("first.jsonl", 0..300)]);
    let mut serving = vitalog.serve();
    let url = serving.url();
    let late = place.write_events("late.jsonl", 300..400);
    vitalog.stdout_of(&["import", "--url", &url, &late]);
    let before = answers(&vitalog, Some(&url));
    let stats = vitalog.run(&["stats", "--url", &url]);
    assert_eq!((stats.code, stats.fact("events")), (0, 400), "{stats:?}");
    assert_eq!(
        (events_of(&stats, "hot"), events_of(&stats, "memory")),
        (300, 100)
    );
    assert_eq!(fact(&stats, "write amplification"), "-");

    let all = vitalog.run(&["compact", "--all", "--url", &url]);
    assert_eq!(
        (all.code, all.fact("events made cold")),
        (0, 400),
        "{all:?}"
    );
    assert_eq!(answers(&vitalog, Some(&url)), before);
    let stats = vitalog.run(&["stats", "--url", &url]);
    assert_eq!(
        (events_of(&stats, "hot"), events_of(&stats, "cold")),
        (0, 400)
    );
    assert_eq!(events_of(&stats, "memory"), 0);
    let amplification: f64 = fact(&stats, "write amplification").parse().unwrap();
    assert!(amplification > 1.0, "{stats:?}");

    vitalog.stdout_of(&["snapshot", "create", "--table", "events", "--url", &url]);
    let stats = vitalog.run(&["stats", "--url", &url]);
    assert_eq!(stats.fact("published snapshots"), 1);

    // The server's machine is this one.
    let target = text(&place.path("backup"));
    let done = vitalog.stdout_of(&["backup", "--to", &target, "--url", &url]);
    assert!(done.contains("backed up to seq 400"), "{done}");
    let again = vitalog.stdout_of(&["backup", "--to", &target, "--url", &url]);
    assert!(again.contains("copied 0 files"), "{again}");
    let copy = crate::vitalog(&place.path("backup"));
    assert_eq!(answers(&copy, None), before);
    let stopped = {
        serving.signal("TERM");
        serving.wait()
    };
    assert_eq!(stopped.code, 0, "{stopped:?}");
    assert_eq!(answers(&vitalog, None), before);
}

#[test]
fn what_cannot_be_done_is_told() {
    let place = Place::new();
    let vitalog = place.vitalog();
    assert_failed(&vitalog.run(&["compact"]), 1, &["there is no store here"]);
    vitalog.stdout_of(&["import", &place.write_events("some.jsonl", 0..10)]);
    let inside = text(&place.path("data/backup"));
    let refused = ["a backup inside the store is lost with it"];
    assert_failed(&vitalog.run(&["backup", "--to", &inside]), 1, &refused);
    let mut serving = vitalog.serve();
    let url = serving.url();
    let locked = vitalog.run(&["stats"]);
    assert_failed(&locked, 1, &["--url grpc://HOST:PORT"]);
    let remote = vitalog.run(&["backup", "--to", &inside, "--url", &url]);
    assert_failed(&remote, 1, &refused);
    let relative = vitalog.run(&["backup", "--to", "backup", "--url", &url]);
    assert_failed(&relative, 1, &["server's machine"]);
    let notes = place.path("notes");
    std::fs::create_dir(&notes).unwrap();
    std::fs::write(notes.join("todo.txt"), "mine").unwrap();
    let taken = vitalog.run(&["backup", "--to", &text(&notes), "--url", &url]);
    assert_failed(&taken, 1, &["belong to no backup"]);
}
