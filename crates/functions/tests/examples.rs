//! Every SQL example of `docs/health.md` and `docs/functions.md` runs as it stands, but for those of
//! relations: these need a store, and run in the tests of the query engine.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use datafusion::prelude::{SessionConfig, SessionContext};

const TABLES: [&str; 3] = [
    "CREATE TABLE events AS SELECT 'acme' AS account_id, 'ann' AS user_id, 'signup' AS event,
       arrow_cast('2025-08-01T08:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))') AS event_time",
    "CREATE TABLE raw_scores AS SELECT 'acme' AS account_id, 'team' AS plan, 7.5 AS raw",
    "CREATE TABLE account_metrics AS
       SELECT 'acme' AS account_id, 84.0 AS score, 3 AS days_inactive, 75.0 AS adoption",
];

/// What only a store has, and what the query engine registers.
const OF_A_STORE: [&str; 9] = [
    "account_health",
    "account_signals(",
    "health_explain(",
    "health_history(",
    "health_scores(",
    "health_steps(",
    "json_",
    "sessions(",
    "user_health",
];

/// The statements of a page's SQL blocks, without prompts and comments.
fn statements(page: &str) -> Vec<String> {
    let text: String = page
        .split("```sql\n")
        .skip(1)
        .map(|block| block.split("```").next().unwrap())
        .flat_map(|block| block.lines().chain([";"]))
        .map(|line| line.strip_prefix("> ").unwrap_or(line))
        .filter(|line| !line.trim_start().starts_with("--"))
        .flat_map(|line| [line, "\n"])
        .collect();
    text.split(';')
        .map(str::trim)
        .filter(|sql| !sql.is_empty())
        .filter(|sql| !OF_A_STORE.iter().any(|name| sql.contains(name)))
        .map(str::to_owned)
        .collect()
}

async fn run_all(file: &str, at_least: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(file);
    let found = statements(&std::fs::read_to_string(path).unwrap());
    assert!(
        found.len() >= at_least,
        "{file} has only {} examples",
        found.len()
    );
    let config = SessionConfig::new().with_target_partitions(2);
    let mut context = SessionContext::new_with_config(config);
    vitalog_functions::register_all(&mut context).unwrap();
    for sql in TABLES.iter().map(|sql| (*sql).to_owned()).chain(found) {
        let answer = match context.sql(&sql).await {
            Ok(frame) => frame.collect().await,
            Err(error) => Err(error),
        };
        if let Err(error) = answer {
            panic!("{file}: {error}\n{sql}");
        }
    }
}

#[tokio::test]
async fn of_the_guide() {
    run_all("health.md", 8).await;
}

#[tokio::test]
async fn of_the_reference() {
    run_all("functions.md", 23).await;
}
