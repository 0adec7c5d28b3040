//! From the bytes of promoted columns to the columns that are asked for.

use std::fmt::Display;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type};
use arrow_array::{Array, RecordBatch, RecordBatchReader};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::concat::concat_batches;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

use super::KEYS_MAX;
use super::census::PromotedKind;
use super::column::{PromotedColumn, PromotedValues};
use super::encode::{KEYS_ENTRY, KeyEntry};

/// The promoted columns of one section as bytes, with the footer read.
#[derive(Clone, Debug)]
pub struct PromotedBlob {
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
    entries: Vec<KeyEntry>,
    rows: usize,
}

impl PromotedBlob {
    /// Reads the footer of what [`PromotedColumns::encode`](super::PromotedColumns::encode) wrote
    /// for a section of `rows` rows, after its checksum; no value.
    ///
    /// # Errors
    /// Bytes that were changed, and what does not fit.
    pub fn open(bytes: &Bytes, rows: usize) -> Result<Self, String> {
        let bytes = checked(bytes)?;
        let plain = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::new()).map_err(text)?;
        let footer = plain.metadata().file_metadata();
        let entries = footer
            .key_value_metadata()
            .and_then(|pairs| pairs.iter().find(|pair| pair.key == KEYS_ENTRY))
            .and_then(|pair| pair.value.as_deref())
            .ok_or_else(|| format!("the footer has no {KEYS_ENTRY}"))?;
        let entries: Vec<KeyEntry> = serde_json::from_str(entries).map_err(text)?;
        if entries.len() > KEYS_MAX {
            return Err(format!("{} keys, at most {KEYS_MAX}", entries.len()));
        }
        let found = footer.num_rows();
        if usize::try_from(found) != Ok(rows) {
            return Err(format!("{found} rows, the section has {rows}"));
        }
        let options = ArrowReaderOptions::new().with_schema(schema_of(&entries));
        let metadata = ArrowReaderMetadata::try_new(Arc::clone(plain.metadata()), options);
        Ok(Self {
            bytes,
            metadata: metadata.map_err(text)?,
            entries,
            rows,
        })
    }

    /// The keys, in the order of the columns: the most frequent first.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// The column of `key`; `None` where the key is not promoted here. Reads that column alone.
    ///
    /// # Errors
    /// Bytes that do not fit the footer.
    pub fn column(&self, key: &str) -> Result<Option<PromotedColumn>, String> {
        let Some(at) = self.entries.iter().position(|entry| entry.key == key) else {
            return Ok(None);
        };
        let before = self.entries[..at].iter();
        let first = before.map(|entry| 1 + usize::from(entry.remainder)).sum();
        let entry = &self.entries[at];
        let batch = self.read(first, 1 + usize::from(entry.remainder))?;
        let values = typed(entry.kind, batch.column(0).as_ref())?;
        let remainder = entry.remainder.then(|| {
            let marks = batch.column(1).as_boolean();
            marks.values().clone()
        });
        Ok(Some(PromotedColumn::new(key.to_owned(), values, remainder)))
    }

    /// `count` columns from `first` on, all rows in one batch.
    fn read(&self, first: usize, count: usize) -> Result<RecordBatch, String> {
        let parquet_schema = self.metadata.metadata().file_metadata().schema_descr();
        let roots = ProjectionMask::roots(parquet_schema, first..first + count);
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            self.bytes.clone(),
            self.metadata.clone(),
        );
        let reader = builder
            .with_projection(roots)
            .with_batch_size(self.rows)
            .build()
            .map_err(text)?;
        let schema = reader.schema();
        let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().map_err(text)?;
        let batch = match batches.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&schema, batches).map_err(text)?,
        };
        if batch.num_rows() != self.rows || batch.num_columns() != count {
            return Err(format!(
                "{} rows of {} columns, expected {} of {count}",
                batch.num_rows(),
                batch.num_columns(),
                self.rows
            ));
        }
        Ok(batch)
    }
}

/// The bytes before the checksum, which they fit.
fn checked(bytes: &Bytes) -> Result<Bytes, String> {
    let Some((parquet, checksum)) = bytes.split_last_chunk::<4>() else {
        return Err(format!("{} bytes are no promoted columns", bytes.len()));
    };
    let (expected, found) = (u32::from_le_bytes(*checksum), crc32c::crc32c(parquet));
    if expected != found {
        return Err(format!(
            "the checksum is {found:#x}, expected {expected:#x}"
        ));
    }
    Ok(bytes.slice(..parquet.len()))
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn schema_of(entries: &[KeyEntry]) -> SchemaRef {
    let fields: Vec<Field> = entries
        .iter()
        .enumerate()
        .flat_map(|(at, entry)| {
            let values = Field::new(at.to_string(), entry.kind.data_type(), true);
            let remainder = entry
                .remainder
                .then(|| Field::new(format!("{at}.remainder"), DataType::Boolean, false));
            [Some(values), remainder].into_iter().flatten()
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn typed(kind: PromotedKind, array: &dyn Array) -> Result<PromotedValues, String> {
    if array.data_type() != &kind.data_type() {
        return Err(format!("a column is {}", array.data_type()));
    }
    match kind {
        PromotedKind::Text => {
            let array = array.as_dictionary();
            let texts = array.values().len();
            let keys = array.keys().iter().flatten();
            // The keys index the texts without further checks.
            if keys
                .into_iter()
                .any(|key| usize::try_from(key).map_or(true, |key| key >= texts))
            {
                return Err("a text is missing".to_owned());
            }
            Ok(PromotedValues::Text(array.clone()))
        }
        PromotedKind::Integer => Ok(PromotedValues::Integer(
            array.as_primitive::<Int64Type>().clone(),
        )),
        PromotedKind::Double(style) => {
            let doubles = array.as_primitive::<Float64Type>().clone();
            Ok(PromotedValues::Double(doubles, style))
        }
        PromotedKind::Boolean => Ok(PromotedValues::Boolean(array.as_boolean().clone())),
    }
}
