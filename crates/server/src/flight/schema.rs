//! The schema of an upload, looked at before Arrow's reader makes types of it.
//!
//! The reader panics on types that Arrow does not have, and the parts of a schema may be named many
//! times over, so that a few kilobytes stand for gigabytes. Invariant: of a schema that is let
//! through here the reader makes types without a panic and within the limits of this file. The
//! format is specified at <https://github.com/apache/arrow/blob/main/format/Schema.fbs>.

use arrow::ipc::{Endianness, Field, Int, KeyValue, Schema, TimeUnit, Type, UnionMode};

use super::decode::invalid;
use crate::fault::Fault;
use crate::limits::FLIGHT_VALUES_BYTES_MAX;

/// Most columns of a schema, with all fields below them.
const FIELDS_MAX: usize = 4_096;

/// Most bytes of all names, zones of time and metadata of a schema.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Most bytes that one row takes whatever is in it: fixed sizes multiply with every level, and a
/// null takes them as well.
const ROW_BYTES_MAX: usize = FLIGHT_VALUES_BYTES_MAX;

/// Most fields of a union, whose kinds are numbers of seven bits.
const UNION_FIELDS_MAX: usize = 128;

/// Checks the schema of an upload. Cost: one walk over at most [`FIELDS_MAX`] fields. How deep they
/// lie was bounded, to 64, when the message was verified.
///
/// # Errors
/// A type that Arrow does not have, too many fields, too much text, rows too large, and beneath a
/// list what would multiply its values.
pub(super) fn check(schema: Schema<'_>) -> Result<(), Fault> {
    if schema.endianness() != Endianness::Little {
        return Err(invalid("the schema is big-endian"));
    }
    let Some(fields) = schema.fields() else {
        return Err(invalid("the schema has no list of fields"));
    };
    let mut walk = Walk::default();
    for entry in schema.custom_metadata().into_iter().flatten() {
        walk.entry(entry)?;
    }
    let mut bytes: usize = 0;
    for field in fields {
        bytes = bytes.saturating_add(walk.field(field, false)?);
    }
    if bytes > ROW_BYTES_MAX {
        return Err(invalid(format!(
            "one row takes {bytes} bytes whatever is in it, at most {ROW_BYTES_MAX} are taken"
        )));
    }
    Ok(())
}

/// What was met of a schema so far.
#[derive(Debug, Default)]
struct Walk {
    fields: usize,
    text_bytes: usize,
}

impl Walk {
    /// Looks at `field` and what lies below it; the bytes that one value of it takes whatever is in
    /// it. `is_repeated`: beneath a list or a dictionary.
    fn field(&mut self, field: Field<'_>, is_repeated: bool) -> Result<usize, Fault> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(invalid(format!(
                "more than {FIELDS_MAX} columns and fields below them"
            )));
        }
        self.text(field.name())?;
        for entry in field.custom_metadata().into_iter().flatten() {
            self.entry(entry)?;
        }
        if let Some(dictionary) = field.dictionary() {
            single("dictionaries", field, is_repeated)?;
            if !dictionary.indexType().is_some_and(is_integer) {
                let name = field.name().unwrap_or_default();
                return Err(invalid(format!(
                    "the dictionary of the field {name:?} does not say how its keys are written"
                )));
            }
        }
        // The values of a dictionary are kept with it, however often others take their place.
        self.value(field, is_repeated || field.dictionary().is_some())
    }

    /// As [`Walk::field`], of the values of a field.
    fn value(&mut self, field: Field<'_>, is_repeated: bool) -> Result<usize, Fault> {
        match field.type_type() {
            Type::List | Type::LargeList => Ok(self.only_child(field)?.saturating_add(8)),
            Type::ListView | Type::LargeListView => {
                single("list views", field, is_repeated)?;
                Ok(self.only_child(field)?.saturating_add(16))
            }
            Type::FixedSizeList => {
                let size = field.type_as_fixed_size_list().map(|list| list.listSize());
                let size = size.and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| unknown(field))?;
                // Empty values count too, so that their number has a limit.
                Ok(size.saturating_mul(self.only_child(field)?.max(1)))
            }
            Type::Map => {
                let entries = child(field, 0, 1).ok_or_else(|| unknown(field))?;
                let is_pair = entries.type_type() == Type::Struct_
                    && entries.dictionary().is_none()
                    && child(entries, 0, 2).is_some();
                if !is_pair || field.type_as_map().is_none() {
                    return Err(unknown(field));
                }
                Ok(self.field(entries, true)?.saturating_add(8))
            }
            Type::Struct_ => self.children(field, is_repeated),
            Type::Union => {
                single("unions", field, is_repeated)?;
                if !is_union(field) {
                    return Err(unknown(field));
                }
                Ok(self.children(field, is_repeated)?.saturating_add(8))
            }
            Type::RunEndEncoded => {
                single("runs", field, is_repeated)?;
                if child(field, 0, 2).is_none() {
                    return Err(unknown(field));
                }
                Ok(self.children(field, is_repeated)?.saturating_add(8))
            }
            Type::Timestamp => {
                let time = field.type_as_timestamp();
                let time = time.filter(|time| time.unit().variant_name().is_some());
                let time = time.ok_or_else(|| unknown(field))?;
                self.text(time.timezone())?;
                Ok(8)
            }
            Type::FixedSizeBinary => {
                let width = field.type_as_fixed_size_binary();
                let width = width.and_then(|binary| usize::try_from(binary.byteWidth()).ok());
                width.ok_or_else(|| unknown(field))
            }
            Type::Null => Ok(0),
            Type::Decimal if is_decimal(field) => Ok(32),
            Type::Int | Type::FloatingPoint | Type::Bool if is_scalar(field) => Ok(8),
            _ if is_scalar(field) => Ok(16),
            _ => Err(unknown(field)),
        }
    }

    /// The one field below a list.
    fn only_child(&mut self, field: Field<'_>) -> Result<usize, Fault> {
        let item = child(field, 0, 1).ok_or_else(|| unknown(field))?;
        self.field(item, true)
    }

    /// All fields below `field`.
    fn children(&mut self, field: Field<'_>, is_repeated: bool) -> Result<usize, Fault> {
        let mut bytes: usize = 0;
        for below in field.children().into_iter().flatten() {
            bytes = bytes.saturating_add(self.field(below, is_repeated)?);
        }
        Ok(bytes)
    }

    fn entry(&mut self, entry: KeyValue<'_>) -> Result<(), Fault> {
        self.text(entry.key())?;
        self.text(entry.value())
    }

    fn text(&mut self, text: Option<&str>) -> Result<(), Fault> {
        // An empty text costs something, too.
        self.text_bytes += text.map_or(0, |text| text.len() + size_of::<String>());
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(invalid(format!(
                "the names and the metadata of the schema have more than {TEXT_BYTES_MAX} bytes"
            )));
        }
        Ok(())
    }
}

