//! Fuzzes what reads an upload over Flight SQL, of values or of events.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("flight_upload", &fuzzing::seeds("flight_upload")),
    |bytes: &[u8]| {
        fuzzing::flight_upload(bytes);
    }
);
