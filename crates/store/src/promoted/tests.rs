//! What comes back from promoted columns is what a parser of the JSON says.

use std::collections::BTreeMap;
use std::slice::from_ref;

use arrow_array::{Array, StringArray};
use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::Strategy;

use super::{PromotedBlob, PromotedColumn, PromotedColumns, PromotedValues};

/// Canonical text of any value, of the kinds that make trouble.
pub(super) fn value() -> impl Strategy<Value = String> {
    let text = "[a-z\"\\\\\u{e9}\n{}:,]{0,5}";
    prop_oneof![
        4 => text.prop_map(|text| serde_json::to_string(&text).expect("a text")),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => (-50..50i32).prop_map(|number| number.to_string()),
        2 => any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(|number| format!("{number:?}")),
        2 => (-400..400i32).prop_map(|number| format!("{}", f64::from(number) / 8.0)),
        1 => Just("null".to_owned()),
        1 => any::<bool>().prop_map(|boolean| boolean.to_string()),
        2 => prop::sample::select(vec![
            "1.0", "1e2", "1E2", "-0", "-0.0", "1.50", "9007199254740993", "18446744073709551616",
            "4611686018427388000", "1e999", "0.1", "{}", "[]", "[1,{\"a\":\"}\"}]", "{\"a\":{\"b\":null}}",
        ]).prop_map(str::to_owned),
    ]
}

/// The canonical object of `members`: keys with their text.
pub(super) fn object(members: &BTreeMap<String, String>) -> String {
    let member = |(key, value): (&String, &String)| {
        format!("{}:{value}", serde_json::to_string(key).expect("a text"))
    };
    let members: Vec<String> = members.iter().map(member).collect();
    format!("{{{}}}", members.join(","))
}

/// The text of `key` in `properties` as a parser of the whole text sees it.
fn parsed(properties: Option<&str>, key: &str) -> Option<String> {
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(properties?).ok()?;
    let raw = members.get(key)?.get();
    match raw.as_bytes()[0] {
        b'n' => None,
        b'"' => Some(serde_json::from_str(raw).expect("a string")),
        _ => Some(raw.to_owned()),
    }
}

fn properties(rows: &[&str]) -> StringArray {
    rows.iter()
        .map(|row| (!row.is_empty()).then_some(*row))
        .collect()
}

/// The columns after a way through bytes.
fn stored(properties: &StringArray) -> Vec<PromotedColumn> {
    let Some(columns) = PromotedColumns::collect(properties) else {
        return Vec::new();
    };
    let bytes = columns.encode(1 << 20).expect("bytes");
    let bytes = Bytes::from(bytes.expect("small columns stay"));
    let blob = PromotedBlob::open(&bytes, properties.len()).expect("opens");
    let keys: Vec<&str> = columns.columns().iter().map(PromotedColumn::key).collect();
    assert_eq!(blob.keys().collect::<Vec<_>>(), keys);
    let column = |key: &&str| blob.column(key).expect("reads").expect("is there");
    keys.iter().map(column).collect()
}

/// Every row of `column` is the parser's, or in the remainder. Gives back how many are in it.
fn agrees(column: &PromotedColumn, properties: &StringArray) -> usize {
    let texts = column.text(from_ref(&(0..properties.len())));
    let mut in_remainder = 0;
    for row in 0..properties.len() {
        let json = properties.is_valid(row).then(|| properties.value(row));
        if column.remainder().is_some_and(|marks| marks.value(row)) {
            assert!(texts.is_null(row), "row {row}");
            in_remainder += 1;
            continue;
        }
        let found = texts.is_valid(row).then(|| texts.value(row).to_owned());
        assert_eq!(found, parsed(json, column.key()), "row {row} {json:?}");
    }
    in_remainder
}

#[test]
fn keys_come_in_order_of_frequency_with_their_types() {
    let rows = properties(&[
        r#"{"country":"DE","duration_ms":420,"ok":true,"rate":0.5}"#,
        r#"{"country":"FR","duration_ms":-3,"rate":2}"#,
        r#"{"country":null,"duration_ms":9007199254740993,"ok":false}"#,
        "",
        "{}",
    ]);
    let columns = stored(&rows);
    let shown: Vec<(&str, &str)> = columns
        .iter()
        .map(|column| {
            let kind = match column.values() {
                PromotedValues::Text(_) => "text",
                PromotedValues::Integer(_) => "integer",
                PromotedValues::Double(..) => "double",
                PromotedValues::Boolean(_) => "boolean",
            };
            (column.key(), kind)
        })
        .collect();
    let expected = [
        ("duration_ms", "integer"),
        ("country", "text"),
        ("ok", "boolean"),
        ("rate", "double"),
    ];
    assert_eq!(shown, expected);
    for column in &columns {
        assert_eq!(agrees(column, &rows), 0, "{}", column.key());
    }
}

