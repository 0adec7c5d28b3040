//! The columns of a cold file and how each is encoded.

use std::sync::{Arc, LazyLock};

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::{
    BloomFilterPosition, EnabledStatistics, WriterProperties, WriterPropertiesBuilder,
};
use parquet::schema::types::ColumnPath;
use vitalog_event::schema;

/// The UTC day of all rows.
pub(super) const DAY: &str = "dt";

/// A column by its position; the first nine are those of `events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub(super) enum Column {
    EventId,
    Time,
    Received,
    Seq,
    Event,
    Account,
    User,
    Value,
    Properties,
    Day,
}

impl Column {
    /// All of them, by position.
    pub const ALL: [Self; 10] = [
        Self::EventId,
        Self::Time,
        Self::Received,
        Self::Seq,
        Self::Event,
        Self::Account,
        Self::User,
        Self::Value,
        Self::Properties,
        Self::Day,
    ];
}

fn schema_of(text: &DataType, name: &DataType) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(schema::EVENT_ID, text.clone(), false),
        Field::new(schema::EVENT_TIME, schema::timestamp_type(), false),
        Field::new(schema::RECEIVED_AT, schema::timestamp_type(), false),
        Field::new(schema::SEQ, DataType::Int64, false),
        Field::new(schema::EVENT, name.clone(), false),
        Field::new(schema::ACCOUNT_ID, name.clone(), true),
        Field::new(schema::USER_ID, name.clone(), true),
        Field::new(schema::VALUE, DataType::Float64, true),
        Field::new(schema::PROPERTIES, text.clone(), true),
        Field::new(DAY, DataType::Date32, false),
    ]))
}

/// The schema of the file.
pub(super) fn file_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| schema_of(&DataType::Utf8, &DataType::Utf8));
    Arc::clone(&SCHEMA)
}

/// The schema by which whole columns are decoded: names as the dictionaries of their row groups.
pub(super) fn coded_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let name = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        schema_of(&DataType::Utf8, &name)
    });
    Arc::clone(&SCHEMA)
}

/// The schema by which a few pages are decoded: as SQL sees the rows.
pub(super) fn viewed_schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> =
        LazyLock::new(|| schema_of(&DataType::Utf8View, &DataType::Utf8View));
    Arc::clone(&SCHEMA)
}

/// How many rows stand together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Rows of a row group.
    pub group_rows: usize,
    /// Rows of a page: a selection of one account reads one page of each column, and zstd sees
    /// enough to compress nearly as well as with larger ones.
    pub page_rows: usize,
    /// Bytes of a dictionary of names: so many that it is never given up for plain values, which
    /// would have to be mapped to symbols one by one.
    pub dictionary_bytes: usize,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            group_rows: 1 << 20,
            page_rows: 8 << 10,
            dictionary_bytes: 64 << 20,
        }
    }
}

/// Bytes of a page, for rows with long texts.
const PAGE_BYTES: usize = 1 << 20;

/// Bytes of the dictionary of values or received times, beyond which they are split by bytes.
const NUMBERS_DICTIONARY_BYTES: usize = 64 << 10;

/// False positives of the bloom filters of accounts and users.
const IDENTITY_FALSE_POSITIVES: f64 = 0.05;

/// What the writer knows of the rows before it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowsToWrite {
    pub rows: usize,
    /// Distinct accounts.
    pub accounts: usize,
    /// Distinct users.
    pub users: usize,
    pub ids: IdEncoding,
}

/// How event ids are encoded, which differ most between clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdEncoding {
    /// Their lengths apart, and a level of zstd that looks for few matches, of which there are none
    /// that pay, but counts letters.
    Random,
    /// What each shares with the one before apart, and a level of zstd that finds repetitions.
    Structured,
}

impl IdEncoding {
    /// The encoding that makes the smaller file of some ids in the order of the file.
    pub fn of_sample(ids: &StringArray) -> parquet::errors::Result<Self> {
        let random = Self::Random.bytes_of(ids)?;
        let structured = Self::Structured.bytes_of(ids)?;
        Ok(if structured < random {
            Self::Structured
        } else {
            Self::Random
        })
    }

    fn bytes_of(self, ids: &StringArray) -> parquet::errors::Result<usize> {
        let (encoding, level) = self.encoding();
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_encoding(encoding)
            .set_compression(zstd(level))
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        let column: ArrayRef = Arc::new(ids.clone());
        let batch = RecordBatch::try_from_iter([(schema::EVENT_ID, column)])?;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?.len())
    }

    fn encoding(self) -> (Encoding, i32) {
        match self {
            Self::Random => (Encoding::DELTA_LENGTH_BYTE_ARRAY, 1),
            Self::Structured => (Encoding::DELTA_BYTE_ARRAY, 9),
        }
    }
}

