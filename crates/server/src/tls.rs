//! TLS of both listeners: the files, what they make, and putting new ones in their place.
//!
//! It owns certificates, keys and the authorities of clients. It does not own when a connection
//! is greeted (`listener`). Invariant: a [`Tls`] that exists has a certificate and the key that
//! belongs to it; a reload that fails changes nothing. Neither shows anything of a key.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{InconsistentKeys, RootCertStore};
use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a file of certificates or of a key.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The files that TLS is made of, all of them PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate of the server, followed by those between it and its authority.
    pub cert_file: PathBuf,
    /// The key of the certificate: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
    /// The authorities of clients; `None` asks clients for no certificate.
    pub client_ca: Option<ClientAuthority>,
}

/// Whose certificates clients show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAuthority {
    /// The certificates of the authorities.
    pub ca_file: PathBuf,
    /// Whether a client without a certificate is refused. One that shows a certificate of anybody
    /// else, or one whose time is over, is refused in any case.
    pub required: bool,
}

/// TLS that cannot be served.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{setting}: cannot read {path}: {source}", path = .path.display())]
    Read {
        /// The name of its setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{setting}: {path}: {reason}", path = .path.display())]
    Invalid {
        /// The name of its setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        reason: String,
    },
}

/// What a listener speaks within TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP/2, and HTTP/1.1 for browsers.
    Grpc,
    /// HTTP/1.1.
    Http,
}

/// TLS that is served. Clones are of the same one.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

struct Shared {
    files: TlsFiles,
    current: RwLock<Current>,
}

struct Current {
    grpc: Arc<rustls::ServerConfig>,
    http: Arc<rustls::ServerConfig>,
    /// Of the bytes of all files.
    hash: [u8; 32],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should, each named; a key of another
    /// certificate.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = Contents::read(&files)?.current(&files)?;
        warn_of_readers(&files.key_file);
        let current = RwLock::new(current);
        Ok(Self(Arc::new(Shared { files, current })))
    }

    /// Reads the files again, for connections from now on. Returns whether they had changed.
    ///
    /// # Errors
    /// As [`Tls::load`]; the old ones stay.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let contents = Contents::read(&self.0.files)?;
        let hash = contents.hash();
        let read = self.0.current.read();
        if read.unwrap_or_else(PoisonError::into_inner).hash == hash {
            return Ok(false);
        }
        let current = contents.current(&self.0.files)?;
        let written = self.0.current.write();
        *written.unwrap_or_else(PoisonError::into_inner) = current;
        Ok(true)
    }

    /// Whether every client has to prove who it is.
    #[must_use]
    pub fn requires_client(&self) -> bool {
        let authority = self.0.files.client_ca.as_ref();
        authority.is_some_and(|authority| authority.required)
    }

    /// What greets a connection with the files as they are now.
    pub(crate) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let current = self.0.current.read();
        let current = current.unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(Arc::clone(match protocol {
            Protocol::Grpc => &current.grpc,
            Protocol::Http => &current.http,
        }))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Tls({:?})", self.0.files)
    }
}

/// The bytes of the files.
struct Contents {
    cert: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
}

const CERT: &str = "[tls] cert_file";
const KEY: &str = "[tls] key_file";
const CA: &str = "[tls] client_ca_file";

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let authority = files.client_ca.as_ref();
        let ca = authority.map(|authority| read(CA, &authority.ca_file));
        Ok(Self {
            cert: read(CERT, &files.cert_file)?,
            key: read(KEY, &files.key_file)?,
            ca: ca.transpose()?.unwrap_or_default(),
        })
    }

    fn hash(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for bytes in [&self.cert, &self.key, &self.ca] {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
        hash.finalize().into()
    }

    fn current(&self, files: &TlsFiles) -> Result<Current, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = self.config(files, &provider)?;
        let speaking = |names: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Ok(Current {
            grpc: speaking(&[b"h2", b"http/1.1"]),
            http: speaking(&[b"http/1.1"]),
            hash: self.hash(),
        })
    }

    fn config(
        &self,
        files: &TlsFiles,
        provider: &Arc<CryptoProvider>,
    ) -> Result<rustls::ServerConfig, TlsError> {
        let chain = certificates(CERT, &files.cert_file, &self.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| {
            let reason = match error {
                pem::Error::NoItemsFound => "there is no private key in it".to_owned(),
                error => format!("the key cannot be read: {}", fault_of_pem(&error)),
            };
            invalid(KEY, &files.key_file, reason)
        })?;
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has the ciphers of these versions");
        let builder = match &files.client_ca {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                builder.with_client_cert_verifier(self.verifier(authority, provider)?)
            }
        };
        builder.with_single_cert(chain, key).map_err(|error| {
            let reason = match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    let path = files.cert_file.display();
                    format!("the key is not that of the certificate in {path}")
                }
                error => format!("certificate and key cannot be used: {error}"),
            };
            invalid(KEY, &files.key_file, reason)
        })
    }

    fn verifier(
        &self,
        authority: &ClientAuthority,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let path = &authority.ca_file;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA, path, &self.ca)? {
            let added = roots.add(certificate);
            added.map_err(|error| invalid(CA, path, format!("no authority: {error}")))?;
        }
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let builder = match authority.required {
            true => builder,
            false => builder.allow_unauthenticated(),
        };
        let built = builder.build();
        built.map_err(|error| invalid(CA, path, error.to_string()))
    }
}

