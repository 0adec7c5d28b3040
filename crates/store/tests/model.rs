//! The store against a plain `Vec`: whatever is appended, defined, flushed, reopened and asked,
//! rows, order, filters, symbols, definitions and times are those of the model.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

use proptest::prelude::*;
use support::{Event, START_US, batch, content, filtered, numbered, open};
use vitalog_disk::FaultyDirectory;
use vitalog_event::{DAY_US, day_of_timestamp_us};
use vitalog_store::{
    Definition, DefinitionKind, Domain, NULL_SYMBOL, RowFilter, Selection, Snapshot, Store,
    StoredSection, SymbolSet,
};

#[derive(Clone, Debug)]
enum Step {
    /// Events by number; numbers seen before are retries.
    Append(Vec<u64>),
    /// A view by number and its text by number; no text drops it.
    Define(u8, Option<u8>),
    Flush,
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => proptest::collection::vec(0..2_000u64, 1..200).prop_map(Step::Append),
        2 => (0..3u8, proptest::option::of(0..3u8)).prop_map(|(name, text)| Step::Define(name, text)),
        1 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// What the store must hold: every distinct event in the order of its first append.
#[derive(Default)]
struct Model {
    seqs: HashMap<u64, i64>,
    rows: BTreeMap<i64, Event>,
    /// (view, text, last seq when it was stored).
    definitions: Vec<(u8, Option<u8>, i64)>,
}

impl Model {
    fn append(&mut self, numbers: &[u64]) -> (usize, usize) {
        let (mut accepted, mut duplicates) = (0, 0);
        for &number in numbers {
            let next = self.rows.len() as i64 + 1;
            if let Entry::Vacant(vacant) = self.seqs.entry(number) {
                vacant.insert(next);
                self.rows.insert(next, Event::numbered(number));
                accepted += 1;
            } else {
                duplicates += 1;
            }
        }
        (accepted, duplicates)
    }

