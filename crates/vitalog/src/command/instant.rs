//! Instants as servers send them.

/// Microseconds since 1970 of a time in seconds and the nanoseconds after them.
pub(super) fn microseconds(seconds: i64, nanos: i32) -> i64 {
    let micros = seconds.saturating_mul(1_000_000);
    micros.saturating_add(i64::from(nanos) / 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nanoseconds_count_forward_from_the_second() {
        assert_eq!(microseconds(1, 2_999), 1_000_002);
        assert_eq!(microseconds(-1, 999_999_000), -1);
        assert_eq!(microseconds(i64::MAX, 1_000), i64::MAX);
    }
}
