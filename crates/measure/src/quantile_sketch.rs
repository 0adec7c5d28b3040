//! Quantiles of any number of values in little space, with a bounded relative error.
//!
//! A DDSketch (Masson, Rim and Lee, VLDB 2019) with the linearly interpolated mapping: each power
//! of two is cut into 128 equal buckets, so a bucket's number is the first bits of the double and a
//! value differs from its bucket's middle by at most 1/257 of itself. Nothing is ever collapsed:
//! the range of doubles bounds the number of buckets. Invariant: a sketch is a function of the bag
//! of its values, so merging parts gives the bytes of the whole.

use crate::Error;
use crate::code::{Reader, put_varint, unzigzag, zigzag};

/// What the bytes are, for errors.
const WHAT: &str = "quantile sketch";
const VERSION: u8 = 1;

/// Bits of the fraction that a bucket keeps.
const FRACTION_BITS: u32 = 7;
const DROPPED_BITS: u32 = 52 - FRACTION_BITS;
/// The bucket of +∞; the one of −∞ is its negative.
const BUCKET_INFINITE: i32 = 0x7ff << FRACTION_BITS;
/// The bucket of the least normal double; what is nearer to 0 falls in bucket 0.
const BUCKET_NORMAL: i32 = 1 << FRACTION_BITS;

/// The greatest relative error of a quantile.
pub const RELATIVE_ERROR: f64 = 1.0 / 257.0;

/// A sketch of the distribution of some doubles.
///
/// A quantile's relative error is at most [`RELATIVE_ERROR`], 0.39 %. Values whose magnitude is
/// below 2.3e-308 (subnormal) count as 0; ±∞ count as themselves; NaN is left out. Least and
/// greatest value are kept exactly. Sixteen bytes a bucket in memory, some three in storage; data
/// that spans six orders of magnitude has at most 2,560 buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantileSketch {
    least: f64,
    greatest: f64,
    /// By bucket, ascending; no count is 0.
    buckets: Vec<(i32, u64)>,
}

impl Default for QuantileSketch {
    fn default() -> Self {
        Self {
            least: f64::INFINITY,
            greatest: f64::NEG_INFINITY,
            buckets: Vec::new(),
        }
    }
}

