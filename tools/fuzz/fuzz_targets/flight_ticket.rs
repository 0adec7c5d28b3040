//! Fuzzes what reads a ticket of Flight SQL.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_ticket", &fuzzing::seeds("flight_ticket")),
    |bytes: &[u8]| {
        fuzzing::flight_ticket(bytes);
    }
);
