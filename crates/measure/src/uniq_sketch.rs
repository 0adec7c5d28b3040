//! How many distinct values there are, in at most 12 kB.
//!
//! Owns a HyperLogLog over 64-bit hashes with 2¹⁴ registers and, below that, the hashes themselves:
//! up to 1,024 distinct values the count is exact (hashes collide once in 10¹³ such sets).
//! Invariant: a sketch is a function of the set of its hashes, so merging parts gives the bytes of
//! the whole; which of the two forms it has, too.
//!
//! The estimate of the registers is that of Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (2017), which needs no table of corrections. Making hashes of values is
//! the caller's part: they must be equally distributed over all 64 bits.

use crate::Error;
use crate::code::{Reader, put_varint};

/// What the bytes are, for errors.
const WHAT: &str = "distinct sketch";
const VERSION: u8 = 1;

const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;
/// The greatest value of a register: one more than the bits of a hash that are not its index.
const RANK_MAX: u8 = (64 - INDEX_BITS + 1) as u8;
/// Bits of a register in storage.
const REGISTER_BITS: usize = 6;
const REGISTERS_BYTES: usize = REGISTERS * REGISTER_BITS / 8;
/// Up to so many distinct values their hashes are kept.
const HASHES_MAX: usize = 1024;

const FORM_HASHES: u8 = 0;
const FORM_REGISTERS: u8 = 1;

/// The standard error of a count above the exact range: 1.04 / √16,384, so 0.81 %; two of three
/// counts lie within it, and 999 of 1,000 within 2.7 %.
pub const STANDARD_ERROR: f64 = 1.04 / 128.0;

/// A sketch of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqSketch(Form);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Form {
    /// Ascending, each once.
    Hashes(Vec<u64>),
    /// Rank by index; as long as [`REGISTERS`].
    Registers(Box<[u8]>),
}

impl Default for UniqSketch {
    fn default() -> Self {
        Self(Form::Hashes(Vec::new()))
    }
}

impl UniqSketch {
    /// The sketch of the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the hash of a value.
    pub fn add(&mut self, hash: u64) {
        match &mut self.0 {
            Form::Registers(registers) => raise(registers, hash),
            Form::Hashes(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                    self.settle();
                }
            }
        }
    }

    /// Adds every value of another sketch.
    pub fn merge(&mut self, other: &UniqSketch) {
        match (&mut self.0, &other.0) {
            (_, Form::Hashes(hashes)) => {
                for &hash in hashes {
                    self.add(hash);
                }
            }
            (Form::Registers(registers), Form::Registers(others)) => {
                for (register, &other) in registers.iter_mut().zip(others) {
                    *register = (*register).max(other);
                }
            }
            (Form::Hashes(hashes), Form::Registers(others)) => {
                let mut registers = others.clone();
                for &hash in hashes.iter() {
                    raise(&mut registers, hash);
                }
                self.0 = Form::Registers(registers);
            }
        }
    }

    /// How many distinct values there are: exactly up to 1,024, then with [`STANDARD_ERROR`].
    pub fn count(&self) -> u64 {
        match &self.0 {
            Form::Hashes(hashes) => hashes.len() as u64,
            Form::Registers(registers) => {
                // More than the exact range is known to be there.
                (estimate(registers).round() as u64).max(HASHES_MAX as u64 + 1)
            }
        }
    }

    /// Appends the sketch's bytes: version and form (0 or 1). Form 0: number of hashes (varint), the
    /// hashes (8 bytes each, little-endian, ascending). Form 1: 16,384 registers of six bits, the
    /// first in the lowest bits: 12,288 bytes. Equal sketches have equal bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match &self.0 {
            Form::Hashes(hashes) => {
                out.push(FORM_HASHES);
                put_varint(out, hashes.len() as u64);
                out.extend(hashes.iter().flat_map(|hash| hash.to_le_bytes()));
            }
            Form::Registers(registers) => {
                out.push(FORM_REGISTERS);
                for four in registers.chunks_exact(4) {
                    let word = four
                        .iter()
                        .rev()
                        .fold(0u32, |word, &rank| word << REGISTER_BITS | u32::from(rank));
                    out.extend_from_slice(&word.to_le_bytes()[..3]);
                }
            }
        }
    }

    /// Reads what [`UniqSketch::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Version`] and [`Error::Corrupt`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.version(VERSION)?;
        let form = match reader.byte()? {
            FORM_HASHES => Form::Hashes(read_hashes(&mut reader)?),
            FORM_REGISTERS => Form::Registers(read_registers(&mut reader)?),
            _ => return Err(reader.corrupt()),
        };
        reader.finish()?;
        Ok(Self(form))
    }

    /// Bytes of heap memory.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::Hashes(hashes) => hashes.capacity() * size_of::<u64>(),
            Form::Registers(registers) => registers.len(),
        }
    }

    /// Goes over to registers where there are too many hashes.
    fn settle(&mut self) {
        let Form::Hashes(hashes) = &self.0 else {
            return;
        };
        if hashes.len() > HASHES_MAX {
            let mut registers = vec![0; REGISTERS].into_boxed_slice();
            for &hash in hashes {
                raise(&mut registers, hash);
            }
            self.0 = Form::Registers(registers);
        }
    }
}

