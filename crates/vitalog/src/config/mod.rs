//! Settings: defaults < TOML file < environment (`VITALOG_SECTION__KEY`) < flags.
//!
//! Unknown sections and keys are errors, so that a mistyped one is not silently without effect.

mod guarding;
mod in_force;
mod limits;
mod machine;
mod serving;
mod shown;
mod span;

use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;
use toml::{Table, Value};
use vitalog_store::{Durability, StoreConfig};

pub use self::guarding::{ClientAuthName, LogFormat, LogSection, MetricsSection, TlsSection};
pub use self::limits::{QuerySection, ServerSection};
pub use self::serving::{Addresses, AuthSection, SnapshotSection, TableList};
pub use self::shown::Settings;
pub use self::span::Span;

/// Environment variables that are settings begin so and hold `__` between section and key.
const PREFIX: &str = "VITALOG_";

/// All settings that were given; absent ones have their default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The store.
    pub store: StoreSection,
    /// The listeners.
    pub server: ServerSection,
    /// Statements.
    pub query: QuerySection,
    /// Who may call.
    pub auth: AuthSection,
    /// TLS of the listeners.
    pub tls: TlsSection,
    /// What is logged, and how.
    pub log: LogSection,
    /// `/metrics`.
    pub metrics: MetricsSection,
    /// Published snapshots.
    pub snapshot: SnapshotSection,
}

/// `[store]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSection {
    /// `synced` (an ack means durable) or `buffered` (an ack survives the process only).
    pub durability: Option<DurabilityName>,
    /// Bytes of a file of the log.
    pub wal_file_bytes: Option<u64>,
    /// Events in memory at which a flush begins.
    pub memtable_events_max: Option<usize>,
    /// Bytes in memory at which a flush begins.
    pub memtable_bytes_max: Option<usize>,
    /// Bytes of hot files beyond which the oldest become cold.
    pub hot_bytes_max: Option<u64>,
    /// Cold files of one day beyond which they are merged.
    pub cold_files_per_day_max: Option<usize>,
    /// Bytes of decoded columns of cold files that are kept for the next reader.
    pub cold_cache_bytes_max: Option<u64>,
    /// Bytes of the disk that appends leave free; 0 keeps none.
    pub reserved_bytes: Option<u64>,
    /// Published snapshots kept at once.
    pub snapshots_max: Option<usize>,
    /// Within which time an erasure is done everywhere, published snapshots included.
    pub erasure_deadline: Option<Span>,
    /// Whole UTC days before today that are kept; all of them where it is not given.
    pub retention_days: Option<u32>,
}

/// The names of [`Durability`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityName {
    /// An acknowledged event survives a power loss.
    Synced,
    /// An acknowledged event survives the end of the process, and may be lost with the last
    /// seconds before a crash of the machine.
    Buffered,
}

impl Config {
    /// Reads the file, where one is named, and the environment.
    ///
    /// # Errors
    /// A file that cannot be read, a value of the wrong type, an unknown section or key.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        Self::parse(&read(file)?, environment())
            .with_context(|| file.map_or("settings".to_owned(), |path| path.display().to_string()))
    }

    fn parse(
        text: &str,
        environment: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<Self> {
        let mut table: Table = text.parse()?;
        for (name, value) in environment {
            let Some((section, key)) = variable(&name) else {
                continue;
            };
            let entry = table
                .entry(section.clone())
                .or_insert_with(|| Table::new().into());
            let Value::Table(entry) = entry else {
                bail!("{section} is a section, not a value");
            };
            entry.insert(key, typed(&value));
        }
        Ok(table.try_into()?)
    }

    /// The settings of the store.
    #[must_use]
    pub fn store(&self) -> StoreConfig {
        let given = &self.store;
        let default = StoreConfig::default();
        let wal_file_bytes = given.wal_file_bytes.unwrap_or(default.wal_file_bytes);
        let memtable_bytes_max = given
            .memtable_bytes_max
            .unwrap_or(default.memtable_bytes_max);
        let reserve = || StoreConfig::reserve_for(memtable_bytes_max, wal_file_bytes);
        StoreConfig {
            durability: given.durability.map_or(default.durability, Into::into),
            wal_file_bytes,
            memtable_events_max: given
                .memtable_events_max
                .unwrap_or(default.memtable_events_max),
            memtable_bytes_max,
            retention_days: given.retention_days,
            hot_bytes_max: given.hot_bytes_max.unwrap_or_else(hot_bytes_default),
            cold_files_per_day_max: given
                .cold_files_per_day_max
                .unwrap_or(default.cold_files_per_day_max),
            cold_cache_bytes_max: given
                .cold_cache_bytes_max
                .unwrap_or(default.cold_cache_bytes_max),
            reserved_bytes: given.reserved_bytes.unwrap_or_else(reserve),
            snapshots_max: given.snapshots_max.unwrap_or(default.snapshots_max),
            ..default
        }
    }
}

