//! Generated events as a Parquet file.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;
use vitalog_event::schema::EVENT_ID;

use super::chunk::{SimulatedChunk, simulated_schema};

/// Rows of a row group: enough to compress well, few enough to read in pieces.
const ROW_GROUP_ROWS: usize = 1 << 20;

/// Writes chunks to `path` as one Parquet file (zstd) and returns the number of rows.
///
/// The file gets its name when it is whole: until then it is called `path` with `.partial`
/// appended, which is removed on an error. A file of that name is replaced.
///
/// # Errors
/// What the file system or the writer says.
pub fn write_parquet(
    chunks: impl IntoIterator<Item = SimulatedChunk>,
    path: &Path,
) -> Result<u64, io::Error> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = write_whole(chunks, Path::new(&partial));
    let finished = written.and_then(|rows| fs::rename(&partial, path).map(|()| rows));
    if finished.is_err() {
        // The first error is the one to report; a leftover is not worth another.
        let _ = fs::remove_file(&partial);
    }
    finished
}

fn write_whole(
    chunks: impl IntoIterator<Item = SimulatedChunk>,
    path: &Path,
) -> Result<u64, io::Error> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        // Random ids do not repeat: a dictionary of them only costs.
        .set_column_dictionary_enabled(ColumnPath::from(EVENT_ID), false)
        .build();
    let file = File::create(path)?;
    let mut writer =
        ArrowWriter::try_new(file, simulated_schema(), Some(properties)).map_err(into_io)?;
    let mut rows = 0;
    for chunk in chunks {
        writer.write(chunk.batch()).map_err(into_io)?;
        rows += chunk.len() as u64;
    }
    let file = writer.into_inner().map_err(into_io)?;
    file.sync_all()?;
    Ok(rows)
}

fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::workload::{Simulation, SimulationConfig};
    use super::*;

    fn simulation(rows: u64) -> Simulation {
        Simulation::new(SimulationConfig::scaled(rows, 5, 20_148)).expect("valid")
    }

    #[test]
    fn what_was_written_is_read_back() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("events.parquet");
        assert_eq!(
            write_parquet(simulation(70_000), &path).expect("written"),
            70_000
        );
        let names: Vec<_> = fs::read_dir(directory.path()).expect("a listing").collect();
        assert_eq!(names.len(), 1, "{names:?}");

        let file = File::open(&path).expect("the file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file");
        assert_eq!(reader.schema().fields(), simulated_schema().fields());
        let reader = reader.with_batch_size(1 << 16).build().expect("a reader");
        for (read, written) in reader.zip(simulation(70_000)) {
            assert_eq!(&read.expect("a batch"), written.batch());
        }
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("absent").join("events.parquet");
        assert!(write_parquet(simulation(10), &path).is_err());
        let target = directory.path().join("taken");
        fs::create_dir_all(target.join("inside")).expect("a directory");
        assert!(write_parquet(simulation(10).take(1), &target).is_err());
        assert!(!directory.path().join("taken.partial").exists());
    }
}
