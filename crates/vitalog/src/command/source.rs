//! Who answers a command: the store of a directory, or a server.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::compute::concat_batches;
use clap::Args;
use futures::TryStreamExt;
use tokio::runtime::Runtime;
use vitalog_query::QueryEngine;
use vitalog_store::Store;

use super::local::{Missing, open_store};
use super::rows::Rows;
use crate::config::Config;
use crate::sql::{Backend, Remote, parse_url};

/// The flag that names a server.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SourceArgs {
    /// Ask a server at grpc://HOST:PORT (grpcs:// with TLS) and not a directory.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    url: Option<String>,
}

impl SourceArgs {
    /// As if the flag had this value.
    ///
    /// # Errors
    /// It is no address of a server.
    pub fn of(url: Option<&str>) -> anyhow::Result<Self> {
        let url = url.map(parse_url).transpose().map_err(anyhow::Error::msg)?;
        Ok(Self { url })
    }
}

/// Answers a command.
pub(super) struct Source {
    backend: Backend,
    /// Of a directory that this source opened.
    store: Option<Arc<Store>>,
    // Dropped after the backend, whose connections live on it.
    runtime: Runtime,
}

impl Source {
    /// Opens the directory, or connects to the server that is named.
    ///
    /// # Errors
    /// There is no store, another process has it open, or nobody answers.
    pub fn open(
        args: &SourceArgs,
        data: &Path,
        config: &Config,
        missing: Missing,
    ) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let (backend, store) = match &args.url {
            Some(address) => {
                let remote = runtime.block_on(Remote::connect(address))?;
                (Backend::Remote(Box::new(remote)), None)
            }
            None => {
                let store = open_store(data, config, missing)?;
                let engine = QueryEngine::new(Arc::clone(&store), config.query()?)?;
                (Backend::Local(engine), Some(store))
            }
        };
        Ok(Self {
            backend,
            store,
            runtime,
        })
    }

    /// Over a store that somebody else closes.
    ///
    /// # Errors
    /// No threads.
    pub fn over(engine: QueryEngine) -> anyhow::Result<Self> {
        Ok(Self {
            backend: Backend::Local(engine),
            store: None,
            runtime: runtime()?,
        })
    }

    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// The store of a directory that this source opened.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.store.as_ref()
    }

    /// [`Source::store`], where there must be one.
    ///
    /// # Errors
    /// This source did not open a directory.
    pub fn opened_store(&self) -> anyhow::Result<&Arc<Store>> {
        self.store().context("the directory is not open")
    }

    /// Waits for `work` on this source's runtime.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The whole answer to a statement.
    ///
    /// # Errors
    /// The statement fails, or the server is gone.
    pub fn ask(&self, sql: &str) -> anyhow::Result<Rows> {
        let answer = self.wait(async {
            let answer = self.backend.query(sql.to_owned()).await?;
            let batches: Vec<_> = answer.batches.try_collect().await?;
            concat_batches(&answer.schema, &batches).context("the answer's batches differ")
        });
        answer.map(Rows::new)
    }

    /// Closes the store, where this source opened one.
    ///
    /// # Errors
    /// The last flush fails; the log still has everything.
    pub fn close(self) -> anyhow::Result<()> {
        let Self { backend, store, .. } = self;
        drop(backend);
        if let Some(store) = store {
            store.close()?;
        }
        Ok(())
    }
}

fn runtime() -> anyhow::Result<Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("vitalog-command")
        .enable_all()
        .build()?;
    Ok(runtime)
}

/// `text` as a literal of SQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_text_stays_one_literal() {
        assert_eq!(quoted("it's"), "'it''s'");
        assert_eq!(quoted("'; DROP"), "'''; DROP'");
    }
}
