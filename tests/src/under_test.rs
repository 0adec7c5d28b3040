//! The binary that the end-to-end tests start: the product's command line, nothing else.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    vitalog::command::run()
}
