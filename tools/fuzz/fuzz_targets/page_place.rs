//! Fuzzes what reads what tokens of pages hold.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("page_place", &fuzzing::seeds("page_place")),
    |bytes: &[u8]| {
        fuzzing::page_place(bytes);
    }
);
