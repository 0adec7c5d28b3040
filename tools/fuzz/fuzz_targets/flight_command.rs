//! Fuzzes what reads a command of Flight SQL.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_command", &fuzzing::seeds("flight_command")),
    |bytes: &[u8]| {
        fuzzing::flight_command(bytes);
    }
);
