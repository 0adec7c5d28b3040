//! Fuzzes what reads an encoded `AppendRequest`.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("append", &fuzzing::seeds("append")),
    |bytes: &[u8]| {
        fuzzing::append(bytes);
    }
);
