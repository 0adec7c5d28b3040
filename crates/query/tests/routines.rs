//! Every function can be found where people look for functions.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use vitalog_query::FunctionKind;

use support::{answer, empty_store, engine_over};

/// Names and kinds of all functions of Vitalog.
fn functions() -> Vec<(String, &'static str, FunctionKind)> {
    let scalars = vitalog_functions::all_scalar();
    let aggregates = vitalog_functions::all_aggregate();
    let windows = vitalog_functions::all_window();
    let scalars = scalars
        .iter()
        .map(|one| (one.name().to_owned(), "SCALAR", FunctionKind::Scalar));
    let aggregates = aggregates
        .iter()
        .map(|one| (one.name().to_owned(), "AGGREGATE", FunctionKind::Aggregate));
    let windows = windows
        .iter()
        .map(|one| (one.name().to_owned(), "WINDOW", FunctionKind::Window));
    scalars.chain(aggregates).chain(windows).collect()
}

#[tokio::test]
async fn every_function_is_listed_everywhere() {
    let engine = engine_over(&empty_store());
    let shown = answer(&engine, "SHOW FUNCTIONS").await;
    let routines = answer(
        &engine,
        "SELECT routine_name, function_type, data_type FROM information_schema.routines",
    )
    .await;
    let described = engine.functions();
    let all = functions();
    assert!(all.len() >= 30);
    for (name, kind, function_kind) in all {
        let rows: Vec<_> = shown.iter().filter(|row| row[0] == name).collect();
        assert_eq!(rows.len(), 1, "{name} in SHOW FUNCTIONS: {rows:?}");
        assert_eq!(rows[0][4], kind, "{name}");
        assert!(rows[0][6].starts_with(&format!("{name}(")), "{name}");
        assert!(!rows[0][5].is_empty(), "{name} is described");
        let rows: Vec<_> = routines.iter().filter(|row| row[0] == name).collect();
        assert_eq!(rows.len(), 1, "{name} in routines: {rows:?}");
        assert_eq!(rows[0][1], kind, "{name}");
        assert!(
            !["", "NULL", "Any", "Null"].contains(&rows[0][2].as_str()),
            "{rows:?}"
        );
        let found = described
            .iter()
            .filter(|one| one.name == name && one.kind == function_kind);
        assert_eq!(found.count(), 1, "{name}");
    }
}

#[tokio::test]
async fn arguments_have_names_types_and_defaults() {
    let engine = engine_over(&empty_store());
    let sql = |name| {
        format!(
            "SELECT parameter_mode, ordinal_position, parameter_name, data_type, coalesce(parameter_default, 'none')
             FROM information_schema.parameters WHERE specific_name = '{name}'
             ORDER BY parameter_mode, ordinal_position"
        )
    };
    assert_eq!(
        answer(&engine, &sql("streak")).await,
        [
            ["IN", "1", "ts", "Timestamp(µs, \"UTC\")", "none"],
            ["IN", "2", "as_of", "Timestamp(µs, \"UTC\")", "none"],
            ["IN", "3", "tz", "String", "NULL"],
            ["OUT", "1", "NULL", "Int64", "none"],
        ]
    );
    assert_eq!(
        answer(&engine, &sql("feature_adoption")).await,
        [
            ["IN", "1", "event", "String", "none"],
            ["IN", "2", "features", "List(String)", "none"],
            ["OUT", "1", "NULL", "Float64", "none"],
        ]
    );
}

/// The session has no function that its lists leave out, DataFusion's own included.
#[tokio::test]
async fn no_function_is_left_out() {
    let engine = engine_over(&empty_store());
    let names = |rows: Vec<Vec<String>>| -> BTreeSet<String> {
        rows.into_iter().map(|mut row| row.swap_remove(0)).collect()
    };
    let shown = names(answer(&engine, "SHOW FUNCTIONS").await);
    let routines = "SELECT routine_name FROM information_schema.routines";
    let routines = names(answer(&engine, routines).await);
    let all: BTreeSet<String> = engine.functions().into_iter().map(|one| one.name).collect();
    assert_eq!(routines, all);
    assert_eq!(shown, all);
    let like = names(answer(&engine, "SHOW FUNCTIONS LIKE 'uniq%'").await);
    assert_eq!(
        like,
        ["uniq_count", "uniq_merge", "uniq_sketch"]
            .map(str::to_owned)
            .into()
    );
}

/// The other tables of the schema are there too.
#[tokio::test]
async fn the_rest_of_the_information_schema() {
    let engine = engine_over(&empty_store());
    let sql = "SELECT table_name, count(*) FROM information_schema.columns GROUP BY 1";
    let columns: BTreeMap<String, String> = answer(&engine, sql)
        .await
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    assert_eq!(columns["events"], "9");
    for statement in [
        "SHOW TABLES",
        "SHOW COLUMNS FROM events",
        "SHOW ALL",
        "DESCRIBE events",
    ] {
        assert!(!answer(&engine, statement).await.is_empty(), "{statement}");
    }
}
