//! `serve` from its start to its end: what is acknowledged is visible, and there again next time.

use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use vitalog_event::DAY_US;
use vitalog_tests::{Client, Event, Vitalog, is_broken_connection};

use crate::Place;

fn append(client: &Client, numbers: std::ops::Range<u64>) -> u64 {
    let events = numbers
        .map(|number| Event::numbered(number).to_wire())
        .collect();
    let response = client.append(events).unwrap();
    assert!(response.rejected.is_empty(), "{response:?}");
    response.accepted
}

fn count(client: &Client) -> i64 {
    let batches = client.query("SELECT count(*) AS n FROM events").unwrap();
    batches[0].column(0).as_primitive::<Int64Type>().value(0)
}

fn assert_whole(vitalog: &Vitalog, events: u64) {
    let verified = vitalog.run(&["verify"]);
    assert_eq!(verified.code, 0, "{verified:?}");
    let rows = vitalog.rows("SELECT event_id, seq FROM events ORDER BY seq");
    assert_eq!(rows.len() as u64, events);
    let mut numbers = Vec::new();
    for (row, seq) in rows.iter().zip(1..) {
        assert_eq!(row["seq"].as_i64(), Some(seq));
        numbers.extend(Event::number_of(row["event_id"].as_str().unwrap()));
    }
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..events), "{numbers:?}");
}

#[test]
fn what_is_appended_is_seen_at_once_and_is_there_at_the_next_start() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let mut serving = vitalog.serve();
    let address = serving.address();
    assert!(
        address.ip().is_loopback() && address.port() > 0,
        "{address}"
    );
    let client = Client::connect(address).unwrap();
    for part in 0..5 {
        assert_eq!(append(&client, part * 100..part * 100 + 100), 100);
        assert_eq!(count(&client), part as i64 * 100 + 100);
    }
    assert_eq!(append(&client, 0..500), 0, "a retry adds nothing");
    let read = client.read(0).unwrap();
    for (stored, number) in read.iter().zip(0..) {
        assert_eq!(stored.seq, number + 1);
        assert_eq!(
            stored.event.as_ref(),
            Some(&Event::numbered(number).to_wire())
        );
    }
    assert_eq!(read.len(), 500);
    serving.signal("TERM");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("shutting down"), "{ended:?}");
    assert_whole(&vitalog, 500);

    let mut serving = vitalog.serve();
    let client = Client::connect(serving.address()).unwrap();
    assert_eq!((count(&client), append(&client, 400..600)), (500, 100));
    serving.signal("INT");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        !ended.stderr.contains("recovered"),
        "a clean end leaves no log: {ended:?}"
    );
    assert_whole(&vitalog, 600);
}

#[test]
fn a_signal_under_load_loses_nothing_acked() {
    let place = Place::new();
    let vitalog = place
        .vitalog()
        .with_setting("VITALOG_STORE__MEMTABLE_EVENTS_MAX", "1000");
    let mut serving = vitalog.serve();
    let address = serving.address();
    let (sender, acks) = std::sync::mpsc::channel();
    let load = std::thread::spawn(move || {
        let client = Client::connect(address).unwrap();
        let mut acked = 0;
        loop {
            let events = (acked..acked + 50).map(|number| Event::numbered(number).to_wire());
            match client.append(events.collect()) {
                Ok(_) => acked += 50,
                Err(status) => return (acked, status),
            }
            // After the last the receiver is gone.
            let _ = sender.send(acked);
        }
    });
    acks.iter()
        .find(|&acked| acked >= 2_000)
        .expect("the load goes on until the signal");
    serving.signal("TERM");
    let ended = serving.wait();
    assert_eq!(ended.code, 0, "{ended:?}");
    let (acked, status) = load.join().unwrap();
    // The server's last word, or that of a transport without a server.
    assert!(
        status.code() == tonic::Code::Unavailable || is_broken_connection(&status),
        "{status:?}"
    );
    // The last batch may be in, its answer lost with the connection.
    let there = vitalog.count_events();
    assert!(
        there == acked || there == acked + 50,
        "{acked} acknowledged, {there} there"
    );
    assert_whole(&vitalog, there);
}

