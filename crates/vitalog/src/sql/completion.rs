//! What may stand where the cursor is.
//!
//! Looks at words, not at grammar: after FROM and JOIN come tables, after a table's name or alias
//! and a dot come its columns, elsewhere the columns of the tables that the statement names, then
//! tables, functions and keywords; after `model =>` come the models. Inside another string, a quoted name or a comment comes nothing.

use std::collections::BTreeSet;

use datafusion::sql::sqlparser::tokenizer::{Token, Whitespace};

use super::catalog::{Catalog, Table};
use super::directive;
use super::format::OutputFormat;
use super::statements::tokenize;

/// Keywords that people write, not all that the parser knows.
const KEYWORDS: [&str; 76] = [
    "ALL",
    "AND",
    "ANTI",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "COPY",
    "CROSS",
    "CURRENT",
    "DATE",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "EXTRACT",
    "FALSE",
    "FILTER",
    "FIRST",
    "FOLLOWING",
    "FROM",
    "FULL",
    "GROUP",
    "GROUPING",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "INTERVAL",
    "INTO",
    "IS",
    "JOIN",
    "LAST",
    "LATERAL",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NATURAL",
    "NOT",
    "NULL",
    "NULLS",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OUTER",
    "OVER",
    "PARTITION",
    "PRECEDING",
    "QUALIFY",
    "RANGE",
    "RECURSIVE",
    "RIGHT",
    "ROW",
    "ROWS",
    "SELECT",
    "SEMI",
    "SETS",
    "SHOW",
    "THEN",
    "TIMESTAMP",
    "TRUE",
    "UNBOUNDED",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// Words behind which a relation stands.
const BEFORE_RELATIONS: [&str; 4] = ["FROM", "JOIN", "DESCRIBE", "TABLE"];

/// The byte at which the word under the cursor begins, and what may stand there instead.
/// `cursor` is a byte of `text`, between characters.
pub(super) fn complete(catalog: &Catalog, text: &str, cursor: usize) -> (usize, Vec<String>) {
    let before = &text[..cursor];
    let start = word_start(before);
    if directive::is_directive(before) {
        return of_directive(catalog, before);
    }
    if let Some(start) = model_start(before) {
        let word = before[start..].trim_start_matches('\'');
        let models = matching(word, catalog.models.iter().cloned());
        let quoted = models.into_iter().map(|name| format!("'{name}'"));
        return (start, quoted.collect());
    }
    let word = &before[start..];
    let (tokens, failure) = tokenize(&before[..start]);
    let tokens: Vec<Token> = tokens.into_iter().map(|one| one.token).collect();
    let is_in_comment = matches!(
        tokens.last(),
        Some(Token::Whitespace(Whitespace::SingleLineComment { comment, .. }))
            if !comment.ends_with('\n')
    );
    if failure.is_some() || is_in_comment {
        return (start, Vec::new());
    }
    let words = significant(&tokens);
    let relations = relations(catalog, text, cursor);
    let found = match words.as_slice() {
        [.., Token::Word(qualifier), Token::Period] => {
            let of_name = relations
                .iter()
                .filter(|(_, name)| name.eq_ignore_ascii_case(&qualifier.value));
            let tables: Vec<&Table> = of_name.map(|(table, _)| *table).collect();
            matching(word, column_names(&tables))
        }
        [.., Token::Word(last)] if is_one_of(&last.value, &BEFORE_RELATIONS) => {
            let tables = catalog.tables.iter().map(|table| table.name.clone());
            matching(word, tables.chain(calls(catalog, |kind| kind == "table")))
        }
        _ => anything(catalog, word, &relations),
    };
    (start, found)
}

/// Where the name of a model begins, where one stands at the end of `before`: behind `model =>`,
/// whether its quote is written or not.
fn model_start(before: &str) -> Option<usize> {
    let is_of_name = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '\'');
    let arrow = before.trim_end_matches(is_of_name).trim_end();
    let name = arrow.strip_suffix("=>")?.trim_end();
    let word = &name[word_start(name)..];
    let rest = &before[arrow.len()..];
    let start = before.len() - rest.trim_start().len();
    // Behind a closing quote the name is whole.
    let is_open = before[start..].chars().filter(|char| *char == '\'').count() < 2;
    (word.eq_ignore_ascii_case("model") && is_open).then_some(start)
}

