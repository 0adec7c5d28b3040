//! Compression, files that break off, and what cannot be opened at all.

use std::fs;
use std::io::{Cursor, Write};

use vitalog_event::EventBatch;

use super::super::{ImportOptions, open_reader};
use super::{Files, now_us, read};

fn json_lines(rows: usize) -> String {
    let line =
        |row: usize| format!("{{\"event\":\"e\",\"event_time\":\"2025-03-01\",\"value\":{row}}}\n");
    (0..rows).map(line).collect()
}

#[test]
fn packed_text_reads_like_plain_text() {
    let files = Files::new();
    let text = json_lines(5_000);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let zstd = zstd::encode_all(text.as_bytes(), 1).expect("memory");
    let options = ImportOptions {
        batch_rows: 1_000,
        ..ImportOptions::default()
    };
    let plain = read(&files.write("plain", &text), &options);
    assert_eq!((plain.accepted(), plain.events.len()), (5_000, 5));
    for (name, bytes) in [("a.jsonl.gz", gzip), ("a.zst", zstd)] {
        let packed = read(&files.write(name, &bytes), &options);
        assert_eq!(
            packed.texts(EventBatch::event_ids),
            plain.texts(EventBatch::event_ids)
        );
        // Cut off: what came before is handed out, whole lines only, and then it is said.
        let cut = read(&files.write(name, &bytes[..bytes.len() * 3 / 4]), &options);
        let failure = cut.failure();
        assert!(
            failure.contains("cut off after row") && failure.contains(name),
            "{failure}"
        );
        assert!(
            cut.rejected.is_empty() && cut.accepted() < 5_000,
            "{:?}",
            cut.rejected
        );
        let again = plain.texts(EventBatch::event_ids);
        assert_eq!(cut.texts(EventBatch::event_ids), again[..cut.accepted()]);
    }
}

#[test]
fn what_cannot_be_opened_is_named() {
    let files = Files::new();
    let options = ImportOptions::default();
    let failure = read(&files.0.path().join("absent.csv"), &options).failure();
    assert!(
        failure.contains("absent.csv: cannot be opened"),
        "{failure}"
    );
    let failure = read(files.0.path(), &options).failure();
    assert!(failure.contains("directory"), "{failure}");
    let bytes = fs::read(files.simulated(10)).expect("the file");
    let packed = zstd::encode_all(bytes.as_slice(), 1).expect("memory");
    let failure = read(&files.write("events.parquet.zst", packed), &options).failure();
    assert!(
        failure.contains("give it as a plain file, not compressed"),
        "{failure}"
    );
    let reader = Box::new(Cursor::new(bytes));
    let error = open_reader("standard input", reader, None, &options, now_us()).err();
    assert!(
        error
            .expect("refused")
            .to_string()
            .contains("not through a pipe")
    );
    assert_eq!(read(&files.write("empty.jsonl", ""), &options).rows, 0);
    assert_eq!(read(&files.write("empty", "\n\n"), &options).rows, 0);
}