/// Notes a hash: its first bits choose the register, the zeros that follow are its rank.
fn raise(registers: &mut [u8], hash: u64) {
    let index = (hash >> (64 - INDEX_BITS)) as usize;
    let rank = ((hash << INDEX_BITS).leading_zeros() + 1).min(u32::from(RANK_MAX)) as u8;
    registers[index] = registers[index].max(rank);
}

/// Ertl's improved estimator, his algorithm 6.
fn estimate(registers: &[u8]) -> f64 {
    let mut counts = [0u32; RANK_MAX as usize + 1];
    for &rank in registers {
        counts[usize::from(rank)] += 1;
    }
    let all = REGISTERS as f64;
    let share = |rank: usize| f64::from(counts[rank]) / all;
    let mut z = all * tau(1.0 - share(usize::from(RANK_MAX)));
    for rank in (1..usize::from(RANK_MAX)).rev() {
        z = 0.5 * (z + f64::from(counts[rank]));
    }
    z += all * sigma(share(0));
    all * all / (2.0 * std::f64::consts::LN_2 * z)
}

/// `x + Σ x^(2^k) · 2^(k−1)`, for the registers that are still 0.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// `(1 − x − Σ (1 − x^(2^−k))² · 2^(−k)) / 3`, for the registers that cannot rise any more.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

fn read_hashes(reader: &mut Reader) -> Result<Vec<u64>, Error> {
    let length = reader.varint()?;
    if length > HASHES_MAX as u64 {
        return Err(reader.corrupt());
    }
    let mut hashes = Vec::with_capacity(length as usize);
    for _ in 0..length {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(reader.take(8)?);
        let hash = u64::from_le_bytes(bytes);
        if hashes.last().is_some_and(|&before| before >= hash) {
            return Err(reader.corrupt());
        }
        hashes.push(hash);
    }
    Ok(hashes)
}