/// Child `index` of a field that has `count` of them.
fn child(field: Field<'_>, index: usize, count: usize) -> Option<Field<'_>> {
    let children = field.children()?;
    (children.len() == count).then(|| children.get(index))
}

/// Refuses what names a value several times where a list may hold any number of it: the value would
/// be copied for each.
fn single(what: &str, field: Field<'_>, is_repeated: bool) -> Result<(), Fault> {
    if !is_repeated {
        return Ok(());
    }
    let name = field.name().unwrap_or_default();
    Err(invalid(format!(
        "{what} are not taken beneath a list or a dictionary, as in the field {name:?}; send plain values"
    )))
}

fn unknown(field: Field<'_>) -> Fault {
    let name = field.name().unwrap_or_default();
    let kind = field.type_type().variant_name().unwrap_or("unknown");
    invalid(format!(
        "the field {name:?} has a type {kind} that Arrow does not have"
    ))
}

fn is_integer(int: Int<'_>) -> bool {
    matches!(int.bitWidth(), 8 | 16 | 32 | 64)
}

/// Whether the kinds of a union are distinct numbers, one for each of its fields.
fn is_union(field: Field<'_>) -> bool {
    let Some(union) = field.type_as_union() else {
        return false;
    };
    if ![UnionMode::Sparse, UnionMode::Dense].contains(&union.mode()) {
        return false;
    }
    let fields = field.children().map_or(0, |children| children.len());
    let Some(kinds) = union.typeIds() else {
        return fields <= UNION_FIELDS_MAX;
    };
    let mut met = 0_u128;
    let is_new = |kind: i32| {
        let bit = u32::try_from(kind)
            .ok()
            .and_then(|kind| 1_u128.checked_shl(kind));
        let is_new = bit.is_some_and(|bit| met & bit == 0);
        met |= bit.unwrap_or_default();
        is_new
    };
    kinds.len() == fields && kinds.into_iter().all(is_new)
}

/// Whether a field without others below it has a type that Arrow has.
fn is_scalar(field: Field<'_>) -> bool {
    match field.type_type() {
        Type::Bool
        | Type::Binary
        | Type::LargeBinary
        | Type::BinaryView
        | Type::Utf8
        | Type::LargeUtf8
        | Type::Utf8View => true,
        Type::Int => field.type_as_int().is_some_and(is_integer),
        Type::FloatingPoint => field
            .type_as_floating_point()
            .is_some_and(|number| number.precision().variant_name().is_some()),
        Type::Date => field
            .type_as_date()
            .is_some_and(|date| date.unit().variant_name().is_some()),
        Type::Time => field.type_as_time().is_some_and(|time| {
            matches!(
                (time.bitWidth(), time.unit()),
                (32, TimeUnit::SECOND | TimeUnit::MILLISECOND)
                    | (64, TimeUnit::MICROSECOND | TimeUnit::NANOSECOND)
            )
        }),
        Type::Interval => field
            .type_as_interval()
            .is_some_and(|interval| interval.unit().variant_name().is_some()),
        Type::Duration => field
            .type_as_duration()
            .is_some_and(|duration| duration.unit().variant_name().is_some()),
        _ => false,
    }
}

/// Whether a decimal has as many digits as its width holds.
fn is_decimal(field: Field<'_>) -> bool {
    let Some(decimal) = field.type_as_decimal() else {
        return false;
    };
    let digits = match decimal.bitWidth() {
        32 => 9,
        64 => 18,
        128 => 38,
        256 => 76,
        _ => return false,
    };
    let precision = decimal.precision();
    (1..=digits).contains(&precision) && (-digits..=digits).contains(&decimal.scale())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema, UnionFields, UnionMode};
    use arrow_flight::FlightData;
    use arrow_flight::utils::batches_to_flight_data;

    use super::super::decode::Decoder;
    use super::*;

    fn read(schema: &Schema) -> Result<(), String> {
        let messages: Vec<FlightData> =
            batches_to_flight_data(schema, Vec::new()).expect("a schema alone");
        let outcome = Decoder::new(1).read(&messages[0]);
        outcome
            .map(|rows| assert!(rows.is_none()))
            .map_err(|fault| fault.message().to_owned())
    }

    fn of(data_type: DataType) -> Result<(), String> {
        read(&Schema::new(vec![Field::new("a", data_type, true)]))
    }

    fn item(data_type: DataType) -> Arc<Field> {
        Arc::new(Field::new("item", data_type, true))
    }

    fn dictionary() -> DataType {
        DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8))
    }

    fn union() -> DataType {
        let fields = UnionFields::from_fields(vec![
            Field::new("i", DataType::Int32, true),
            Field::new("s", DataType::Utf8, true),
        ]);
        DataType::Union(fields, UnionMode::Dense)
    }

    #[test]
    fn what_arrow_has_is_taken() {
        let pair = DataType::Struct(
            vec![
                Field::new("keys", DataType::Utf8, false),
                Field::new("values", DataType::Int64, true),
            ]
            .into(),
        );
        let entries = Arc::new(Field::new("entries", pair, false));
        for data_type in [
            DataType::Null,
            DataType::UInt64,
            DataType::Decimal128(38, 10),
            DataType::Decimal256(76, -3),
            DataType::Decimal128(2, 5),
            DataType::FixedSizeBinary(16),
            DataType::Map(entries, false),
            DataType::List(item(DataType::Utf8View)),
            DataType::ListView(item(DataType::Int64)),
            DataType::FixedSizeList(item(DataType::Float32), 1_536),
            dictionary(),
            union(),
        ] {
            let shown = data_type.to_string();
            assert_eq!(of(data_type), Ok(()), "{shown}");
        }
    }

    #[test]
    fn what_would_grow_is_refused() {
        let nested = |size| DataType::FixedSizeList(item(DataType::Int64), size);
        for (data_type, part) in [
            (nested(i32::MAX), "one row takes"),
            (
                DataType::FixedSizeList(item(nested(10_000)), 10_000),
                "one row takes",
            ),
            (DataType::FixedSizeBinary(i32::MAX), "one row takes"),
            (DataType::List(item(dictionary())), "beneath a list"),
            (DataType::List(item(union())), "beneath a list"),
            (
                DataType::Dictionary(
                    Box::new(DataType::Int8),
                    Box::new(DataType::Struct(
                        vec![Field::new("d", dictionary(), true)].into(),
                    )),
                ),
                "or a dictionary",
            ),
            (
                DataType::LargeList(item(DataType::ListView(item(DataType::Int8)))),
                "beneath a list",
            ),
        ] {
            let shown = data_type.to_string();
            let message = of(data_type).expect_err(&shown);
            assert!(message.contains(part), "{shown}: {message}");
        }
        let columns = |count: usize| {
            let fields = (0..count).map(|n| Field::new(n.to_string(), DataType::Null, true));
            read(&Schema::new(fields.collect::<Vec<_>>()))
        };
        assert_eq!(columns(FIELDS_MAX), Ok(()));
        let message = columns(FIELDS_MAX + 1).expect_err("too many");
        assert!(message.contains("more than 4096 columns"), "{message}");
        let metadata = HashMap::from([("key".to_owned(), "x".repeat(TEXT_BYTES_MAX))]);
        let message = read(&Schema::empty().with_metadata(metadata)).expect_err("too much text");
        assert!(message.contains("metadata"), "{message}");
    }
}
