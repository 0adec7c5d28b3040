//! Fuzzes what reads the value of a `Range` header.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("range", &fuzzing::seeds("range")),
    |bytes: &[u8]| {
        fuzzing::range(bytes);
    }
);
