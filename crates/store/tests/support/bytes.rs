//! Where a text stands under a directory, found without the store: in the bytes of the files, and
//! in the decoded columns of Parquet.

use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use vitalog_disk::{Directory, FaultyDirectory};
use vitalog_store::{IdKind, SearchReport, search_files, verify_directory};

/// The files that hold `text`, all of one moment: a store that is open renames files meanwhile.
pub fn files_with(directory: &FaultyDirectory, text: &str) -> Vec<String> {
    let directory = directory.kill_image();
    let names = directory.files().into_iter().map(|(name, _)| name);
    let holds = |name: &String| {
        let bytes = directory.read(name).unwrap();
        contains(&bytes, text)
            || name.ends_with(".parquet") && texts(bytes).iter().any(|one| one.contains(text))
    };
    names.filter(holds).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    let mut windows = bytes.windows(text.len());
    windows.any(|window| window == text.as_bytes())
}

/// Every text of a Parquet file.
fn texts(file: Vec<u8>) -> Vec<String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let mut texts = Vec::new();
    for batch in builder.build().unwrap() {
        for column in batch.unwrap().columns() {
            if column.data_type() == &DataType::Utf8 {
                let column = column.as_string::<i32>();
                texts.extend(column.iter().flatten().map(str::to_owned));
            } else {
                let plain = column.data_type().is_primitive() || column.as_boolean_opt().is_some();
                assert!(plain, "{} is searched by its text", column.data_type());
            }
        }
    }
    texts
}

/// What the store's own search says of every file, of one moment as well.
pub fn search(directory: &FaultyDirectory, id: &str, kind: IdKind) -> SearchReport {
    let directory = directory.kill_image();
    let names = directory.files().into_iter().map(|(name, _)| name);
    let names: Vec<String> = names.collect();
    let directory: Arc<dyn Directory> = Arc::new(directory);
    search_files(&directory, &names, id, kind, |_| {}).unwrap()
}

pub fn assert_undamaged(directory: &FaultyDirectory) {
    let directory: Arc<dyn Directory> = Arc::new(directory.clone());
    let report = verify_directory(&directory, |_| {}).unwrap();
    assert!(report.damages.is_empty(), "{:?}", report.damages);
}
