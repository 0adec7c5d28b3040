//! Fuzzes what reads an Arrow IPC stream of events.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("arrow", &fuzzing::seeds("arrow")),
    |bytes: &[u8]| {
        fuzzing::arrow(bytes);
    }
);