fn read_registers(reader: &mut Reader) -> Result<Box<[u8]>, Error> {
    let packed = reader.take(REGISTERS_BYTES)?;
    let mut registers = Vec::with_capacity(REGISTERS);
    for three in packed.chunks_exact(3) {
        let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
        let ranks = (0..4).map(|at| (word >> (at * REGISTER_BITS) & 0x3f) as u8);
        registers.extend(ranks);
    }
    if registers.iter().any(|&rank| rank > RANK_MAX) {
        return Err(reader.corrupt());
    }
    Ok(registers.into_boxed_slice())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Numbers become equally distributed: the finaliser of SplitMix64, which is a bijection.
    fn hash(number: u64) -> u64 {
        let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn sketch(numbers: impl IntoIterator<Item = u64>) -> UniqSketch {
        let mut sketch = UniqSketch::new();
        for number in numbers {
            sketch.add(hash(number));
        }
        sketch
    }

    fn bytes(sketch: &UniqSketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.write(&mut bytes);
        bytes
    }

    #[test]
    fn exact_while_it_is_small() {
        let mut sketch = UniqSketch::new();
        for number in 0..HASHES_MAX as u64 {
            assert_eq!(sketch.count(), number);
            sketch.add(hash(number));
            sketch.add(hash(number / 2));
        }
        assert_eq!(sketch.count(), HASHES_MAX as u64);
    }

    #[test]
    fn of_ten_million_within_three_errors() {
        let mut sketch = UniqSketch::new();
        let mut at = 0;
        for checked in [
            1_025,
            2_000,
            10_000,
            50_000,
            100_000,
            1_000_000,
            10_000_000u64,
        ] {
            while at < checked {
                sketch.add(hash(at));
                at += 1;
            }
            let found = sketch.count() as f64 / checked as f64;
            assert!(
                (found - 1.0).abs() < 3.0 * STANDARD_ERROR,
                "{found} at {checked}"
            );
        }
        assert_eq!(bytes(&sketch).len(), 2 + REGISTERS_BYTES);
    }

    /// Over many sets the mean error is near 0 and the spread is what is promised.
    #[test]
    fn without_bias() {
        let (sets, size) = (200, 20_000);
        let errors: Vec<f64> = (0..sets)
            .map(|set| sketch(set << 32..(set << 32) + size).count() as f64 / size as f64 - 1.0)
            .collect();
        let mean = errors.iter().sum::<f64>() / sets as f64;
        let square = errors.iter().map(|error| error * error).sum::<f64>() / sets as f64;
        assert!(mean.abs() < 0.002, "{mean}");
        assert!(square.sqrt() < 1.15 * STANDARD_ERROR, "{}", square.sqrt());
    }

    #[test]
    fn full_registers() {
        let full = UniqSketch(Form::Registers(
            vec![RANK_MAX; REGISTERS].into_boxed_slice(),
        ));
        assert_eq!(full.count(), u64::MAX);
        let almost = UniqSketch(Form::Registers(
            vec![RANK_MAX - 1; REGISTERS].into_boxed_slice(),
        ));
        assert!(almost.count() > 1 << 60);
    }

    #[test]
    fn other_bytes_are_refused() {
        for good in [bytes(&sketch(0..5)), bytes(&sketch(0..5_000))] {
            assert!(UniqSketch::from_bytes(&good).is_ok());
            for end in (0..good.len()).step_by(7) {
                assert!(UniqSketch::from_bytes(&good[..end]).is_err(), "{end}");
            }
            assert!(UniqSketch::from_bytes(&[&good[..], &[0]].concat()).is_err());
        }
        let twice = [&[1, 0, 2][..], &[7; 16]].concat();
        assert!(UniqSketch::from_bytes(&twice).is_err());
        assert!(
            UniqSketch::from_bytes(&[1, 0, 0x81, 0x08]).is_err(),
            "too many"
        );
        assert!(UniqSketch::from_bytes(&[1, 2]).is_err());
        let high = [&[1, 1][..], &[0xff; REGISTERS_BYTES]].concat();
        assert!(UniqSketch::from_bytes(&high).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn parts_make_the_whole(
            numbers in prop::collection::vec(0..4_000u64, 0..3_000),
            cut in 0..3_000usize,
        ) {
            let (left, right) = numbers.split_at(cut.min(numbers.len()));
            let whole = sketch(numbers.iter().copied());
            let (left, right) = (sketch(left.iter().copied()), sketch(right.iter().copied()));
            for (one, other) in [(&left, &right), (&right, &left)] {
                let mut merged = UniqSketch::from_bytes(&bytes(one)).expect("own bytes");
                merged.merge(other);
                prop_assert_eq!(bytes(&merged), bytes(&whole));
            }
        }

        #[test]
        fn any_bytes_are_an_error_or_a_sketch(found in prop::collection::vec(any::<u8>(), 0..40)) {
            let found = [&[1, 0][..], &found].concat();
            if let Ok(sketch) = UniqSketch::from_bytes(&found) {
                prop_assert_eq!(bytes(&sketch), found);
            }
        }
    }
}
