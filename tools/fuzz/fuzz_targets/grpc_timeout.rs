//! Fuzzes what reads the value of a `grpc-timeout` header.
#![no_main]

use vitalog_server::fuzzing;

libfuzzer_sys::fuzz_target!(
    init: vitalog_fuzz::plant("grpc_timeout", &fuzzing::seeds("grpc_timeout")),
    |bytes: &[u8]| {
        fuzzing::grpc_timeout(bytes);
    }
);
