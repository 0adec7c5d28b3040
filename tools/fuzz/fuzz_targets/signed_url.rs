//! Fuzzes what reads the query of a signed URL.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("signed_url", &fuzzing::seeds("signed_url")),
    |bytes: &[u8]| {
        fuzzing::signed_url(bytes);
    }
);
