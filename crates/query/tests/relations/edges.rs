//! The edge table of the score: nobody, few, one, ties, negative, floors, and the bands.

use vitalog_query::{Parameter, QueryRequest};

use crate::support::{Layout, answer, error_of, request};
use crate::world::{World, number};

const BY_VALUE: &str = "
name = \"m\"
[[weight]]
event = \"score\"
weight = 1
times_value = true";

const SCORES: &str = "SELECT account_id, raw, peg, peg_n, score, band
    FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1";

/// Accounts a, b, … with these raw scores.
fn raws(raws: &[f64]) -> World {
    let mut world = World::default();
    for (at, raw) in raws.iter().enumerate() {
        let account = char::from(b'a' + at as u8).to_string();
        world.valued("2025-03-10", "score", &account, "u", *raw);
    }
    world
}

fn with(line: &str) -> String {
    BY_VALUE.replace("[[", &format!("{line}\n[["))
}

#[tokio::test]
async fn a_store_without_events_has_no_rows() {
    let relations = [
        "health_scores()",
        "account_signals()",
        "health_explain()",
        "health_steps()",
        "health_history(since => DATE '2025-03-30', until => DATE '2025-03-31')",
        "sessions()",
        "account_health",
        "user_health",
        "health_scores(entity => 'user')",
        "health_scores(entity => 'member', as_of => DATE '2025-03-31')",
    ];
    let engine = World::default().engine(Layout::Memory, &[]);
    for relation in relations {
        let sql = format!("SELECT * FROM {relation}");
        assert!(answer(&engine, &sql).await.is_empty(), "{sql}");
        let count = format!("SELECT count(*) FROM {relation}");
        assert_eq!(answer(&engine, &count).await, [["0"]], "{count}");
    }
}

#[tokio::test]
async fn one_row_is_the_best_there_is() {
    let sql = "SELECT account_id, user_id, raw, peg, peg_n, score, band, trend, trend_own,
         healthy_days, status FROM health_scores(as_of => DATE '2025-03-31')";
    raws(&[7.0])
        .check(
            &[],
            &[(
                sql,
                &[&[
                    "a", "NULL", "1.0", "1.0", "1", "100.0", "green", "NULL", "NULL", "22", "red",
                ]],
            )],
        )
        .await;
}

/// With nobody above 0 there is no peg, and everybody scores 1.
#[tokio::test]
async fn nobody_above_zero() {
    for method in ["peg", "winsor", "rank"] {
        raws(&[0.0, -3.0])
            .check(
                &[&with(&format!("method = \"{method}\""))],
                &[(
                    SCORES,
                    &[
                        &["a", "0.0", "NULL", "0", "1.0", "red"],
                        &["b", "-3.0", "NULL", "0", "1.0", "red"],
                    ],
                )],
            )
            .await;
    }
}

#[tokio::test]
async fn too_few_have_the_floor_or_no_score() {
    for method in ["peg", "winsor"] {
        let few = format!("min_population = 3\nmethod = \"{method}\"");
        raws(&[0.0, 5.0, 9.0, -2.0])
            .check(
                &[&with(&few)],
                &[(
                    SCORES,
                    &[
                        &["a", "0.0", "NULL", "2", "1.0", "red"],
                        &["b", "5.0", "NULL", "2", "NULL", "NULL"],
                        &["c", "9.0", "NULL", "2", "NULL", "NULL"],
                        &["d", "-2.0", "NULL", "2", "1.0", "red"],
                    ],
                )],
            )
            .await;
    }
    raws(&[0.0, 5.0, 9.0])
        .check(
            &[&with(
                "min_population = 3\npeg_floor = 5\nmethod = \"winsor\"",
            )],
            &[(
                SCORES,
                &[
                    &["a", "0.0", "5.0", "2", "1.0", "red"],
                    &["b", "5.0", "5.0", "2", "100.0", "green"],
                    &["c", "9.0", "5.0", "2", "100.0", "green"],
                ],
            )],
        )
        .await;
    // Enough of them: the percentile is taken, and the floor where it is higher.
    for (floor, peg) in [("5", "8.6"), ("10", "10.0")] {
        let line = format!("min_population = 2\npeg_floor = {floor}");
        let sql = "SELECT round(peg, 9), peg_n
             FROM health_scores(model => 'm', as_of => DATE '2025-03-31')";
        let row: &[&str] = &[peg, "2"];
        raws(&[5.0, 9.0])
            .check(&[&with(&line)], &[(sql, &[row, row])])
            .await;
    }
}

