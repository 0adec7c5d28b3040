//! Erasing, retention and taking imports back, as an operator does them.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use vitalog_tests::Vitalog;

use crate::http_snapshots::{ask, get};
use crate::{Place, assert_failed};

/// Everything, a row a line, in any order.
const EVERYTHING: [&str; 5] = ["sql", "--format", "jsonl", "-c", "SELECT * FROM events"];

/// Small log files, so that commands are quick.
fn small(place: &Place) -> Vitalog {
    place
        .vitalog()
        .with_setting("VITALOG_STORE__WAL_FILE_BYTES", "262144")
}

fn lines(vitalog: &Vitalog) -> BTreeSet<String> {
    vitalog
        .stdout_of(&EVERYTHING)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// The files below `folder` that hold `text`.
///
/// Where one goes while they are read, all are read again: it may have another name now, in a
/// folder that was read before.
fn files_with(folder: &Path, text: &str) -> Vec<String> {
    for _ in 0..10 {
        match search(folder, text) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            searched => return searched.unwrap(),
        }
    }
    panic!("files go each time that they are read");
}

/// The same, once.
fn search(folder: &Path, text: &str) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.extend(search(&entry.path(), text)?);
        } else {
            let bytes = fs::read(entry.path())?;
            if bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
            {
                found.push(entry.path().display().to_string());
            }
        }
    }
    Ok(found)
}

