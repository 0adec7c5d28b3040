//! SIGKILL, a hundred times, on one store: of a server under load, of an import, of a recovery.
//!
//! The oracle stands outside the process. It knows which numbered events were ever sent and which
//! were acknowledged, so it knows ids and contents, not counts.

mod load;
mod oracle;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use vitalog_disk::{Directory, RealDirectory};
use vitalog_store::{Store, StoreConfig, SystemClock, verify_directory};
use vitalog_tests::{Event, Serving, Vitalog, copy_directory, for_each_row};

use self::load::Load;
use self::oracle::Oracle;
use crate::{Place, text};

const KILLS: u32 = 100;
const SEED: u64 = 7;
const CLIENTS: u64 = 2;
/// How long the first acknowledgement may take before the server counts as stuck.
const FIRST_ACK: Duration = Duration::from_secs(120);

/// What the rounds met, so that it can be seen that they met something.
#[derive(Debug, Default)]
struct Met {
    kills: u32,
    kills_of_serve: u32,
    kills_of_import: u32,
    whole_imports: u32,
    replays: u32,
    quarantines: u32,
    /// Rounds after which files of an unfinished flush lay around.
    leftovers: u32,
    /// Killed before the first acknowledgement.
    without_ack: u32,
}

#[test]
fn a_hundred_kills_lose_nothing_acked_double_nothing_and_invent_nothing() {
    let place = Place::new();
    // Small, so that log files, flushes, manifests and symbols are written all the time.
    let vitalog = place
        .vitalog()
        .with_setting("VITALOG_STORE__MEMTABLE_EVENTS_MAX", "2000")
        .with_setting("VITALOG_STORE__WAL_FILE_BYTES", "262144");
    let oracle = Mutex::new(Oracle::default());
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    let mut met = Met::default();
    let mut import_time = Duration::from_secs(2);
    let mut round = 0;
    while met.kills < KILLS {
        round += 1;
        assert!(round <= 3 * KILLS, "too few rounds end in a kill: {met:?}");
        if round % 2 == 1 {
            kill_a_server(&vitalog, round, &oracle, &mut random, &mut met);
        } else {
            kill_an_import(
                &place,
                &vitalog,
                &oracle,
                &mut random,
                &mut met,
                &mut import_time,
            );
        }
        let oracle = oracle.lock().unwrap();
        if !vitalog.data().is_dir() {
            assert!(oracle.acked.is_empty(), "round {round}");
        } else if round % 3 == 0 {
            // The killed store stays as it is, so that the next process recovers it, and may be
            // killed while it does.
            let copy = place.path("copy");
            copy_directory(vitalog.data(), &copy).unwrap();
            check(&copy, round, &oracle, &mut met);
            fs::remove_dir_all(&copy).unwrap();
        } else {
            check(vitalog.data(), round, &oracle, &mut met);
        }
    }
    println!("{met:?}");
    assert!(
        met.kills_of_serve >= 40 && met.kills_of_import >= 20,
        "{met:?}"
    );
    assert!(met.replays >= 20, "{met:?}");
    everything_once_more(&place, &vitalog, &oracle.into_inner().unwrap());
}

fn kill_a_server(
    vitalog: &Vitalog,
    round: u32,
    oracle: &Mutex<Oracle>,
    random: &mut ChaCha8Rng,
    met: &mut Met,
) {
    let mut serving = vitalog.serve();
    match round % 16 {
        1 if round > 1 => {
            // While it opens: reading the manifest, replaying, flushing what was replayed.
            std::thread::sleep(Duration::from_millis(random.random_range(0..200)));
            met.without_ack += 1;
            assert_eq!(
                serving.kill(),
                None,
                "serve ended by itself: {}",
                serving.stderr()
            );
        }
        9 => {
            let pause = Duration::from_millis(random.random_range(0..15));
            load_and_kill(&mut serving, oracle, random, |_| {
                std::thread::sleep(pause);
                true
            });
            met.without_ack += 1;
        }
        _ => {
            let pause = Duration::from_millis(random.random_range(5..=250));
            load_and_kill(&mut serving, oracle, random, |acks| {
                let is_acked = acks.recv_timeout(FIRST_ACK).is_ok();
                std::thread::sleep(pause);
                is_acked
            });
        }
    }
    met.kills += 1;
    met.kills_of_serve += 1;
}

/// Starts the clients, waits as `wait` does, kills, joins the clients, and then fails where `wait`
/// did not see what it waited for: clients run until the kill.
fn load_and_kill(
    serving: &mut Serving,
    oracle: &Mutex<Oracle>,
    random: &mut ChaCha8Rng,
    wait: impl FnOnce(&Receiver<()>) -> bool,
) {
    let address = serving.address();
    let killed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (sender, acks) = channel();
        for _ in 0..CLIENTS {
            let load = Load {
                oracle,
                killed: &killed,
                acks: sender.clone(),
                random: ChaCha8Rng::seed_from_u64(random.random()),
            };
            scope.spawn(move || load.run(address));
        }
        drop(sender);
        let is_as_expected = wait(&acks);
        killed.store(true, Ordering::SeqCst);
        assert_eq!(
            serving.kill(),
            None,
            "serve ended by itself: {}",
            serving.stderr()
        );
        assert!(is_as_expected, "no acknowledgement: {}", serving.stderr());
    });
}

