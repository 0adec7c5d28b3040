//! Every decoder that takes bytes from outside, each as a function of bytes, and inputs that it
//! takes.
//!
//! For fuzzers (`tools/fuzz`) and for the test below, which runs with all others; nothing here is
//! part of a server. Each returns whether the bytes were taken; none may panic, whatever they are.
//! Those of Flight SQL stand in `flight::fuzzing`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use prost::Message;
use tonic::metadata::AsciiMetadataValue;
use vitalog_wire::vitalog::v1;

use crate::auth::{Access, Scope, Signature, TokenLine, Tokens, bearer_of};
use crate::token::{self, TokenKind};
use crate::{deadline, flight, health, listing, query, snapshots};

/// One decoder.
pub type Target = fn(&[u8]) -> bool;

/// Every decoder by its name, which is that of its fuzz target too.
pub const TARGETS: [(&str, Target); 20] = [
    ("append", append),
    ("append_stream", append_stream),
    ("arrow", arrow),
    ("query", query),
    ("http_query", http_query),
    ("flight_command", flight_command),
    ("flight_ticket", flight_ticket),
    ("flight_sealed", flight_sealed),
    ("flight_action", flight_action),
    ("flight_cookie", flight_cookie),
    ("flight_upload", flight_upload),
    ("page_token", page_token),
    ("page_place", page_place),
    ("bearer", bearer),
    ("basic", basic),
    ("token_file", token_file),
    ("signed_url", signed_url),
    ("path", path),
    ("range", range),
    ("grpc_timeout", grpc_timeout),
];

/// 2025-03-01T00:00:00Z, the present of all that is decoded here.
const NOW_US: i64 = 1_740_787_200_000_000;

/// An encoded `AppendRequest`, its events or its Arrow IPC stream, and every check of them.
pub fn append(bytes: &[u8]) -> bool {
    crate::append::is_taken(&Bytes::copy_from_slice(bytes), NOW_US)
}

/// An encoded `AppendStreamRequest`: the writer's id, or a numbered batch and every check of it.
pub fn append_stream(bytes: &[u8]) -> bool {
    crate::append::is_taken_of_stream(&Bytes::copy_from_slice(bytes), NOW_US)
}

/// An Arrow IPC stream of events.
pub fn arrow(bytes: &[u8]) -> bool {
    let request = v1::AppendRequest {
        batch: Some(v1::append_request::Batch::ArrowIpc(bytes.to_vec().into())),
        ..v1::AppendRequest::default()
    };
    append(&request.encode_to_vec())
}

/// An encoded `QueryRequest` and its parameters.
pub fn query(bytes: &[u8]) -> bool {
    let Ok(request) = v1::QueryRequest::decode(bytes) else {
        return false;
    };
    query::parameters_of(request.parameters).is_ok()
}

/// A request to `POST /query`: its first three lines are the words behind the `?` of its address,
/// its `Content-Type` and its `Accept`, the rest is its body.
pub fn http_query(bytes: &[u8]) -> bool {
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let mut line = || lines.next().and_then(|line| str::from_utf8(line).ok());
    let (Some(words), Some(media), Some(accept)) = (line(), line(), line()) else {
        return false;
    };
    crate::http::is_statement(words, media, accept, lines.next().unwrap_or_default())
}

/// An encoded `FlightDescriptor`, which holds a command of Flight SQL.
pub fn flight_command(bytes: &[u8]) -> bool {
    flight::fuzzing::command(bytes)
}

/// A ticket of Flight SQL, with the values in it.
pub fn flight_ticket(bytes: &[u8]) -> bool {
    flight::fuzzing::ticket(bytes)
}

/// What tickets, handles and cookies of Flight SQL hold: a kind, then a message.
pub fn flight_sealed(bytes: &[u8]) -> bool {
    flight::fuzzing::sealed(bytes)
}

/// An encoded `Action` of Flight SQL.
pub fn flight_action(bytes: &[u8]) -> bool {
    flight::fuzzing::action(bytes)
}