#[test]
fn an_erased_user_is_proved_gone_and_everyone_else_is_as_before() {
    let place = Place::new();
    let vitalog = small(&place);
    let mut lines_of_file = String::new();
    for (n, user) in ["ann@example.org", "bob@example.org", "joann@example.org"]
        .into_iter()
        .cycle()
        .take(60)
        .enumerate()
    {
        let inviter = if n == 7 {
            r#","properties":{"invited_by":"ann@example.org"}"#
        } else {
            ""
        };
        lines_of_file.push_str(&format!(
            r#"{{"event_id":"e{n}","event_time":"2025-03-{:02}T10:00:00Z","event":"login","account_id":"acme {}","user_id":"{user}"{inviter}}}"#,
            n % 9 + 1,
            n % 4,
        ));
        lines_of_file.push('\n');
    }
    let file = place.write("events.jsonl", lines_of_file);
    vitalog.stdout_of(&["import", &file]);
    let before = lines(&vitalog);

    let there = vitalog.run(&["verify", "--erased", "ann@example.org"]);
    assert_eq!(there.code, 1);
    assert!(there.stdout.contains("the identity of events"), "{there:?}");
    // Nobody is there to be asked.
    let asked = vitalog.run(&["erase", "--user", "ann@example.org"]);
    assert_failed(&asked, 1, &["--yes"]);
    assert_eq!(lines(&vitalog), before);

    let erased = vitalog.run(&["erase", "--user", "ann@example.org", "--yes"]);
    assert_eq!(
        (
            erased.code,
            erased.fact("events removed"),
            erased.fact("receipt")
        ),
        (0, 20, 1)
    );
    let is_other = |line: &&String| !line.contains(r#""user_id":"ann@example.org""#);
    let others: BTreeSet<String> = before.iter().filter(is_other).cloned().collect();
    assert_eq!(lines(&vitalog), others);
    let gone = vitalog.run(&["verify", "--erased", "ann@example.org", "--kind", "user"]);
    assert_eq!(gone.code, 0, "{gone:?}");
    for words in [
        "mentioned by other events",
        "a part of other ids",
        "receipt 1",
        "searched every byte of",
    ] {
        assert!(gone.stdout.contains(words), "{words}: {gone:?}");
    }

    let again = vitalog.run(&["erase", "--user", "ann@example.org", "--yes"]);
    assert!(
        again.code == 0 && again.stdout.contains("nothing was left to remove"),
        "{again:?}"
    );
    let unknown = vitalog.run(&["erase", "--account", "nobody", "--yes"]);
    assert_failed(&unknown, 1, &["\"nobody\"", "nothing to erase"]);
    vitalog.stdout_of(&["erase", "--account", "acme 2", "--yes"]);
    assert_eq!(files_with(vitalog.data(), "acme 2"), [""; 0]);
    assert_eq!(
        vitalog
            .stdout_of(&["erase", "--list"])
            .matches("receipt ")
            .count(),
        2
    );
    assert_eq!(vitalog.run(&["verify"]).code, 0);
    assert_eq!(vitalog.run(&["erase"]).code, 2);
}

#[test]
fn an_import_is_taken_back_and_can_be_repeated() {
    let place = Place::new();
    let vitalog = small(&place);
    let first = place.write_events("first.jsonl", 0..300);
    let second = place.write_events("second.jsonl", 200..500);
    vitalog.stdout_of(&["import", &first]);
    let before = lines(&vitalog);
    let told = vitalog.stdout_of(&["import", &second, "--batch", "march"]);
    assert!(told.contains("batch march"), "{told}");
    let whole = lines(&vitalog);
    assert_eq!(whole.len(), 500);
    let listed = vitalog.stdout_of(&["import", "--list"]);
    let names: Vec<&str> = listed
        .lines()
        .filter_map(|line| line.split("  ").next())
        .collect();
    assert!(
        names.len() == 2 && names[0].starts_with("import-2") && names[1] == "march",
        "{listed}"
    );
    assert!(listed.contains("200 events  finished"), "{listed}");

    let undone = vitalog.run(&["import", "--undo", "march"]);
    assert_eq!((undone.code, undone.fact("events removed")), (0, 200));
    assert_eq!(lines(&vitalog), before);
    let twice = vitalog.run(&["import", "--undo", "march"]);
    assert_failed(&twice, 1, &["was taken back before"]);
    assert_failed(&vitalog.run(&["import", "--undo", "april"]), 1, &["--list"]);

    let repeated = vitalog.run(&["import", &second, "--batch", "march"]);
    assert_eq!(
        (repeated.fact("accepted"), repeated.fact("duplicates")),
        (200, 100)
    );
    assert_eq!(lines(&vitalog).len(), 500);
    vitalog.stdout_of(&["import", "--undo", "march"]);
    assert_eq!(lines(&vitalog), before);
}

#[test]
fn old_days_are_dropped_and_refused() {
    let place = Place::new();
    let vitalog = small(&place);
    let old = r#"{"event_id":"a","event_time":"2020-01-01T00:00:00Z","event":"login","account_id":"acme","user_id":"ann"}
{"event_id":"b","event_time":"2020-01-01T00:00:00Z","event":"$group","account_id":"acme","properties":{"plan":"pro"}}
"#;
    let file = place.write("old.jsonl", old);
    vitalog.stdout_of(&["import", &file]);
    assert_failed(&vitalog.run(&["retention", "--days", "30"]), 1, &["--yes"]);
    let dropped = vitalog.run(&["retention", "--days", "30", "--yes"]);
    assert_eq!((dropped.code, dropped.fact("events removed")), (0, 1));
    assert_eq!(vitalog.rows("SELECT plan FROM accounts")[0]["plan"], "pro");
    assert_eq!(vitalog.count_events(), 1);

    let rejects = place.path("rejects.jsonl");
    let again = vitalog.run(&["import", &file, "--rejects", &crate::text(&rejects)]);
    assert_eq!((again.fact("accepted"), again.fact("rejected")), (0, 2));
    assert!(
        fs::read_to_string(rejects)
            .unwrap()
            .contains("past_retention")
    );
    let steps = vitalog.run(&["sql", "-c", "SELECT first_time FROM health_steps()"]);
    assert_failed(&steps, 1, &["RETENTION", "the retention dropped"]);
    assert_failed(
        &vitalog.run(&["retention", "--days", "0", "--yes"]),
        2,
        &["--days"],
    );
}

#[test]
fn a_server_takes_away_and_shows_what_is_on_record() {
    let place = Place::new();
    let vitalog = small(&place);
    let first = place.write_events("first.jsonl", 0..300);
    let second = place.write_events("second.jsonl", 200..500);
    vitalog.stdout_of(&["import", &first, "--batch", "february"]);
    let before = lines(&vitalog);
    vitalog.stdout_of(&["import", &second, "--batch", "march"]);
    let listed = vitalog.stdout_of(&["import", "--list"]);
    let mut serving = vitalog.serve();
    let url = serving.url();
    let run = |arguments: &[&str]| vitalog.run(&[arguments, &["--url", &url]].concat());

    assert_eq!(run(&["import", "--list"]).stdout, listed);
    let undone = run(&["import", "--undo", "march"]);
    assert_eq!((undone.code, undone.fact("events removed")), (0, 200));
    let twice = run(&["import", "--undo", "march"]);
    assert_failed(&twice, 1, &["was taken back before"]);
    assert_failed(&run(&["import", "--undo", "april"]), 1, &["--list"]);
    assert!(run(&["import", "--list"]).stdout.contains("taken back 2"));

    assert_failed(&run(&["erase", "--user", "user 5"]), 1, &["--yes"]);
    let erased = run(&["erase", "--user", "user 5", "--yes"]);
    let is_users = |line: &&String| line.contains(r#""user_id":"user 5""#);
    let of_user = before.iter().filter(is_users).count() as u64;
    assert!(of_user > 0);
    assert_eq!(
        (
            erased.code,
            erased.fact("events removed"),
            erased.fact("receipt"),
            erased.fact("snapshots revoked"),
        ),
        (0, of_user, 2, 0)
    );
    let again = run(&["erase", "--user", "user 5", "--yes"]);
    assert!(
        again.code == 0 && again.stdout.contains("nothing was left to remove"),
        "{again:?}"
    );
    let unknown = run(&["erase", "--account", "nobody", "--yes"]);
    assert_failed(&unknown, 1, &["\"nobody\"", "nothing to erase"]);

    // All events are of March 2025.
    assert_failed(&run(&["retention", "--days", "30"]), 1, &["--yes"]);
    let dropped = run(&["retention", "--days", "30", "--yes"]);
    let left = before.len() as u64 - of_user;
    assert_eq!((dropped.code, dropped.fact("events removed")), (0, left));
    assert!(dropped.stdout.contains("first day kept"), "{dropped:?}");
    let receipts = run(&["erase", "--list"]);
    serving.signal("TERM");
    assert_eq!(serving.wait().code, 0);
    // A directory and a server tell the same.
    assert_eq!(receipts.stdout, vitalog.stdout_of(&["erase", "--list"]));
    assert_eq!(receipts.stdout.matches("receipt ").count(), 3);
    let kinds = ["import taken back", "erasure", "retention"];
    assert!(kinds.iter().all(|kind| receipts.stdout.contains(kind)));
    assert_eq!(vitalog.count_events(), 0);
}

/// `length` letters that look like chance, another row of them for each `seed`.
fn noise(seed: u64, length: usize) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(letters[(state >> 32) as usize % letters.len()])
    };
    (0..length).map(|_| letter()).collect()
}

