//! The footer of a Parquet file, and the types in which its columns are to be read.
//!
//! Texts are read as bytes: the reader would refuse a whole batch for one cell that is no UTF-8,
//! where here only that row is to be left out. For that the footer's schema loses the annotation
//! of its text columns before the reader sees it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

use super::error::ImportError;

const MAGIC: &[u8; 4] = b"PAR1";

/// Shortest Parquet file: magic, footer length, magic.
const LENGTH_MIN: u64 = 12;

/// Reads the footer; every column of text will be read as `BinaryView`, and times in the old
/// INT96 form as microseconds, since nanoseconds in 64 bits end in 2262 and would wrap.
///
/// # Errors
/// [`ImportError::CutOff`] for a file that begins as Parquet and does not end so,
/// [`ImportError::Damaged`] for any other footer that cannot be read.
pub(super) fn read_metadata(
    path: &str,
    file: &mut File,
    length: u64,
) -> Result<ArrowReaderMetadata, ImportError> {
    check_ends(path, file, length)?;
    let damaged = |error: ParquetError| ImportError::Damaged {
        path: path.to_owned(),
        row: 0,
        detail: format!("the Parquet footer cannot be read: {error}"),
    };
    let metadata = ParquetMetaDataReader::new()
        .parse_and_finish(file)
        .map_err(damaged)?;
    let as_written = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
        .map_err(damaged)?;
    let (metadata, schema) = texts_as_bytes(&as_written).map_err(damaged)?;
    let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
    ArrowReaderMetadata::try_new(Arc::new(metadata), options).map_err(damaged)
}

fn check_ends(path: &str, file: &mut File, length: u64) -> Result<(), ImportError> {
    let mut end = [0; 4];
    let mut start = [0; 4];
    let read = |file: &mut File, from, bytes: &mut [u8; 4]| {
        file.seek(from).and_then(|_| file.read_exact(bytes))
    };
    let at_fault = |source| ImportError::reading(path, 0, source);
    let cut_off = |detail: &str| ImportError::CutOff {
        path: path.to_owned(),
        row: 0,
        detail: detail.to_owned(),
    };
    if length < LENGTH_MIN {
        return Err(cut_off(&format!(
            "{length} bytes are no whole Parquet file"
        )));
    }
    read(file, SeekFrom::Start(0), &mut start).map_err(at_fault)?;
    read(file, SeekFrom::End(-4), &mut end).map_err(at_fault)?;
    if start != *MAGIC {
        let detail = "it does not begin as Parquet does, with PAR1".to_owned();
        return Err(ImportError::Damaged {
            path: path.to_owned(),
            row: 0,
            detail,
        });
    }
    if end != *MAGIC {
        return Err(cut_off(
            "it begins as Parquet, but the footer at its end is missing",
        ));
    }
    Ok(())
}

fn texts_as_bytes(
    as_written: &ArrowReaderMetadata,
) -> Result<(ParquetMetaData, Schema), ParquetError> {
    let file = as_written.metadata().file_metadata();
    let root = file.schema_descr().root_schema();
    let arrow = as_written.schema();
    let (mut types, mut fields) = (Vec::new(), Vec::new());
    for (parquet, field) in root.get_fields().iter().zip(arrow.fields()) {
        let (parquet, read_as) = read_type(parquet, field)?;
        types.push(parquet);
        fields.push(field.as_ref().clone().with_data_type(read_as));
    }
    let root = Type::group_type_builder(root.name())
        .with_fields(types)
        .build()?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(Arc::new(root))),
        file.column_orders().cloned(),
    );
    let metadata = ParquetMetaData::new(file, as_written.metadata().row_groups().to_vec());
    Ok((
        metadata,
        Schema::new_with_metadata(fields, arrow.metadata().clone()),
    ))
}

/// The type of a column in the footer and in memory.
fn read_type(parquet: &TypePtr, field: &Field) -> Result<(TypePtr, DataType), ParquetError> {
    let unchanged = (Arc::clone(parquet), field.data_type().clone());
    if !parquet.is_primitive() {
        return Ok(unchanged);
    }
    match parquet.get_physical_type() {
        PhysicalType::BYTE_ARRAY if is_text(field.data_type()) => {
            let info = parquet.get_basic_info();
            let bytes = Type::primitive_type_builder(info.name(), PhysicalType::BYTE_ARRAY)
                .with_repetition(info.repetition())
                .with_id(info.has_id().then(|| info.id()))
                .build()?;
            Ok((Arc::new(bytes), DataType::BinaryView))
        }
        PhysicalType::INT96 => Ok((
            Arc::clone(parquet),
            DataType::Timestamp(TimeUnit::Microsecond, None),
        )),
        _ => Ok(unchanged),
    }
}

fn is_text(data_type: &DataType) -> bool {
    use DataType::{Binary, BinaryView, Dictionary, LargeBinary, LargeUtf8, Utf8, Utf8View};
    match data_type {
        Dictionary(_, value) => is_text(value),
        Utf8 | LargeUtf8 | Utf8View | Binary | LargeBinary | BinaryView => true,
        _ => false,
    }
}
