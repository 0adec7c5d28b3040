//! Fuzzes what reads an action of Flight SQL.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_action", &fuzzing::seeds("flight_action")),
    |bytes: &[u8]| {
        fuzzing::flight_action(bytes);
    }
);
