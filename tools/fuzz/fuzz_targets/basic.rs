//! Fuzzes what reads an `Authorization` header with a name and a password.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("basic", &fuzzing::seeds("basic")),
    |bytes: &[u8]| {
        fuzzing::basic(bytes);
    }
);