#[tokio::test]
async fn ties_and_equals() {
    raws(&[4.0, 4.0, 4.0])
        .check(
            &[BY_VALUE],
            &[(
                SCORES,
                &[
                    &["a", "4.0", "4.0", "3", "100.0", "green"],
                    &["b", "4.0", "4.0", "3", "100.0", "green"],
                    &["c", "4.0", "4.0", "3", "100.0", "green"],
                ],
            )],
        )
        .await;
    raws(&[5.0, 10.0, 5.0, 10.0, 0.0])
        .check(
            &[&with("method = \"winsor\"")],
            &[(
                SCORES,
                &[
                    &["a", "5.0", "10.0", "4", "50.0", "yellow"],
                    &["b", "10.0", "10.0", "4", "100.0", "green"],
                    &["c", "5.0", "10.0", "4", "50.0", "yellow"],
                    &["d", "10.0", "10.0", "4", "100.0", "green"],
                    &["e", "0.0", "10.0", "4", "1.0", "red"],
                ],
            )],
        )
        .await;
}

/// 1 + 99 · percent_rank: of five the lower ones are 0, 1, 1, 3 and 4 quarters.
#[tokio::test]
async fn ranks() {
    let sql = "SELECT account_id, score, trend, trend_own
         FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1";
    raws(&[1.0, 5.0, 5.0, 8.0, 1e9])
        .check(
            &[&with("method = \"rank\"")],
            &[(
                sql,
                &[
                    &["a", "1.0", "NULL", "NULL"],
                    &["b", "25.75", "NULL", "NULL"],
                    &["c", "25.75", "NULL", "NULL"],
                    &["d", "75.25", "NULL", "NULL"],
                    &["e", "100.0", "NULL", "NULL"],
                ],
            )],
        )
        .await;
}

/// A straight line, and one that is pegged at the median.
#[tokio::test]
async fn curve_and_percentile() {
    let sql = "SELECT account_id, round(peg, 9), round(score, 9)
         FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1";
    raws(&[1.0, 2.0, 4.0])
        .check(
            &[&with("curve = 0\npercentile = 0.75")],
            &[(
                sql,
                &[
                    &["a", "3.0", "34.0"],
                    &["b", "3.0", "67.0"],
                    &["c", "3.0", "100.0"],
                ],
            )],
        )
        .await;
}

/// Below 85 by less than anyone would print is not green.
#[tokio::test]
async fn bands_are_taken_before_rounding() {
    let raw_of_85 = -10_000.0 * f64::log10(1.0 - 84.0 / 110.0);
    let below = (raw_of_85 * 1e4).floor() / 1e4;
    let world = raws(&[below, below + 1e-4, 10_000.0]);
    let sql = "SELECT account_id, round(score, 4), band
         FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1";
    world
        .check(
            &[&with("peg_floor = 10000")],
            &[(
                sql,
                &[
                    &["a", "85.0", "yellow"],
                    &["b", "85.0", "green"],
                    &["c", "100.0", "green"],
                ],
            )],
        )
        .await;
}

