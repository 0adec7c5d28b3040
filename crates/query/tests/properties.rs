//! Keys of `properties` in SQL: exact, the same with and without the scan's help, and shown.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use arrow::datatypes::DataType;
use proptest::prelude::*;
use vitalog_query::QueryEngine;
use vitalog_store::Store;

use support::{Layout, Row, answer, batches, engine_over, error_of, request, store_of, texts};

/// Values of the key `k` that readers of JSON like to change.
const VALUES: [&str; 18] = [
    r#"{"k":1.0}"#,
    r#"{"k":1e2}"#,
    r#"{"k":9007199254740993}"#,
    r#"{"k":-0}"#,
    r#"{"k":1.50}"#,
    r#"{"k":12345678901234567890123}"#,
    r#"{"k":"é\n\"\\ \u0001"}"#,
    r#"{"k":""}"#,
    r#"{"k":"1e2"}"#,
    r#"{"k":true}"#,
    r#"{"k":null}"#,
    r#"{"k":{"b":[1.0,null],"c":"x"}}"#,
    r#"{"k":[1,{"k":2}]}"#,
    r#"{"other":{"k":1}}"#,
    "{}",
    "",
    r#"{"k":7}"#,
    r#"{"k":0.1}"#,
];

fn store_with(properties: &[Option<String>], layout: Layout) -> Arc<Store> {
    let start = vitalog_event::parse_timestamp_us("2025-03-01").unwrap();
    let row = |(at, properties): (usize, &Option<String>)| Row {
        event_id: format!("event-{at:04}"),
        time_us: start + at as i64 * 3_600_000_000,
        event: format!("event {}", at % 3),
        account_id: (at % 5 > 0).then(|| format!("account {}", at % 4)),
        user_id: Some(format!("user {}", at % 7)),
        value: Some(at as f64),
        properties: properties.clone(),
    };
    let rows: Vec<Row> = properties.iter().enumerate().map(row).collect();
    store_of(&rows, layout)
}

fn engine_with(properties: &[&str], layout: Layout) -> QueryEngine {
    let optional = |text: &&str| (!text.is_empty()).then(|| (*text).to_owned());
    let properties: Vec<Option<String>> = properties.iter().map(optional).collect();
    engine_over(&store_with(&properties, layout))
}

#[tokio::test]
async fn text_is_what_went_in() {
    let expected = [
        "1.0",
        "1e2",
        "9007199254740993",
        "-0",
        "1.50",
        "12345678901234567890123",
        "é\n\"\\ \u{1}",
        "",
        "1e2",
        "true",
        "NULL",
        r#"{"b":[1.0,null],"c":"x"}"#,
        r#"[1,{"k":2}]"#,
        "NULL",
        "NULL",
        "NULL",
        "7",
        "0.1",
    ];
    for layout in Layout::ALL {
        let engine = engine_with(&VALUES, layout);
        let sql = "SELECT properties ->> 'k', properties FROM events ORDER BY seq";
        let rows = answer(&engine, sql).await;
        let found: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(found, expected, "{layout:?}");
        // What a reader of the column gets back is canonical, and otherwise what went in.
        let stored: Vec<&str> = rows.iter().map(|row| row[1].as_str()).collect();
        let null = |text: &'static str| if text.is_empty() { "NULL" } else { text };
        assert_eq!(stored, VALUES.map(null), "{layout:?}");
    }
}

