//! Two answers compared whole: the same keys, the same columns, equal cells.
//!
//! Whole numbers, text and NULL are equal or not; doubles may differ in their last digits, because
//! libraries round a logarithm or an interpolation in other places.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// How far two doubles may lie apart, relative to the larger one.
const RELATIVE: f64 = 1e-12;
/// Differences and shares of scores are exact to the last digits of a score, however small they
/// are themselves: these columns are held against 100.
const OF_SCORES: [&str; 3] = ["trend", "trend_own", "points"];

/// Asserts that two answers of JSON objects hold the same rows.
///
/// # Panics
/// With the first row that differs; where an answer is empty, or two of its rows have one key.
pub(super) fn assert_same_rows(what: &str, ours: &[Value], theirs: &Value, keys: &[&str]) {
    let theirs = theirs
        .as_array()
        .unwrap_or_else(|| panic!("{what}: no rows of the peer"));
    assert!(!ours.is_empty(), "{what}: no rows");
    if let Some(difference) = difference(ours, theirs, keys) {
        panic!("{what}: {difference}");
    }
}

/// The first difference between two answers.
fn difference(ours: &[Value], theirs: &[Value], keys: &[&str]) -> Option<String> {
    let (ours, theirs) = (by_key(ours, keys), by_key(theirs, keys));
    for (key, row) in &ours {
        let Some(other) = theirs.get(key) else {
            return Some(format!("{key} is Vitalog's alone: {row:?}"));
        };
        if !row.keys().eq(other.keys()) {
            return Some(format!("{key}: other columns\n{row:?}\n{other:?}"));
        }
        let unequal = |column: &&String| !is_equal(column, &row[*column], &other[*column]);
        if let Some(column) = row.keys().find(unequal) {
            return Some(format!(
                "{key}: {column} is {}, the peer says {}\n{row:?}\n{other:?}",
                row[column], other[column]
            ));
        }
    }
    let alone = theirs.keys().find(|key| !ours.contains_key(*key))?;
    Some(format!("{alone} is the peer's alone: {:?}", theirs[alone]))
}

fn by_key<'a>(rows: &'a [Value], keys: &[&str]) -> BTreeMap<String, &'a Map<String, Value>> {
    let mut found = BTreeMap::new();
    for row in rows {
        let row = row.as_object().expect("a row is an object");
        let key: Vec<String> = keys.iter().map(|key| row[*key].to_string()).collect();
        let key = key.join(" ");
        let known = found.insert(key.clone(), row);
        assert!(known.is_none(), "{key} stands twice");
    }
    found
}

fn is_equal(column: &str, ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(left), Value::Number(right)) => {
            if let (Some(left), Some(right)) = (left.as_i64(), right.as_i64()) {
                return left == right;
            }
            let (left, right) = (left.as_f64(), right.as_f64());
            let (left, right) = left.zip(right).expect("a number");
            let least = if OF_SCORES.contains(&column) {
                100.0
            } else {
                0.0
            };
            let scale = left.abs().max(right.abs()).max(least);
            (left - right).abs() <= RELATIVE * scale
        }
        _ => ours == theirs,
    }
}

#[test]
fn what_differs_is_found() {
    let rows = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let ours = rows(r#"[{"id":"a","n":1,"x":0.1},{"id":null,"n":null,"x":1e300}]"#);
    let found = |theirs: &str| difference(&ours, &rows(theirs), &["id"]);
    let same = r#"[{"id":null,"n":null,"x":1e300},{"id":"a","n":1,"x":0.10000000000000002}]"#;
    assert_eq!(found(same), None);
    for (other, word) in [
        (r#"[{"id":"a","n":1,"x":0.1}]"#, "null is Vitalog's alone"),
        (
            r#"[{"id":"a","n":2,"x":0.1},{"id":null,"n":null,"x":1e300}]"#,
            "n is 1, the peer says 2",
        ),
        (
            r#"[{"id":"a","n":1,"x":0.1000000000002},{"id":null,"n":null,"x":1e300}]"#,
            "x is 0.1,",
        ),
        (
            r#"[{"id":"a","n":1,"x":0.1},{"id":null,"n":0,"x":1e300}]"#,
            "n is null, the peer says 0",
        ),
        (
            r#"[{"id":"a","n":1,"x":0.1},{"id":null,"n":null,"x":1e300},{"id":"c","n":1,"x":1}]"#,
            "\"c\" is the peer's alone",
        ),
        (
            r#"[{"id":"a","n":1},{"id":null,"n":null,"x":1e300}]"#,
            "other columns",
        ),
    ] {
        let difference = found(other).unwrap();
        assert!(difference.contains(word), "{other}: {difference}");
    }
}
