//! What is in force: the value of every setting, as a file of settings has it.
//!
//! Invariant: every key that a section takes is here, and every field of the structures that they
//! become is named here, so that none is forgotten.

use std::path::PathBuf;
use std::time::Duration;

use toml::Value;
use vitalog_query::QueryConfig;
use vitalog_server::{ServerConfig, SnapshotConfig};
use vitalog_store::{Durability, StoreConfig};

use super::serving::ERASURE_DEADLINE;
use super::{ClientAuthName, Config, LogFormat, Span};

/// Section, key, and the value; `None` where it is not set and has no default.
type InForce = (&'static str, &'static str, Option<Value>);

/// Every setting, section by section.
///
/// # Errors
/// A value outside its range; settings that contradict each other.
pub(super) fn in_force(config: &Config) -> anyhow::Result<Vec<InForce>> {
    let limits = config.limits()?;
    config.web()?;
    config.tls.files()?;
    config.otlp_endpoint()?;
    let mut found = store(config);
    found.extend(query(&config.query()?, &limits));
    found.extend(server(config, &limits));
    found.extend(guarding(config));
    found.extend(snapshot(config)?);
    Ok(found)
}

fn store(config: &Config) -> Vec<InForce> {
    let StoreConfig {
        durability,
        wal_file_bytes,
        memtable_events_max,
        memtable_bytes_max,
        hot_bytes_max,
        cold_files_per_day_max,
        cold_cache_bytes_max,
        reserved_bytes,
        snapshots_max,
        retention_days,
        // These have no settings.
        queue_batches: _,
        group_events_max: _,
        group_bytes_max: _,
        manifests_kept: _,
        hot_merged_bytes_max: _,
        cooled_bytes_max: _,
        cold_text_bytes_max: _,
        upkeep_interval: _,
    } = config.store();
    let durability = match durability {
        Durability::Synced => "synced",
        Durability::Buffered => "buffered",
    };
    let deadline = config.store.erasure_deadline;
    let deadline = deadline.unwrap_or(ERASURE_DEADLINE);
    let rows = [
        ("durability", Some(durability.into())),
        ("wal_file_bytes", number(wal_file_bytes)),
        ("memtable_events_max", number(memtable_events_max)),
        ("memtable_bytes_max", number(memtable_bytes_max)),
        ("hot_bytes_max", number(hot_bytes_max)),
        ("cold_files_per_day_max", number(cold_files_per_day_max)),
        ("cold_cache_bytes_max", number(cold_cache_bytes_max)),
        ("reserved_bytes", number(reserved_bytes)),
        ("snapshots_max", number(snapshots_max)),
        ("erasure_deadline", Some(text(&deadline))),
        ("retention_days", retention_days.and_then(number)),
    ];
    of("store", rows)
}

fn query(query: &QueryConfig, limits: &ServerConfig) -> Vec<InForce> {
    let QueryConfig {
        scan_threads,
        // As many as there are cores.
        partitions: _,
        batch_rows: _,
        memory_bytes,
        // What is in force follows from `memory_bytes` where nobody says it.
        statement_memory_bytes: _,
        deadline,
        // The wire's own is as small.
        sql_bytes_max: _,
    } = *query;
    let rows = [
        ("memory_bytes", number(memory_bytes)),
        (
            "statement_memory_bytes",
            number(query.statement_memory_bytes()),
        ),
        ("scan_threads", number(scan_threads)),
        ("deadline", deadline.and_then(span)),
        ("result_rows_max", limits.result_rows_max.and_then(number)),
        ("result_bytes_max", limits.result_bytes_max.and_then(number)),
    ];
    of("query", rows)
}