impl QuantileSketch {
    /// The sketch of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a value; NaN is left out. Cost: a binary search, and a move where the bucket is new.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let value = value + 0.0;
        self.least = self.least.min(value);
        self.greatest = self.greatest.max(value);
        self.add_bucket(bucket(value), 1);
    }

    /// Adds every value of another sketch.
    pub fn merge(&mut self, other: &QuantileSketch) {
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        for &(bucket, count) in &other.buckets {
            self.add_bucket(bucket, count);
        }
    }

    /// True when no value was added.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// How many values were added.
    pub fn len(&self) -> u64 {
        let counts = self.buckets.iter().map(|&(_, count)| count);
        counts.fold(0, u64::saturating_add)
    }

    /// About the value of rank `⌊p · (n − 1)⌋`, counted from 0 in ascending order: within
    /// [`RELATIVE_ERROR`] of it, and between the least and the greatest value; exact at 0 and 1.
    /// `None` when there is no value.
    ///
    /// # Errors
    /// [`Error::Quantile`] unless `0 ≤ p ≤ 1`.
    pub fn quantile(&self, p: f64) -> Result<Option<f64>, Error> {
        check_quantile(p)?;
        let Some(last) = self.len().checked_sub(1) else {
            return Ok(None);
        };
        if p == 1.0 {
            return Ok(Some(self.greatest));
        }
        let rank = ((p * last as f64).floor() as u64).min(last);
        if rank == 0 {
            return Ok(Some(self.least));
        }
        let mut below = 0u64;
        let found = self.buckets.iter().find(|&&(_, count)| {
            below = below.saturating_add(count);
            below > rank
        });
        Ok(found.map(|&(bucket, _)| middle(bucket).clamp(self.least, self.greatest)))
    }

    /// Appends the sketch's bytes: version, number of buckets (varint); unless there is none, the
    /// least and the greatest value (doubles, little-endian), the first bucket (zigzag varint) and
    /// its count (varint), then for each other the distance from the one before and its count (both
    /// varints). Equal sketches have equal bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        put_varint(out, self.buckets.len() as u64);
        if self.buckets.is_empty() {
            return;
        }
        out.extend_from_slice(&self.least.to_le_bytes());
        out.extend_from_slice(&self.greatest.to_le_bytes());
        let mut before = None;
        for &(bucket, count) in &self.buckets {
            match before.replace(bucket) {
                None => put_varint(out, zigzag(i64::from(bucket))),
                Some(before) => put_varint(out, (bucket - before) as u64),
            }
            put_varint(out, count);
        }
    }

    /// Reads what [`QuantileSketch::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Version`] and [`Error::Corrupt`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(WHAT, bytes);
        reader.version(VERSION)?;
        let length = reader.varint()?;
        let mut sketch = Self::new();
        if length == 0 {
            reader.finish()?;
            return Ok(sketch);
        }
        // A bucket takes two bytes at least.
        if length > reader.remaining() as u64 / 2 {
            return Err(reader.corrupt());
        }
        sketch.least = double(&mut reader)?;
        sketch.greatest = double(&mut reader)?;
        sketch.buckets.reserve_exact(length as usize);
        let mut at = i64::from(i32::MIN);
        for index in 0..length {
            let step = reader.varint()?;
            at = match index {
                0 => unzigzag(step),
                _ => at.saturating_add(i64::try_from(step).unwrap_or(i64::MAX)),
            };
            let repeated = index > 0 && step == 0;
            if repeated || at.abs() > i64::from(BUCKET_INFINITE) || is_unused(at as i32) {
                return Err(reader.corrupt());
            }
            let count = reader.varint()?;
            if count == 0 {
                return Err(reader.corrupt());
            }
            sketch.buckets.push((at as i32, count));
        }
        sketch.check_ends(&reader)?;
        reader.finish()?;
        Ok(sketch)
    }

    /// Bytes of heap memory.
    pub fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(i32, u64)>()
    }

    fn add_bucket(&mut self, bucket: i32, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |&(key, _)| key) {
            Ok(at) => {
                let known = &mut self.buckets[at].1;
                *known = known.saturating_add(count);
            }
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// The least and the greatest value must lie in the first and the last bucket.
    fn check_ends(&self, reader: &Reader) -> Result<(), Error> {
        let ends = self.buckets.first().zip(self.buckets.last());
        let inside = ends.is_some_and(|(first, last)| {
            bucket(self.least) == first.0 && bucket(self.greatest) == last.0
        });
        if inside && self.least <= self.greatest {
            Ok(())
        } else {
            Err(reader.corrupt())
        }
    }
}

/// Checks that a quantile lies between 0 and 1, both allowed, and gives it back.
///
/// # Errors
/// [`Error::Quantile`] otherwise.
pub fn check_quantile(p: f64) -> Result<f64, Error> {
    if (0.0..=1.0).contains(&p) {
        Ok(p)
    } else {
        Err(Error::Quantile(p))
    }
}

/// The bucket of a value that is not NaN. Buckets ascend with values.
fn bucket(value: f64) -> i32 {
    let above = (value.abs().to_bits() >> DROPPED_BITS) as i32;
    if above < BUCKET_NORMAL {
        0
    } else if value.is_sign_negative() {
        -above
    } else {
        above
    }
}

/// Numbers that no value has as its bucket.
fn is_unused(bucket: i32) -> bool {
    bucket != 0 && bucket.abs() < BUCKET_NORMAL
}

/// The value that is equally far, relatively, from both ends of a bucket.
fn middle(bucket: i32) -> f64 {
    if bucket.abs() == BUCKET_INFINITE {
        return f64::INFINITY.copysign(f64::from(bucket));
    }
    if bucket == 0 {
        return 0.0;
    }
    let low = f64::from_bits(u64::from(bucket.unsigned_abs()) << DROPPED_BITS);
    // 2·low·high / (low + high), where the bucket is `step` of its `low` wide.
    let cells = f64::from((bucket.unsigned_abs() & (BUCKET_NORMAL as u32 - 1)) + 128);
    (low * (1.0 + 1.0 / (2.0 * cells + 1.0))).copysign(f64::from(bucket))
}

