//! Connections to a server: its address, and TLS.
//!
//! It owns what `--url` may say, and whom TLS trusts. Invariant: an address with TLS is never
//! reached without it.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

/// How long a connection may take to come up, its TLS handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How a URL begins, and how the transport has it.
const SCHEMES: [(&str, &str); 4] = [
    ("grpc://", "http://"),
    ("grpcs://", "https://"),
    ("grpc+tls://", "https://"),
    ("https://", "https://"),
];

/// The files of TLS, for `--url grpcs://HOST:PORT`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct TlsArgs {
    /// Trust a server whose certificate one of these authorities gave (PEM), and no other; without
    /// it, those that the system trusts.
    #[arg(long, global = true, value_name = "FILE", env = "VITALOG_CA")]
    ca: Option<PathBuf>,
    /// The certificate (PEM) that tells a server who calls; needs --key.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "VITALOG_CERT",
        requires = "key"
    )]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM).
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "VITALOG_KEY",
        requires = "cert"
    )]
    key: Option<PathBuf>,
}

/// The files that the process was started with.
static FILES: OnceLock<TlsArgs> = OnceLock::new();

impl TlsArgs {
    /// Uses these files for every connection of the process from now on; the first call counts.
    pub fn set(self) {
        let _ = FILES.set(self);
    }

    fn config(&self) -> anyhow::Result<ClientTlsConfig> {
        let mut config = ClientTlsConfig::new().timeout(CONNECT_TIMEOUT);
        config = match &self.ca {
            Some(path) => config.ca_certificate(Certificate::from_pem(read("--ca", path)?)),
            None => config.with_enabled_roots(),
        };
        if let (Some(cert), Some(key)) = (&self.cert, &self.key) {
            let identity = Identity::from_pem(read("--cert", cert)?, read("--key", key)?);
            config = config.identity(identity);
        }
        Ok(config)
    }
}

fn read(flag: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{flag}: cannot read {}", path.display()))
}

/// The address of `grpc://HOST:PORT` or `grpcs://HOST:PORT` as the transport takes it.
///
/// # Errors
/// Any other form.
pub(crate) fn parse_url(url: &str) -> Result<String, String> {
    if url.contains('@') {
        // What stands before it may be a password: the message need not repeat it.
        return Err(
            "an address of a server holds no name and no password: expected grpc://HOST:PORT, and \
             the token in VITALOG_TOKEN"
                .to_owned(),
        );
    }
    let wrong = || {
        format!(
            "{url:?} is no address of a server: expected grpc://HOST:PORT, or grpcs:// with TLS"
        )
    };
    let mut schemes = SCHEMES.into_iter();
    let (authority, scheme) = schemes
        .find_map(|(known, scheme)| Some((url.strip_prefix(known)?, scheme)))
        .ok_or_else(wrong)?;
    let authority = authority.trim_end_matches('/');
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    if host.is_empty() || port.parse::<u16>().is_err() || authority.contains(['/', '?', '#']) {
        return Err(wrong());
    }
    Ok(format!("{scheme}{authority}"))
}

/// The address as people write it.
fn shown(address: &str) -> String {
    match address.strip_prefix("https://") {
        Some(authority) => format!("grpcs://{authority}"),
        None => address.replacen("http://", "grpc://", 1),
    }
}

/// Connects to `address`, as [`parse_url`] gives it.
///
/// # Errors
/// Nobody answers there, or TLS does not come about; a file that cannot be read.
pub(crate) async fn connect(address: &str) -> anyhow::Result<Channel> {
    let files = FILES.get().cloned().unwrap_or_default();
    connect_with(address, &files).await
}

async fn connect_with(address: &str, files: &TlsArgs) -> anyhow::Result<Channel> {
    let mut endpoint = Endpoint::from_shared(address.to_owned())?.connect_timeout(CONNECT_TIMEOUT);
    if address.starts_with("https://") {
        endpoint = endpoint
            .tls_config(files.config()?)
            .map_err(|error| anyhow!("TLS: {}", innermost(&error)))?;
    } else if files.ca.is_some() || files.cert.is_some() {
        let url = shown(address);
        bail!("{url} has no TLS, and --ca or --cert asks for it: expected grpcs://HOST:PORT");
    }
    endpoint.connect().await.map_err(|error| {
        let reason = innermost(&error);
        anyhow!("cannot reach a server at {}: {reason}", shown(address))
    })
}

/// The cause at the end of the chain, which is the one that says something.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_servers() {
        for (url, address, written) in [
            (
                "grpc://127.0.0.1:50051",
                "http://127.0.0.1:50051",
                "grpc://127.0.0.1:50051",
            ),
            (
                "grpc://[::1]:50051/",
                "http://[::1]:50051",
                "grpc://[::1]:50051",
            ),
            ("grpcs://a:1", "https://a:1", "grpcs://a:1"),
            ("grpc+tls://a:1", "https://a:1", "grpcs://a:1"),
            (
                "https://a.example.com:443",
                "https://a.example.com:443",
                "grpcs://a.example.com:443",
            ),
        ] {
            let found = parse_url(url).expect(url);
            assert_eq!(found, address);
            assert_eq!(shown(&found), written);
        }
        for wrong in [
            "127.0.0.1:50051",
            "http://a:1",
            "grpc://a",
            "grpc://:1",
            "grpc://a:b",
            "grpc://a:1/x",
            "grpcs://u@a:1",
        ] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
        let error = parse_url("grpcs://me:vtl_secret@a:1").expect_err("a password");
        assert!(error.contains("VITALOG_TOKEN") && !error.contains("vtl_secret"));
    }

    #[tokio::test]
    async fn files_that_would_have_no_effect_are_refused() {
        let files = TlsArgs {
            ca: Some("ca.pem".into()),
            ..TlsArgs::default()
        };
        let plain = connect_with("http://127.0.0.1:1", &files).await;
        let error = plain.expect_err("plain text").to_string();
        assert!(error.contains("grpcs://"), "{error}");
        let missing = connect_with("https://127.0.0.1:1", &files).await;
        let error = format!("{:#}", missing.expect_err("there is no such file"));
        assert!(error.contains("--ca: cannot read ca.pem"), "{error}");
    }
}