impl From<DurabilityName> for Durability {
    fn from(name: DurabilityName) -> Self {
        match name {
            DurabilityName::Synced => Self::Synced,
            DurabilityName::Buffered => Self::Buffered,
        }
    }
}

/// The text of the file, where one is named.
fn read(file: Option<&Path>) -> anyhow::Result<String> {
    match file {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
        }
        None => Ok(String::new()),
    }
}

/// The variables of the environment. What is no Unicode is none of ours in a name, and in a value
/// shows as what it is not.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        Some((name, value.to_string_lossy().into_owned()))
    })
}

/// Section and key of the setting that an environment variable of this name is.
fn variable(name: &str) -> Option<(String, String)> {
    let (section, key) = name.strip_prefix(PREFIX)?.split_once("__")?;
    Some((section.to_ascii_lowercase(), key.to_ascii_lowercase()))
}

/// Bytes of hot files where nothing says otherwise: a quarter of the memory, so that what is asked
/// most stays in it.
fn hot_bytes_default() -> u64 {
    machine::memory_bytes().map_or(StoreConfig::default().hot_bytes_max, |bytes| bytes / 4)
}

/// A variable's text as the type that TOML would give it.
fn typed(text: &str) -> Value {
    if let Ok(number) = text.parse::<i64>() {
        return Value::Integer(number);
    }
    match text {
        "true" => Value::Boolean(true),
        "false" => Value::Boolean(false),
        other => Value::String(other.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let pairs = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        Config::parse(text, pairs)
    }

    #[test]
    fn the_environment_goes_before_the_file_and_flags_before_both() {
        let file = "[server]\ngrpc = \"127.0.0.1:1\"\n[store]\ndurability = \"buffered\"";
        let config = parse(file, &[("VITALOG_SERVER__GRPC", "127.0.0.1:2")]).expect("valid");
        let port = |grpc: Option<&str>| {
            let grpc = grpc.and_then(|grpc| grpc.parse().ok());
            let addresses = Addresses { grpc, http: None };
            config.server(addresses).expect("no files").grpc.port()
        };
        assert_eq!(port(None), 2);
        assert_eq!(port(Some("127.0.0.1:3")), 3);
        assert_eq!(config.store().durability, Durability::Buffered);
        assert_eq!(
            parse("", &[("VITALOG_DATA", "x"), ("PATH", "y")]).expect("valid"),
            Config::default()
        );
    }

    #[test]
    fn sizes_of_tiers_are_settings() {
        let file = "[store]\nhot_bytes_max = 1\ncold_files_per_day_max = 2\n\
                    cold_cache_bytes_max = 3\nreserved_bytes = 4";
        let config = parse(file, &[("VITALOG_STORE__SNAPSHOTS_MAX", "5")]).expect("valid");
        let store = config.store();
        assert_eq!((store.hot_bytes_max, store.cold_files_per_day_max), (1, 2));
        assert_eq!((store.cold_cache_bytes_max, store.reserved_bytes), (3, 4));
        assert_eq!(store.snapshots_max, 5);
        let store = parse("", &[]).expect("valid").store();
        assert_eq!(store.hot_bytes_max, hot_bytes_default());
        assert_eq!(store.reserved_bytes, StoreConfig::default().reserved_bytes);
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_errors() {
        for (text, named) in [
            ("[store]\nduralibity = \"synced\"", "duralibity"),
            ("[stores]", "stores"),
            ("[store]\ndurability = \"maybe\"", "maybe"),
            ("[query]\nmemory_bytes = \"much\"", "much"),
            ("[store]\nhot_bytes = 1", "hot_bytes"),
            ("[store]\nhot_bytes_max = -1", "-1"),
            ("[store]\nreserved_bytes = \"64 MiB\"", "64 MiB"),
            ("[snapshot]\nevery = \"1 hour\"", "1 hour"),
            ("[snapshot]\ntables = 7", "list of names"),
            ("[auth]\ntokens = \"x\"", "tokens"),
            ("[server]\nqueries = 1", "queries"),
            ("[query]\ndeadline = 60", "60"),
            ("[query]\nresult_rows_max = -1", "-1"),
        ] {
            let error = format!("{:#}", parse(text, &[]).expect_err(text));
            assert!(error.contains(named), "{error}");
        }
        assert!(parse("", &[("VITALOG_STORE__DURALIBITY", "synced")]).is_err());
    }
}
