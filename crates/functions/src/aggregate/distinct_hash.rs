//! Hashes by which distinct values are told apart.
//!
//! Owns the bytes that a value is hashed by (XXH3, 64 bits, with a seed for each kind of value).
//! Stored sketches hold these hashes, so they never change. Invariant: equal values have equal
//! hashes, however their column is written: text of any form, integers of any width, timestamps of
//! any unit and zone, decimals of any scale; the two zeros are one value and so are all NaN.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt64Type,
};
use datafusion_common::{Result, exec_err};
use xxhash_rust::xxh3::xxh3_64_with_seed;

const TEXT: u64 = 1;
const WHOLE: u64 = 2;
const DOUBLE: u64 = 3;
const BOOLEAN: u64 = 4;
const DAY: u64 = 5;
const INSTANT: u64 = 6;
const BYTES: u64 = 7;
const DECIMAL: u64 = 8;

/// The hash of each row's value; of a NULL it means nothing. Of a dictionary each value is hashed
/// once.
pub(crate) fn hashes(column: &ArrayRef) -> Result<Vec<u64>> {
    let text = |value: Option<&str>| hash(TEXT, value.unwrap_or_default().as_bytes());
    let bytes = |value: Option<&[u8]>| hash(BYTES, value.unwrap_or_default());
    Ok(match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().iter().map(text).collect(),
        DataType::LargeUtf8 => column.as_string::<i64>().iter().map(text).collect(),
        DataType::Utf8View => column.as_string_view().iter().map(text).collect(),
        DataType::Binary => column.as_binary::<i32>().iter().map(bytes).collect(),
        DataType::LargeBinary => column.as_binary::<i64>().iter().map(bytes).collect(),
        DataType::BinaryView => column.as_binary_view().iter().map(bytes).collect(),
        DataType::Boolean => {
            let values = column.as_boolean().values();
            values
                .iter()
                .map(|value| hash(BOOLEAN, &[u8::from(value)]))
                .collect()
        }
        DataType::Int64 => {
            let values = column.as_primitive::<Int64Type>().values();
            values
                .iter()
                .map(|&value| whole(i128::from(value)))
                .collect()
        }
        DataType::UInt64 => {
            let values = column.as_primitive::<UInt64Type>().values();
            values
                .iter()
                .map(|&value| whole(i128::from(value)))
                .collect()
        }
        DataType::Float64 => {
            let values = column.as_primitive::<Float64Type>().values();
            values.iter().map(|&value| double(value)).collect()
        }
        DataType::Date32 => {
            let values = column.as_primitive::<Date32Type>().values();
            values
                .iter()
                .map(|value| hash(DAY, &value.to_le_bytes()))
                .collect()
        }
        DataType::Timestamp(unit, _) => instants(column, *unit),
        DataType::Decimal128(_, scale) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            values.iter().map(|&value| decimal(value, *scale)).collect()
        }
        DataType::Dictionary(..) => {
            let dictionary = column.as_any_dictionary();
            let of_values = hashes(dictionary.values())?;
            if of_values.is_empty() {
                return Ok(vec![0; column.len()]);
            }
            let keys = dictionary.normalized_keys();
            // The key of a NULL may be any.
            let of_key = |&key: &usize| of_values.get(key).copied().unwrap_or_default();
            keys.iter().map(of_key).collect()
        }
        other => return exec_err!("uniq_sketch: v cannot be {other}"),
    })
}

fn instants(column: &ArrayRef, unit: TimeUnit) -> Vec<u64> {
    let (values, nanoseconds) = match unit {
        TimeUnit::Second => (
            column.as_primitive::<TimestampSecondType>().values(),
            1_000_000_000,
        ),
        TimeUnit::Millisecond => (
            column.as_primitive::<TimestampMillisecondType>().values(),
            1_000_000,
        ),
        TimeUnit::Microsecond => (
            column.as_primitive::<TimestampMicrosecondType>().values(),
            1_000,
        ),
        TimeUnit::Nanosecond => (column.as_primitive::<TimestampNanosecondType>().values(), 1),
    };
    let instant = |&value: &i64| i128::from(value) * nanoseconds;
    values
        .iter()
        .map(|value| hash(INSTANT, &instant(value).to_le_bytes()))
        .collect()
}

