//! Fuzzes what reads the cookie of a session of Flight SQL.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_cookie", &fuzzing::seeds("flight_cookie")),
    |bytes: &[u8]| {
        fuzzing::flight_cookie(bytes);
    }
);
