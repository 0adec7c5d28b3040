//! Executors for tests: over an empty store, and over a server of one.

use std::sync::Arc;

use futures::FutureExt;
use tempfile::TempDir;
use vitalog_disk::RealDirectory;
use vitalog_query::{QueryConfig, QueryEngine};
use vitalog_server::{Server, ServerConfig};
use vitalog_store::{Store, StoreConfig, SystemClock};

use super::backend::Backend;
use super::channel::parse_url;
use super::execution::{Executor, Interrupt};
use super::remote::Remote;

/// A store that goes with its directory.
pub(super) struct Fixture {
    pub executor: Executor,
    _directory: TempDir,
}

fn never() -> Interrupt {
    Box::new(|| std::future::pending().boxed())
}

fn store() -> (TempDir, Arc<Store>, QueryEngine) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let real = RealDirectory::open(directory.path()).expect("an empty directory");
    let config = StoreConfig {
        wal_file_bytes: 1 << 20,
        ..StoreConfig::default()
    };
    let opened = Store::open(Arc::new(real), config, Arc::new(SystemClock));
    let store = Arc::new(opened.expect("an empty store").0);
    let engine = QueryEngine::new(Arc::clone(&store), QueryConfig::default()).expect("an engine");
    (directory, store, engine)
}

/// Over a store of this process.
pub(super) fn local() -> Fixture {
    local_with(never())
}

/// Over a store of this process, with an interrupt.
pub(super) fn local_with(interrupt: Interrupt) -> Fixture {
    let (directory, _, engine) = store();
    let executor = Executor::new(interrupt, async || Ok(Backend::Local(engine)));
    Fixture {
        executor: executor.expect("an executor"),
        _directory: directory,
    }
}

/// Over a server, which ends with the executor's runtime.
pub(super) fn remote() -> Fixture {
    let (directory, store, engine) = store();
    let executor = Executor::new(never(), async || {
        let mut config = ServerConfig::default();
        config.grpc.set_port(0);
        config.http.set_port(0);
        let server = Server::bind(store, engine, config).await?;
        let address = parse_url(&format!("grpc://{}", server.local_addr()));
        tokio::spawn(server.run(std::future::pending()));
        Ok(Backend::Remote(Box::new(
            Remote::connect(&address.expect("an address")).await?,
        )))
    });
    Fixture {
        executor: executor.expect("a server"),
        _directory: directory,
    }
}