#[tokio::test]
async fn missing_is_told_from_null() {
    let engine = engine_with(&[r#"{"k":null}"#, r#"{"k":1}"#, "{}", ""], Layout::Flushed);
    let sql = "SELECT properties ->> 'k', properties ? 'k', json_contains(properties, 'k')
               FROM events ORDER BY seq";
    let expected = [
        ["NULL", "true", "true"],
        ["1", "true", "true"],
        ["NULL", "false", "false"],
        ["NULL", "false", "false"],
    ];
    assert_eq!(answer(&engine, sql).await, expected);
}

#[tokio::test]
async fn json_values_leave_as_json_text() {
    let engine = engine_with(&VALUES, Layout::Memory);
    let sql = "SELECT properties -> 'k' AS k, properties -> 'k' -> 'b' ->> 0 AS first
               FROM events WHERE seq IN (7, 10, 11, 12, 17) ORDER BY seq";
    let batches = batches(&engine, request(sql)).await.unwrap();
    assert_eq!(batches[0].schema().field(0).data_type(), &DataType::Utf8);
    let expected = [
        [r#""é\n\"\\ \u0001""#, "NULL"],
        ["true", "NULL"],
        ["NULL", "NULL"],
        [r#"{"b":[1.0,null],"c":"x"}"#, "1.0"],
        ["7", "NULL"],
    ];
    assert_eq!(texts(&batches), expected);
}

/// Questions over `§`, which stands for `properties`, and whether scans must answer them.
const QUESTIONS: [(&str, bool); 26] = [
    ("SELECT seq, § ->> 'k' FROM events", true),
    (
        "SELECT seq, §, § ->> 'k', § ->> 'k' AS again, § ->> 'n' FROM events",
        true,
    ),
    (
        "SELECT seq FROM events WHERE § ->> 'k' = '7' OR § ->> 'k' > 'x'",
        true,
    ),
    (
        "SELECT * EXCLUDE (properties) FROM events WHERE § ->> 'k' IS NULL AND event = 'event 1'",
        true,
    ),
    (
        "SELECT * FROM events WHERE § ->> 'n' = '3' AND account_id = 'account 1'",
        true,
    ),
    (
        "SELECT § ->> 'k' AS k, count(*), max(seq) FROM events GROUP BY k",
        true,
    ),
    (
        "SELECT § ->> 'k', count(DISTINCT § ->> 'n') FROM events GROUP BY 1 HAVING count(*) > 1",
        true,
    ),
    (
        "SELECT count(*) FILTER (WHERE § ->> 'n' = '1'), sum(json_get_int(§, 'n')) FROM events",
        true,
    ),
    (
        "SELECT seq, CAST(§ -> 'n' AS BIGINT) AS a, (§ -> 'n')::DOUBLE AS b, TRY_CAST(§ ->> 'k' AS DOUBLE) AS c FROM events",
        true,
    ),
    (
        "SELECT seq, json_get_str(§, 'k'), json_get_int(§, 'k'), json_get_float(§, 'k'), json_get_bool(§, 'k') FROM events",
        true,
    ),
    (
        "SELECT seq, upper(§ ->> 'k') || coalesce(§ ->> 'n', '-') FROM events",
        true,
    ),
    (
        "SELECT seq, CASE WHEN § ->> 'n' = '1' THEN § ->> 'k' ELSE event END FROM events",
        true,
    ),
    (
        "WITH e AS (SELECT seq, § ->> 'k' AS k, event FROM events) SELECT k, count(*) FROM e WHERE event <> 'event 0' GROUP BY k",
        true,
    ),
    (
        "SELECT k FROM (SELECT seq, § AS p2, § ->> 'k' AS k FROM events) AS e WHERE p2 ->> 'n' = '2'",
        true,
    ),
    (
        "SELECT e.seq, e.§ ->> 'k' FROM events AS e WHERE e.§ ->> 'n' IN ('1', '2', '3')",
        true,
    ),
    (
        "SELECT l.seq, r.seq FROM events l JOIN events r ON l.§ ->> 'n' = r.§ ->> 'n' WHERE l.seq < r.seq",
        true,
    ),
    (
        "SELECT seq FROM events WHERE § ->> 'n' = (SELECT max(§ ->> 'n') FROM events)",
        true,
    ),
    (
        "SELECT seq FROM events e WHERE EXISTS (SELECT 1 FROM events f WHERE f.§ ->> 'n' = e.§ ->> 'n' AND f.seq > e.seq)",
        true,
    ),
    (
        "SELECT § ->> 'n' AS n FROM events UNION ALL SELECT § ->> 'k' FROM events",
        true,
    ),
    (
        "SELECT seq, § ->> 'k' AS k FROM events ORDER BY § ->> 'n' NULLS FIRST, seq LIMIT 5",
        true,
    ),
    ("SELECT DISTINCT § ->> 'n' FROM events", true),
    (
        "SELECT seq FROM events WHERE § ->> 'n' LIKE '%1' AND NOT (§ ->> 'k') = 'a'",
        true,
    ),
    (
        "SELECT account_id, max(§ ->> 'n') FROM events GROUP BY account_id",
        true,
    ),
    (
        "SELECT seq, § ->> 'missing', § -> 'nested' ->> 'k', § ->> 0 FROM events",
        true,
    ),
    (
        "SELECT seq, row_number() OVER (PARTITION BY § ->> 'n' ORDER BY seq) FROM events",
        false,
    ),
    (
        "SELECT § ->> 'k' FROM (SELECT * FROM events ORDER BY seq LIMIT 7) AS e",
        false,
    ),
];

/// The answer to a question, where `§` is `properties`.
async fn helped(engine: &QueryEngine, question: &str) -> Vec<Vec<String>> {
    sorted(answer(engine, &question.replace('§', "properties")).await)
}

/// The same of functions that are called on a text that only looks like another.
async fn unhelped(engine: &QueryEngine, question: &str) -> Vec<Vec<String>> {
    let mut sql = question.to_owned();
    for alias in ["e.", "f.", "l.", "r.", ""] {
        sql = sql.replace(
            &format!("{alias}§"),
            &format!("nullif({alias}properties, '')"),
        );
    }
    sorted(answer(engine, &sql).await)
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort();
    rows
}

#[tokio::test]
async fn scans_answer_as_the_functions_do() {
    let mixed: Vec<String> = (0..60)
        .map(|at| match at % 6 {
            0 => format!("{{\"k\":\"text {}\",\"n\":{}}}", at % 4, at % 5),
            1 => format!("{{\"k\":{},\"n\":{}.5}}", at % 9, at % 3),
            2 => format!("{{\"k\":true,\"n\":\"{}\"}}", at % 5),
            3 => format!("{{\"n\":{},\"nested\":{{\"k\":{at}}}}}", at % 5),
            4 => VALUES[at % VALUES.len()].to_owned(),
            _ => "{\"k\":null,\"n\":1e2}".to_owned(),
        })
        .collect();
    let mixed: Vec<&str> = mixed.iter().map(String::as_str).collect();
    for layout in Layout::ALL {
        let engine = engine_with(&mixed, layout);
        for (question, _) in QUESTIONS {
            let (with, without) = (
                helped(&engine, question).await,
                unhelped(&engine, question).await,
            );
            assert!(!with.is_empty(), "{question}");
            assert_eq!(with, without, "{layout:?}: {question}");
        }
    }
}

#[tokio::test]
async fn plans_show_what_scans_answer() {
    let engine = engine_with(&VALUES, Layout::Flushed);
    for (question, is_helped) in QUESTIONS {
        if !is_helped {
            continue;
        }
        let sql = question.replace('§', "properties");
        let plan = answer(&engine, &format!("EXPLAIN FORMAT INDENT {sql}")).await;
        let plan = &plan.last().unwrap()[1];
        assert!(plan.contains("promoted=["), "{question}\n{plan}");
        // Calls of functions name the column and its place; those of several steps stay.
        let elsewhere: Vec<&str> = plan
            .lines()
            .filter(|line| line.contains("(properties@") && !line.contains("nested"))
            .collect();
        assert!(elsewhere.is_empty(), "{question}\n{plan}");
    }
    let plan = "EXPLAIN FORMAT INDENT SELECT properties ->> 'n', properties ->> 'k', event
                FROM events WHERE json_get_int(properties, 'n') > 1";
    let plan = &answer(&engine, plan).await.last().unwrap()[1].clone();
    assert!(plan.contains("promoted=[k, n]"), "{plan}");
    assert!(plan.contains("columns=[event, "), "{plan}");
}

/// The rows that the scans of `sql` parsed.
async fn json_rows_parsed(engine: &QueryEngine, sql: &str) -> usize {
    let plan = answer(engine, &format!("EXPLAIN ANALYZE {sql}")).await;
    let plan = plan.iter().map(|row| row[1].as_str());
    let counts = plan.flat_map(|plan| plan.split("json_rows_parsed=").skip(1));
    counts
        .map(|rest| {
            let end = rest.find([',', ']']).unwrap();
            rest[..end].trim().parse::<usize>().unwrap()
        })
        .sum()
}

#[tokio::test]
async fn rows_that_are_parsed_are_counted() {
    for layout in [Layout::Memory, Layout::Flushed] {
        let engine = engine_with(&VALUES, layout);
        let sql = "SELECT count(properties ->> 'k') FROM events WHERE event = 'event 1'";
        assert_eq!(json_rows_parsed(&engine, sql).await, 6, "{layout:?}");
        let sql = "SELECT count(properties) FROM events";
        assert_eq!(json_rows_parsed(&engine, sql).await, 0, "{layout:?}");
    }
}

#[tokio::test]
async fn cold_files_answer_without_parsing() {
    let country = |at: usize| ["\"DE\"", "\"FR\"", "null"][at % 3];
    let row = |at: usize| {
        format!(
            "{{\"country\":{},\"duration_ms\":{}}}",
            country(at),
            at * 37
        )
    };
    let mut rows: Vec<String> = (0..40).map(row).collect();
    let sql = "SELECT properties ->> 'country' AS country, sum(json_get_int(properties, 'duration_ms'))
               FROM events WHERE properties ->> 'duration_ms' <> '37' GROUP BY country ORDER BY country";
    let whole: Vec<&str> = rows.iter().map(String::as_str).collect();
    let engine = engine_with(&whole, Layout::Cold);
    assert_eq!(json_rows_parsed(&engine, sql).await, 0);
    let expected = answer(&engine_with(&whole, Layout::Memory), sql).await;
    assert_eq!(expected.len(), 3);
    assert_eq!(answer(&engine, sql).await, expected);
    // Of a value of another type the row is parsed, and no other.
    rows[7] = "{\"country\":[7],\"duration_ms\":4}".to_owned();
    let conflict: Vec<&str> = rows.iter().map(String::as_str).collect();
    let engine = engine_with(&conflict, Layout::Cold);
    assert_eq!(json_rows_parsed(&engine, sql).await, 1);
    let expected = answer(&engine_with(&conflict, Layout::Memory), sql).await;
    assert_eq!(answer(&engine, sql).await, expected);
}

#[tokio::test]
async fn columns_of_a_scan_are_no_columns_of_the_table() {
    let engine = engine_with(&VALUES, Layout::Memory);
    let sql = "SELECT * FROM events WHERE properties ->> 'k' = '7'";
    let found = batches(&engine, request(sql)).await.unwrap();
    assert_eq!(found[0].num_columns(), 9);
    let sql = "SELECT properties ->> 'k' FROM events LIMIT 1";
    let found = batches(&engine, request(sql)).await.unwrap();
    assert_eq!(found[0].schema().field(0).name(), "properties ->> 'k'");
    let sql = "SELECT \"properties ->> 'k'\" FROM events";
    let error = error_of(&engine, request(sql)).await;
    assert!(error.message.contains("properties ->> 'k'"), "{error:?}");
}

#[tokio::test]
async fn functions_on_json_are_listed_with_what_they_do() {
    let engine = engine_with(&VALUES, Layout::Memory);
    let described = engine.functions();
    let shown = answer(&engine, "SHOW FUNCTIONS").await;
    let types = "SELECT routine_name, data_type FROM information_schema.routines";
    let types = answer(&engine, types).await;
    for (name, data_type) in [
        ("json_as_text", "String"),
        ("json_contains", "Boolean"),
        ("json_get_bool", "Boolean"),
        ("json_get_float", "Float64"),
        ("json_get_int", "Int64"),
        ("json_get_str", "String"),
        ("json_object_keys", "List(String)"),
        ("json_length", "UInt64"),
    ] {
        let found = described.iter().find(|one| one.name == name);
        let found = found.unwrap_or_else(|| panic!("{name} is described"));
        assert!(!found.description.is_empty(), "{name}");
        assert!(found.signature.starts_with(&format!("{name}(")), "{name}");
        assert!(shown.iter().any(|row| row[0] == name), "{name} is shown");
        let found: Vec<_> = types.iter().filter(|row| row[0] == name).collect();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0][1], data_type, "{name}");
    }
    let unknown: Vec<&str> = described
        .iter()
        .filter(|one| one.name.starts_with("json_") && one.description.is_empty())
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(unknown, Vec::<&str>::new());
}

#[tokio::test]
async fn the_examples_of_the_reference_run() {
    let engine = engine_with(&VALUES, Layout::Memory);
    let mut ran = 0;
    for function in engine.functions() {
        if !function.name.starts_with("json_") {
            continue;
        }
        let example = function.example.unwrap();
        let sql = example
            .trim_start_matches("```sql\n> ")
            .trim_end_matches("\n```");
        let rows = answer(&engine, sql).await;
        assert_eq!(rows.len(), 1, "{sql}");
        assert_ne!(rows[0][0], "NULL", "{sql}");
        ran += 1;
    }
    assert!(ran >= 13);
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "1",
            "-0",
            "1.0",
            "1e2",
            "0.5",
            "9007199254740993",
            "1e400",
            "true",
            "null",
            "[1]",
            "{\"k\":1}",
            "\"\"",
            "\"7\"",
            "\"é\\n\\\"\"",
            "100000000000000000000",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(|number| format!("{number:?}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_json_is_read_alike(
        rows in prop::collection::vec(
            prop::option::weighted(
                0.9,
                prop::collection::btree_map(prop::sample::select(vec!["k", "n", "\u{e9}"]), value(), 0..3),
            ),
            1..25,
        ),
        mixed in any::<bool>(),
    ) {
        let object = |members: &std::collections::BTreeMap<&str, String>| {
            let member = |(key, value): (&&str, &String)| format!("\"{key}\":{value}");
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
        };
        let rows: Vec<Option<String>> =
            rows.iter().map(|row| row.as_ref().map(object)).collect();
        let layout = if mixed { Layout::Mixed } else { Layout::Flushed };
        let engine = engine_over(&store_with(&rows, layout));
        let question = "SELECT seq, § ->> 'k', json_get_int(§, 'k'), json_get_float(§, 'k'),
                        json_get_str(§, 'n'), json_get_bool(§, 'n'), § ->> 'é' FROM events
                        WHERE § ->> 'k' IS NOT NULL OR json_get_float(§, 'n') > 0";
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (with, without) = runtime.block_on(async {
            (helped(&engine, question).await, unhelped(&engine, question).await)
        });
        prop_assert_eq!(with, without);
    }
}
