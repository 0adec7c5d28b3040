//! The log of the test's process, kept to be searched.

use std::io::{self, Write};
use std::sync::{Mutex, Once, PoisonError};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static START: Once = Once::new();

struct Keep;

impl Write for Keep {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps everything that is logged from now on, whatever its level.
pub fn keep() {
    START.call_once(|| {
        tracing_subscriber::fmt()
            .json()
            .with_env_filter("trace")
            .with_writer(|| Keep)
            .init();
    });
}

/// What was logged.
pub fn text() -> String {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(&lines).into_owned()
}

/// The lines of calls that failed for `reason`.
pub fn failures(reason: &str) -> usize {
    let quoted = format!("\"reason\":\"{reason}\"");
    let text = text();
    let lines = text.lines();
    lines
        .filter(|line| line.contains("vitalog::call") && line.contains(&quoted))
        .count()
}