#[test]
fn a_second_signal_forces() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let mut serving = vitalog.serve();
    let client = Client::connect(serving.address()).unwrap();
    assert_eq!(append(&client, 0..2_000), 2_000);
    // An answer of millions of rows that nobody reads keeps the shutdown waiting.
    let sql = "SELECT one.event_id, other.properties FROM events AS one CROSS JOIN events AS other";
    let _unread = client.start_query(sql).unwrap();
    serving.signal("TERM");
    while !serving.stderr().contains("a second signal forces") {
        assert!(
            !serving.has_ended(),
            "it did not wait: {}",
            serving.stderr()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    while !serving.has_ended() {
        serving.signal("TERM");
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = serving.wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("forced"), "{ended:?}");
    // Nothing acknowledged is lost with it.
    assert_whole(&vitalog, 2_000);
}

#[test]
fn a_point_in_time_is_asked_by_seq() {
    let place = Place::new();
    let vitalog = place.vitalog();
    let mut serving = vitalog.serve();
    let client = Client::connect(serving.address()).unwrap();
    append(&client, 0..300);
    let sql = "SELECT count(*) AS n, max(seq) AS last FROM events WHERE seq <= 120";
    let batches = client.query(sql).unwrap();
    let number = |column: usize| {
        batches[0]
            .column(column)
            .as_primitive::<Int64Type>()
            .value(0)
    };
    assert_eq!((number(0), number(1)), (120, 120));
    let first_day = (0..300)
        .map(|number| Event::numbered(number).time_us / DAY_US)
        .min()
        .unwrap();
    let on_it = (0..300)
        .filter(|&n| Event::numbered(n).time_us / DAY_US == first_day)
        .count();
    let sql = "SELECT count(*) FROM events GROUP BY date_trunc('day', event_time) \
               ORDER BY date_trunc('day', event_time) LIMIT 1";
    let batches = client.query(sql).unwrap();
    assert_eq!(
        batches[0].column(0).as_primitive::<Int64Type>().value(0),
        on_it as i64
    );
}

#[test]
fn an_address_for_others_is_refused_unless_asked_for() {
    let place = Place::new();
    let vitalog = place.vitalog();
    for flag in ["--grpc", "--http"] {
        let refused = vitalog.run(&["serve", flag, "0.0.0.0:0"]);
        assert_eq!(refused.code, 1, "{refused:?}");
        for word in ["0.0.0.0:0", "no tokens", "--insecure"] {
            assert!(refused.stderr.contains(word), "{refused:?}");
        }
    }
    for setting in ["VITALOG_SERVER__GRPC", "VITALOG_SERVER__HTTP"] {
        let by_setting = vitalog.clone().with_setting(setting, "0.0.0.0:0");
        assert_eq!(by_setting.run(&["serve"]).code, 1);
    }
    assert!(!place.path("data").exists(), "a refused start made a store");
    let open = ["serve", "--grpc", "0.0.0.0:0", "--http", "0.0.0.0:0"];
    let command = vitalog.command(&[&open[..], &["--insecure"]].concat());
    let mut serving = vitalog_tests::Serving::start(command);
    assert!(serving.address().ip().is_unspecified());
    assert!(serving.http_address().ip().is_unspecified());
    drop(serving);

    let made = vitalog.stdout_of(&["token", "new", "--name", "bi", "--scope", "read"]);
    let line = made.lines().find_map(|line| line.strip_prefix("line   "));
    let tokens = place.write("tokens", line.unwrap());
    // Tokens alone would be read by everyone on the way; with TLS, see `tls`.
    let plain = vitalog.with_setting("VITALOG_AUTH__TOKENS_FILE", &tokens);
    let refused = plain.run(&open);
    assert_eq!(refused.code, 1, "{refused:?}");
    for word in ["no TLS", "--insecure"] {
        assert!(refused.stderr.contains(word), "{refused:?}");
    }
}

#[test]
fn a_taken_address_is_named() {
    let place = Place::new();
    let mut first = place.vitalog().serve();
    let address = first.address().to_string();
    let other = crate::vitalog(&place.path("other"));
    let refused = other.run(&["serve", "--grpc", &address]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains(&address), "{refused:?}");
}