fn kill_an_import(
    place: &Place,
    vitalog: &Vitalog,
    oracle: &Mutex<Oracle>,
    random: &mut ChaCha8Rng,
    met: &mut Met,
    import_time: &mut Duration,
) {
    let mut oracle = oracle.lock().unwrap();
    let mut ranges: Vec<Range<u64>> = (0..5)
        .map(|_| oracle.begin(random.random_range(300..900)))
        .collect();
    ranges.extend(oracle.acked_before(random));
    ranges.extend(oracle.unknown.pop());
    let files: Vec<String> = ranges
        .iter()
        .enumerate()
        .map(|(at, range)| place.write_events(&format!("part-{at}.jsonl"), range.clone()))
        .collect();
    let mut arguments = vec!["import"];
    arguments.extend(files.iter().map(String::as_str));
    let pause = import_time.mul_f64(random.random_range(0.0..1.1));
    let begun = Instant::now();
    let mut importing = Serving::start(vitalog.command(&arguments));
    while begun.elapsed() < pause && !importing.has_ended() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let is_whole = importing.has_ended();
    match importing.kill() {
        None => {
            met.kills += 1;
            met.kills_of_import += 1;
            oracle.unknown.extend(ranges);
        }
        Some(code) => {
            assert_eq!(code, 0, "the import failed: {}", importing.stderr());
            met.whole_imports += 1;
            oracle.acked.extend(ranges);
        }
    }
    if is_whole {
        *import_time = begun.elapsed();
    }
}

/// Opens the store and compares every row with what is known.
fn check(data: &Path, round: u32, oracle: &Oracle, met: &mut Met) {
    let directory: Arc<dyn Directory> = Arc::new(RealDirectory::open(data).unwrap());
    if round.is_multiple_of(8) {
        let report = verify_directory(&directory, |_| {}).unwrap();
        met.leftovers += u32::from(report.notes.iter().any(|note| note.contains("not read")));
    }
    let opened = Store::open(directory, StoreConfig::default(), Arc::new(SystemClock));
    let (store, report) = opened.unwrap_or_else(|error| panic!("round {round}: {error}"));
    met.replays += u32::from(report.replayed_events > 0);
    met.quarantines += u32::from(report.quarantined.is_some());
    let snapshot = store.snapshot();
    let mut is_there = vec![false; oracle.next as usize];
    let mut has_seq = vec![false; snapshot.seq() as usize];
    for_each_row(&snapshot, |row| {
        let number = Event::number_of(row.id).filter(|&number| number < oracle.next);
        let number = number.unwrap_or_else(|| panic!("round {round}: {row:?} was never sent"));
        assert!(
            Event::numbered(number).is(row),
            "round {round}: {row:?} has other content"
        );
        let twice = std::mem::replace(&mut is_there[number as usize], true);
        assert!(!twice, "round {round}: {row:?} stands twice");
        let taken = std::mem::replace(&mut has_seq[row.seq as usize - 1], true);
        assert!(!taken, "round {round}: two rows have the seq of {row:?}");
    })
    .unwrap();
    let gap = has_seq.iter().position(|taken| !taken);
    assert_eq!(
        gap, None,
        "round {round}: no row has the seq after this one"
    );
    let lost = is_there
        .iter()
        .zip(oracle.is_acked())
        .position(|(there, acked)| acked && !there);
    assert_eq!(
        lost, None,
        "round {round}: this event was acknowledged and is gone"
    );
    store.close().unwrap();
}

/// Importing every event that was ever sent adds those that are not there, and then none.
fn everything_once_more(place: &Place, vitalog: &Vitalog, oracle: &Oracle) {
    let before = vitalog.count_events();
    let all = place.write_events("all.jsonl", 0..oracle.next);
    let outcome = vitalog.run(&["import", &all]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let facts = ["rows read", "accepted", "duplicates", "rejected"].map(|name| outcome.fact(name));
    assert_eq!(
        facts,
        [oracle.next, oracle.next - before, before, 0],
        "{outcome:?}"
    );
    let outcome = vitalog.run(&["import", &all]);
    assert_eq!(
        (outcome.code, outcome.fact("accepted")),
        (0, 0),
        "{outcome:?}"
    );
    assert!(outcome.stdout.contains("nothing new"), "{outcome:?}");
    // All of it counts as acknowledged now.
    let mut whole = Oracle::default();
    let range = whole.begin(oracle.next);
    whole.acked.push(range);
    check(vitalog.data(), 0, &whole, &mut Met::default());
    let verified = vitalog.run(&["verify"]);
    assert_eq!(verified.code, 0, "{}: {verified:?}", text(vitalog.data()));
}
