//! What a server is made of: the sections `[auth]` and `[snapshot]`, and those of others together.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Deserializer};
use vitalog_query::PublishTable;
use vitalog_server::{Access, ServerConfig, SigningKey, SnapshotConfig, Tokens};

use super::Config;
use super::span::Span;

/// Within which time an erasure is done where nothing says otherwise.
pub(super) const ERASURE_DEADLINE: Span = Span::hours(72);
/// The lease of a snapshot where nothing says otherwise.
const LEASE: Span = Span::hours(24);
/// The longest lease where nothing says otherwise, and the erasure deadline leaves room.
const LEASE_MAX: Span = Span::hours(48);
/// Most bytes of a file of tokens or of a key.
const SECRET_FILE_BYTES_MAX: u64 = 1 << 20;

/// `[auth]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthSection {
    /// The file of hashed bearer tokens; without one everyone may do everything.
    pub tokens_file: Option<PathBuf>,
}

/// `[snapshot]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotSection {
    /// From one scheduled snapshot to the next; without it there is no schedule.
    pub every: Option<Span>,
    /// Snapshots that the schedule keeps.
    pub keep: Option<usize>,
    /// How long a snapshot is kept at least.
    pub lease: Option<Span>,
    /// The longest lease that may be asked for.
    pub lease_max: Option<Span>,
    /// The tables; without them all.
    pub tables: Option<TableList>,
    /// Whether a Delta log is kept over the files.
    pub delta: Option<bool>,
    /// The file of the secret that signs URLs; without one a secret lives as long as the process.
    pub signing_key_file: Option<PathBuf>,
}

/// Names: a list, or one text with commas, as the environment has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableList(pub Vec<String>);

impl<'de> Deserialize<'de> for TableList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a list of names")]
        enum Form {
            List(Vec<String>),
            Text(String),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::List(names) => names,
            Form::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
        }))
    }
}

/// Addresses that flags name; they go before all else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Addresses {
    /// Of the gRPC listener.
    pub grpc: Option<SocketAddr>,
    /// Of the HTTP listener.
    pub http: Option<SocketAddr>,
}

impl Config {
    /// The settings of a server, with the secrets of the files that they name.
    ///
    /// # Errors
    /// A file that cannot be read or is none of its kind; a limit outside its range; settings that
    /// contradict each other.
    pub fn server(&self, addresses: Addresses) -> anyhow::Result<ServerConfig> {
        let default = self.limits()?;
        let given = &self.server;
        let (public_url, web_origins) = self.web()?;
        Ok(ServerConfig {
            grpc: addresses.grpc.or(given.grpc).unwrap_or(default.grpc),
            http: addresses.http.or(given.http).unwrap_or(default.http),
            public_url,
            access: self.access()?,
            tls: self.tls.load()?,
            web_origins,
            metrics_open: self.metrics.open.unwrap_or(default.metrics_open),
            slow_call: self.log.slow.map(Span::duration).or(default.slow_call),
            signing_key: Some(self.signing_key()?),
            snapshots: self.snapshots()?,
            ..default
        })
    }

    /// The public URL, and the origins of pages that may call.
    ///
    /// # Errors
    /// One that is none.
    pub(super) fn web(&self) -> anyhow::Result<(Option<String>, Vec<String>)> {
        let given = &self.server;
        let public_url = given.public_url.as_deref().map(public_url).transpose()?;
        let origins = given.web_origins.as_ref().map(|origins| &origins.0);
        let origins = origins.into_iter().flatten().map(|text| origin(text));
        Ok((public_url, origins.collect::<anyhow::Result<_>>()?))
    }