    /// Whether the definition is new; `None` where there is nothing to drop.
    fn define(&mut self, name: u8, text: Option<u8>) -> Option<bool> {
        let in_force = self.definitions.iter().rfind(|known| known.0 == name);
        match in_force.map(|known| known.1) {
            None if text.is_none() => None,
            Some(known) if known == text => Some(false),
            _ => {
                self.definitions.push((name, text, self.rows.len() as i64));
                Some(true)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_store_is_its_model(steps in proptest::collection::vec(step(), 1..14)) {
        let mut directory = FaultyDirectory::new();
        let mut model = Model::default();
        let mut store = open(&directory).unwrap();
        for step in steps {
            match step {
                Step::Append(numbers) => {
                    let events: Vec<Event> = numbers.iter().map(|&n| Event::numbered(n)).collect();
                    let receipt = store.append(batch(&events)).unwrap();
                    let expected = model.append(&numbers);
                    prop_assert_eq!((receipt.accepted, receipt.duplicates), expected);
                    prop_assert!(receipt.rejected.is_empty());
                    prop_assert_eq!(receipt.last_seq, model.rows.len() as i64);
                }
                Step::Define(name, text) => {
                    let text_of = text.map(|text| format!("text {text}"));
                    let name_of = format!("view {name}");
                    let found = store.define(DefinitionKind::View, &name_of, text_of.as_deref());
                    let found = found.ok().map(|receipt| receipt.is_new);
                    prop_assert_eq!(found, model.define(name, text));
                }
                Step::Flush => store.flush().unwrap(),
                Step::Reopen => {
                    store.close().unwrap();
                    store = open(&directory).unwrap();
                }
                Step::Kill => {
                    let image = directory.kill_image();
                    store.close().unwrap();
                    directory = image;
                    store = open(&directory).unwrap();
                }
            }
            let snapshot = store.snapshot();
            prop_assert_eq!(&content(&snapshot).unwrap(), &model.rows);
            check_order(&snapshot);
            check_symbols(&snapshot);
            check_definitions(&snapshot, &model);
        }
        check_filters(&store, &model);
    }
}

/// Rows of a file are in the order that its declaration promises; runs are whole and in time.
fn check_order(snapshot: &Snapshot) {
    for section in snapshot.slices().iter().flat_map(|slice| &slice.sections) {
        let section = section.open();
        let times = section.times().unwrap();
        let seqs = section.seqs().unwrap();
        let mut members = BTreeSet::new();
        for run in section.runs_of_members().unwrap() {
            assert!(members.insert(run.member), "a member has one run");
            let rows = run.rows.clone();
            assert!(
                rows.clone().map(|row| (times[row], seqs[row])).is_sorted(),
                "time, then seq"
            );
        }
        for &time in times {
            assert_eq!(day_of_timestamp_us(time), section.statistics().day);
        }
        if section.is_in_file() {
            let all = section.select(&RowFilter::up_to(snapshot.seq())).unwrap();
            let mut last = None;
            for ranges in all.batches(64) {
                let batch = section.batch(&ranges, &[5, 6, 1, 3]).unwrap();
                for row in keys(&batch) {
                    assert!(
                        last.as_ref().is_none_or(|last| *last < row),
                        "{last:?} then {row:?}"
                    );
                    last = Some(row);
                }
            }
        }
    }
}

type Key = (bool, String, bool, String, i64, i64);

fn keys(batch: &arrow_array::RecordBatch) -> Vec<Key> {
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};
    let (accounts, users) = (
        batch.column(0).as_string_view(),
        batch.column(1).as_string_view(),
    );
    let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
    let seqs = batch.column(3).as_primitive::<Int64Type>();
    (0..batch.num_rows())
        .map(|row| {
            let account = if accounts.is_null(row) {
                ""
            } else {
                accounts.value(row)
            };
            let user = if users.is_null(row) {
                ""
            } else {
                users.value(row)
            };
            (
                accounts.is_null(row),
                account.to_owned(),
                users.is_null(row),
                user.to_owned(),
                times.value(row),
                seqs.value(row),
            )
        })
        .collect()
}

/// A symbol stands for one string for ever: what the code face says by symbols is what the SQL
/// face says by strings.
fn check_symbols(snapshot: &Snapshot) {
    let symbols = snapshot.symbols();
    let by_seq = content(snapshot).unwrap();
    for section in snapshot.slices().iter().flat_map(|slice| &slice.sections) {
        let section = section.open();
        let names = section.event_table(|symbol| symbol).unwrap();
        let codes = section.event_codes().unwrap();
        let seqs = section.seqs().unwrap();
        for run in section.runs_of_members().unwrap() {
            let account = symbols.resolve(Domain::Account, run.account);
            let user = symbols.resolve(Domain::User, run.user);
            for row in run.rows.clone() {
                let event = &by_seq[&seqs[row]];
                assert_eq!((&event.account, &event.user), (&account, &user));
                let name = symbols.resolve(Domain::Event, names[codes.index(row)]);
                assert_eq!(name.as_ref(), Some(&event.name));
            }
        }
    }
}

fn check_definitions(snapshot: &Snapshot, model: &Model) {
    let told = |definition: &Definition| {
        let name = definition.name.clone();
        let text = definition.text.as_ref().map(ToString::to_string);
        (name, text, definition.seq)
    };
    let found: Vec<_> = snapshot.definitions().iter().map(|d| told(d)).collect();
    let expected: Vec<_> = model
        .definitions
        .iter()
        .map(|(name, text, seq)| {
            let text = text.map(|text| format!("text {text}"));
            (format!("view {name}"), text, *seq)
        })
        .collect();
    assert_eq!(found, expected);
    for definition in snapshot.definitions() {
        // What was stored before a definition was received no later; what came after it may share
        // its time, because the clock begins anew at each opening.
        let at = definition.received_at_us;
        assert!(snapshot.seq_known_at(at).unwrap() >= definition.seq);
        assert!(snapshot.seq_known_at(at - 1).unwrap() <= definition.seq);
    }
}

fn check_filters(store: &Store, model: &Model) {
    let snapshot = store.snapshot();
    let symbols = snapshot.symbols();
    let set = |domain, names: &[&str]| -> SymbolSet {
        names
            .iter()
            .filter_map(|name| symbols.lookup(domain, name))
            .collect()
    };
    let day = |from: i64, to: i64| START_US + from * DAY_US..START_US + to * DAY_US;
    let half = model.rows.len() as i64 / 2;
    let all = || RowFilter::up_to(snapshot.seq());
    let nulls: SymbolSet = [NULL_SYMBOL].into_iter().collect();
    type Keep = fn(&Event) -> bool;
    let cases: Vec<(RowFilter, Keep, Range<i64>)> = vec![
        (
            RowFilter {
                time_us: day(1, 3),
                ..all()
            },
            |e| {
                e.time_us / DAY_US > START_US / DAY_US && e.time_us / DAY_US < START_US / DAY_US + 3
            },
            0..i64::MAX,
        ),
        (
            RowFilter {
                time_us: START_US + 1000..START_US + DAY_US * 2 - 7,
                ..all()
            },
            |e| e.time_us >= START_US + 1000 && e.time_us < START_US + DAY_US * 2 - 7,
            0..i64::MAX,
        ),
        (
            RowFilter {
                seq_max: half,
                ..all()
            },
            |_| true,
            0..half + 1,
        ),
        (
            RowFilter {
                seq_min: half + 1,
                ..all()
            },
            |_| true,
            half + 1..i64::MAX,
        ),
        (
            RowFilter {
                seq_min: half,
                seq_max: half,
                ..all()
            },
            |_| true,
            half..half + 1,
        ),
        (
            RowFilter {
                seq_min: half,
                seq_max: half - 1,
                ..all()
            },
            |_| false,
            0..i64::MAX,
        ),
        (
            RowFilter {
                accounts: Some(set(Domain::Account, &["account 2", "nobody"])),
                ..all()
            },
            |e| e.account.as_deref() == Some("account 2"),
            0..i64::MAX,
        ),
        (
            RowFilter {
                accounts: Some(nulls.clone()),
                ..all()
            },
            |e| e.account.is_none(),
            0..i64::MAX,
        ),
        (
            RowFilter {
                users: Some(set(Domain::User, &["user 3", "user 5"])),
                ..all()
            },
            |e| matches!(e.user.as_deref(), Some("user 3" | "user 5")),
            0..i64::MAX,
        ),
        (
            RowFilter {
                events: Some(set(Domain::Event, &["name 1"])),
                seq_max: half,
                ..all()
            },
            |e| e.name == "name 1",
            0..half + 1,
        ),
        (
            RowFilter {
                events: Some(SymbolSet::default()),
                ..all()
            },
            |_| false,
            0..i64::MAX,
        ),
        (
            RowFilter {
                time_us: day(0, 2),
                accounts: Some(set(Domain::Account, &["account 0", "account 1"])),
                users: Some(nulls),
                events: Some(set(Domain::Event, &["name 0", "name 1", "name 2"])),
                seq_min: half / 2,
                seq_max: half,
            },
            |e| {
                e.time_us < START_US + 2 * DAY_US
                    && matches!(e.account.as_deref(), Some("account 0" | "account 1"))
                    && e.user.is_none()
                    && matches!(e.name.as_str(), "name 0" | "name 1" | "name 2")
            },
            half / 2..half + 1,
        ),
    ];
    for (filter, keep, seqs) in cases {
        let expected: BTreeMap<i64, Event> = model
            .rows
            .iter()
            .filter(|(seq, event)| seqs.contains(*seq) && keep(event))
            .map(|(seq, event)| (*seq, event.clone()))
            .collect();
        for section in snapshot.slices().iter().flat_map(|slice| &slice.sections) {
            let section = section.open();
            if section.is_kept_whole_by(&filter) {
                let kept = section.select(&filter).unwrap();
                assert_eq!(kept, Selection::all(section.rows()), "{filter:?}");
            }
        }
        let found = filtered(&snapshot, &filter).unwrap();
        let odd = |left: &BTreeMap<i64, Event>, right: &BTreeMap<i64, Event>| -> Vec<i64> {
            left.keys()
                .copied()
                .filter(|seq| left.get(seq) != right.get(seq))
                .collect()
        };
        let (wrong, lost) = (odd(&found, &expected), odd(&expected, &found));
        assert!(
            wrong.is_empty() && lost.is_empty(),
            "{filter:?}: wrong {wrong:?}, lost {lost:?}"
        );
    }
}

#[test]
fn sections_are_pruned_by_time_and_seq_without_being_read() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    store.append(batch(&numbered(0..100))).unwrap();
    store.flush().unwrap();
    store.append(batch(&numbered(100..200))).unwrap();
    let snapshot = store.snapshot();
    let all = || RowFilter::up_to(snapshot.seq());
    let days = |filter: RowFilter| -> Vec<i64> {
        let first = i64::from(day_of_timestamp_us(START_US));
        let sections = snapshot.sections(&filter);
        let day = |section: &Arc<StoredSection>| i64::from(section.statistics().day) - first;
        sections.iter().map(day).collect()
    };
    // Five days, each in a segment and in memory.
    assert_eq!(days(all()), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    let time_us = START_US + DAY_US..START_US + 3 * DAY_US;
    assert_eq!(days(RowFilter { time_us, ..all() }), [1, 1, 2, 2]);
    let time_us = START_US + 5 * DAY_US..i64::MAX;
    assert_eq!(days(RowFilter { time_us, ..all() }), [0; 0]);
    assert_eq!(days(RowFilter::up_to(100)), [0, 1, 2, 3, 4]);
    let seq_min = 101;
    assert_eq!(days(RowFilter { seq_min, ..all() }), [0, 1, 2, 3, 4]);
    let seq_min = 201;
    assert_eq!(days(RowFilter { seq_min, ..all() }), [0; 0]);
}

#[test]
fn the_same_key_with_other_content_is_a_conflict_and_the_first_one_stays() {
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    let first = Event::numbered(1);
    store.append(batch(std::slice::from_ref(&first))).unwrap();
    for flushed in [false, true] {
        if flushed {
            store.flush().unwrap();
        }
        let changed = [
            Event {
                name: "other".to_owned(),
                ..first.clone()
            },
            Event {
                value: Some(99.0),
                ..first.clone()
            },
            Event {
                user: Some("someone else".to_owned()),
                ..first.clone()
            },
            Event {
                properties: Some("{\"z\":0}".to_owned()),
                ..first.clone()
            },
            Event {
                time_us: first.time_us + 1,
                ..first.clone()
            },
        ];
        let receipt = store.append(batch(&changed)).unwrap();
        assert_eq!((receipt.accepted, receipt.duplicates), (0, 0));
        let indexes: Vec<usize> = receipt.rejected.iter().map(|r| r.index).collect();
        assert_eq!(indexes, [0, 1, 2, 3, 4], "flushed: {flushed}");
        assert!(receipt.rejected[0].message.contains(&first.id));
        assert_eq!(receipt.rejected[0].code.as_str(), "conflict");
        let retry = store.append(batch(std::slice::from_ref(&first))).unwrap();
        assert_eq!((retry.accepted, retry.duplicates), (0, 1));
    }
    let rows: Vec<Event> = content(&store.snapshot()).unwrap().into_values().collect();
    assert_eq!(rows, std::slice::from_ref(&first));
}

#[test]
fn another_day_or_account_is_another_event() {
    let store = open(&FaultyDirectory::new()).unwrap();
    let first = Event::numbered(1);
    let others = [
        first.clone(),
        Event {
            time_us: first.time_us + DAY_US,
            ..first.clone()
        },
        Event {
            account: Some("elsewhere".to_owned()),
            ..first.clone()
        },
    ];
    assert_eq!(store.append(batch(&others)).unwrap().accepted, 3);
    store.flush().unwrap();
    assert_eq!(store.append(batch(&others)).unwrap().duplicates, 3);
}

#[test]
fn a_stamped_time_is_no_part_of_the_content_and_is_found_a_day_later() {
    use vitalog_event::{EventBatchBuilder, EventDraft};
    let store = open(&FaultyDirectory::new()).unwrap();
    let stamped = |time_us| {
        let mut builder = EventBatchBuilder::new(time_us);
        builder.push(&EventDraft {
            event_id: Some("retry"),
            event_time_us: Some(time_us),
            time_is_stamped: true,
            event: Some("login"),
            ..EventDraft::default()
        });
        builder.finish().0
    };
    let just_before_midnight = START_US + DAY_US - 10;
    assert_eq!(
        store
            .append(stamped(just_before_midnight))
            .unwrap()
            .accepted,
        1
    );
    assert_eq!(
        store
            .append(stamped(just_before_midnight + 5))
            .unwrap()
            .duplicates,
        1
    );
    store.flush().unwrap();
    assert_eq!(
        store
            .append(stamped(just_before_midnight + 20))
            .unwrap()
            .duplicates,
        1
    );
    assert_eq!(
        store
            .append(stamped(just_before_midnight + 3 * DAY_US))
            .unwrap()
            .accepted,
        1
    );
}

#[test]
fn received_at_never_decreases_with_seq_and_survives_flush_and_reopen() {
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Int64Type, TimestampMicrosecondType};
    let received = |store: &Store| -> BTreeMap<i64, i64> {
        let snapshot = store.snapshot();
        let filter = RowFilter::up_to(snapshot.seq());
        let mut times = BTreeMap::new();
        for section in snapshot.sections(&filter) {
            let section = section.open();
            let all = section.select(&filter).unwrap();
            let batch = section.batch(all.ranges(), &[3, 2]).unwrap();
            let seqs = batch.column(0).as_primitive::<Int64Type>();
            let values = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            times.extend(
                seqs.values()
                    .iter()
                    .copied()
                    .zip(values.values().iter().copied()),
            );
        }
        times
    };
    let directory = FaultyDirectory::new();
    let store = open(&directory).unwrap();
    for group in 0..30 {
        store
            .append(batch(&numbered(group * 7..group * 7 + 7)))
            .unwrap();
    }
    let before = received(&store);
    assert_eq!(before.len(), 210);
    assert!(before.values().is_sorted());
    assert_eq!(
        before.values().collect::<BTreeSet<_>>().len(),
        30,
        "one value a commit group"
    );
    store.flush().unwrap();
    assert_eq!(received(&store), before);
    store.close().unwrap();
    assert_eq!(received(&open(&directory).unwrap()), before);
}

#[test]
fn writers_share_commit_groups_and_lose_nothing() {
    let store = open(&FaultyDirectory::new()).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8u64 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..20 {
                    let first = writer * 1_000 + round * 10;
                    let events = numbered(first..first + 15);
                    let receipt = store.append(batch(&events)).unwrap();
                    let seen = content(&store.snapshot()).unwrap();
                    assert!(receipt.last_seq <= *seen.last_key_value().unwrap().0);
                    for event in &events {
                        assert!(seen.values().any(|row| row == event), "an ack is visible");
                    }
                }
            });
        }
    });
    let rows = content(&store.snapshot()).unwrap();
    assert_eq!(rows.len(), 8 * 205);
    assert_eq!(
        rows.keys().copied().collect::<Vec<_>>(),
        (1..=8 * 205).collect::<Vec<_>>()
    );
}

#[test]
fn a_snapshot_never_changes() {
    let store = open(&FaultyDirectory::new()).unwrap();
    store.append(batch(&numbered(0..300))).unwrap();
    let early = store.snapshot();
    let before = content(&early).unwrap();
    for round in 1..6 {
        store
            .append(batch(&numbered(round * 300..round * 300 + 300)))
            .unwrap();
        store.flush().unwrap();
        assert_eq!(content(&early).unwrap(), before);
    }
    assert_eq!(store.snapshot().seq(), 1800);
    assert_eq!(early.seq(), 300);
}