/// How the columns are encoded; the choices were measured
/// (docs/decisions/0012-cold-files.md).
pub(super) fn writer_properties(known: &RowsToWrite, layout: Layout) -> WriterProperties {
    let builder = WriterProperties::builder()
        .set_created_by(concat!("vitalog ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(zstd(3))
        .set_max_row_group_row_count(Some(layout.group_rows))
        .set_data_page_row_count_limit(layout.page_rows)
        .set_write_batch_size(layout.page_rows.min(1 << 10))
        .set_data_page_size_limit(PAGE_BYTES)
        .set_bloom_filter_position(BloomFilterPosition::End)
        .set_sorting_columns(Some(sorting_columns()));
    let builder = with_encodings(builder, known, layout);
    with_bloom_filters(builder, known, layout).build()
}

fn zstd(level: i32) -> Compression {
    Compression::ZSTD(ZstdLevel::try_new(level).expect("a level of zstd"))
}

fn path(column: &str) -> ColumnPath {
    ColumnPath::from(column)
}

/// Account, user, time, seq; ascending, nulls last.
fn sorting_columns() -> Vec<SortingColumn> {
    [Column::Account, Column::User, Column::Time, Column::Seq]
        .map(|column| SortingColumn {
            column_idx: column as i32,
            descending: false,
            nulls_first: false,
        })
        .to_vec()
}

fn with_encodings(
    mut builder: WriterPropertiesBuilder,
    known: &RowsToWrite,
    layout: Layout,
) -> WriterPropertiesBuilder {
    let (encoding, level) = known.ids.encoding();
    let ids = (schema::EVENT_ID, encoding, level);
    // Plain, for every reader: splitting the bytes of integers saves nothing of the times and a
    // twentieth of the seqs, and DuckDB 1.5 does not read it.
    let times = (schema::EVENT_TIME, Encoding::PLAIN, 9);
    let seqs = (schema::SEQ, Encoding::PLAIN, 6);
    let properties = (schema::PROPERTIES, Encoding::PLAIN, 8);
    for (column, encoding, level) in [ids, times, seqs, properties] {
        builder = builder
            .set_column_dictionary_enabled(path(column), false)
            .set_column_encoding(path(column), encoding)
            .set_column_compression(path(column), zstd(level));
    }
    for (column, beyond) in [
        (schema::RECEIVED_AT, Encoding::PLAIN),
        (schema::VALUE, Encoding::BYTE_STREAM_SPLIT),
    ] {
        builder = builder
            .set_column_dictionary_page_size_limit(path(column), NUMBERS_DICTIONARY_BYTES)
            .set_column_encoding(path(column), beyond);
    }
    for column in [schema::EVENT, schema::ACCOUNT_ID, schema::USER_ID] {
        builder = builder
            .set_column_dictionary_page_size_limit(path(column), layout.dictionary_bytes)
            .set_column_compression(path(column), zstd(9));
    }
    // Bounds of random ids and of whole objects prune nothing.
    for column in [schema::EVENT_ID, schema::PROPERTIES] {
        let chunks = EnabledStatistics::Chunk;
        builder = builder.set_column_statistics_enabled(path(column), chunks);
    }
    builder
}

fn with_bloom_filters(
    builder: WriterPropertiesBuilder,
    known: &RowsToWrite,
    layout: Layout,
) -> WriterPropertiesBuilder {
    let (ids, false_positives) = id_filter(known.rows.min(layout.group_rows));
    [
        (schema::EVENT_ID, ids, false_positives),
        (
            schema::ACCOUNT_ID,
            known.accounts as u64,
            IDENTITY_FALSE_POSITIVES,
        ),
        (
            schema::USER_ID,
            known.users as u64,
            IDENTITY_FALSE_POSITIVES,
        ),
    ]
    .into_iter()
    .fold(builder, |builder, (column, distinct, false_positives)| {
        builder
            .set_column_bloom_filter_enabled(path(column), true)
            .set_column_bloom_filter_max_ndv(path(column), distinct.max(1))
            .set_column_bloom_filter_fpp(path(column), false_positives)
    })
}

/// Distinct ids and the rate of false positives from which Parquet's writer makes the filter that
/// is wanted.
///
/// A filter has a power of two of bytes: rounded up from 5 % it takes up to 1.7 bytes an id. Here
/// it is the greatest power that is at most 1.05 bytes an id, for which 3 % to 28 % of the ids that
/// are not there pass.
fn id_filter(rows: usize) -> (u64, f64) {
    let ids = rows.max(1) as f64;
    let bytes = 2_f64.powf((ids * 1.05).max(32.0).log2().floor());
    let false_positives = (1.0 - (-ids / bytes).exp()).powi(8);
    // A little more, so that rounding never asks for twice the bytes.
    (
        rows.max(1) as u64,
        (false_positives * 1.01).clamp(1e-6, 0.99),
    )
}

#[cfg(test)]
mod tests {
    use parquet::bloom_filter::Sbbf;

    use super::*;

    #[test]
    fn id_filters_are_within_their_budget() {
        for rows in [
            1,
            2,
            31,
            100,
            997,
            8_192,
            131_072,
            143_286,
            153_545,
            1 << 20,
        ] {
            let (ids, rate) = id_filter(rows);
            let filter = Sbbf::new_with_ndv_fpp(ids, rate).expect("a rate");
            let bytes = filter.num_blocks() * 32;
            assert!(
                bytes <= (rows * 21 / 20).max(32),
                "{rows} rows: {bytes} bytes"
            );
            assert!(bytes * 2 > rows, "{rows} rows: {bytes} bytes, {rate}");
            assert!(rate < 0.30 || rows < 60, "{rows} rows: {rate}");
        }
    }

    #[test]
    fn ids_are_encoded_as_they_are_made() {
        let mixed = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        let random = |at: u64| format!("{:016x}", mixed(mixed(at) ^ 0x5bd1_e995));
        let encoding = |id: &dyn Fn(u64) -> String| {
            let ids: StringArray = (0..4_000).map(|at| Some(id(at))).collect();
            IdEncoding::of_sample(&ids).expect("encoded")
        };
        assert_eq!(encoding(&random), IdEncoding::Random);
        let numbered = |at: u64| format!("import-7/{:09}", at * 3);
        assert_eq!(encoding(&numbered), IdEncoding::Structured);
    }

    #[test]
    fn schemas_differ_in_text_alone() {
        for (at, column) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, at);
        }
        let events = vitalog_event::schema::events_view_schema();
        for (at, field) in events.fields().iter().enumerate() {
            assert_eq!(viewed_schema().field(at), field.as_ref());
            assert_eq!(file_schema().field(at).name(), field.name());
            assert_eq!(coded_schema().field(at).is_nullable(), field.is_nullable());
        }
    }
}