    /// What is published, and when.
    ///
    /// # Errors
    /// Leases that do not fit each other or the erasure deadline; no snapshot kept.
    pub fn snapshots(&self) -> anyhow::Result<SnapshotConfig> {
        let default = SnapshotConfig::default();
        let given = &self.snapshot;
        let deadline = self.store.erasure_deadline.unwrap_or(ERASURE_DEADLINE);
        let lease = given.lease.unwrap_or(LEASE);
        let room = deadline.duration() * 2 / 3;
        let lease_max = match given.lease_max {
            Some(lease_max) => lease_max.duration(),
            None => LEASE_MAX.duration().min(room).max(lease.duration()),
        };
        let longest = given.lease_max.unwrap_or(lease);
        ensure!(
            lease.duration() <= lease_max,
            "[snapshot] lease is {lease}, longer than lease_max, which is {longest}"
        );
        ensure!(
            lease_max < deadline.duration(),
            "[snapshot] a lease may last {longest}, but an erasure must be done within {deadline} \
             ([store] erasure_deadline): the longest lease must be shorter"
        );
        let keep = given.keep.unwrap_or(default.keep);
        ensure!(keep > 0, "[snapshot] keep is 0, expected at least 1");
        let tables = given.tables.clone().unwrap_or_default().0;
        for name in &tables {
            let known = PublishTable::ALL.map(PublishTable::as_str).join(", ");
            ensure!(
                PublishTable::of(name).is_some(),
                "[snapshot] tables: there is no table {name:?}; expected any of {known}"
            );
        }
        Ok(SnapshotConfig {
            every: given.every.map(Span::duration),
            keep,
            lease: lease.duration(),
            lease_max,
            tables,
            delta: given.delta.unwrap_or(default.delta),
        })
    }

    fn access(&self) -> anyhow::Result<Access> {
        let Some(tokens) = self.tokens()? else {
            return Ok(Access::open());
        };
        ensure!(
            !tokens.is_empty(),
            "[auth] tokens_file has no token; `vitalog token new` makes one"
        );
        Ok(Access::with_tokens(tokens))
    }

    /// The tokens of the file as it is now; `None` where none is named.
    ///
    /// # Errors
    /// The file cannot be read or is none of its kind.
    pub fn tokens(&self) -> anyhow::Result<Option<Tokens>> {
        let Some(path) = &self.auth.tokens_file else {
            return Ok(None);
        };
        let bytes = read_secret(path, "[auth] tokens_file")?;
        let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
        let tokens = Tokens::parse(&text).with_context(|| path.display().to_string())?;
        Ok(Some(tokens))
    }

    fn signing_key(&self) -> anyhow::Result<SigningKey> {
        let Some(path) = &self.snapshot.signing_key_file else {
            return Ok(SigningKey::random());
        };
        let bytes = read_secret(path, "[snapshot] signing_key_file")?;
        let secret = bytes.trim_ascii();
        let fewest = SigningKey::SECRET_BYTES_MIN;
        ensure!(
            secret.len() >= fewest,
            "{}: the secret has {} bytes, expected at least {fewest}",
            path.display(),
            secret.len()
        );
        Ok(SigningKey::from_secret(secret))
    }
}

/// The bytes of a small file.
fn read_secret(path: &Path, setting: &str) -> anyhow::Result<Vec<u8>> {
    let failed = || format!("{setting}: cannot read {}", path.display());
    let bytes = std::fs::metadata(path).with_context(failed)?.len();
    ensure!(
        bytes <= SECRET_FILE_BYTES_MAX,
        "{setting}: {} has {bytes} bytes, at most {SECRET_FILE_BYTES_MAX} are read",
        path.display()
    );
    std::fs::read(path).with_context(failed)
}

/// `text` as browsers write the origin of a page: scheme, host, and a port that is not the usual
/// one.
fn origin(text: &str) -> anyhow::Result<String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_plain = |byte: u8| is_plain(byte) || b"-.:[]".contains(&byte);
    match rest {
        Some(rest) if !rest.is_empty() && rest.bytes().all(is_plain) => Ok(text.to_owned()),
        _ => bail!(
            "[server] web_origins has {text:?}, expected an origin as browsers write it, in small \
             letters and without a path: https://app.example.com"
        ),
    }
}

