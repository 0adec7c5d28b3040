//! Fuzzes what reads the path of a request.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("path", &fuzzing::seeds("path")),
    |bytes: &[u8]| {
        fuzzing::path(bytes);
    }
);