/// The value of a `Cookie` header.
pub fn flight_cookie(bytes: &[u8]) -> bool {
    flight::fuzzing::cookie(bytes)
}

/// The messages of a `DoPut`, each behind its length: values or events.
pub fn flight_upload(bytes: &[u8]) -> bool {
    flight::fuzzing::upload(bytes, NOW_US)
}

/// A token of a place, as a text.
pub fn page_token(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(is_place)
}

/// What tokens of places hold: a kind, then a message.
pub fn page_place(bytes: &[u8]) -> bool {
    is_place(&token::forged(bytes))
}

/// Whether any list goes on from `token`.
fn is_place(token: &str) -> bool {
    let lists = [
        TokenKind::Models,
        TokenKind::Views,
        TokenKind::Imports,
        TokenKind::Receipts,
    ];
    lists.into_iter().any(|kind| listing::is_place(kind, token))
        || query::is_place(token)
        || snapshots::is_place(token)
        || health::is_place(token)
}

/// The value of an `Authorization` header.
pub fn bearer(bytes: &[u8]) -> bool {
    let line = TokenLine::new("name", &[Scope::Read], SECRET).expect("a line");
    let tokens = Tokens::parse(&line.to_string()).expect("one line");
    let access = Access::with_tokens(tokens);
    access.check(Some(bytes), Scope::Read).is_ok()
}

/// The value of an `Authorization` header with a name and a password, as a handshake turns it into
/// a bearer token.
pub fn basic(bytes: &[u8]) -> bool {
    let bearer = bearer_of(Some(bytes));
    bearer != b"Bearer anonymous" && AsciiMetadataValue::try_from(bearer).is_ok()
}

/// The token that [`bearer`] knows.
const SECRET: &str = "vtl_of_the_fuzzer";

/// The text of a file of tokens.
pub fn token_file(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|text| Tokens::parse(text).is_ok())
}

/// The query of a signed URL.
pub fn signed_url(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(|text| Signature::of_query(text).is_some())
}

/// The path of a request over HTTP.
pub fn path(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_ok_and(crate::http::is_address)
}

/// The value of a `Range` header, of a body whose length stands in the first bytes.
pub fn range(bytes: &[u8]) -> bool {
    let Some((length, header)) = bytes.split_first_chunk::<8>() else {
        return false;
    };
    let length = u64::from_le_bytes(*length);
    str::from_utf8(header).is_ok_and(|header| crate::http::is_part(header, length))
}

/// The value of a `grpc-timeout` header.
pub fn grpc_timeout(bytes: &[u8]) -> bool {
    let Ok(value) = axum::http::HeaderValue::from_bytes(bytes) else {
        return false;
    };
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("grpc-timeout", value);
    deadline::allowed(&headers).is_some_and(|allowed| deadline::in_time(allowed) <= allowed)
}

fn ipc() -> Vec<u8> {
    let names: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(1.0), None, Some(2.5)]));
    let batch = RecordBatch::try_from_iter([("event", names), ("value", values)]);
    let batch = batch.expect("equal lengths");
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).expect("a schema");
    writer.write(&batch).expect("written");
    writer.into_inner().expect("closed")
}

fn events() -> v1::AppendRequest {
    let event = |n: i64| v1::Event {
        event_id: Some(format!("id-{n}")),
        event_time: Some(prost_types::Timestamp {
            seconds: NOW_US / 1_000_000 - n,
            nanos: 5,
        }),
        event: "opened".to_owned(),
        account_id: Some("account".to_owned()),
        user_id: None,
        value: Some(0.5),
        properties: Some("{\"a\":[1,{\"b\":null}]}".to_owned()),
    };
    let events = (0..3).map(event).collect();
    v1::AppendRequest {
        batch: Some(v1::append_request::Batch::Events(v1::EventBatch { events })),
        request_id: "request".to_owned(),
    }
}

