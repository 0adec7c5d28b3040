//! `docs/clients/grpc.md` is true: its Rust example is this file's and works, its tables are those
//! of the code, what it calls exists.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::io::Cursor;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use prost::Message;
use prost_types::FileDescriptorSet;
use support::{TestServer, numbered, request};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vitalog_server::{Reason, ServerConfig, limits};
use vitalog_wire::vitalog::v1::event_service_client::EventServiceClient;
use vitalog_wire::vitalog::v1::get_scores_request::ChangedSince;
use vitalog_wire::vitalog::v1::health_service_client::HealthServiceClient;
use vitalog_wire::vitalog::v1::query_response::Part;
use vitalog_wire::vitalog::v1::query_service_client::QueryServiceClient;
use vitalog_wire::vitalog::v1::{
    AppendRequest, AppendResponse, GetScoresRequest, QueryRequest, ReadRequest, Score, StoredEvent,
};

const PAGE: &str = include_str!("../../../docs/clients/grpc.md");

const HTTP_PAGE: &str = include_str!("../../../docs/clients/http.md");

// The example begins here.
/// Appends a batch; sends it again for as long as the outcome is unknown.
async fn append(
    client: &mut EventServiceClient<Channel>,
    request: AppendRequest,
) -> Result<AppendResponse, Status> {
    let mut pause = Duration::from_millis(100);
    loop {
        match client.append(request.clone()).await {
            Ok(answer) => return Ok(answer.into_inner()),
            Err(status) if is_worth_a_retry(&status) && pause < Duration::from_secs(30) => {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            Err(status) => return Err(status),
        }
    }
}

fn is_worth_a_retry(status: &Status) -> bool {
    // What the transport says of a broken connection has no details.
    let is_lost = status.details().is_empty()
        && matches!(
            status.code(),
            Code::Unavailable | Code::Cancelled | Code::Unknown
        );
    let is_late = status.code() == Code::DeadlineExceeded;
    is_lost || is_late || status.get_error_details().retry_info().is_some()
}

/// Handles `count` events from `next_seq` on; returns where to resume.
async fn tail(
    client: &mut EventServiceClient<Channel>,
    mut next_seq: u64,
    count: u64,
    mut handle: impl FnMut(&StoredEvent),
) -> Result<u64, Status> {
    let request = ReadRequest {
        from_seq: next_seq,
        follow: true,
        limit: count,
        ..ReadRequest::default()
    };
    let mut stream = client.read(request).await?.into_inner();
    while let Some(message) = stream.message().await? {
        message.events.iter().for_each(&mut handle);
        next_seq = message.next_seq;
    }
    Ok(next_seq)
}

/// The whole answer of a statement.
async fn query(
    client: &mut QueryServiceClient<Channel>,
    sql: &str,
) -> Result<Vec<RecordBatch>, Box<dyn Error>> {
    let request = QueryRequest {
        sql: sql.to_owned(),
        ..QueryRequest::default()
    };
    let mut stream = client.query(request).await?.into_inner();
    let (mut arrow, mut statistics) = (Vec::new(), None);
    while let Some(message) = stream.message().await? {
        match message.part {
            Some(Part::ArrowIpc(piece)) => arrow.extend_from_slice(&piece),
            Some(Part::Statistics(last)) => statistics = Some(last),
            _ => {}
        }
    }
    statistics.ok_or("the answer is incomplete")?;
    let batches = StreamReader::try_new(Cursor::new(arrow), None)?;
    Ok(batches.collect::<Result<_, _>>()?)
}

/// Brings a copy of all accounts' scores up to date. `token` is what the last call returned, and
/// belongs with the copy; without one the copy is made anew.
async fn update(
    client: &mut HealthServiceClient<Channel>,
    copy: &mut HashMap<String, Score>,
    token: Option<String>,
) -> Result<Option<String>, Status> {
    if token.is_none() {
        copy.clear();
    }
    let mut request = GetScoresRequest {
        changed_since: token.map(ChangedSince::ChangedSinceToken),
        page_size: 1_000,
        ..GetScoresRequest::default()
    };
    loop {
        let page = client.get_scores(request.clone()).await?.into_inner();
        for score in page.scores {
            copy.insert(score.account_id().to_owned(), score);
        }
        for entity in page.removed {
            copy.remove(entity.account_id());
        }
        if page.next_page_token.is_empty() {
            return Ok(page.picture.map(|picture| picture.token));
        }
        request.page_token = page.next_page_token;
    }
}
// The example ends here.

#[tokio::test(flavor = "multi_thread")]
async fn the_example_works() {
    let server = TestServer::start().await;
    let (mut events, mut queries) = (server.events().await, server.queries().await);
    assert_eq!(
        append(&mut events, request(numbered(0..40)))
            .await
            .unwrap()
            .accepted,
        40
    );
    let mut seqs = Vec::new();
    let next_seq = tail(&mut events, 1, 40, |event| seqs.push(event.seq))
        .await
        .unwrap();
    assert_eq!((next_seq, seqs.len()), (41, 40));
    let batches = query(&mut queries, "SELECT count(*) FROM events")
        .await
        .unwrap();
    assert_eq!(
        batches[0].column(0).as_primitive::<Int64Type>().value(0),
        40
    );
    assert!(
        query(&mut queries, "SELECT nothing FROM nowhere")
            .await
            .is_err()
    );
    let (mut health, mut copy) = (server.health().await, HashMap::new());
    let token = update(&mut health, &mut copy, None).await.unwrap();
    assert_eq!(copy.len(), 4);
    let before = copy.clone();
    let token = update(&mut health, &mut copy, token).await.unwrap();
    assert!(token.is_some());
    assert_eq!(copy, before, "one picture serves both");
}

#[test]
fn the_page_shows_the_example() {
    let source = include_str!("client_page.rs");
    let (_, rest) = source.split_once("// The example begins here.\n").unwrap();
    let (example, _) = rest.split_once("// The example ends here.\n").unwrap();
    assert!(
        PAGE.contains(&format!("```rust\n{example}```\n")),
        "copy it to docs/clients/grpc.md"
    );
}

#[test]
fn the_table_of_errors_is_that_of_the_code() {
    let rows: Vec<Vec<&str>> = PAGE
        .lines()
        .filter(|line| line.starts_with("| `") && line.split('|').count() == 6)
        .map(|line| {
            line.split('|')
                .map(|cell| cell.trim().trim_matches('`'))
                .collect()
        })
        .collect();
    assert_eq!(rows.len(), Reason::ALL.len());
    for (row, reason) in rows.iter().zip(Reason::ALL) {
        assert_eq!(row[1], reason.as_str());
        assert_eq!(
            row[2].replace('_', ""),
            format!("{:?}", reason.code()).to_uppercase()
        );
        assert_eq!(
            row[3] == "yes",
            reason.retry_after().is_some(),
            "{}",
            row[1]
        );
    }
}

/// The limits of HTTP, and where it listens.
#[test]
fn the_page_of_http_tells_the_same() {
    let config = ServerConfig::default();
    for words in [
        format!("`127.0.0.1:{}`", config.http.port()),
        format!("| connections | {}", config.connections_max),
        format!("over HTTP and gRPC together | {}", config.downloads_max),
        format!("next whole request | {} s", config.request_wait.as_secs()),
        format!(
            "takes nothing | {} minutes",
            config.reader_pause.as_secs() / 60
        ),
    ] {
        assert!(HTTP_PAGE.contains(&words), "{words}");
    }
    let cells = HTTP_PAGE
        .lines()
        .filter(|line| line.starts_with("| "))
        .flat_map(|line| line.split('`'));
    let reasons: HashSet<&str> = Reason::ALL.map(Reason::as_str).into();
    let named: HashSet<&str> = cells.filter(|cell| reasons.contains(cell)).collect();
    assert!(named.len() > 12, "{named:?}");
    for upper in HTTP_PAGE
        .split('`')
        .filter(|word| word.contains("_NOT_") || word.ends_with("_GONE"))
    {
        assert!(reasons.contains(upper), "{upper}");
    }
}

/// A number as people write it.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn the_limits_are_those_of_the_code() {
    let config = ServerConfig::default();
    for (row, limit) in [
        (
            "| one `AppendRequest`, decompressed | ",
            format!("{} MiB", limits::APPEND_BYTES_MAX >> 20),
        ),
        (
            "| one message of `AppendStream`, and all that are under way on a stream | ",
            {
                let bytes = limits::STREAM_CREDIT_BYTES >> 20;
                let events = thousands(limits::STREAM_EVENTS_MAX);
                format!("{bytes} MiB; one batch {events} events")
            },
        ),
        (
            "| batches of one stream that are taken and not yet answered | ",
            limits::STREAM_BATCHES_MAX.to_string(),
        ),
        (
            "| append streams open at once, idle ones included | ",
            format!("{} by default", config.append_streams_max),
        ),
        ("| a writer id | ", {
            let bytes = vitalog_store::WRITER_ID_BYTES_MAX;
            let writers = thousands(vitalog_store::WRITERS_MAX);
            format!("{bytes} bytes; {writers} writers a store")
        }),
        (
            "| one SQL statement | ",
            format!("{} MiB", limits::SQL_BYTES_MAX >> 20),
        ),
        (
            "| one message of a stream | ",
            format!("{} MiB", limits::MESSAGE_BYTES_MAX >> 20),
        ),
        (
            "| values of one statement's placeholders | ",
            thousands(limits::PARAMETERS_MAX),
        ),
        (
            "| one health model | ",
            format!("{} MiB", limits::MODEL_BYTES_MAX >> 20),
        ),
        (
            "| one page of scores, models, views, snapshots or files | ",
            {
                let (rows, default) = (limits::PAGE_ROWS_MAX, limits::PAGE_ROWS_DEFAULT);
                let bytes = limits::PAGE_BYTES >> 20;
                let rows = thousands(rows);
                format!("{rows} rows, {default} by default; closed at {bytes} MiB")
            },
        ),
        ("| one list of a check or an explanation | ", {
            let rows = thousands(limits::LIST_ROWS_MAX);
            let default = thousands(limits::LIST_ROWS_DEFAULT);
            format!("{rows} rows, {default} by default")
        }),
        (
            "| values of one filter of scores | ",
            limits::FILTER_VALUES_MAX.to_string(),
        ),
        ("| one picture | ", {
            let rows = thousands(limits::PICTURE_ROWS_MAX);
            let bytes = limits::PICTURE_BYTES_MAX >> 20;
            format!("{rows} entities, {bytes} MiB")
        }),
        ("| pictures kept | ", {
            let (count, bytes) = (limits::PICTURES_MAX, limits::PICTURES_BYTES_MAX >> 20);
            let minutes = limits::PICTURE_IDLE_MAX.as_secs() / 60;
            format!("{count}, together {bytes} MiB, each until {minutes} minutes")
        }),
        (
            "| pictures computed at once | ",
            limits::PICTURES_COMPUTED_MAX.to_string(),
        ),
        ("  its age; ", {
            let default = limits::STALENESS_DEFAULT.as_secs();
            format!("{default} s where a request says nothing")
        }),
        (
            "| `request_id` | ",
            format!("{} bytes", limits::REQUEST_ID_BYTES_MAX),
        ),
        (
            "| connections | ",
            format!("{} by default", config.connections_max),
        ),
        (
            "| calls at once on a connection | ",
            config.streams_per_connection_max.to_string(),
        ),
        (
            "| reads open at once, tails included | ",
            config.reads_max.to_string(),
        ),
        (
            "| statements running at once | ",
            config.queries_max.to_string(),
        ),
        (
            "| data in one message of `Fetch` | ",
            format!("{} MiB", limits::FETCH_PIECE_BYTES >> 20),
        ),
        ("| lease of a snapshot | ", {
            let longest = config.snapshots.lease_max.as_secs() / 3_600;
            format!("from 1 minute to {longest} h by default")
        }),
        (
            "| downloads at once, over gRPC and HTTP together | ",
            config.downloads_max.to_string(),
        ),
        ("The server pings each connection every ", {
            let (interval, timeout) = (limits::KEEPALIVE_INTERVAL, limits::KEEPALIVE_TIMEOUT);
            format!(
                "{} s and closes it when {} s",
                interval.as_secs(),
                timeout.as_secs()
            )
        }),
    ] {
        assert!(PAGE.contains(&format!("{row}{limit}")), "{row}{limit}");
    }
    assert!(PAGE.contains(&format!("127.0.0.1:{}", config.grpc.port())));
}

#[test]
fn what_the_page_calls_exists() {
    let set = FileDescriptorSet::decode(vitalog_wire::FILE_DESCRIPTOR_SET).unwrap();
    let mut methods = HashSet::new();
    let mut fields = HashSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                methods.insert(format!(
                    "{}.{}/{}",
                    file.package(),
                    service.name(),
                    method.name()
                ));
            }
        }
        for field in file.message_type.iter().flat_map(|message| &message.field) {
            fields.insert(field.json_name().to_owned());
        }
    }
    let called: HashSet<_> = PAGE
        .split(|char: char| char.is_whitespace() || char == '`')
        .filter(|word| word.starts_with("vitalog.v1.") && word.contains('/'))
        .map(str::to_owned)
        .collect();
    assert_eq!(
        called,
        methods
            .into_iter()
            .filter(|name| name.starts_with("vitalog"))
            .collect()
    );
    let keys = PAGE.split('"').collect::<Vec<_>>();
    let keys: Vec<_> = keys
        .windows(2)
        .filter(|pair| pair[1].starts_with(": "))
        .map(|pair| pair[0])
        .collect();
    assert!(keys.len() > 6, "{keys:?}");
    for key in keys {
        assert!(fields.contains(key), "{key}");
    }
}
