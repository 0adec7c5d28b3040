//! Fuzzes what reads an encoded `QueryRequest`.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("query", &fuzzing::seeds("query")),
    |bytes: &[u8]| {
        fuzzing::query(bytes);
    }
);