/// Where the run of word characters at the end of `before` begins.
fn word_start(before: &str) -> usize {
    let is_outside = |char: char| !char.is_alphanumeric() && char != '_' && char != '$';
    before.rfind(is_outside).map_or(0, |at| {
        at + before[at..].chars().next().map_or(0, char::len_utf8)
    })
}

/// The tokens of the last statement, without white space.
fn significant(tokens: &[Token]) -> Vec<&Token> {
    let begin = tokens
        .iter()
        .rposition(|token| token == &Token::SemiColon)
        .map_or(0, |at| at + 1);
    tokens[begin..]
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .collect()
}

/// Tables that the statement around the cursor names, each under its name and its alias.
fn relations<'c>(catalog: &'c Catalog, text: &str, cursor: usize) -> Vec<(&'c Table, String)> {
    // What stands behind the cursor counts, too: people write columns before tables.
    let (mut tokens, failure) = tokenize(text);
    if failure.is_some() {
        tokens = tokenize(&text[..cursor]).0;
    }
    let words: Vec<&Token> = tokens
        .iter()
        .map(|one| &one.token)
        .filter(|token| !matches!(token, Token::Whitespace(_)))
        .collect();
    let mut relations = Vec::new();
    for (index, token) in words.iter().enumerate() {
        let Token::Word(name) = token else { continue };
        let Some(table) = catalog.table(&name.value) else {
            continue;
        };
        relations.push((table, table.name.clone()));
        let alias = match &words[index + 1..] {
            [Token::Word(next), Token::Word(alias), ..]
                if next.value.eq_ignore_ascii_case("AS") =>
            {
                Some(alias)
            }
            [Token::Word(alias), ..] if !is_one_of(&alias.value, &KEYWORDS) => Some(alias),
            _ => None,
        };
        relations.extend(alias.map(|alias| (table, alias.value.clone())));
    }
    relations
}

fn anything(catalog: &Catalog, word: &str, relations: &[(&Table, String)]) -> Vec<String> {
    let mut in_scope: Vec<&Table> = relations.iter().map(|(table, _)| *table).collect();
    if in_scope.is_empty() {
        in_scope = catalog.tables.iter().collect();
    }
    let mut found = matching(word, column_names(&in_scope));
    found.extend(matching(
        word,
        catalog.tables.iter().map(|table| table.name.clone()),
    ));
    if word.is_empty() {
        return found;
    }
    found.extend(matching(word, calls(catalog, |kind| kind != "table")));
    let is_upper = word.chars().any(char::is_uppercase);
    let keyword = |word: &&str| {
        if is_upper {
            (*word).to_owned()
        } else {
            word.to_lowercase()
        }
    };
    found.extend(matching(word, KEYWORDS.iter().map(keyword)));
    found
}

fn column_names(tables: &[&Table]) -> impl Iterator<Item = String> {
    tables
        .iter()
        .flat_map(|table| &table.columns)
        .map(|column| column.name.clone())
}

/// The functions of some kinds, as a call begins.
fn calls(catalog: &Catalog, is_kind: impl Fn(&str) -> bool) -> impl Iterator<Item = String> {
    let functions = catalog.functions.iter();
    functions
        .filter(move |one| is_kind(one.kind))
        .map(|one| format!("{}(", one.name))
}

/// Those of `names` that begin with `word` in any case, each once, in order.
fn matching(word: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let word = word.to_lowercase();
    let found: BTreeSet<String> = names
        .filter(|name| name.to_lowercase().starts_with(&word))
        .collect();
    found.into_iter().collect()
}

fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

