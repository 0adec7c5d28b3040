//! The bytes of promoted columns: one Parquet file in memory, and the CRC32C of it (`u32`, little
//! endian), so that a reader of Parquet never sees damage.
//!
//! ```text
//! column `0`            the values of the first key, nullable
//! column `0.remainder`  booleans, only where the first key has a remainder
//! column `1` …
//! footer                key-value `vitalog.promoted`: JSON, one entry a key in the same order:
//!                       {"key": "country", "kind": "text", "remainder": false}
//! ```
//! One row a row of the section, in its order. Each column is written in the encoding that is
//! smallest for it, under zstd.

use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::census::PromotedKind;
use super::column::{PromotedColumn, PromotedValues};
use super::{DISTINCT_MAX, PromotedColumns};
use crate::error::{Result, StoreError};

/// The footer's entry that names the columns.
pub(super) const KEYS_ENTRY: &str = "vitalog.promoted";

/// Any column may have so many bytes: in a small section it costs nothing that counts.
const BYTES_ALWAYS: usize = 1 << 10;

/// What the footer says of one key.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct KeyEntry {
    pub key: String,
    pub kind: PromotedKind,
    pub remainder: bool,
}

/// How one column is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    Dictionary,
    As(Encoding),
}

impl PromotedKind {
    /// Bytes, times two, that a row of the section may cost: a number is worth more, because
    /// parsing it costs more and nothing else than its column can be added up.
    fn half_bytes_a_row(self) -> usize {
        match self {
            Self::Text | Self::Boolean => 1,
            Self::Integer | Self::Double(_) => 5,
        }
    }

    fn candidates(self) -> &'static [Written] {
        match self {
            Self::Text => &[Written::Dictionary],
            Self::Boolean => &[Written::As(Encoding::RLE)],
            Self::Integer => &[
                Written::Dictionary,
                Written::As(Encoding::DELTA_BINARY_PACKED),
                Written::As(Encoding::BYTE_STREAM_SPLIT),
            ],
            Self::Double(_) => &[
                Written::Dictionary,
                Written::As(Encoding::BYTE_STREAM_SPLIT),
            ],
        }
    }

    /// The type of its column in memory.
    pub(super) fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Integer => DataType::Int64,
            Self::Double(_) => DataType::Float64,
            Self::Boolean => DataType::Boolean,
        }
    }
}

impl PromotedColumns {
    /// The bytes that the promoted columns of a file with `parquet_bytes` may have: an eighth of
    /// them, or 8 KiB if that is more.
    #[must_use]
    pub fn bytes_max(parquet_bytes: u64) -> usize {
        usize::try_from(parquet_bytes / 8)
            .unwrap_or(usize::MAX)
            .max(8 << 10)
    }

    /// The columns as bytes, those left out that cost more than they give: text and booleans
    /// beyond half a byte a row of the section, numbers beyond two and a half, and what no longer
    /// fits into `bytes_max` after the more frequent keys. `None` where none is left.
    ///
    /// The footer, about 200 bytes a key, comes on top.
    ///
    /// # Errors
    /// Of the Parquet writer, which has no reason to fail.
    pub fn encode(&self, bytes_max: usize) -> Result<Option<Vec<u8>>> {
        let mut left = bytes_max;
        let mut kept = Vec::new();
        for column in self.columns() {
            let (written, bytes) = smallest(column)?;
            let half_bytes = column.values().kind().half_bytes_a_row();
            let bytes_max = (self.rows() * half_bytes / 2).max(BYTES_ALWAYS);
            if bytes <= bytes_max.min(left) {
                left -= bytes;
                kept.push((column, written));
            }
        }
        if kept.is_empty() {
            return Ok(None);
        }
        let (mut bytes, _) = write(&kept).map_err(of_writer)?;
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(Some(bytes))
    }
}

fn of_writer(error: ParquetError) -> StoreError {
    StoreError::arrow("promoted properties")(error.into())
}

/// The encoding in which a column is smallest, and its bytes with those of the remainder.
fn smallest(column: &PromotedColumn) -> Result<(Written, usize)> {
    let mut smallest: Option<(Written, usize)> = None;
    for &written in column.values().kind().candidates() {
        let (_, bytes) = write(&[(column, written)]).map_err(of_writer)?;
        if smallest.is_none_or(|(_, least)| bytes < least) {
            smallest = Some((written, bytes));
        }
    }
    Ok(smallest.expect("every type has a candidate"))
}

/// A Parquet file of `columns`, and the bytes of their values alone.
fn write(
    columns: &[(&PromotedColumn, Written)],
) -> std::result::Result<(Vec<u8>, usize), ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(usize::MAX)
        // The dictionary holds: fallen back to text, a column would not pay.
        .set_dictionary_page_size_limit(DISTINCT_MAX << 12)
        .set_dictionary_enabled(false);
    let (mut fields, mut arrays, mut entries) = (Vec::new(), Vec::<ArrayRef>::new(), Vec::new());
    for (at, (column, written)) in columns.iter().enumerate() {
        let name = ColumnPath::from(at.to_string());
        properties = match written {
            Written::Dictionary => properties.set_column_dictionary_enabled(name, true),
            Written::As(encoding) => properties.set_column_encoding(name, *encoding),
        };
        fields.push(Field::new(
            at.to_string(),
            column.values().kind().data_type(),
            true,
        ));
        arrays.push(shared(column.values()));
        if let Some(remainder) = column.remainder() {
            let name = format!("{at}.remainder");
            let path = ColumnPath::new(vec![name.clone()]);
            properties = properties.set_column_encoding(path, Encoding::RLE);
            fields.push(Field::new(name, DataType::Boolean, false));
            arrays.push(Arc::new(BooleanArray::from(remainder.clone())));
        }
        entries.push(KeyEntry {
            key: column.key().to_owned(),
            kind: column.values().kind(),
            remainder: column.remainder().is_some(),
        });
    }
    let entries = serde_json::to_string(&entries)
        .map_err(|error| ParquetError::General(error.to_string()))?;
    let properties = properties
        .set_key_value_metadata(Some(vec![KeyValue::new(KEYS_ENTRY.to_owned(), entries)]))
        .build();
    let schema = Arc::new(Schema::new(fields));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays)?;
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new_with_options(&mut bytes, schema, options)?;
    writer.write(&batch)?;
    let metadata = writer.close()?;
    let groups = metadata.row_groups().iter();
    let value_bytes: i64 = groups.map(RowGroupMetaData::compressed_size).sum();
    Ok((bytes, usize::try_from(value_bytes).unwrap_or(usize::MAX)))
}

fn shared(values: &PromotedValues) -> ArrayRef {
    match values {
        PromotedValues::Text(array) => Arc::new(array.clone()),
        PromotedValues::Integer(array) => Arc::new(array.clone()),
        PromotedValues::Double(array, _) => Arc::new(array.clone()),
        PromotedValues::Boolean(array) => Arc::new(array.clone()),
    }
}
