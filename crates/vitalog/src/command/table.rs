//! Two-column tables of facts, aligned.

use std::io::{self, Write};

/// Writes `rows` as names and right-aligned values.
pub(super) fn write_facts(out: &mut impl Write, rows: &[(&str, String)]) -> io::Result<()> {
    let names = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    let values = rows
        .iter()
        .map(|(_, value)| value.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
        writeln!(out, "{name:<names$}  {value:>values$}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_align() {
        let mut out = Vec::new();
        let rows = [
            ("events", "12".to_owned()),
            ("last seq", "1,234".to_owned()),
        ];
        write_facts(&mut out, &rows).expect("a vector takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "events       12\nlast seq  1,234\n");
    }
}
