//! Fuzzes what reads a file of tokens.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("token_file", &fuzzing::seeds("token_file")),
    |bytes: &[u8]| {
        fuzzing::token_file(bytes);
    }
);
