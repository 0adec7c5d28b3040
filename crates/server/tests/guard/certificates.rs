//! Authorities and certificates that live as long as a test.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use vitalog_server::{ClientAuthority, ServerConfig, Tls, TlsFiles};

use super::support::{TestServer, free_port};

/// Who gives certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    pub cert: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { issuer, pem }
    }

    /// A certificate of this machine, good until the end of `year`.
    pub fn gives(&self, year: i32) -> Pair {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().unwrap();
        let cert = params.signed_by(&key, &self.issuer).unwrap().pem();
        let key = key.serialize_pem();
        Pair { cert, key }
    }
}

/// A year that is long over, and one that is far off.
pub const OVER: i32 = 2001;
pub const FAR: i32 = 4000;

/// Files of a server in a folder of its own.
pub struct Files {
    pub folder: tempfile::TempDir,
}

impl Files {
    pub fn of(pair: &Pair) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = Self { folder };
        files.write(pair);
        files
    }

    pub fn write(&self, pair: &Pair) {
        std::fs::write(self.path("cert"), &pair.cert).unwrap();
        std::fs::write(self.path("key"), &pair.key).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    /// TLS that asks for no certificate, or for one that `clients` gave.
    pub fn tls(&self, clients: Option<(&Authority, bool)>) -> Tls {
        let client_ca = clients.map(|(authority, required)| {
            let ca_file = self.path("ca");
            std::fs::write(&ca_file, &authority.pem).unwrap();
            ClientAuthority { ca_file, required }
        });
        let files = TlsFiles {
            cert_file: self.path("cert"),
            key_file: self.path("key"),
            client_ca,
        };
        Tls::load(files).unwrap()
    }
}

/// A configuration with TLS on a free port.
pub fn with_tls(tls: Tls) -> ServerConfig {
    ServerConfig {
        tls: Some(tls),
        ..free_port()
    }
}

/// A client's connection that trusts `authority` and shows `pair`.
pub async fn connect(
    server: &TestServer,
    authority: &Authority,
    pair: Option<&Pair>,
) -> Result<Channel, tonic::transport::Error> {
    let mut tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost");
    if let Some(pair) = pair {
        tls = tls.identity(Identity::from_pem(&pair.cert, &pair.key));
    }
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address)).unwrap();
    endpoint.tls_config(tls).unwrap().connect().await
}