fn of_directive(catalog: &Catalog, before: &str) -> (usize, Vec<String>) {
    let start = before.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let argument = &before[start..];
    let words: Vec<&str> = before[..start].split_whitespace().collect();
    let found = match words.as_slice() {
        [] => matching(
            argument,
            directive::WORDS.iter().map(|word| (*word).to_owned()),
        ),
        [".schema" | "\\d"] => matching(
            argument,
            catalog.tables.iter().map(|table| table.name.clone()),
        ),
        [".functions"] => matching(
            argument,
            catalog.functions.iter().map(|one| one.name.clone()),
        ),
        [".timer"] => matching(argument, ["off", "on"].into_iter().map(str::to_owned)),
        [".mode"] => matching(
            argument,
            directive::modes()
                .map(OutputFormat::name)
                .map(str::to_owned),
        ),
        _ => Vec::new(),
    };
    (start, found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::catalog::sample;

    /// Completes at `|`.
    fn check(marked: &str, start: usize, expected: &[&str]) {
        let cursor = marked.find('|').expect("a cursor");
        let text = marked.replacen('|', "", 1);
        let (found_start, found) = complete(&sample(), &text, cursor);
        assert_eq!(found, expected, "{marked}");
        assert_eq!(found_start, start, "{marked}");
    }

    #[test]
    fn relations_come_after_from() {
        check("SELECT * FROM e|", 14, &["events"]);
        check(
            "SELECT * FROM |",
            14,
            &["accounts", "events", "health_scores("],
        );
        check("select * from accounts a join e|", 30, &["events"]);
    }

    #[test]
    fn columns_of_the_tables_named() {
        check(
            "SELECT ev| FROM events",
            7,
            &["event_id", "event_time", "events"],
        );
        check("SELECT na| FROM events", 7, &["natural"]);
        check("SELECT na| FROM accounts", 7, &["name", "natural"]);
    }

    #[test]
    fn a_qualifier_narrows() {
        check(
            "SELECT events.| FROM events",
            14,
            &["account_id", "event_id", "event_time"],
        );
        check(
            "SELECT e.ev| FROM events AS e",
            9,
            &["event_id", "event_time"],
        );
        check(
            "SELECT a.| FROM events e JOIN accounts a ON true",
            9,
            &["account_id", "name"],
        );
        check("SELECT x.| FROM events e", 9, &[]);
    }

    #[test]
    fn models_come_after_their_argument() {
        let models = ["'default'", "'trial-plan'"];
        check("SELECT * FROM health_scores(model => |", 37, &models);
        check("SELECT * FROM health_scores(model => 't|", 37, &models[1..]);
        check(
            "SELECT * FROM health_scores(MODEL=>'trial-p|",
            35,
            &models[1..],
        );
        check("SELECT * FROM health_scores(model => d|", 37, &models[..1]);
        check("SELECT * FROM health_scores(account => 't|", 40, &[]);
    }

    #[test]
    fn functions_and_keywords() {
        check("SELECT health_s|", 7, &["health_score("]);
        check("SEL|", 0, &["SELECT"]);
        check("sel|", 0, &["select"]);
        check("SELECT cou|", 7, &["count("]);
        check("SELECT ü, cou|", 11, &["count("]);
    }

    #[test]
    fn nothing_inside_quotes_and_comments() {
        check("SELECT 'ev|", 8, &[]);
        check("SELECT \"ev|", 8, &[]);
        check("SELECT 1 -- ev|", 12, &[]);
        check("SELECT 1 /* ev|", 12, &[]);
    }

    #[test]
    fn only_the_statement_at_the_cursor_leads() {
        check("SELECT 1 FROM; sel|", 15, &["select"]);
    }

    #[test]
    fn directives_and_their_arguments() {
        check(".t|", 0, &[".tables", ".timer"]);
        check("\\|", 0, &["\\?", "\\d", "\\q"]);
        check(".schema ev|", 8, &["events"]);
        check(".functions health_b|", 11, &["health_band"]);
        check(".mode j|", 6, &["json", "jsonl"]);
        check(".timer |", 7, &["off", "on"]);
    }

    #[test]
    fn keywords_are_sorted() {
        assert!(KEYWORDS.is_sorted());
    }
}
