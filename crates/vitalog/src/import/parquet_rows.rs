//! Events from Parquet: any subset and order of our columns, types coerced.

use std::fs::File;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use vitalog_event::TimeUnit;

use super::assembler::{Assembler, SourceRow};
use super::byte_source::Progress;
use super::error::ImportError;
use super::event_field::EventField;
use super::field_plan::FieldPlan;
use super::memberships::Memberships;
use super::options::ImportOptions;
use super::parquet_columns::{EventColumns, expected_instead};
use super::parquet_metadata::read_metadata;
use super::source::RowReader;

/// Bytes that a decoded batch should not exceed, judged by the file's mean row.
const BATCH_BYTES: u64 = 32 << 20;

/// Reads the rows of one file.
pub(super) struct ParquetRows {
    path: String,
    reader: ParquetRecordBatchReader,
    /// Where each field stands among the columns that are read.
    positions: [Option<usize>; EventField::ALL.len()],
    time_unit: Option<TimeUnit>,
    current: Option<DecodedBatch>,
    rows_read: u64,
    rows_total: u64,
    progress: Progress,
}

struct DecodedBatch {
    batch: RecordBatch,
    columns: EventColumns,
    next_row: usize,
}

impl ParquetRows {
    /// Reads the footer and decides which column fills which field.
    ///
    /// # Errors
    /// What [`read_metadata`] and [`FieldPlan::decide`] say; a column whose type cannot become
    /// its field's.
    pub(super) fn open(
        path: &str,
        mut file: File,
        length: u64,
        options: &ImportOptions,
        progress: Progress,
    ) -> Result<Self, ImportError> {
        let metadata = read_metadata(path, &mut file, length)?;
        let schema = metadata.schema();
        let names: Vec<String> = schema
            .fields()
            .iter()
            .map(|field| field.name().clone())
            .collect();
        let plan = FieldPlan::decide(path, &names, options)?;
        check_types(path, &plan, &metadata, options.time_unit)?;
        let mut roots: Vec<usize> = EventField::ALL
            .into_iter()
            .filter_map(|field| plan.column(field))
            .collect();
        roots.sort_unstable();
        let positions = EventField::ALL.map(|field| {
            let column = plan.column(field)?;
            roots.binary_search(&column).ok()
        });
        let rows_total = u64::try_from(metadata.metadata().file_metadata().num_rows()).unwrap_or(0);
        let mask = ProjectionMask::roots(metadata.parquet_schema(), roots);
        let rows = batch_rows(&metadata, rows_total, options.batch_rows);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata)
            .with_projection(mask)
            .with_batch_size(rows)
            .build()
            .map_err(|error| damaged(path, 0, &error))?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            positions,
            time_unit: options.time_unit,
            current: None,
            rows_read: 0,
            rows_total,
            progress,
        })
    }

    /// Decodes the next batch; false at the end.
    fn decode(&mut self) -> Result<bool, ImportError> {
        let batch = match self.reader.next() {
            None => return Ok(false),
            Some(batch) => batch.map_err(|error| damaged(&self.path, self.rows_read, &error))?,
        };
        let position = |field| self.positions[field as usize];
        let columns = EventColumns::new(&batch, position, self.time_unit)
            .map_err(|error| damaged(&self.path, self.rows_read, &error))?;
        self.current = Some(DecodedBatch {
            batch,
            columns,
            next_row: 0,
        });
        Ok(true)
    }

    fn push_rows(
        &mut self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<(), ImportError> {
        let Some(DecodedBatch {
            batch,
            columns,
            next_row,
        }) = &mut self.current
        else {
            return Ok(());
        };
        let account_is_absent = self.positions[EventField::AccountId as usize].is_none();
        assembler.reserve(batch.num_rows() - *next_row);
        while *next_row < batch.num_rows() && !assembler.is_full() {
            let row = *next_row;
            let number = self.rows_read + 1;
            match columns.draft(row) {
                Ok(draft) => {
                    let source = SourceRow {
                        draft,
                        account_is_absent,
                    };
                    if !assembler.push(number, &source, memberships, || row_text(batch, row)) {
                        return Err(assembler.contents_exhausted(&self.path, number));
                    }
                }
                Err((field, (code, message))) => {
                    assembler.reject(number, field.name(), code, message, row_text(batch, row));
                }
            }
            *next_row += 1;
            self.rows_read += 1;
        }
        if *next_row == batch.num_rows() {
            self.current = None;
        }
        Ok(())
    }
}

impl RowReader for ParquetRows {
    fn read_rows(
        &mut self,
        assembler: &mut Assembler,
        memberships: &mut Memberships,
    ) -> Result<bool, ImportError> {
        if self.current.is_none() && !self.decode()? {
            return Ok(false);
        }
        self.push_rows(assembler, memberships)?;
        let total = self.progress.total.unwrap_or(0) as f64;
        self.progress
            .set((total * self.rows_read as f64 / self.rows_total.max(1) as f64) as u64);
        Ok(true)
    }
}

fn check_types(
    path: &str,
    plan: &FieldPlan,
    metadata: &ArrowReaderMetadata,
    unit: Option<TimeUnit>,
) -> Result<(), ImportError> {
    for field in EventField::ALL {
        let Some(position) = plan.column(field) else {
            continue;
        };
        let column = metadata.schema().field(position);
        if let Some(expected) = expected_instead(field, column.data_type(), unit) {
            return Err(ImportError::ColumnType {
                path: path.to_owned(),
                column: column.name().clone(),
                field,
                found: column.data_type().to_string(),
                expected,
            });
        }
    }
    Ok(())
}

/// Rows to decode at once: as many as a batch takes, fewer where rows are large.
fn batch_rows(metadata: &ArrowReaderMetadata, rows_total: u64, rows_max: usize) -> usize {
    let groups = metadata.metadata().row_groups();
    let bytes: u64 = groups
        .iter()
        .map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0))
        .sum();
    let row_bytes = (bytes / rows_total.max(1)).max(1);
    usize::try_from(BATCH_BYTES / row_bytes)
        .unwrap_or(rows_max)
        .clamp(256, rows_max.max(256))
}

/// A row as a JSON object, for people.
fn row_text(batch: &RecordBatch, row: usize) -> String {
    let options = FormatOptions::default();
    let mut object = serde_json::Map::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.is_null(row) {
            continue;
        }
        let text = match column.as_binary_view_opt() {
            Some(bytes) => String::from_utf8_lossy(bytes.value(row)).into_owned(),
            None => ArrayFormatter::try_new(column.as_ref(), &options).map_or_else(
                |error| error.to_string(),
                |shown| shown.value(row).to_string(),
            ),
        };
        object.insert(field.name().clone(), text.into());
    }
    serde_json::Value::Object(object).to_string()
}

fn damaged(path: &str, row: u64, error: &dyn std::error::Error) -> ImportError {
    let detail = format!("the Parquet data cannot be read: {error}");
    ImportError::Damaged {
        path: path.to_owned(),
        row,
        detail,
    }
}
