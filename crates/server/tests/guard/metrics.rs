//! `/metrics`: what was done is what is counted, and no client makes a series.

use std::collections::{BTreeMap, BTreeSet};

use tonic::codegen::http::HeaderMap;
use vitalog_server::{Access, Scope, ServerConfig, TokenLine, Tokens};
use vitalog_store::StoreConfig;
use vitalog_wire::vitalog::v1::{AppendRequest, QueryRequest, ReadRequest};

use super::plain::{call, message_header};
use super::support::http::Http;
use super::support::{TestServer, append, free_port, numbered, read_all};
use super::{log, soon, until};

/// Every sample, by name and labels as they are written.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    let mut families = BTreeSet::new();
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            if let Some(family) = comment.strip_prefix("TYPE ") {
                assert!(families.insert(family), "{family} stands there twice");
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(name.starts_with("vitalog_"), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert!(samples.insert(name.to_owned(), value).is_none(), "{line}");
    }
    samples
}

async fn scraped(server: &TestServer) -> BTreeMap<String, f64> {
    let answer = soon(async { Http::connect(server.http).await.get("/metrics").await }).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let media = answer.header("content-type").unwrap();
    assert!(media.starts_with("application/openmetrics-text"), "{media}");
    samples(answer.text())
}

async fn running(server: &TestServer) -> f64 {
    scraped(server).await["vitalog_running_queries"]
}

/// Failures of every reason. What fails is counted there after all else.
fn failures(samples: &BTreeMap<String, f64>) -> f64 {
    let name = "vitalog_failures_total{";
    let found = samples.iter().filter(|(found, _)| found.starts_with(name));
    found.map(|(_, count)| count).sum()
}

