//! What defaults take from the machine.

/// Where Linux tells its memory.
const MEMORY_FILE: &str = "/proc/meminfo";

/// Bytes of memory that the machine has; `None` where it does not tell.
pub(super) fn memory_bytes() -> Option<u64> {
    memory_of(&std::fs::read_to_string(MEMORY_FILE).ok()?)
}

/// The line `MemTotal:  16384 kB` of `text`.
fn memory_of(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let (number, unit) = line.trim().split_once(' ')?;
    let kibibytes: u64 = number.parse().ok()?;
    let bytes = kibibytes.checked_mul(1_024)?;
    (unit == "kB" && bytes > 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_is_read_in_its_unit() {
        let text = "MemTotal:       16316412 kB\nMemFree:  1 kB\n";
        assert_eq!(memory_of(text), Some(16_316_412 << 10));
        for text in [
            "",
            "MemFree: 1 kB",
            "MemTotal: 1",
            "MemTotal: 1 MB",
            "MemTotal: x kB",
        ] {
            assert_eq!(memory_of(text), None, "{text:?}");
        }
    }
}