/// The certificates of a file, at least one.
fn certificates(
    setting: &'static str,
    path: &Path,
    bytes: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let found = found.map_err(|error| {
        invalid(
            setting,
            path,
            format!("the certificate cannot be read: {}", fault_of_pem(&error)),
        )
    })?;
    if found.is_empty() {
        let reason = "there is no certificate in it (a PEM file has a line \
                      \"-----BEGIN CERTIFICATE-----\")";
        return Err(invalid(setting, path, reason.to_owned()));
    }
    Ok(found)
}

/// What is wrong with a PEM file. The error's own words repeat lines of the file, and so the key
/// where its line feeds were lost.
fn fault_of_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end (a line \"-----END …-----\")",
        pem::Error::IllegalSectionStart { .. } => {
            "a line that begins a section does not end with \"-----\""
        }
        pem::Error::Base64Decode(_) => "a section is no base64",
        _ => "it is no PEM",
    }
}

fn invalid(setting: &'static str, path: &Path, reason: String) -> TlsError {
    let path = path.to_owned();
    TlsError::Invalid {
        setting,
        path,
        reason,
    }
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        setting,
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let mut file = file.take(FILE_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let reason = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(invalid(setting, path, reason));
    }
    Ok(bytes)
}

/// Says so when everyone on the machine may read the key.
#[cfg(unix)]
fn warn_of_readers(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let readable = |data: std::fs::Metadata| data.permissions().mode() & 0o004 != 0;
    if std::fs::metadata(path).is_ok_and(readable) {
        let path = path.display();
        tracing::warn!("every user of this machine can read the key in {path}: chmod 600 {path}");
    }
}

#[cfg(not(unix))]
fn warn_of_readers(_path: &Path) {}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Pair {
        cert: String,
        key: String,
    }

    fn pair() -> Pair {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        let cert = params.self_signed(&key).expect("signed").pem();
        let key = key.serialize_pem();
        Pair { cert, key }
    }

    fn files(folder: &Path) -> TlsFiles {
        let [cert_file, key_file] = ["cert", "key"].map(|name| folder.join(name));
        TlsFiles {
            cert_file,
            key_file,
            client_ca: None,
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut files = files(folder.path());
        let failed = |files: &TlsFiles, words: [&str; 2]| {
            let error = Tls::load(files.clone()).expect_err(words[1]).to_string();
            for word in words {
                assert!(error.contains(word), "{word:?} in {error}");
            }
        };
        let write = |path: &Path, text: &str| std::fs::write(path, text).expect("written");
        failed(&files, ["[tls] cert_file", "cannot read"]);
        let (one, other) = (pair(), pair());
        write(&files.cert_file, "");
        failed(&files, ["[tls] key_file", "cannot read"]);
        write(&files.key_file, &one.cert);
        failed(&files, ["[tls] cert_file", "no certificate in it"]);
        write(&files.cert_file, &one.cert);
        failed(&files, ["[tls] key_file", "no private key in it"]);
        write(&files.key_file, &"x".repeat(FILE_BYTES_MAX as usize + 1));
        failed(&files, ["[tls] key_file", "more than"]);
        write(&files.key_file, &other.key);
        failed(&files, ["[tls] key_file", "not that of the certificate"]);
        write(&files.key_file, &one.key);
        Tls::load(files.clone()).expect("they belong together");
        let ca_file = folder.path().join("ca");
        files.client_ca = Some(ClientAuthority {
            ca_file: ca_file.clone(),
            required: true,
        });
        failed(&files, ["[tls] client_ca_file", "cannot read"]);
        write(&ca_file, &one.key);
        failed(&files, ["[tls] client_ca_file", "no certificate"]);
        write(&ca_file, &other.cert);
        let tls = Tls::load(files).expect("an authority");
        assert!(tls.requires_client());
        assert!(!format!("{tls:?}").contains("PRIVATE"));
    }

    /// As lists of numbers, too: that is how bytes are shown.
    #[test]
    fn a_key_without_its_line_feeds_is_not_repeated() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let pair = pair();
        std::fs::write(&files.cert_file, &pair.cert).expect("written");
        let lines: Vec<&str> = pair.key.lines().collect();
        let (secret, last) = (lines[1], lines.len() - 1);
        let numbers = format!("{:?}", secret.as_bytes());
        let numbers = numbers.trim_matches(['[', ']']);
        for text in [
            lines.concat(),
            lines[..last].concat(),
            lines[..last].join("\n"),
            pair.key.replacen(secret, &format!("{secret}!"), 1),
        ] {
            std::fs::write(&files.key_file, text).expect("written");
            let error = Tls::load(files.clone()).expect_err("no key");
            for said in [error.to_string(), format!("{error:?}")] {
                assert!(said.contains("key cannot be read"), "{said}");
                assert!(!said.contains(secret) && !said.contains(numbers), "{said}");
            }
        }
    }

    #[test]
    fn a_reload_takes_what_changed_or_leaves_what_was() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = files(folder.path());
        let write = |pair: &Pair| {
            std::fs::write(&files.cert_file, &pair.cert).expect("written");
            std::fs::write(&files.key_file, &pair.key).expect("written");
        };
        write(&pair());
        let tls = Tls::load(files.clone()).expect("a pair");
        let served = || Arc::clone(tls.acceptor(Protocol::Grpc).config());
        let first = served();
        assert!(!tls.reload().expect("nothing changed"));
        assert!(Arc::ptr_eq(&first, &served()));
        write(&pair());
        assert!(tls.reload().expect("another pair"));
        let second = served();
        assert!(!Arc::ptr_eq(&first, &second));
        std::fs::write(&files.key_file, pair().key).expect("written");
        tls.reload().expect_err("a key of nobody");
        assert!(Arc::ptr_eq(&second, &served()), "the old one stays");
    }
}
