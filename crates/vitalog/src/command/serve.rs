//! `serve`: a store behind gRPC and HTTP until a signal; the second signal forces.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use vitalog_query::QueryEngine;
use vitalog_server::{Server, ServerConfig};
use vitalog_store::Store;

use super::local::{Missing, open_store};
use crate::config::{Addresses, Config, DurabilityName};

/// Where to listen.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// Take connections from other machines although no tokens are configured.
    #[arg(long)]
    insecure: bool,
    /// `buffered` acknowledges before the disk has the events: what was acknowledged in the last
    /// seconds is lost when the machine (not only the process) crashes.
    #[arg(long, value_enum)]
    durability: Option<DurabilityName>,
}

/// The addresses of the listeners.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct ListenArgs {
    /// Address of the gRPC listener; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    grpc: Option<SocketAddr>,
    /// Address of the HTTP listener; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
}

impl From<ListenArgs> for Addresses {
    fn from(args: ListenArgs) -> Self {
        let ListenArgs { grpc, http } = args;
        Self { grpc, http }
    }
}

pub(super) fn run(args: &ServeArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let mut config = config.clone();
    config.store.durability = args.durability.or(config.store.durability);
    let server = config.server(args.listen.into())?;
    if server.access.is_open() && !args.insecure {
        refuse_strangers(&server)?;
    }
    let store = open_store(data, &config, Missing::Create)?;
    serve(store, &config, server)
}

/// Refuses addresses that other machines reach: without tokens everyone may do everything.
pub(super) fn refuse_strangers(server: &ServerConfig) -> anyhow::Result<()> {
    for address in [server.grpc, server.http] {
        if !address.ip().is_loopback() {
            bail!(
                "{address} can be reached from other machines and no tokens are configured \
                 ([auth] tokens_file, see docs/operations.md); --insecure serves it all the same, \
                 without authentication"
            );
        }
    }
    Ok(())
}

/// Serves `store` until a signal, then drains, flushes and closes it.
pub(super) fn serve(
    store: Arc<Store>,
    config: &Config,
    server: ServerConfig,
) -> anyhow::Result<ExitCode> {
    let engine = QueryEngine::new(Arc::clone(&store), config.query())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Whoever reads the address may send a signal at once.
        let signals = Signals::listen();
        let server = Server::bind(Arc::clone(&store), engine, server).await?;
        // Read by people and by whoever started the process with port 0.
        println!("grpc listening on {}", server.local_addr());
        println!("http listening on {}", server.http_addr());
        server.run(shutdown_signal(signals)).await?;
        anyhow::Ok(())
    })?;
    eprintln!("closing the store");
    store.close()?;
    Ok(ExitCode::SUCCESS)
}

/// The first SIGINT or SIGTERM; a second one ends the process at once. One listener hears both, so
/// that no signal falls between them.
async fn shutdown_signal(signals: std::io::Result<Signals>) {
    let Ok(mut signals) = signals else {
        eprintln!("warning: no signal can be heard; end the process to stop serving");
        return std::future::pending().await;
    };
    signals.next().await;
    eprintln!("shutting down; a second signal forces");
    tokio::spawn(async move {
        signals.next().await;
        eprintln!("forced");
        std::process::exit(1);
    });
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