fn question() -> Vec<u8> {
    use v1::value::Kind;
    let kinds = [
        Kind::IntegerValue(7),
        Kind::StringValue("text".to_owned()),
        Kind::DoubleValue(0.5),
        Kind::DateValue(20_000),
    ];
    let request = v1::QueryRequest {
        sql: "SELECT $1, $2, $3, $4".to_owned(),
        parameters: kinds.map(|kind| v1::Value { kind: Some(kind) }).to_vec(),
        ..v1::QueryRequest::default()
    };
    request.encode_to_vec()
}

/// Messages of a stream: one that opens it, one with a batch.
fn stream() -> Vec<Vec<u8>> {
    use v1::append_stream_request::Part;
    let open = v1::AppendStreamOpen {
        writer_id: "writer".to_owned(),
    };
    let batch = v1::AppendStreamBatch {
        number: 1,
        append: Some(events()),
    };
    [Part::Open(open), Part::Batch(batch)]
        .map(|part| v1::AppendStreamRequest { part: Some(part) }.encode_to_vec())
        .to_vec()
}

/// A place in each kind of list, as protobuf writes it behind its kind.
fn places() -> Vec<Vec<u8>> {
    let place = |kind: TokenKind, message: &[u8]| [&[kind as u8][..], message].concat();
    // A name and a version.
    let key = b"\x0a\x01m\x10\x02";
    // A model, its version, an entity, a seq and a time.
    let pin = b"\x0a\x01m\x10\x01\x18\x01\x20\x05\x28\x07";
    // The pin, an account and the hash of a request.
    let scores = [
        &b"\x0a\x0b"[..],
        &pin[..],
        &b"\x1a\x04acme\x29\x01\x02\x03\x04\x05\x06\x07\x08"[..],
    ];
    vec![
        place(TokenKind::Models, key),
        place(TokenKind::Receipts, key),
        place(TokenKind::Picture, pin),
        place(TokenKind::Scores, &scores.concat()),
        place(TokenKind::Snapshots, b"\x0a\x02id"),
        place(
            TokenKind::SnapshotFiles,
            b"\x0a\x02id\x12\x06events\x1a\x04path",
        ),
        place(TokenKind::Queries, b"\x08\x07\x12\x02id"),
    ]
}