fn whole(value: i128) -> u64 {
    hash(WHOLE, &value.to_le_bytes())
}

fn double(value: f64) -> u64 {
    let bits = if value.is_nan() {
        0x7ff8 << 48
    } else {
        (value + 0.0).to_bits()
    };
    hash(DOUBLE, &bits.to_le_bytes())
}

/// Zeros at the end do not count: 5.00 is 5, and a whole number.
fn decimal(mut value: i128, mut scale: i8) -> u64 {
    while scale > 0 && value % 10 == 0 {
        value /= 10;
        scale -= 1;
    }
    if scale == 0 {
        return whole(value);
    }
    let mut bytes = [0; 17];
    bytes[..16].copy_from_slice(&value.to_le_bytes());
    bytes[16] = scale as u8;
    hash(DECIMAL, &bytes)
}

fn hash(kind: u64, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, kind)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        Decimal128Array, DictionaryArray, Float64Array, Int64Array, LargeStringArray, StringArray,
        StringViewArray, TimestampMicrosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::datatypes::Int8Type;

    use super::*;

    fn of(column: impl Array + 'static) -> Vec<u64> {
        let column: ArrayRef = Arc::new(column);
        hashes(&column).expect("a type that is taken")
    }

    #[test]
    fn the_form_of_a_column_does_not_show() {
        let names = ["ann", "", "bob", "ann"];
        let expected = of(StringArray::from(names.to_vec()));
        assert_eq!(of(LargeStringArray::from(names.to_vec())), expected);
        assert_eq!(of(StringViewArray::from(names.to_vec())), expected);
        let dictionary: DictionaryArray<Int8Type> = names.into_iter().collect();
        assert_eq!(of(dictionary), expected);
        assert_eq!(expected[0], expected[3]);

        let seconds = of(TimestampSecondArray::from(vec![7, -1]));
        let micros = TimestampMicrosecondArray::from(vec![7_000_000, -1_000_000]);
        assert_eq!(of(micros.with_timezone("Europe/Berlin")), seconds);

        let whole = of(Int64Array::from(vec![5, 0]));
        assert_eq!(of(UInt64Array::from(vec![5, 0])), whole);
        let cents = Decimal128Array::from(vec![500, 0]);
        let cents = cents.with_precision_and_scale(9, 2).expect("a scale");
        assert_eq!(of(cents), whole);
    }

    #[test]
    fn kinds_and_values_differ() {
        let doubles = of(Float64Array::from(vec![
            0.0,
            -0.0,
            f64::NAN,
            -f64::NAN,
            5.0,
        ]));
        assert_eq!(doubles[0], doubles[1]);
        assert_eq!(doubles[2], doubles[3]);
        let whole = of(Int64Array::from(vec![0, 5, -5, i64::MAX]));
        let text = of(StringArray::from(vec!["0", "5"]));
        let cents = Decimal128Array::from(vec![5, 50]);
        let cents = of(cents.with_precision_and_scale(9, 2).expect("a scale"));
        let mut all = [
            &doubles[..1],
            &doubles[2..3],
            &doubles[4..],
            &whole,
            &text,
            &cents,
        ]
        .concat();
        let length = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), length);
    }

    /// Stored sketches would not merge with new ones if these changed.
    #[test]
    fn hashes_are_for_ever() {
        let name = of(StringArray::from(vec!["ann"]));
        let number = of(Int64Array::from(vec![1]));
        assert_eq!(
            (name[0], number[0]),
            (5_233_569_475_588_384_220, 8_981_066_839_643_278_175)
        );
    }
}