fn server(config: &Config, limits: &ServerConfig) -> Vec<InForce> {
    let given = &config.server;
    let ServerConfig {
        grpc,
        http,
        // Those without a limit are the matter of other sections, or of what was given.
        public_url: _,
        access: _,
        tls: _,
        web_origins: _,
        metrics_open: _,
        slow_call: _,
        signing_key: _,
        snapshots: _,
        result_rows_max: _,
        result_bytes_max: _,
        connections_max,
        handshakes_max,
        streams_per_connection_max,
        appends_max,
        append_streams_max,
        reads_max,
        queries_max,
        downloads_max,
        upkeep_calls_max,
        queue_wait,
        call_timeout,
        publish_timeout,
        upkeep_timeout,
        greeting_wait,
        request_wait,
        reader_pause,
        drain_timeout,
    } = *limits;
    let origins = given.web_origins.clone().unwrap_or_default().0;
    let origins = origins.into_iter().map(Value::String).collect();
    let rows = [
        ("grpc", Some(text(&given.grpc.unwrap_or(grpc)))),
        ("http", Some(text(&given.http.unwrap_or(http)))),
        ("public_url", given.public_url.clone().map(Value::String)),
        ("web_origins", Some(Value::Array(origins))),
        ("connections_max", number(connections_max)),
        ("handshakes_max", number(handshakes_max)),
        (
            "streams_per_connection_max",
            number(streams_per_connection_max),
        ),
        ("appends_max", number(appends_max)),
        ("append_streams_max", number(append_streams_max)),
        ("reads_max", number(reads_max)),
        ("queries_max", number(queries_max)),
        ("downloads_max", number(downloads_max)),
        ("upkeep_calls_max", number(upkeep_calls_max)),
        ("queue_wait", span(queue_wait)),
        ("call_timeout", span(call_timeout)),
        ("publish_timeout", span(publish_timeout)),
        ("upkeep_timeout", span(upkeep_timeout)),
        ("greeting_wait", span(greeting_wait)),
        ("request_wait", span(request_wait)),
        ("reader_pause", span(reader_pause)),
        ("drain_timeout", span(drain_timeout)),
    ];
    of("server", rows)
}

fn guarding(config: &Config) -> Vec<InForce> {
    let default = ServerConfig::default();
    let (tls, log) = (&config.tls, &config.log);
    let client_auth = tls.client_auth.or_else(|| {
        let authority = tls.client_ca_file.as_ref();
        authority.map(|_| ClientAuthName::Required)
    });
    let client_auth = client_auth.map(|name| match name {
        ClientAuthName::Required => "required",
        ClientAuthName::Optional => "optional",
    });
    let format = match log.format.unwrap_or_default() {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let slow = log.slow.map(Span::duration).or(default.slow_call);
    let open = config.metrics.open.unwrap_or(default.metrics_open);
    let mut found = of(
        "auth",
        [("tokens_file", path(config.auth.tokens_file.as_ref()))],
    );
    let rows = [
        ("cert_file", path(tls.cert_file.as_ref())),
        ("key_file", path(tls.key_file.as_ref())),
        ("client_ca_file", path(tls.client_ca_file.as_ref())),
        ("client_auth", client_auth.map(Value::from)),
    ];
    found.extend(of("tls", rows));
    let rows = [
        ("format", Some(format.into())),
        ("level", log.level.clone().map(Value::String)),
        ("slow", slow.and_then(span)),
        (
            "otlp_endpoint",
            log.otlp_endpoint.clone().map(Value::String),
        ),
    ];
    found.extend(of("log", rows));
    found.extend(of("metrics", [("open", Some(Value::Boolean(open)))]));
    found
}

fn snapshot(config: &Config) -> anyhow::Result<Vec<InForce>> {
    let SnapshotConfig {
        every,
        keep,
        lease,
        lease_max,
        tables,
        delta,
    } = config.snapshots()?;
    let tables = tables.into_iter().map(Value::String).collect();
    let key_file = config.snapshot.signing_key_file.as_ref();
    let rows = [
        ("every", every.and_then(span)),
        ("keep", number(keep)),
        ("lease", span(lease)),
        ("lease_max", span(lease_max)),
        ("tables", Some(Value::Array(tables))),
        ("delta", Some(Value::Boolean(delta))),
        ("signing_key_file", path(key_file)),
    ];
    Ok(of("snapshot", rows))
}

/// The settings of one section.
fn of<const N: usize>(
    section: &'static str,
    rows: [(&'static str, Option<Value>); N],
) -> Vec<InForce> {
    let rows = rows.into_iter();
    rows.map(|(key, value)| (section, key, value)).collect()
}

fn text(value: &impl ToString) -> Value {
    Value::String(value.to_string())
}

fn number(value: impl TryInto<i64>) -> Option<Value> {
    // TOML has no larger ones, so that none was given.
    Some(Value::Integer(value.try_into().unwrap_or(i64::MAX)))
}

fn span(duration: Duration) -> Option<Value> {
    Some(text(&Span::seconds(duration.as_secs())))
}

fn path(path: Option<&PathBuf>) -> Option<Value> {
    path.map(|path| Value::String(path.display().to_string()))
}
