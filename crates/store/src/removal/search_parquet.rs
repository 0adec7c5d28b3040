//! Searching Parquet for an id: texts are compressed there, so every text column is decoded.

use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use vitalog_event::schema;

use super::search::{IdKind, Tally, hits};

/// Counts `id` in the text columns of a Parquet file; of a published one every column that is
/// wholly the id names it.
///
/// # Errors
/// Bytes that are no Parquet.
pub(super) fn search_parquet(
    file: Vec<u8>,
    id: &str,
    kind: IdKind,
    is_published: bool,
) -> Result<Tally, ParquetError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))?;
    let fields = builder.schema().fields().clone();
    let is_text = |at: &usize| fields[*at].data_type() == &DataType::Utf8;
    let columns: Vec<usize> = (0..fields.len()).filter(is_text).collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
    let mut tally = Tally::default();
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        for (column, &field) in columns.iter().enumerate() {
            let (names_entity, is_wanted) = match fields[field].name().as_str() {
                schema::ACCOUNT_ID => (true, kind.is_account()),
                schema::USER_ID => (true, kind.is_user()),
                schema::PROPERTIES | schema::EVENT | schema::EVENT_ID => (false, false),
                _ => (is_published, true),
            };
            for text in batch.column(column).as_string::<i32>().iter().flatten() {
                let found = hits(text.as_bytes(), id.as_bytes());
                match (names_entity, is_wanted && text == id) {
                    (true, true) => tally.identity += found,
                    (true, false) => tally.other_id += found,
                    (false, _) => tally.mention += found,
                }
            }
        }
    }
    Ok(tally)
}
