//! Fuzzes what reads the value of an `Authorization` header.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("bearer", &fuzzing::seeds("bearer")),
    |bytes: &[u8]| {
        fuzzing::bearer(bytes);
    }
);
