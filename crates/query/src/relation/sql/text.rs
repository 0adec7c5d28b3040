//! Pieces of SQL text: names, literals, comparisons.

use crate::model::{Bound, SqlText, Thresholds};

/// A column or alias.
pub(super) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text literal.
pub(super) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// A list of text literals, without brackets.
pub(super) fn texts<S: AsRef<str>>(values: &[S]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
    quoted.join(", ")
}

/// An instant in microseconds since 1970.
pub(super) fn instant(instant_us: i64) -> String {
    format!("instant({instant_us})")
}

/// A finite double; its shortest text that reads back the same.
pub(super) fn double(value: f64) -> String {
    format!("CAST({value:?} AS DOUBLE)")
}

/// `'green'`, `'red'`, `'yellow'`, or NULL of the column `value`.
pub(super) fn band(value: &str, thresholds: Thresholds) -> String {
    let (green, red) = comparisons(value, thresholds);
    format!(
        "CASE WHEN {value} IS NULL THEN NULL WHEN {green} THEN 'green' \
         WHEN {red} THEN 'red' ELSE 'yellow' END"
    )
}

/// Whether the column `value` is green.
pub(super) fn is_green(value: &str, thresholds: Thresholds) -> String {
    comparisons(value, thresholds).0
}

/// 0 at green to 1 at red, of the column `value`; a step where both lie at one value.
pub(super) fn severity(value: &str, thresholds: Thresholds) -> String {
    let Thresholds { red, green, .. } = thresholds;
    if red == green {
        let (_, red) = comparisons(value, thresholds);
        return format!("CASE WHEN {value} IS NULL THEN NULL WHEN {red} THEN 1.0 ELSE 0.0 END");
    }
    let (green, width) = (double(green), double(green - red));
    // `greatest` and `least` skip NULLs.
    format!(
        "CASE WHEN {value} IS NOT NULL \
         THEN greatest(0.0, least(1.0, ({green} - {value}) / {width})) END"
    )
}

/// The conditions under which the column `value` is green, and red.
fn comparisons(value: &str, thresholds: Thresholds) -> (String, String) {
    let compare = |bound: Bound| {
        let side = if bound.is_above { ">" } else { "<" };
        let equal = if bound.is_inclusive { "=" } else { "" };
        format!("{value} {side}{equal} {}", double(bound.value))
    };
    (
        compare(thresholds.green_bound()),
        compare(thresholds.red_bound()),
    )
}

/// The worst of bands, NULLs skipped; NULL where all are.
pub(super) fn worst<S: AsRef<str>>(bands: &[S]) -> String {
    let any = |band: &str| {
        let tests: Vec<String> = bands
            .iter()
            .map(|column| format!("coalesce({} = '{band}', FALSE)", column.as_ref()))
            .collect();
        tests.join(" OR ")
    };
    if bands.is_empty() {
        return "CAST(NULL AS VARCHAR)".to_owned();
    }
    format!(
        "CASE WHEN {} THEN 'red' WHEN {} THEN 'yellow' WHEN {} THEN 'green' END",
        any("red"),
        any("yellow"),
        any("green"),
    )
}

/// SQL of a model as an operand: it was parsed as one expression when the model was taken, and a
/// comment at its end stops at the line's.
pub(super) fn expression(sql: &SqlText) -> String {
    format!("(\n{}\n)", sql.sql)
}
