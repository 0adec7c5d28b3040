//! Fuzzes what reads an encoded `AppendStreamRequest`.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("append_stream", &fuzzing::seeds("append_stream")),
    |bytes: &[u8]| {
        fuzzing::append_stream(bytes);
    }
);