#[test]
fn a_download_under_way_while_its_id_is_erased_is_of_one_version() {
    const VICTIM: &str = "victim@example.org";
    let place = Place::new();
    let vitalog = place.vitalog();
    // Far more than what sockets hold, in one file.
    let mut lines_of_file = String::new();
    for n in 0..5_000 {
        let user = if n % 10 == 3 {
            VICTIM
        } else {
            "other@example.org"
        };
        lines_of_file.push_str(&format!(
            r#"{{"event_id":"e{n}","event_time":"2025-03-01T10:00:00Z","event":"login","account_id":"acme","user_id":"{user}","properties":{{"noise":"{}"}}}}"#,
            noise(n, 4_096),
        ));
        lines_of_file.push('\n');
    }
    let file = place.write("events.jsonl", lines_of_file);
    vitalog.stdout_of(&["import", &file]);
    let mut serving = vitalog.serve();
    let (url, http) = (serving.url(), serving.http_address());
    let create = ["snapshot", "create", "--table", "events", "--url", &url];
    vitalog.stdout_of(&create);
    let latest = get(http, "/snapshots/events/latest", "X-None: 1").json();
    let (id, files) = (latest["id"].as_str().unwrap(), &latest["files"]);
    assert_eq!(files.as_array().unwrap().len(), 1, "{latest}");
    let path = files[0]["url"].as_str().unwrap();
    let whole = fs::read(vitalog.data().join(path.trim_start_matches('/'))).unwrap();
    assert!(whole.len() > 12 << 20, "{}", whole.len());

    let mut stream = ask(http, path, "X-None: 1");
    let mut got = vec![0; 1 << 20];
    stream.read_exact(&mut got).unwrap();
    let erased = vitalog.run(&["erase", "--user", VICTIM, "--yes", "--url", &url]);
    assert_eq!(
        (
            erased.code,
            erased.fact("events removed"),
            erased.fact("snapshots revoked")
        ),
        (0, 500, 1),
        "{erased:?}"
    );
    // The old bytes to their end, or a body that breaks off before it.
    let end = stream.read_to_end(&mut got);
    let body = got.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    let head = String::from_utf8(got[..body].to_vec()).unwrap();
    let announced = format!("content-length: {}", whole.len());
    assert!(head.to_ascii_lowercase().contains(&announced), "{head}");
    assert!(whole.starts_with(&got[body..]), "mixed bytes, {end:?}");

    let manifest = format!("/snapshots/events/{id}/manifest.json");
    for gone in [path, &manifest, &format!("/snapshots/catalog/{id}.json")] {
        assert_eq!(get(http, gone, "X-None: 1").status(), 410, "{gone}");
    }
    assert_eq!(files_with(vitalog.data(), VICTIM), [""; 0]);
    vitalog.stdout_of(&create);
    let next = get(http, "/snapshots/events/latest", "X-None: 1").json();
    assert_eq!(next["rows"], 4_500);
    serving.signal("TERM");
    assert_eq!(serving.wait().code, 0);
    let searched = vitalog.run(&["verify", "--erased", VICTIM, "--kind", "user"]);
    assert_eq!(searched.code, 0, "{searched:?}");
    assert_eq!(vitalog.run(&["verify"]).code, 0);
}
