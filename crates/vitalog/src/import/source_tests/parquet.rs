//! Parquet: coerced types, bad cells, damaged files.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use ::parquet::arrow::ArrowWriter;
use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array,
    Int64Array, LargeStringArray, RecordBatch, StringViewArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::Int32Type;
use vitalog_event::{EventBatch, TimeUnit};

use super::super::{ImportError, ImportOptions};
use super::{Files, Found, now_us, read, simulation, texts};

#[test]
fn simulated_events_come_back_row_for_row() {
    let files = Files::new();
    let found = read(&files.simulated(70_000), &ImportOptions::default());
    assert!(found.failure.is_none() && found.rejected.is_empty());
    assert_eq!(found.row_numbers, (1..=70_000).collect::<Vec<u64>>());
    let written: Vec<EventBatch> = simulation(70_000)
        .map(|chunk| chunk.to_event_batch(now_us()).0)
        .collect();
    let written = Found {
        events: written,
        ..Found::default()
    };
    assert_eq!(
        found.texts(EventBatch::event_ids),
        written.texts(EventBatch::event_ids)
    );
    assert_eq!(
        found.texts(EventBatch::account_ids),
        written.texts(EventBatch::account_ids)
    );
    assert_eq!(
        found.texts(EventBatch::properties),
        written.texts(EventBatch::properties)
    );
}

#[test]
fn parquet_types_are_coerced() {
    let files = Files::new();
    let day_us = 1_740_787_200_000_000_i64;
    let check = |name: &str, column: ArrayRef, unit: Option<TimeUnit>, expected: &[i64]| {
        let event = texts(&vec![Some("e"); expected.len()]);
        let path = files.parquet(vec![("event_time", column), ("event", event)]);
        let options = ImportOptions {
            time_unit: unit,
            ..ImportOptions::default()
        };
        let found = read(&path, &options);
        assert!(found.failure.is_none(), "{name}: {:?}", found.failure);
        let times: Vec<i64> = found
            .events
            .iter()
            .flat_map(|batch| batch.times().values().to_vec())
            .collect();
        assert_eq!(times, expected, "{name}: {:?}", found.rejected);
    };
    let second = day_us / 1_000_000;
    check(
        "s",
        Arc::new(TimestampSecondArray::from(vec![second])),
        None,
        &[day_us],
    );
    let millis = TimestampMillisecondArray::from(vec![second * 1_000]).with_timezone("+02:00");
    check("ms with a zone", Arc::new(millis), None, &[day_us]);
    let nanos = TimestampNanosecondArray::from(vec![second * 1_000_000_000 + 1_999]);
    check("ns", Arc::new(nanos), None, &[day_us + 1]);
    let days = Date32Array::from(vec![(second / 86_400) as i32]);
    check("date", Arc::new(days), None, &[day_us]);
    check(
        "text",
        texts(&[Some("2025-03-01"), Some("2025-03-01 00:00")]),
        None,
        &[day_us, day_us],
    );
    check(
        "int",
        Arc::new(Int64Array::from(vec![second])),
        Some(TimeUnit::Second),
        &[day_us],
    );
    check(
        "int32",
        Arc::new(Int32Array::from(vec![second as i32])),
        Some(TimeUnit::Second),
        &[day_us],
    );
    let floats = Float64Array::from(vec![second as f64 + 0.5]);
    check(
        "float",
        Arc::new(floats),
        Some(TimeUnit::Second),
        &[day_us + 500_000],
    );

    let decimals = Decimal128Array::from(vec![Some(250), None]).with_precision_and_scale(9, 2);
    let decimals = decimals.expect("a decimal type");
    let path = files.parquet(vec![
        ("value", Arc::new(decimals)),
        (
            "event",
            Arc::new(
                ["a", "b"]
                    .into_iter()
                    .collect::<DictionaryArray<Int32Type>>(),
            ),
        ),
        ("user_id", Arc::new(Int64Array::from(vec![Some(7), None]))),
        (
            "account_id",
            Arc::new(LargeStringArray::from(vec![Some("acme"), None])),
        ),
        (
            "event_id",
            Arc::new(StringViewArray::from(vec![
                "one",
                "a view longer than twelve",
            ])),
        ),
        ("seq", Arc::new(Int64Array::from(vec![1, 2]))),
        (
            "event_time",
            texts(&[Some("2025-03-01"), Some("2025-03-01")]),
        ),
        (
            "properties",
            Arc::new(BinaryArray::from_opt_vec(vec![Some(b"{}"), None])),
        ),
    ]);
    let found = read(&path, &ImportOptions::default());
    assert!(
        found.failure.is_none() && found.rejected.is_empty(),
        "{found:?}"
    );
    assert_eq!(
        found.texts(EventBatch::user_ids),
        [Some("7".to_owned()), None]
    );
    assert_eq!(
        found.texts(EventBatch::account_ids),
        [Some("acme".to_owned()), None]
    );
    assert_eq!(
        found.texts(EventBatch::properties),
        [Some("{}".to_owned()), None]
    );
    assert_eq!(found.events[0].values().value(0), 2.5);
    assert_eq!(found.without_account, 1);
}

