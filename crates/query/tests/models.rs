//! The tables that show health models, over a store to which models were applied.
#![allow(clippy::unwrap_used)]

mod support;

use vitalog_query::{QueryErrorKind, QueryRequest};
use vitalog_store::{DefinitionKind, Store};

use support::{Layout, answer, append, engine_over, error_of, history, request, rows, store_of};

const B2B: &str = include_str!("models/b2b.toml");

fn apply(store: &Store, name: &str, text: &str) {
    store
        .define(DefinitionKind::Model, name, Some(text))
        .unwrap();
}

fn as_of(sql: &str, seq: i64) -> QueryRequest {
    QueryRequest {
        as_of_seq: Some(seq),
        parameters: Vec::new(),
        ..request(sql)
    }
}

#[tokio::test]
async fn every_version_is_shown() {
    for layout in Layout::ALL {
        let store = store_of(&history(), layout);
        apply(&store, "a", "name = \"a\"\nfeatures = [\"x\", \"y\"]");
        apply(&store, "default", B2B);
        apply(
            &store,
            "a",
            "name = \"a\"\nentity = \"user\"\nsteps = [\"s\"]",
        );
        let engine = engine_over(&store);
        assert_eq!(
            answer(
                &engine,
                "SELECT name, version, valid_from IS NULL, is_current, entity, priority, time_zone
             FROM health_models ORDER BY name, version"
            )
            .await,
            [
                ["a", "1", "false", "false", "account", "NULL", "UTC"],
                ["a", "2", "false", "true", "user", "NULL", "UTC"],
                [
                    "default",
                    "1",
                    "false",
                    "true",
                    "account",
                    "10",
                    "Europe/Berlin"
                ],
            ]
        );
        assert_eq!(
            answer(
                &engine,
                "SELECT model, version, is_current, position, event FROM health_features
             WHERE position < 3 ORDER BY model, version, position"
            )
            .await,
            [
                ["a", "1", "false", "1", "x"],
                ["a", "1", "false", "2", "y"],
                ["default", "1", "true", "1", "report_created"],
                ["default", "1", "true", "2", "report_shared"],
            ]
        );
        assert_eq!(
            answer(
                &engine,
                "SELECT version, is_current, event FROM health_steps_catalogue WHERE model = 'a'"
            )
            .await,
            [["2", "true", "s"]]
        );
        assert_eq!(
            answer(
                &engine,
                "SELECT position, event, filter, weight, times_value, daily_cap FROM health_weights
             WHERE model = 'default' ORDER BY position, event"
            )
            .await,
            [
                ["1", "report_created", "value > 10", "12.5", "false", "NULL"],
                ["2", "report_created", "NULL", "7.0", "false", "NULL"],
                ["3", "invite_sent", "NULL", "5.0", "false", "10"],
                ["3", "report_shared", "NULL", "5.0", "false", "10"],
                ["4", "rows_imported", "NULL", "0.0005", "true", "NULL"],
                ["5", "login", "NULL", "1.0", "false", "1"],
                ["5", "session_started", "NULL", "1.0", "false", "1"],
                ["6", "report_deleted", "NULL", "-3.0", "false", "NULL"],
                ["7", "*", "NULL", "0.0", "false", "NULL"],
            ]
        );
        let text = answer(
            &engine,
            "SELECT text FROM health_models WHERE name = 'default'",
        )
        .await;
        assert_eq!(text, [[B2B]]);
    }
}

#[tokio::test]
async fn a_statement_sees_the_models_up_to_its_seq() {
    for layout in Layout::ALL {
        let history = history();
        let store = store_of(&history[..5], layout);
        apply(&store, "default", "name = \"default\"\nperiod_days = 7");
        append(&store, &history[5..9]);
        apply(&store, "default", "name = \"default\"\nperiod_days = 8");
        let engine = engine_over(&store);
        let sql = "SELECT version, period_days, is_current FROM health_models ORDER BY version";
        assert_eq!(rows(&engine, as_of(sql, 4)).await, [["0", "30", "true"]]);
        assert_eq!(rows(&engine, as_of(sql, 5)).await, [["1", "7", "true"]]);
        assert_eq!(rows(&engine, as_of(sql, 8)).await, [["1", "7", "true"]]);
        assert_eq!(
            answer(&engine, sql).await,
            [["1", "7", "false"], ["2", "8", "true"]]
        );
    }
}

#[tokio::test]
async fn the_built_in_model_can_be_applied_as_it_is_shown() {
    for layout in Layout::ALL {
        let store = store_of(&history(), layout);
        let engine = engine_over(&store);
        let sql = "SELECT version, content_hash, description, text FROM health_models";
        let [mut built_in] = <[_; 1]>::try_from(answer(&engine, sql).await).unwrap();
        apply(&store, "default", &built_in[3]);
        built_in[0] = "1".to_owned();
        assert_eq!(answer(&engine, sql).await, [built_in]);
    }
}

#[tokio::test]
async fn a_stored_model_that_does_not_parse_fails_only_where_models_are_read() {
    for layout in Layout::ALL {
        let store = store_of(&history(), layout);
        apply(&store, "a", "name = \"a\"\nperiod_days = 0");
        let engine = engine_over(&store);
        assert_eq!(answer(&engine, "SELECT 1").await, [["1"]]);
        let error = error_of(&engine, request("SELECT * FROM health_models")).await;
        assert_eq!(error.kind(), QueryErrorKind::Data);
        assert!(
            error.message.contains("line 2: period_days is 0"),
            "{error}"
        );
    }
}
