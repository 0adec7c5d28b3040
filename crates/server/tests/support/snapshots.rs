//! Published snapshots made by hand: two days of a table, in bytes that do not compress.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use vitalog_store::{PublishedSnapshot, SnapshotTerms, Store};

/// 2025-03-01, in days since 1970.
pub const FIRST_DAY: i32 = 20_148;

/// Publishes `rows` rows a day of the table `table`, leased for `lease`.
pub fn publish(store: &Store, table: &str, rows: usize, lease: Duration) -> Arc<PublishedSnapshot> {
    let now_us = store.clock().now_us();
    let terms = SnapshotTerms {
        epoch: store.published().epoch(),
        seq: store.snapshot().seq(),
        as_of_us: now_us,
        created_at_us: now_us,
        expires_at_us: now_us + lease.as_micros() as i64,
        is_in_delta_log: false,
    };
    let mut draft = store.published().begin(terms).unwrap();
    for day in [FIRST_DAY, FIRST_DAY + 1] {
        let batch = batch(day, rows);
        if day == FIRST_DAY {
            draft.table(table, batch.schema_ref()).unwrap();
        }
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        draft.write_file(table, day, &bytes).unwrap();
    }
    draft.commit().unwrap()
}

fn batch(day: i32, rows: usize) -> RecordBatch {
    let mut state = 88_172_645_463_325_252_u64 + day as u64;
    let mut number = || {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as i64
    };
    let numbers = Int64Array::from_iter_values((0..rows).map(|_| number()));
    let days = Date32Array::from(vec![day; rows]);
    let columns: [(&str, ArrayRef); 2] = [("seq", Arc::new(numbers)), ("dt", Arc::new(days))];
    RecordBatch::try_from_iter(columns).unwrap()
}

/// The paths over HTTP of the files of a table.
pub fn paths(store: &Store, snapshot: &PublishedSnapshot, table: &str) -> Vec<String> {
    let manifest = store.published().manifest(table, &snapshot.id).unwrap();
    let files = manifest.unwrap().files.clone();
    let id = &snapshot.id;
    files
        .iter()
        .map(|file| format!("/snapshots/{table}/{id}/{}", file.path))
        .collect()
}

/// What the file of such a path holds.
pub fn bytes_of(store: &Store, path: &str) -> Vec<u8> {
    store
        .directory()
        .read(path.trim_start_matches('/'))
        .unwrap()
}
