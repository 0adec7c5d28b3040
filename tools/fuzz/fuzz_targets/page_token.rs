//! Fuzzes what reads a token of a page.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("page_token", &fuzzing::seeds("page_token")),
    |bytes: &[u8]| {
        fuzzing::page_token(bytes);
    }
);