/// Inputs that the decoder `name` of [`TARGETS`] takes.
///
/// # Panics
/// There is none of that name.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let text = |text: &str| text.as_bytes().to_vec();
    let line = TokenLine::new("bi", &[Scope::Read], "t").expect("a line");
    match name {
        "append" => vec![events().encode_to_vec()],
        "append_stream" => stream(),
        "arrow" => vec![ipc()],
        "query" => vec![question(), Vec::new()],
        "http_query" => [
            "format=csv&max_rows=5&timeout=250ms\n\n\nSELECT 1",
            "query_id=q%201\napplication/json\ntext/csv;q=0.5, */*\n\
             {\"sql\": \"SELECT $1\", \"min_seq\": 9, \"parameters\": [7, null, 1.5, \"x\", \
             {\"timestamp\": \"2025-03-01T00:00:00Z\"}, {\"date\": \"2025-03-01\"}]}",
        ]
        .map(text)
        .to_vec(),
        "page_token" => {
            let tokens = places().into_iter().map(|place| token::forged(&place));
            tokens.map(String::into_bytes).collect()
        }
        "page_place" => places(),
        "bearer" => vec![text(&format!("Bearer {SECRET}"))],
        // "anyone:reads" and "a:b:c", with padding and without.
        "basic" => vec![
            text("Basic YW55b25lOnJlYWRz"),
            text("BASIC YTpiOmM="),
            text("basic YTpiOmM"),
        ],
        "token_file" => vec![text(&format!("# tokens\n{line}\n"))],
        "signed_url" => vec![text("expires=1740823200&signature=00ff")],
        "path" => vec![
            text("/snapshots/"),
            text("/snapshots/events/latest"),
            text("/snapshots/events/20250301T093000Z-7/dt=2025-03-01/part-00.parquet"),
        ],
        "range" => [&b"bytes=0-99"[..], b"bytes=-5", b"bytes=7-"]
            .map(|header| [&100_u64.to_le_bytes()[..], header].concat())
            .to_vec(),
        "grpc_timeout" => vec![text("5S"), text("99999999n")],
        other => {
            let seeds = flight::fuzzing::seeds(other);
            assert!(!seeds.is_empty(), "no input for {other}");
            seeds
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Decoders with fuzz targets that stand in crates above this one.
    const ELSEWHERE: [&str; 2] = ["import_csv", "import_json"];

    /// Mutations of each decoder's inputs, at least.
    const MUTATIONS: usize = 4_000;

    /// Numbers that only depend on where they began: xorshift64*.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
            number as usize % end.max(1)
        }

        /// One change of `bytes`, as faults and attackers make them.
        fn mutate(&mut self, bytes: &mut Vec<u8>) {
            let at = self.below(bytes.len());
            match self.below(7) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.below(256) as u8),
                2 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                3 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                4 => {
                    let end = (at + 4).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
                5 => {
                    let part = bytes[at..(at + self.below(16)).min(bytes.len())].to_vec();
                    bytes.extend(part);
                }
                _ => {
                    let end = (at + self.below(8)).min(bytes.len());
                    bytes.drain(at..end);
                }
            }
        }
    }

    #[test]
    fn no_decoder_panics_whatever_it_is_sent() {
        for (name, target) in TARGETS {
            let mut numbers = Numbers(0x5eed_0000 + name.len() as u64);
            let seeds = seeds(name);
            let mut refused = 0;
            for seed in &seeds {
                assert!(target(seed), "{name} takes its own input");
                for _ in 0..MUTATIONS / seeds.len() {
                    let mut bytes = seed.clone();
                    for _ in 0..=numbers.below(4) {
                        numbers.mutate(&mut bytes);
                    }
                    refused += usize::from(!target(&bytes));
                }
            }
            assert!(refused > 0, "{name} takes everything");
        }
    }

    /// What is cut short, and what has one bit wrong, in every place.
    #[test]
    fn no_decoder_panics_at_any_cut_or_bit() {
        for (name, target) in TARGETS {
            for seed in seeds(name) {
                for cut in 0..seed.len() {
                    target(&seed[..cut]);
                }
                for at in 0..seed.len() {
                    let mut bytes = seed.clone();
                    // Another bit at every byte: all of them would take minutes.
                    bytes[at] ^= 1 << (at % 8);
                    target(&bytes);
                }
            }
        }
    }

    #[test]
    fn every_decoder_has_its_fuzz_target() {
        let names: BTreeSet<String> = TARGETS
            .into_iter()
            .map(|(name, _)| name)
            .chain(ELSEWHERE)
            .map(str::to_owned)
            .collect();
        assert_eq!(names.len(), TARGETS.len() + ELSEWHERE.len(), "a name twice");
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/fuzz");
        let files = std::fs::read_dir(fuzz.join("fuzz_targets")).expect("a directory");
        let files: BTreeSet<String> = files
            .map(|file| file.expect("a file").path())
            .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
            .collect();
        assert_eq!(files, names);
        let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).expect("a manifest");
        for name in &names {
            let binary = format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n");
            assert!(manifest.contains(&binary), "{name} is no binary");
            let path = fuzz.join(format!("fuzz_targets/{name}.rs"));
            let source = std::fs::read_to_string(path).expect("a source");
            assert!(
                source.contains(&format!("plant(\"{name}\"")),
                "{name} plants others"
            );
            let calls = format!("fuzzing::{name}(bytes)");
            let is_elsewhere = ELSEWHERE.contains(&name.as_str());
            assert!(
                is_elsewhere || source.contains(&calls),
                "{name} runs another"
            );
        }
        let binaries = manifest.matches("[[bin]]").count();
        assert_eq!(binaries, names.len());
    }
}
