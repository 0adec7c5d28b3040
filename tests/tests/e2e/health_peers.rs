//! Health asked of Vitalog and of others: of DuckDB's SQL (`peers/health_sql.py`), and of a plain
//! Python reading of a model (`peers/health_model.py`), on the real data sets and on generated
//! events. Whole answers are compared, entity by entity.
//!
//! The back-test of `docs/examples` is run as it stands on the page.

mod backtest;
mod comparison;
mod duckdb;
mod explanation;
mod generated;
mod students;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use vitalog_disk::RealDirectory;
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_store::{Store, StoreConfig, SystemClock};
use vitalog_tests::{Vitalog, python, shared_data, skip};

use crate::{Place, text};

/// Runs `check` with a Python and a file of events, or says why the test `name` cannot run.
fn with_peer(
    name: &str,
    file: impl FnOnce(&Place) -> Result<PathBuf, String>,
    check: impl FnOnce(&Place, &Path, &Path),
) {
    let place = Place::new();
    match python().and_then(|python| Ok((python, file(&place)?))) {
        Ok((python, file)) => check(&place, &python, &file),
        Err(reason) => skip(&format!("health_peers::{name}"), &reason),
    }
}

fn ecom(_: &Place) -> Result<PathBuf, String> {
    shared_data("ecom")
}

fn oulad(_: &Place) -> Result<PathBuf, String> {
    shared_data("oulad")
}

/// A file of the binary's own making: half a year of a product, some rows without an account and
/// some without a user.
fn simulated(place: &Place) -> Result<PathBuf, String> {
    let path = place.path("simulated.parquet");
    let file = text(&path);
    let arguments = ["simulate", "--rows", "100000", "--end", "2025-08-31"];
    let arguments = [&arguments[..], &["--out", file.as_str()]].concat();
    place.vitalog().stdout_of(&arguments);
    Ok(path)
}

/// A store with the events of `file`.
fn imported(place: &Place, file: &Path) -> Vitalog {
    let vitalog = place.vitalog();
    let outcome = vitalog.run(&["import", &text(file)]);
    assert_eq!(
        (outcome.code, outcome.fact("rejected")),
        (0, 0),
        "{outcome:?}"
    );
    vitalog
}

/// An engine over the store, which no process may have open, and the runtime to wait on.
fn engine_of(vitalog: &Vitalog) -> (QueryEngine, Runtime) {
    let directory = Arc::new(RealDirectory::open(vitalog.data()).unwrap());
    let clock = Arc::new(SystemClock);
    let (store, _) = Store::open(directory, StoreConfig::default(), clock).unwrap();
    let engine = QueryEngine::new(Arc::new(store), QueryConfig::default()).unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    (engine, runtime)
}

/// Applies models to the store, which no process may have open.
fn apply(vitalog: &Vitalog, models: &[String]) {
    let (engine, runtime) = engine_of(vitalog);
    for model in models {
        let applied = runtime.block_on(engine.apply_model(model, false));
        let applied = applied.unwrap_or_else(|error| panic!("{error}\n{model}"));
        assert!(applied.is_new, "{model}");
    }
}

/// A file of `peers`.
fn peer_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("peers")
        .join(name)
}

/// What the script `name` of `peers` answers to a question.
fn ask_peer(place: &Place, python: &Path, name: &str, question: &Value) -> Value {
    let file = place.write("question.json", question.to_string());
    let output = Command::new(python)
        .arg(peer_file(name))
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
