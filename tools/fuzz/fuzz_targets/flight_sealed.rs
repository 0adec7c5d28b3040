//! Fuzzes what reads what tickets, handles and cookies of Flight SQL hold.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_sealed", &fuzzing::seeds("flight_sealed")),
    |bytes: &[u8]| {
        fuzzing::flight_sealed(bytes);
    }
);