fn double(reader: &mut Reader) -> Result<f64, Error> {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(reader.take(8)?);
    let value = f64::from_le_bytes(bytes);
    // Zero has one form, and NaN is no value.
    if value.is_nan() || (value == 0.0 && value.is_sign_negative()) {
        return Err(reader.corrupt());
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sketch(values: &[f64]) -> QuantileSketch {
        let mut sketch = QuantileSketch::new();
        for &value in values {
            sketch.add(value);
        }
        sketch
    }

    fn bytes(sketch: &QuantileSketch) -> Vec<u8> {
        let mut bytes = Vec::new();
        sketch.write(&mut bytes);
        bytes
    }

    fn quantile(sketch: &QuantileSketch, p: f64) -> Option<f64> {
        sketch.quantile(p).expect("0 to 1")
    }

    fn check(values: &mut [f64], p: f64) {
        let found = quantile(&sketch(values), p).expect("not empty");
        values.sort_by(f64::total_cmp);
        let rank = (p * (values.len() - 1) as f64).floor() as usize;
        let expected = values[rank];
        let least = f64::MIN_POSITIVE;
        let near = (found - expected).abs() <= RELATIVE_ERROR * (1.0 + 1e-12) * expected.abs();
        assert!(
            near || found == expected || expected.abs() < least && found.abs() < least,
            "{found} for {expected} at {p}"
        );
    }

    #[test]
    fn of_a_million_values() {
        let values: Vec<f64> = (1..=1_000_000).map(f64::from).collect();
        let sketch = sketch(&values);
        for percent in 0..=100 {
            let p = f64::from(percent) / 100.0;
            let expected = 1.0 + (p * 999_999.0).floor();
            let found = quantile(&sketch, p).expect("not empty");
            assert!(
                (found / expected - 1.0).abs() <= RELATIVE_ERROR,
                "{percent}"
            );
        }
        assert_eq!(sketch.len(), 1_000_000);
        assert!(bytes(&sketch).len() < 10_000);
    }

    #[test]
    fn edges() {
        let (minus, plus) = (f64::NEG_INFINITY, f64::INFINITY);
        assert_eq!(quantile(&QuantileSketch::new(), 0.5), None);
        assert!(sketch(&[f64::NAN]).is_empty());
        let one = sketch(&[7.3]);
        for p in [0.0, 0.3, 1.0] {
            assert_eq!(quantile(&one, p), Some(7.3));
        }
        let all = sketch(&[3.0, plus, -0.0, minus, 0.0, -5.0, 1e-320]);
        let found: Vec<f64> = (0..7)
            .filter_map(|rank| quantile(&all, f64::from(rank) / 6.0))
            .collect();
        assert_eq!((found[0], found[6]), (minus, plus));
        assert_eq!(found[2..5], [0.0; 3]);
        assert!((found[1] / -5.0 - 1.0).abs() <= RELATIVE_ERROR);
        assert!((found[5] / 3.0 - 1.0).abs() <= RELATIVE_ERROR);
        assert_eq!(bytes(&sketch(&[-0.0])), bytes(&sketch(&[0.0])));
        for p in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(all.quantile(p), Err(Error::Quantile(_))), "{p}");
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let good = bytes(&sketch(&[-2.0, 0.0, 1.0, 1.5, 1e9]));
        assert!(QuantileSketch::from_bytes(&good).is_ok());
        for end in 0..good.len() {
            assert!(QuantileSketch::from_bytes(&good[..end]).is_err(), "{end}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert!(QuantileSketch::from_bytes(&longer).is_err());
        assert!(QuantileSketch::from_bytes(&[1, 0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
        assert!(matches!(
            QuantileSketch::from_bytes(&[2, 0]),
            Err(Error::Version { found: 2, .. })
        ));
    }

    fn double() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>()
                .prop_map(f64::from_bits)
                .prop_filter("not NaN", |value| !value.is_nan()),
            (-1e6..1e6f64),
            (-3..3i32).prop_map(f64::from),
        ]
    }

    proptest! {
        #[test]
        fn within_the_error(
            mut values in prop::collection::vec(double(), 1..200),
            p in 0.0..=1.0f64,
        ) {
            check(&mut values, p);
        }

        #[test]
        fn parts_make_the_whole(
            values in prop::collection::vec(double(), 0..100),
            cut in 0..100usize,
        ) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut merged = sketch(right);
            merged.merge(&QuantileSketch::from_bytes(&bytes(&sketch(left))).expect("own bytes"));
            prop_assert_eq!(bytes(&merged), bytes(&sketch(&values)));
        }

        #[test]
        fn any_bytes_are_an_error_or_a_sketch(
            values in prop::collection::vec(double(), 0..8),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut found = bytes(&sketch(&values));
            for (at, byte) in changes {
                let at = at.index(found.len());
                found[at] = byte;
            }
            if let Ok(sketch) = QuantileSketch::from_bytes(&found) {
                prop_assert_eq!(bytes(&sketch), found);
                prop_assert!(sketch.quantile(0.5).is_ok());
            }
        }
    }
}