/// `text` as what stands before the paths of files, without a slash at its end.
fn public_url(text: &str) -> anyhow::Result<String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let is_plain = |char: char| char.is_ascii_graphic() && !"?#@\"<>\\".contains(char);
    match rest {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && rest.chars().all(is_plain) => {
            Ok(text.trim_end_matches('/').to_owned())
        }
        _ if text.contains('@') => {
            bail!("[server] public_url has a user or a password; it needs none")
        }
        _ => bail!(
            "[server] public_url is {text:?}, expected http:// or https:// with a host, and no \
             query"
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, std::iter::empty()).expect(text)
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3_600)
    }

    #[test]
    fn leases_fit_the_erasure_deadline() {
        let leases = |text: &str| {
            let found = config(text).snapshots();
            found.map(|found| (found.lease, found.lease_max))
        };
        assert_eq!(leases("").expect("defaults"), (hours(24), hours(48)));
        let text = "[snapshot]\nlease = \"60h\"";
        assert_eq!(leases(text).expect("below 72h"), (hours(60), hours(60)));
        let text = "[store]\nerasure_deadline = \"30h\"";
        assert_eq!(leases(text).expect("below 30h"), (hours(24), hours(24)));
        let text = "[store]\nerasure_deadline = \"30d\"\n[snapshot]\nlease_max = \"20d\"";
        assert_eq!(leases(text).expect("below 30d"), (hours(24), hours(480)));
        for (text, words) in [
            (
                "[snapshot]\nlease = \"72h\"",
                ["lease may last 3d", "within 3d"],
            ),
            ("[snapshot]\nlease_max = \"4d\"", ["4d", "erasure_deadline"]),
            ("[store]\nerasure_deadline = \"12h\"", ["1d", "12h"]),
            (
                "[snapshot]\nlease = \"2d\"\nlease_max = \"1d\"",
                ["lease is 2d", "lease_max, which is 1d"],
            ),
            ("[snapshot]\nkeep = 0", ["keep is 0", "at least 1"]),
            ("[snapshot]\ntables = \"event\"", ["\"event\"", "events"]),
        ] {
            let error = leases(text).expect_err(text).to_string();
            for word in words {
                assert!(error.contains(word), "{word:?} in {error}");
            }
        }
    }

    #[test]
    fn tables_are_a_list_or_a_text() {
        let names = ["events".to_owned(), "accounts".to_owned()];
        for text in [
            "[snapshot]\ntables = [\"events\", \"accounts\"]",
            "[snapshot]\ntables = \"events, accounts\"",
        ] {
            let found = config(text).snapshots().expect(text);
            assert_eq!(found.tables, names);
        }
    }

    #[test]
    fn a_public_url_ends_without_a_slash() {
        let url = |text| public_url(text).ok();
        assert_eq!(
            url("https://vitalog.example.com/").as_deref(),
            Some("https://vitalog.example.com")
        );
        assert_eq!(
            url("http://10.0.0.1:8080/a").as_deref(),
            Some("http://10.0.0.1:8080/a")
        );
        for text in [
            "",
            "example.com",
            "ftp://x",
            "https://",
            "https:///x",
            "https://x?y=1",
            "http://a b",
        ] {
            assert_eq!(url(text), None, "{text}");
        }
        let refused = public_url("https://ada:secret@example.com").expect_err("a user");
        assert!(!refused.to_string().contains("secret"), "{refused}");
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        for text in [
            "https://app.example.com",
            "http://localhost:3000",
            "http://[::1]:80",
        ] {
            assert_eq!(origin(text).expect(text), text);
        }
        for text in [
            "",
            "*",
            "app.example.com",
            "https://",
            "https://A.example",
            "https://a/",
        ] {
            let error = origin(text).expect_err(text).to_string();
            assert!(error.contains("web_origins"), "{error}");
        }
        let text = "[server]\nweb_origins = \"https://a.example, https://b.example\"";
        let server = config(text).server(Addresses::default()).expect("two");
        assert_eq!(server.web_origins.len(), 2);
    }

    #[test]
    fn secrets_come_from_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let (tokens, key) = (folder.path().join("tokens"), folder.path().join("key"));
        let text =
            format!("[auth]\ntokens_file = {tokens:?}\n[snapshot]\nsigning_key_file = {key:?}");
        let server = || config(&text).server(Addresses::default());
        let failed = |word: &str| {
            let error = format!("{:#}", server().expect_err(word));
            assert!(error.contains(word), "{error}");
        };
        failed("tokens_file: cannot read");
        std::fs::write(&tokens, "bi all 00\n").expect("written");
        failed("line 1");
        let line = format!("bi read {}\n", "0".repeat(64));
        std::fs::write(&tokens, line).expect("written");
        failed("signing_key_file: cannot read");
        std::fs::write(&key, "short\n").expect("written");
        failed("has 5 bytes, expected at least 32");
        std::fs::write(&key, "0".repeat(32)).expect("written");
        assert!(!server().expect("both are there").access.is_open());
    }
}
