//! Fuzzes what reads a request to `POST /query`.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("http_query", &fuzzing::seeds("http_query")),
    |bytes: &[u8]| {
        fuzzing::http_query(bytes);
    }
);
