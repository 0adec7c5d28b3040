//! The reference page of the registry, made from what each function says of itself.
//!
//! Invariant: `docs/functions.md` is this text; a test fails when they differ.

use datafusion_expr::Documentation;

use crate::json;
use crate::{all_aggregate, all_scalar, all_window};

const HEAD: &str = "\
# Functions

Generated from the functions' own documentation; `VITALOG_UPDATE=1 cargo nextest run -p
vitalog-functions reference` writes it again. What the numbers mean for customer health is told in
[health.md](health.md), and so are the relations that stand in `FROM`, such as `health_scores(…)`:
[their arguments and columns](health.md#relations). These functions stand beside all of DataFusion's.

- Arguments can be given by name: `health_score(raw => r, peg => p)`. Optional ones stand last; NULL
  in the place of an optional constant takes its default.
- A timestamp is an instant; one without a time zone is read as UTC, and times are rounded down to
  the microsecond. A day is a calendar day of `tz`, a name of the IANA database such as
  `'Europe/Berlin'`, UTC by default. A DATE is a day of `tz`: as `ts`, `since` and `until` its first
  instant, as `as_of` the end of the day, so that the day belongs to the question. Timestamps and
  dates outside the years 1 to 9999 are errors.
- Text may be `VARCHAR` of any form, dictionaries included.
- Aggregates take `FILTER (WHERE …)`, work in `GROUP BY` and over windows of any frame, and answer
  the same whatever the order of the rows.
";

/// The reference of all functions as Markdown: `docs/functions.md`.
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    let scalars = all_scalar();
    let aggregates = all_aggregate();
    let windows = all_window();
    section(
        &mut page,
        "Scalar functions",
        scalars.iter().map(|f| (f.name(), f.documentation())),
    );
    section(
        &mut page,
        "Aggregates",
        aggregates.iter().map(|f| (f.name(), f.documentation())),
    );
    section(
        &mut page,
        "Window functions",
        windows.iter().map(|f| (f.name(), f.documentation())),
    );
    section(&mut page, "JSON", std::iter::empty());
    page.push_str(json::HEAD);
    functions(&mut page, json::all());
    page
}

fn section<'a>(
    page: &mut String,
    title: &str,
    functions: impl Iterator<Item = (&'a str, Option<&'a Documentation>)>,
) {
    page.push_str(&format!("\n## {title}\n"));
    self::functions(page, functions);
}

fn functions<'a>(
    page: &mut String,
    functions: impl Iterator<Item = (&'a str, Option<&'a Documentation>)>,
) {
    for (name, documentation) in functions {
        page.push_str(&format!("\n### {name}\n"));
        if let Some(documentation) = documentation {
            function(page, documentation);
        }
    }
}

fn function(page: &mut String, documentation: &Documentation) {
    page.push_str(&format!("\n`{}`\n", documentation.syntax_example));
    page.push_str(&format!("\n{}\n", documentation.description.trim()));
    let arguments = documentation.arguments.iter().flatten();
    for (index, (name, description)) in arguments.enumerate() {
        page.push_str(if index == 0 { "\n" } else { "" });
        page.push_str(&format!("- `{name}`: {}\n", description.trim()));
    }
    if let Some(example) = &documentation.sql_example {
        page.push_str(&format!("\n{}\n", example.trim()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_page_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/functions.md");
        let expected = reference();
        if std::env::var_os("VITALOG_UPDATE").is_some() {
            std::fs::write(&path, &expected).expect("docs/functions.md can be written");
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == expected,
            "docs/functions.md is old: run again with VITALOG_UPDATE=1"
        );
    }

    #[test]
    fn every_function_is_documented_with_its_arguments() {
        let check = |name: &str, names: &Option<Vec<String>>, found: Option<&Documentation>| {
            let found = found.unwrap_or_else(|| panic!("{name} has no documentation"));
            let described: Vec<&str> = found
                .arguments
                .iter()
                .flatten()
                .map(|(argument, _)| argument.as_str())
                .collect();
            let expected: Vec<&str> = names.iter().flatten().map(String::as_str).collect();
            assert_eq!(described, expected, "arguments of {name}");
            assert!(
                found.syntax_example.starts_with(&format!("{name}(")),
                "syntax of {name}"
            );
            assert!(found.sql_example.is_some(), "{name} has no example");
        };
        for f in all_scalar() {
            check(f.name(), &f.signature().parameter_names, f.documentation());
        }
        for f in all_aggregate() {
            check(f.name(), &f.signature().parameter_names, f.documentation());
        }
        for f in all_window() {
            check(f.name(), &f.signature().parameter_names, f.documentation());
        }
    }

    #[test]
    fn no_name_is_used_twice() {
        let mut names = BTreeSet::new();
        let all = all_scalar()
            .iter()
            .map(|f| (f.name().to_owned(), f.aliases().to_vec()))
            .chain(
                all_aggregate()
                    .iter()
                    .map(|f| (f.name().to_owned(), f.aliases().to_vec())),
            )
            .chain(
                all_window()
                    .iter()
                    .map(|f| (f.name().to_owned(), f.aliases().to_vec())),
            )
            .collect::<Vec<_>>();
        for (name, aliases) in all {
            for name in aliases.into_iter().chain([name]) {
                assert!(names.insert(name.clone()), "{name} is used twice");
            }
        }
        assert!(names.len() >= 31);
    }
}
