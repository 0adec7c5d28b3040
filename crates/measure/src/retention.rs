//! Retention: who met a first condition, and of those, who met each of the others.
//!
//! The semantics are those of ClickHouse's `retention`. Invariant: the state is the set of
//! conditions met by any row, one bit each, so the order of rows cannot show.

/// Most conditions.
pub const CONDITIONS_MAX: usize = 32;

/// The conditions that count as met, of those met by any row (bit 0 is the first): all of them
/// where the first was met, else none.
pub fn retained(met: u32) -> u32 {
    if met & 1 == 1 { met } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_without_the_first() {
        assert_eq!(retained(0b1011), 0b1011);
        assert_eq!(retained(0b1010), 0);
        assert_eq!(retained(1), 1);
        assert_eq!(retained(0), 0);
        assert_eq!(retained(u32::MAX), u32::MAX);
    }
}