/// The exact bound of a step belongs to neither side where neither takes it.
#[tokio::test]
async fn a_step_between_red_and_green() {
    let model = "
name = \"m\"
[[dimension]]
name = \"d\"
[[dimension.signal]]
name = \"open\"
last = \"score\"
red = \"< 50\"
green = \"> 50\"
[[dimension.signal]]
name = \"closed\"
sql = \"open\"
red = \"<= 50\"
green = \"> 50\"";
    let sql = "SELECT account_id, signal, band, severity
         FROM account_signals(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1, 2 DESC";
    raws(&[49.0, 50.0, 51.0])
        .check(
            &[model],
            &[(
                sql,
                &[
                    &["a", "open", "red", "1.0"],
                    &["a", "closed", "red", "1.0"],
                    &["b", "open", "yellow", "0.0"],
                    &["b", "closed", "red", "1.0"],
                    &["c", "open", "green", "0.0"],
                    &["c", "closed", "green", "0.0"],
                ],
            )],
        )
        .await;
}

#[tokio::test]
async fn events_without_a_value_and_values_beyond_measure() {
    let mut world = raws(&[1e25, -1e25]);
    world.event("2025-03-10", "score", "none", "u");
    world.valued("2025-03-10", "score", "tiny", "u", 0.000_04);
    world.valued("2025-03-10", "other", "other", "u", 5.0);
    let model = "
name = \"m\"
[[weight]]
event = \"*\"
where = \"event <> 'other'\"
weight = 1
times_value = true
[[weight]]
event = \"other\"
weight = 0.0001";
    let explain = "SELECT account_id, event, count, counted, contribution, points, to_green
         FROM health_explain(model => 'm', as_of => DATE '2025-03-31') WHERE count > 0 ORDER BY 1";
    world
        .check(
            &[model],
            &[
                (
                    "SELECT account_id, raw, round(score, 9)
                     FROM health_scores(model => 'm', as_of => DATE '2025-03-31') ORDER BY 1",
                    &[
                        &["a", "1e25", "100.0"],
                        &["b", "-1e25", "1.0"],
                        &["none", "0.0", "1.0"],
                        &["other", "0.0001", "1.0"],
                        &["tiny", "0.0", "1.0"],
                    ],
                ),
                (
                    explain,
                    &[
                        &["a", "score", "1", "1", "1e25", "99.0", "0"],
                        &["b", "score", "1", "1", "-1e25", "0.0", "NULL"],
                        &["none", "score", "1", "1", "0.0", "0.0", "NULL"],
                        // More than there are numbers for.
                        &["other", "other", "1", "1", "0.0001", "0.0", "NULL"],
                        &["tiny", "score", "1", "1", "0.0", "0.0", "NULL"],
                    ],
                ),
            ],
        )
        .await;
}

/// `to_green` further events do make it green, and one fewer does not, the peg being the same.
#[tokio::test]
async fn counts_to_green_are_the_fewest() {
    let models = [
        "name = \"m\"\npeg_floor = 1000\nmin_population = 1000\nweight = [{ event = \"*\", weight = 0.7 }]",
        "name = \"m\"\npeg_floor = 1000\nmin_population = 1000\nmethod = \"winsor\"\nweight = [{ event = \"*\", weight = 7.77 }]\n
         [thresholds]\nscore = { red = \"< 10\", green = \"> 25\" }",
        "name = \"m\"\npeg_floor = 1000\nmin_population = 1000\ncurve = 0\nweight = [{ event = \"*\", weight = 3.0003 }]\n
         [thresholds]\nscore = { red = \"< 10\", green = \">= 31.5\" }",
    ];
    for model in models {
        let mut world = World::default();
        world.events(3, "2025-03-10", "login", "acme", "ann");
        let engine = world.engine(Layout::Memory, &[model]);
        let sql = "SELECT to_green FROM health_explain(model => 'm', as_of => DATE '2025-03-31')";
        let more = number(&answer(&engine, sql).await[0][0]) as i64;
        for (count, is_green) in [(more - 1, "false"), (more, "true")] {
            let mut world = world.clone();
            for at in 0..count {
                world.event_at(1_741_900_000_000_000 + at, "login", "acme", "ann");
            }
            let engine = world.engine(Layout::Flushed, &[model]);
            let sql = "SELECT band = 'green' FROM health_scores(model => 'm', as_of => DATE '2025-03-31')";
            assert_eq!(answer(&engine, sql).await, [[is_green]], "{count} {model}");
        }
    }
}

#[tokio::test]
async fn instants_beyond_the_calendar_are_refused_and_the_far_past_is_empty() {
    let engine = raws(&[1.0]).engine(Layout::Memory, &[]);
    let sql = "SELECT * FROM health_scores(as_of => DATE '1900-01-01')";
    assert!(answer(&engine, sql).await.is_empty());
    for as_of in [
        Parameter::Text("0001-01-20".to_owned()),
        Parameter::Date(-719_162),
        Parameter::TimestampUs(i64::MIN),
        Parameter::TimestampUs(i64::MAX),
    ] {
        let request = QueryRequest {
            parameters: vec![as_of.clone()],
            ..request("SELECT raw FROM health_scores(as_of => $1)")
        };
        let error = error_of(&engine, request).await;
        assert!(error.to_string().contains("calendar"), "{as_of:?}: {error}");
    }
}