fn calls(service: &str, method: &str, code: &str) -> String {
    format!("vitalog_rpc_calls_total{{service=\"{service}\",method=\"{method}\",code=\"{code}\"}}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_is_counted() {
    let server = TestServer::start().await;
    let mut client = server.events().await;
    for batch in 0..3 {
        append(&mut client, numbered(batch * 10..batch * 10 + 10)).await;
    }
    append(&mut client, numbered(0..10)).await;
    client.append(AppendRequest::default()).await.unwrap_err();
    read_all(&mut client, ReadRequest::default()).await;
    let events = "vitalog.v1.EventService";
    until(async || {
        let found = scraped(&server).await;
        found.contains_key(&calls(events, "Read", "OK"))
    })
    .await;
    let found = scraped(&server).await;
    let counted = |name: &str| {
        *found
            .get(name)
            .unwrap_or_else(|| panic!("{name} in {found:?}"))
    };
    let labels = format!("{{service=\"{events}\",method=\"Append\"}}");
    for (name, expected) in [
        (calls(events, "Append", "OK"), 4.0),
        (calls(events, "Append", "INVALID_ARGUMENT"), 1.0),
        (calls(events, "Read", "OK"), 1.0),
        (format!("vitalog_rpc_duration_seconds_count{labels}"), 5.0),
        (format!("vitalog_rpc_open{labels}"), 0.0),
        (
            "vitalog_failures_total{reason=\"INVALID_REQUEST\"}".to_owned(),
            1.0,
        ),
        (
            "vitalog_append_events_total{outcome=\"accepted\"}".to_owned(),
            30.0,
        ),
        (
            "vitalog_append_events_total{outcome=\"duplicate\"}".to_owned(),
            10.0,
        ),
        ("vitalog_append_durable_seconds_count".to_owned(), 4.0),
        ("vitalog_append_visible_seconds_count".to_owned(), 4.0),
        ("vitalog_append_pending_bytes".to_owned(), 0.0),
        ("vitalog_seq".to_owned(), 30.0),
        ("vitalog_writable".to_owned(), 1.0),
        ("vitalog_tier_rows{tier=\"memory\"}".to_owned(), 30.0),
        ("vitalog_queue_batches".to_owned(), 0.0),
        ("vitalog_running_queries".to_owned(), 0.0),
        ("vitalog_connections{listener=\"grpc\"}".to_owned(), 1.0),
    ] {
        assert_eq!(counted(&name), expected, "{name}");
    }
    for name in [
        "vitalog_wal_bytes",
        "vitalog_wal_groups_total",
        "vitalog_process_resident_memory_bytes",
        "vitalog_process_open_fds",
    ] {
        assert!(!cfg!(target_os = "linux") || counted(name) > 0.0, "{name}");
    }
    let visible = counted("vitalog_append_visible_seconds_sum");
    assert!(visible <= counted("vitalog_append_durable_seconds_sum"));

    server.store.flush().unwrap();
    let found = scraped(&server).await;
    assert_eq!(found["vitalog_tier_rows{tier=\"hot\"}"], 30.0);
    assert_eq!(found["vitalog_tier_rows{tier=\"memory\"}"], 0.0);
    for name in [
        "vitalog_mapped_bytes",
        "vitalog_tier_sections{tier=\"hot\"}",
    ] {
        assert!(found[name] > 0.0, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_counted_and_told_without_its_text() {
    log::keep();
    let server = TestServer::start().await;
    let mut http = Http::connect(server.http).await;
    let text = "SELECT 1 / (500000 - value) AS n, 'secret-of-an-answer' AS s \
                FROM generate_series(1, 1000000)";
    let posted = http.post("/query?format=csv", &[], text.as_bytes());
    let (answer, is_whole) = soon(posted).await;
    assert_eq!((answer.status, is_whole), (200, false));
    until(async || {
        let found = scraped(&server).await;
        found
            .keys()
            .any(|name| name.starts_with("vitalog_failures_total{"))
    })
    .await;
    let told = || {
        let text = log::text();
        let lines = text
            .lines()
            .filter(|line| line.contains("\"target\":\"vitalog"));
        let lines: Vec<&str> = lines.collect();
        assert!(!lines.concat().contains("secret-of-an-answer"));
        lines.iter().any(|line| {
            line.contains("an answer broke off") && line.contains("\"route\":\"/query\"")
        })
    };
    until(async || told()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_counted_while_they_run() {
    let server = TestServer::start().await;
    let mut client = server.queries().await;
    assert_eq!(running(&server).await, 0.0);
    let endless = QueryRequest {
        sql: "SELECT a.value FROM generate_series(1, 100000000) a(value)".to_owned(),
        ..QueryRequest::default()
    };
    let first = soon(client.query(endless.clone())).await.unwrap();
    let second = soon(client.query(endless)).await.unwrap();
    assert_eq!(running(&server).await, 2.0);
    drop(first);
    until(async || running(&server).await == 1.0).await;
    drop(second);
    until(async || running(&server).await == 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_makes_a_series() {
    let server = TestServer::start().await;
    let mut channel = server.channel().await;
    let mut http = Http::connect(server.http).await;
    let strange = async |channel: &mut tonic::transport::Channel, http: &mut Http, n: usize| {
        for path in [
            format!("/vitalog.v1.EventService/Strange{n}"),
            format!("/strange{n}.Service/Method"),
        ] {
            soon(call(channel, &path, HeaderMap::new(), message_header(0))).await;
        }
        assert_eq!(http.get(&format!("/strange{n}")).await.status, 404);
        assert_eq!(
            http.get(&format!("/snapshots/strange{n}")).await.status,
            404
        );
    };
    strange(&mut channel, &mut http, 0).await;
    // A scrape is counted when it is over, and so seen by the next; the others may be counted after
    // their answers have come.
    let scrapes = "vitalog_http_requests_total{route=\"/metrics\",status=\"200\"}";
    until(async || {
        let found = scraped(&server).await;
        found.contains_key(scrapes) && failures(&found) >= 4.0
    })
    .await;
    let before: BTreeSet<String> = scraped(&server).await.into_keys().collect();
    for n in 1..30 {
        strange(&mut channel, &mut http, n).await;
    }
    until(async || failures(&scraped(&server).await) >= 120.0).await;
    let route = "vitalog_http_requests_total{route=\"other\",status=\"404\"}";
    let after = scraped(&server).await;
    let names: BTreeSet<String> = after.keys().cloned().collect();
    assert_eq!(
        names.difference(&before).collect::<Vec<_>>(),
        Vec::<&String>::new()
    );
    assert_eq!(after[&calls("other", "other", "UNIMPLEMENTED")], 60.0);
    assert_eq!(after[route], 30.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_for_readers_unless_they_are_open() {
    let token = "vtl_scraper";
    let line = TokenLine::new("prometheus", &[Scope::Read], token).unwrap();
    let access = Access::with_tokens(Tokens::parse(&line.to_string()).unwrap());
    for metrics_open in [false, true] {
        let config = ServerConfig {
            access: access.clone(),
            metrics_open,
            ..free_port()
        };
        let server = TestServer::with(config, StoreConfig::default()).await;
        let mut http = Http::connect(server.http).await;
        let expected = if metrics_open { 200 } else { 401 };
        assert_eq!(http.get("/metrics").await.status, expected);
        let header = format!("Authorization: Bearer {token}");
        let answer = http.ask("GET", "/metrics", &[&header]).await;
        assert_eq!(answer.status, 200);
        // Probes need no token, and tell nothing.
        assert_eq!(http.get("/livez").await.status, 200);
        assert_eq!(http.get("/readyz").await.status, 200);
    }
    // A page that gives its own name this machine's address reads nothing.
    let server = TestServer::start().await;
    let mut http = Http::connect(server.http).await;
    let answer = http
        .ask("GET", "/metrics", &["Host: evil.example.com"])
        .await;
    assert_eq!(
        (answer.status, answer.reason().as_str()),
        (421, "WRONG_HOST")
    );
}
