//! The `vitalog` binary; see the library's `command`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vitalog::command::run()
}
