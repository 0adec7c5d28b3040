//! What the system says of the process, where it does.

use std::path::Path;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

const STATUS: &str = "/proc/self/status";
const DESCRIPTORS: &str = "/proc/self/fd";

#[derive(Debug)]
pub(super) struct ProcessGauges {
    resident_bytes: Gauge,
    open_files: Gauge,
}

impl ProcessGauges {
    /// Gauges of what this system tells; another has none of them, rather than zeros.
    pub fn register(registry: &mut Registry) -> Self {
        let gauges = Self {
            resident_bytes: Gauge::default(),
            open_files: Gauge::default(),
        };
        if Path::new(STATUS).exists() {
            let resident = gauges.resident_bytes.clone();
            registry.register(
                "process_resident_memory_bytes",
                "Memory of the process that is in RAM, mapped files included",
                resident,
            );
            let open = gauges.open_files.clone();
            registry.register("process_open_fds", "File descriptors that are open", open);
        }
        gauges
    }

    pub fn set(&self) {
        if let Ok(status) = std::fs::read_to_string(STATUS)
            && let Some(bytes) = resident_bytes(&status)
        {
            self.resident_bytes.set(bytes);
        }
        if let Ok(entries) = std::fs::read_dir(DESCRIPTORS) {
            self.open_files.set(entries.count() as i64);
        }
    }
}

/// The line `VmRSS:  1234 kB` of `status`.
fn resident_bytes(status: &str) -> Option<i64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let number = line.trim().strip_suffix(" kB")?;
    number.parse::<i64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_memory_is_read_in_its_unit() {
        let status = "Name:\tvitalog\nVmRSS:\t    1234 kB\nThreads:\t9\n";
        assert_eq!(resident_bytes(status), Some(1_234 << 10));
        for status in [
            "",
            "VmRSS: x kB",
            "VmRSS: 1 MB",
            "VmRSS: 9223372036854775807 kB",
        ] {
            assert_eq!(resident_bytes(status), None, "{status:?}");
        }
    }
}
