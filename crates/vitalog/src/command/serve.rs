//! `serve`: a store behind gRPC and HTTP until a signal; the second signal forces. SIGHUP reads
//! certificates and tokens again, as every minute does.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use vitalog_query::QueryEngine;
use vitalog_server::{Access, Server, ServerConfig, Tls};
use vitalog_store::Store;

use super::local::{Missing, open_store};
use crate::config::{Addresses, Config, DurabilityName};

/// Where to listen.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    listen: ListenArgs,
    /// Take connections from other machines although tokens or TLS are not configured.
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
    if !args.insecure {
        refuse_strangers(&server)?;
    }
    let store = open_store(data, &config, Missing::Create)?;
    serve(&store, &config, server)
}

/// From one look at the files of certificates and tokens to the next.
const REFRESH: Duration = Duration::from_secs(60);

/// Refuses addresses that other machines reach, unless callers prove who they are and nobody on
/// the way can read what they send: without tokens everyone may do everything, and without TLS
/// everyone on the way has the tokens.
pub(super) fn refuse_strangers(server: &ServerConfig) -> anyhow::Result<()> {
    let proves = server.tls.as_ref().is_some_and(Tls::requires_client);
    let mut missing = Vec::new();
    if server.access.is_open() && !proves {
        missing.push("no tokens are configured ([auth] tokens_file)");
    }
    if server.tls.is_none() {
        missing.push("no TLS is configured ([tls] cert_file and key_file)");
    }
    let Some(address) = [server.grpc, server.http]
        .into_iter()
        .find(|address| !address.ip().is_loopback())
    else {
        return Ok(());
    };
    if missing.is_empty() {
        return Ok(());
    }
    bail!(
        "{address} can be reached from other machines and {} (see docs/operations.md); `serve \
         --insecure` serves it all the same",
        missing.join(", and ")
    )
}

/// Reads certificates and tokens again when they may have changed. What cannot be read leaves
/// what is in force.
async fn refresh(mut asked: HangUp, tls: Option<Tls>, access: Access, config: Config) {
    loop {
        asked.or_after(REFRESH).await;
        let (tls, access, config) = (tls.clone(), access.clone(), config.clone());
        let reading = tokio::task::spawn_blocking(move || {
            if let Some(tls) = tls {
                match tls.reload() {
                    Ok(true) => tracing::info!("new certificates are in force"),
                    Ok(false) => {}
                    Err(error) => tracing::error!("the old certificates stay: {error}"),
                }
            }
            match config.tokens() {
                Ok(Some(tokens)) => {
                    if tokens.is_empty() {
                        tracing::warn!("the file of tokens has none: nobody is let in");
                    }
                    access.replace_tokens(tokens);
                }
                Ok(None) => {}
                Err(error) => tracing::error!("the old tokens stay: {error:#}"),
            }
        });
        // A panic was printed where it happened.
        let _ = reading.await;
    }
}

/// SIGHUP, where there is one.
struct HangUp {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl HangUp {
    fn listen() -> Self {
        Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    /// Returns after `pause`, or at the signal.
    async fn or_after(&mut self, pause: Duration) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal {
            // Either is a reason to look.
            let _ = tokio::time::timeout(pause, signal.recv()).await;
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

/// Serves `store` until a signal, then drains, flushes and closes it.
pub(super) fn serve(
    store: &Arc<Store>,
    config: &Config,
    server: ServerConfig,
) -> anyhow::Result<ExitCode> {
    let engine = QueryEngine::new(Arc::clone(store), config.query()?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Whoever reads the address may send a signal at once.
        let signals = Signals::listen();
        let (tls, access) = (server.tls.clone(), server.access.clone());
        let refreshing = tokio::spawn(refresh(HangUp::listen(), tls, access, config.clone()));
        let server = Server::bind(Arc::clone(store), engine, server).await?;
        // Read by people and by whoever started the process with port 0.
        println!("grpc listening on {}", server.local_addr());
        println!("http listening on {}", server.http_addr());
        server.run(shutdown_signal(signals)).await?;
        refreshing.abort();
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

#[cfg(test)]
mod tests {
    use vitalog_server::{TokenLine, Tokens};

    use super::*;

    #[test]
    fn strangers_need_tokens_and_tls() {
        let config = |grpc: &str, access| ServerConfig {
            grpc: grpc.parse().expect("an address"),
            access,
            ..ServerConfig::default()
        };
        let tokens = || {
            let line = TokenLine::new("a", &[vitalog_server::Scope::Read], "t").expect("a line");
            Access::with_tokens(Tokens::parse(&line.to_string()).expect("one line"))
        };
        refuse_strangers(&config("127.0.0.1:1", Access::open())).expect("its own machine");
        let refused = refuse_strangers(&config("0.0.0.0:1", Access::open()));
        let error = refused.expect_err("all machines").to_string();
        for word in ["0.0.0.0:1", "tokens_file", "cert_file", "--insecure"] {
            assert!(error.contains(word), "{word:?} in {error}");
        }
        let over_http = ServerConfig {
            http: "192.0.2.7:1".parse().expect("an address"),
            ..ServerConfig::default()
        };
        let error = refuse_strangers(&over_http).expect_err("over HTTP too");
        assert!(error.to_string().contains("192.0.2.7:1"), "{error}");
        let refused = refuse_strangers(&config("[::]:1", tokens()));
        let error = refused.expect_err("tokens in plain text").to_string();
        assert!(
            error.contains("cert_file") && !error.contains("tokens_file"),
            "{error}"
        );
    }
}
