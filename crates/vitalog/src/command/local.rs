//! Opening a store in a directory for a command, and saying in plain words why it cannot be.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use vitalog_disk::{Directory, DiskErrorKind, LOCK_NAME, RealDirectory};
use vitalog_query::QueryEngine;
use vitalog_store::{Clock, Store, SystemClock};

use crate::config::Config;

/// What to do where there is no store yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Make an empty one.
    Create,
    /// Say so: a question about nothing is a mistyped path.
    Refuse,
}

/// Opens the directory, which takes its lock.
pub(super) fn open_directory(path: &Path, missing: Missing) -> anyhow::Result<Arc<dyn Directory>> {
    if missing == Missing::Refuse && !path.join(LOCK_NAME).exists() {
        bail!(
            "{}: there is no store here; `vitalog import` makes one, `--data DIR` names another",
            path.display()
        );
    }
    match RealDirectory::open(path) {
        Ok(directory) => Ok(Arc::new(directory)),
        Err(error) if error.kind() == DiskErrorKind::Locked => bail!(
            "{error}\nAsk through the server that has it open instead: `--url grpc://HOST:PORT`"
        ),
        Err(error) => Err(error.into()),
    }
}

/// Opens the store and says on stderr what recovery found.
pub(super) fn open_store(
    path: &Path,
    config: &Config,
    missing: Missing,
) -> anyhow::Result<Arc<Store>> {
    let directory = open_directory(path, missing)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (store, report) = Store::open(directory, config.store(), clock)
        .with_context(|| format!("cannot open the store in {}", path.display()))?;
    if report.replayed_events > 0 {
        eprintln!("recovered {} events from the log", report.replayed_events);
    }
    if report.finished_removals > 0 {
        eprintln!(
            "finished {} removals that an earlier run had begun; `vitalog erase --list` shows the \
             receipts",
            report.finished_removals
        );
    }
    if report.unfinished_removals > 0 {
        eprintln!(
            "warning: {} removals that an earlier run had begun cannot be finished now, for a \
             damaged file or a full disk; the log says why, and they are tried again",
            report.unfinished_removals
        );
    }
    if let Some(torn) = report.quarantined {
        eprintln!(
            "warning: {} bytes at the end of {} (from byte {}) were no whole commit group ({}); \
             they are kept in {}",
            torn.bytes, torn.file, torn.offset, torn.reason, torn.kept_in
        );
    }
    Ok(Arc::new(store))
}

/// Opens the store for questions.
pub(super) fn open_engine(
    path: &Path,
    config: &Config,
    missing: Missing,
) -> anyhow::Result<QueryEngine> {
    let store = open_store(path, config, missing)?;
    Ok(QueryEngine::new(store, config.query()?)?)
}
