//! The formats of the command line, and outputs that fail.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::*;

fn sample() -> RecordBatch {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    RecordBatch::try_from_iter([("n", numbers)]).expect("one column")
}

#[test]
fn every_word_is_its_format() {
    let text = |format| {
        let mut out = Vec::new();
        write_batches(format, &[sample()], &mut out).expect("a vector takes it");
        out
    };
    assert_eq!(text(OutputFormat::Jsonl), b"{\"n\":1}\n{\"n\":2}\n");
    assert_eq!(text(OutputFormat::Json), b"[\n{\"n\":1},\n{\"n\":2}\n]\n");
    assert_eq!(text(OutputFormat::Csv), b"n\n1\n2\n");
    assert!(text(OutputFormat::Parquet).ends_with(b"PAR1"));
    assert!(text(OutputFormat::Arrow).starts_with(&[0xff; 4]));
}

/// A failing output is an error, not a panic, in every format.
#[test]
fn a_closed_output_is_an_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
    }
    for format in OutputFormat::value_variants() {
        assert!(
            write_batches(*format, &[sample()], &mut Closed).is_err(),
            "{format:?}"
        );
    }
}