#[test]
fn parquet_columns_that_cannot_be_are_named_at_the_opening() {
    let files = Files::new();
    let event = || texts(&[Some("e")]);
    let check = |columns: Vec<(&str, ArrayRef)>, reason: &str| {
        let failure = read(&files.parquet(columns), &ImportOptions::default()).failure();
        assert!(
            failure.contains(reason) && failure.contains("events.parquet"),
            "{failure}"
        );
    };
    let number = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    check(
        vec![("event", event()), ("event_time", number())],
        "--time-unit",
    );
    let float = || Arc::new(Float64Array::from(vec![1.0])) as ArrayRef;
    check(
        vec![
            ("event", event()),
            ("event_time", event()),
            ("user_id", float()),
        ],
        "column \"user_id\" is Float64, user_id takes text or whole numbers",
    );
    check(
        vec![
            ("event", event()),
            ("event_time", event()),
            ("vlaue", float()),
        ],
        "mean value?",
    );
    check(vec![("event", event())], "no column for event_time");
}

#[test]
fn bad_rows_of_parquet_are_left_out_one_by_one() {
    let files = Files::new();
    let good = now_us();
    let (before_1970, year_9999) = (-1, 253_402_300_799_000_000);
    let huge = format!("{{\"a\":\"{}\"}}", "x".repeat(1 << 20));
    let time = vec![
        Some(good),
        Some(before_1970),
        Some(year_9999),
        None,
        Some(good),
        Some(good),
        Some(good),
        Some(good),
        Some(good),
        Some(good),
    ];
    let rows = time.len();
    let mut ids = vec![Some("i"); rows];
    ids[4] = Some("");
    let mut properties = vec![Some("{}"); rows];
    properties[5] = Some(&huge);
    properties[6] = Some(r#"{"a":1,"a":2}"#);
    properties[7] = Some("{");
    let mut values = vec![Some(1.0); rows];
    values[8] = Some(f64::NAN);
    let path = files.parquet(vec![
        ("event_id", texts(&ids)),
        (
            "event_time",
            Arc::new(TimestampMicrosecondArray::from(time)),
        ),
        ("event", texts(&vec![Some("e"); rows])),
        ("properties", texts(&properties)),
        ("value", Arc::new(Float64Array::from(values))),
    ]);
    let found = read(&path, &ImportOptions::default());
    assert!(found.failure.is_none(), "{:?}", found.failure);
    assert_eq!(
        found.rejections(),
        [
            (2, "event_time", "before_1970"),
            (3, "event_time", "in_future"),
            (4, "event_time", "missing"),
            (5, "event_id", "empty"),
            (6, "properties", "too_long"),
            (7, "properties", "invalid_properties"),
            (8, "properties", "invalid_properties"),
            (9, "value", "not_a_number"),
        ]
    );
    assert_eq!(found.row_numbers, [1, 10]);
    assert!(
        found.rejected[0].text.contains("\"event_id\":\"i\""),
        "{}",
        found.rejected[0].text
    );
}

#[test]
fn times_that_are_floats_may_be_nan() {
    let files = Files::new();
    let floats = Float64Array::from(vec![Some(1.0), Some(f64::NAN), None, Some(f64::INFINITY)]);
    let event = texts(&[Some("e"); 4]);
    let path = files.parquet(vec![("event_time", Arc::new(floats)), ("event", event)]);
    let options = ImportOptions {
        time_unit: Some(TimeUnit::Second),
        ..ImportOptions::default()
    };
    let found = read(&path, &options);
    let expected = [
        (2, "event_time", "not_a_number"),
        (3, "event_time", "missing"),
        (4, "event_time", "not_a_number"),
    ];
    assert_eq!(found.rejections(), expected);
}

#[test]
fn text_of_parquet_that_is_no_utf8_costs_its_row_only() {
    let files = Files::new();
    let names = BinaryArray::from_vec(vec![b"ab", b"a\xff", b"cd"]);
    let time = texts(&[Some("2025-03-01"); 3]);
    // As a file whose column is annotated as text, though its bytes are none.
    let path = files.parquet(vec![("event", Arc::new(names)), ("event_time", time)]);
    let found = read(&path, &ImportOptions::default());
    assert_eq!(found.rejections(), [(2, "event", "invalid_utf8")]);
    assert_eq!(found.row_numbers, [1, 3]);

    // The same below a footer that says "text": written as text, then one byte is broken.
    let file = files.0.path().join("broken.parquet");
    let columns = vec![
        (
            "event",
            texts(&[Some("same-as-ever"), Some("BROKEN-HERE"), Some("b")]),
        ),
        ("event_time", texts(&[Some("2025-03-01"); 3])),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns");
    let mut writer =
        ArrowWriter::try_new(File::create(&file).expect("a file"), batch.schema(), None)
            .expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
    let mut bytes = fs::read(&file).expect("the file");
    let places: Vec<usize> = (0..bytes.len())
        .filter(|place| bytes[*place..].starts_with(b"BROKEN-HERE"))
        .collect();
    for place in places {
        bytes[place] = 0xff;
    }
    fs::write(&file, bytes).expect("written");
    let found = read(&file, &ImportOptions::default());
    assert!(found.failure.is_none(), "{:?}", found.failure);
    assert_eq!(found.rejections(), [(2, "event", "invalid_utf8")]);
    assert_eq!(found.accepted(), 2);
}

#[test]
fn a_cut_parquet_is_said_to_be_cut() {
    let files = Files::new();
    let bytes = fs::read(files.simulated(2_000)).expect("the file");
    for keep in [0, 4, 11, 100, bytes.len() / 2, bytes.len() - 1] {
        let path = files.write("cut.parquet", &bytes[..keep]);
        let found = read(&path, &ImportOptions::default());
        assert!(
            matches!(found.failure, Some(ImportError::CutOff { .. })),
            "{keep}: {found:?}"
        );
        assert!(
            found
                .failure()
                .contains("cut.parquet: the file is cut off after row 0")
        );
    }
    let path = files.write("text.parquet", "event,event_time\n1,2\n");
    assert!(
        read(&path, &ImportOptions::default())
            .failure()
            .contains("PAR1")
    );
    let mut damaged = bytes;
    damaged[4..400].fill(0xaa);
    let path = files.write("damaged.parquet", &damaged);
    assert!(
        read(&path, &ImportOptions::default())
            .failure()
            .contains("damaged after row 0")
    );
}

/// The real sets, which stand beside the checkout where they stand at all.
#[test]
fn real_sets_are_taken_whole() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    for (name, rows) in [("oulad", 1_048_575), ("ecom", 31_106)] {
        let path = shared.join(name).join("events.parquet");
        if !path.exists() {
            println!("skipped: {name} is not there");
            continue;
        }
        let found = read(&path, &ImportOptions::default());
        assert!(
            found.failure.is_none() && found.rejected.is_empty(),
            "{name}"
        );
        assert_eq!(
            (found.accepted(), found.without_account),
            (rows, 0),
            "{name}"
        );
    }
}
