//! Golden answers in every format.

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::ipc::reader::StreamReader;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::*;

fn sample() -> RecordBatch {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), Some("b")]);
    tags.append_null();
    tags.append_value([] as [Option<&str>; 0]);
    let times = TimestampMicrosecondArray::from(vec![Some(1_740_832_200_000_001), None, Some(-1)])
        .with_timezone("UTC");
    let columns: [(&str, ArrayRef, bool); 6] = [
        (
            "name",
            Arc::new(StringArray::from(vec![Some("a,\"b\""), None, Some("ä\nö")])),
            true,
        ),
        (
            "count",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-1), None])),
            true,
        ),
        (
            "ratio",
            Arc::new(Float64Array::from(vec![0.1, f64::NAN, f64::INFINITY])),
            true,
        ),
        ("at", Arc::new(times), true),
        (
            "ok",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
            true,
        ),
        ("tags", Arc::new(tags.finish()), true),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length")
}

fn written(format: OutputFormat, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    write_batches(format, batches, &mut out).expect("a vector takes it");
    out
}

fn text(format: OutputFormat, batches: &[RecordBatch]) -> String {
    String::from_utf8(written(format, batches)).expect("text")
}

const ROWS: [&str; 3] = [
    r#"{"name":"a,\"b\"","count":9223372036854775807,"ratio":0.1,"at":"2025-03-01T12:30:00.000001Z","ok":true,"tags":["a","b"]}"#,
    r#"{"name":null,"count":-1,"ratio":null,"at":null,"ok":false,"tags":null}"#,
    r#"{"name":"ä\nö","count":null,"ratio":null,"at":"1969-12-31T23:59:59.999999Z","ok":null,"tags":[]}"#,
];

#[test]
fn json_lines() {
    assert_eq!(
        text(OutputFormat::Jsonl, &[sample()]),
        format!("{}\n", ROWS.join("\n"))
    );
    assert_eq!(text(OutputFormat::Jsonl, &[sample().slice(0, 0)]), "");
}

#[test]
fn json_is_one_array_over_all_batches() {
    let batches = [sample().slice(0, 1), sample().slice(1, 2)];
    let found = text(OutputFormat::Json, &batches);
    assert_eq!(found, format!("[\n{}\n]\n", ROWS.join(",\n")));
    let parsed: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(parsed[0]["count"].as_i64(), Some(i64::MAX));
    let empty: serde_json::Value =
        serde_json::from_str(&text(OutputFormat::Json, &[sample().slice(0, 0)])).expect("JSON");
    assert_eq!(empty, serde_json::json!([]));
}

#[test]
fn csv_has_a_header_once_and_quotes_what_needs_it() {
    let batches = [sample().slice(0, 1), sample().slice(1, 2)];
    let expected = "name,count,ratio,at,ok,tags\n\
        \"a,\"\"b\"\"\",9223372036854775807,0.1,2025-03-01T12:30:00.000001Z,true,\"[\"\"a\"\",\"\"b\"\"]\"\n\
        ,-1,NaN,,false,\n\
        \"ä\nö\",,inf,1969-12-31T23:59:59.999999Z,,[]\n";
    assert_eq!(text(OutputFormat::Csv, &batches), expected);
    assert_eq!(
        text(OutputFormat::Csv, &[sample().slice(0, 0)]),
        "name,count,ratio,at,ok,tags\n"
    );
}

#[test]
fn a_name_that_comes_twice_is_told_apart() {
    let one: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let fields: Vec<Field> = ["a", "a", "a_2", "a"]
        .map(|name| Field::new(name, one.data_type().clone(), true))
        .into();
    let columns = vec![Arc::clone(&one); 4];
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch");
    assert_eq!(
        text(OutputFormat::Jsonl, &[batch]),
        "{\"a\":1,\"a_3\":1,\"a_2\":1,\"a_4\":1}\n"
    );
}

#[test]
fn arrow_and_parquet_give_the_batches_back() {
    let bytes = written(OutputFormat::Arrow, &[sample(), sample()]);
    let reader = StreamReader::try_new(std::io::Cursor::new(bytes), None).expect("a stream");
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("batches");
    assert_eq!(batches, [sample(), sample()]);

    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(&written(OutputFormat::Parquet, &[sample(), sample()]))
        .expect("room");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("a file")
        .build();
    let rows: Vec<RecordBatch> = reader
        .expect("a reader")
        .collect::<Result<_, _>>()
        .expect("batches");
    let whole = arrow::compute::concat_batches(&sample().schema(), &rows).expect("one schema");
    assert_eq!(whole.num_rows(), 6);
    assert_eq!(whole.slice(3, 3).column(1), sample().column(1));
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
