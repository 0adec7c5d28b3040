//! The choices of a simulated power loss: a small generator that gives the same choices for the
//! same seed on every machine and in every version.
//!
//! SplitMix64 (Steele, Lea, Flood 2014); not for secrets.

/// A stream of choices.
#[derive(Clone, Debug)]
pub(crate) struct Choices(u64);

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `most`, both included.
    pub(crate) fn up_to(&mut self, most: usize) -> usize {
        // The bias of the remainder is far below what a test could notice.
        (self.next() % (most as u64 + 1)) as usize
    }

    /// True `of` times out of `among`.
    pub(crate) fn chance(&mut self, of: usize, among: usize) -> bool {
        self.up_to(among - 1) < of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answer() {
        // The first outputs of the published algorithm for seed 1234567.
        let mut choices = Choices::new(1_234_567);
        assert_eq!(choices.next(), 6_457_827_717_110_365_317);
        assert_eq!(choices.next(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn every_number_of_a_range_occurs() {
        let mut choices = Choices::new(1);
        let mut seen = [false; 4];
        for _ in 0..100 {
            seen[choices.up_to(3)] = true;
        }
        assert_eq!(seen, [true; 4]);
    }
}