#[test]
fn conflicts_and_texts_that_do_not_come_back_stay_in_the_remainder() {
    let rows = properties(&[
        r#"{"n":1}"#,
        r#"{"n":2}"#,
        r#"{"n":3}"#,
        r#"{"n":1.0}"#,
        r#"{"n":1e2}"#,
        r#"{"n":"4"}"#,
        r#"{"n":-0}"#,
        r#"{"n":null}"#,
        r#"{}"#,
    ]);
    let columns = stored(&rows);
    assert_eq!(columns.len(), 1);
    assert_eq!(agrees(&columns[0], &rows), 4);
    assert_eq!(columns[0].remainder_of(&[0..4, 5..9]), [3..4, 5..7]);
    assert_eq!(columns[0].remainder_of(from_ref(&(0..3))), []);
}

#[test]
fn rare_and_nested_keys_are_not_promoted() {
    let mut rows: Vec<String> = (0..1000)
        .map(|row| format!("{{\"id\":\"{row}\",\"nested\":{{\"a\":{row}}}}}"))
        .collect();
    for row in rows.iter_mut().take(9) {
        *row = row.replace("\"id\"", "\"rare\"");
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let columns = PromotedColumns::collect(&properties(&rows)).expect("columns");
    let keys: Vec<&str> = columns.columns().iter().map(PromotedColumn::key).collect();
    assert_eq!(keys, ["id"]);
    assert!(PromotedColumns::collect(&properties(&["", "{}"])).is_none());
}

#[test]
fn at_most_sixteen_keys_and_the_more_frequent_ones() {
    let row = |keys: usize| {
        let members = (0..keys).map(|key| (format!("k{key:02}"), key.to_string()));
        object(&members.collect())
    };
    let rows: Vec<String> = (1..=30).map(row).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let columns = PromotedColumns::collect(&properties(&rows)).expect("columns");
    let keys: Vec<String> = columns
        .columns()
        .iter()
        .map(|column| column.key().to_owned())
        .collect();
    let expected: Vec<String> = (0..16).map(|key| format!("k{key:02}")).collect();
    assert_eq!(keys, expected);
}

#[test]
fn columns_that_cost_too_much_are_left_out() {
    let rows: Vec<String> = (0..20_000u64)
        .map(|row| {
            let id = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let plan = ["free", "pro"][(row / 500 % 2) as usize];
            format!(
                "{{\"id\":\"{id:016x}\",\"ms\":{},\"plan\":\"{plan}\"}}",
                id >> 48
            )
        })
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let columns = PromotedColumns::collect(&properties(&rows)).expect("columns");
    let keys = |bytes_max: usize| {
        let bytes = columns.encode(bytes_max).expect("bytes")?;
        let blob = PromotedBlob::open(&Bytes::from(bytes), rows.len()).expect("opens");
        Some(blob.keys().map(str::to_owned).collect::<Vec<_>>())
    };
    assert_eq!(keys(usize::MAX), Some(vec!["ms".into(), "plan".into()]));
    assert_eq!(keys(2_000), Some(vec!["plan".to_owned()]));
    assert_eq!(keys(10), None);
}

#[test]
fn damage_is_an_error() {
    let rows: Vec<String> = (0..200)
        .map(|row| {
            format!(
                "{{\"a\":\"t{}\",\"b\":{row},\"d\":{}}}",
                row % 7,
                row % 2 == 0
            )
        })
        .chain(["{\"b\":\"x\"}".to_owned()])
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let columns = PromotedColumns::collect(&properties(&rows)).expect("columns");
    let bytes = columns.encode(1 << 20).expect("bytes").expect("columns");
    let open = |bytes: &[u8], rows| PromotedBlob::open(&Bytes::copy_from_slice(bytes), rows);
    assert!(open(&bytes, rows.len()).is_ok());
    for length in 0..bytes.len() {
        assert!(
            open(&bytes[..length], rows.len()).is_err(),
            "cut at {length}"
        );
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(open(&changed, rows.len()).is_err(), "changed at {at}");
    }
    let other = open(&bytes, rows.len() + 1);
    assert!(other.is_err_and(|error| error.contains("201 rows")));
}

proptest! {
    #[test]
    fn any_rows_agree_with_a_parser(
        rows in proptest::collection::vec(
            proptest::option::weighted(0.9, proptest::collection::btree_map("[ab\"\u{e9}]{1,2}", value(), 0..4)),
            1..60,
        )
    ) {
        let rows: StringArray = rows.iter().map(|row| row.as_ref().map(object)).collect();
        for column in stored(&rows) {
            agrees(&column, &rows);
        }
    }
}
