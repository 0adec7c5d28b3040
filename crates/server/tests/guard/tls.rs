//! TLS and client certificates: who gets through, who does not, and that neither disturbs others.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Channel;
use vitalog_server::ServerConfig;
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::ListTablesRequest;
use vitalog_wire::vitalog::v1::catalog_service_client::CatalogServiceClient;

use super::certificates::{Authority, FAR, Files, OVER, Pair, connect, with_tls};
use super::support::TestServer;
use super::{Bystander, SOON, log, soon, until};

async fn served(config: ServerConfig) -> TestServer {
    TestServer::with(config, StoreConfig::default()).await
}

/// Whether a call over `channel` gets an answer.
async fn is_answered(channel: Result<Channel, tonic::transport::Error>) -> bool {
    let Ok(channel) = channel else {
        return false;
    };
    let call = CatalogServiceClient::new(channel);
    let answer = soon(async { call.clone().list_tables(ListTablesRequest::default()).await }).await;
    answer.is_ok()
}

/// What HTTP answers over TLS to a client that trusts `authority`.
async fn http_over_tls(server: &TestServer, authority: &Authority) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(server.http).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect(name, stream).await?;
    let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_listeners_speak_tls() {
    let authority = Authority::new();
    let files = Files::of(&authority.gives(FAR));
    let server = served(with_tls(files.tls(None))).await;
    let channel = soon(connect(&server, &authority, None)).await.unwrap();
    let mut good = Bystander::over(channel, None);
    good.goes_on().await;
    let answer = soon(http_over_tls(&server, &authority)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Another authority's word is not enough for a client.
    let other = Authority::new();
    assert!(!is_answered(soon(connect(&server, &other, None)).await).await);
    assert!(soon(http_over_tls(&server, &other)).await.is_err());
    good.goes_on().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_whose_time_is_over_is_refused_by_clients_until_a_new_one_is_put_there() {
    let authority = Authority::new();
    let files = Files::of(&authority.gives(OVER));
    let tls = files.tls(None);
    let server = served(with_tls(tls.clone())).await;
    assert!(!is_answered(soon(connect(&server, &authority, None)).await).await);
    assert!(soon(http_over_tls(&server, &authority)).await.is_err());
    files.write(&authority.gives(FAR));
    assert!(tls.reload().unwrap());
    assert!(is_answered(soon(connect(&server, &authority, None)).await).await);
    let answer = soon(http_over_tls(&server, &authority)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_prove_who_they_are() {
    log::keep();
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::of(&authority.gives(FAR));
    let server = served(with_tls(files.tls(Some((&clients, true))))).await;
    let try_with = async |pair: Option<&Pair>| {
        is_answered(soon(connect(&server, &authority, pair)).await).await
    };
    let known = clients.gives(FAR);
    let channel = soon(connect(&server, &authority, Some(&known))).await;
    let mut good = Bystander::over(channel.unwrap(), None);
    good.goes_on().await;
    assert!(!try_with(None).await, "without a certificate");
    good.goes_on().await;
    assert!(
        !try_with(Some(&clients.gives(OVER))).await,
        "its time is over"
    );
    good.goes_on().await;
    assert!(!try_with(Some(&strangers.gives(FAR))).await, "of nobody");
    good.goes_on().await;
    assert!(try_with(Some(&known)).await);
    assert!(soon(http_over_tls(&server, &authority)).await.is_err());
    until(async || log::text().contains("a TLS handshake failed")).await;
    assert!(!log::text().contains("PRIVATE KEY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_optional_is_still_checked() {
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let files = Files::of(&authority.gives(FAR));
    let server = served(with_tls(files.tls(Some((&clients, false))))).await;
    let try_with = async |pair: Option<&Pair>| {
        is_answered(soon(connect(&server, &authority, pair)).await).await
    };
    assert!(try_with(None).await);
    assert!(try_with(Some(&clients.gives(FAR))).await);
    assert!(!try_with(Some(&strangers.gives(FAR))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_is_refused_on_a_port_of_tls() {
    log::keep();
    let authority = Authority::new();
    let files = Files::of(&authority.gives(FAR));
    let server = served(with_tls(files.tls(None))).await;
    let channel = soon(connect(&server, &authority, None)).await.unwrap();
    let mut good = Bystander::over(channel, None);
    for _ in 0..20 {
        let plain = Channel::from_shared(format!("http://{}", server.address)).unwrap();
        assert!(!is_answered(soon(plain.connect()).await).await);
        good.goes_on().await;
    }
    for address in [server.address, server.http] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(b"GET /livez HTTP/1.1\r\n\r\n")
            .await
            .unwrap();
        let mut answer = Vec::new();
        // An alert of TLS and an end, or a reset.
        let _ = soon(stream.read_to_end(&mut answer)).await;
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    }
    good.goes_on().await;
    until(async || log::text().contains("a TLS handshake failed")).await;
    let text = log::text();
    let lines = text
        .lines()
        .filter(|line| line.contains("a TLS handshake failed"));
    let lines = lines.filter(|line| line.contains("\"WARN\"")).count();
    // Other tests of the process may have had one, too.
    assert!((1..=12).contains(&lines), "{lines} lines for 22 clients");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_refused_on_a_port_of_plain_text() {
    log::keep();
    let authority = Authority::new();
    let server = TestServer::start().await;
    let mut good = Bystander::of(&server).await;
    assert!(!is_answered(soon(connect(&server, &authority, None)).await).await);
    good.goes_on().await;
    assert!(soon(http_over_tls(&server, &authority)).await.is_err());
    good.goes_on().await;
    until(async || log::text().contains("TLS, on a port of plain text")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_never_end_hold_nobody_up() {
    log::keep();
    let authority = Authority::new();
    let files = Files::of(&authority.gives(FAR));
    let config = ServerConfig {
        greeting_wait: Duration::from_secs(8),
        handshakes_max: 4,
        ..with_tls(files.tls(None))
    };
    assert!(config.greeting_wait < SOON);
    let server = served(config).await;
    let channel = soon(connect(&server, &authority, None)).await.unwrap();
    let mut good = Bystander::over(channel, None);
    // Its handshake is over for the server, too.
    good.goes_on().await;
    let mut slow = Vec::new();
    for n in 0..3 {
        for address in [server.address, server.http] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // The beginning of a handshake, at most.
            stream
                .write_all(&[0x16, 3, 1, 2, 0, 1][..n * 3])
                .await
                .unwrap();
            slow.push(stream);
        }
    }
    // There is room for one more.
    let another = soon(connect(&server, &authority, None)).await.unwrap();
    Bystander::over(another, None).goes_on().await;
    let answer = soon(http_over_tls(&server, &authority)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = soon(stream.read_to_end(&mut rest)).await;
    }
    good.goes_on().await;
    until(async || log::text().contains("it was not done within 8 s")).await;
}
