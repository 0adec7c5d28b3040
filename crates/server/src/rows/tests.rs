//! Golden answers in every format for programs.

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
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

fn written(format: RowFormat, batches: &[RecordBatch]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = RowWriter::new(format, &batches[0].schema(), &mut out).expect("a vector");
    for batch in batches {
        writer.write(batch).expect("a vector takes it");
    }
    writer.finish().expect("a vector takes it");
    out
}

fn text(format: RowFormat, batches: &[RecordBatch]) -> String {
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
        text(RowFormat::JsonLines, &[sample()]),
        format!("{}\n", ROWS.join("\n"))
    );
    assert_eq!(text(RowFormat::JsonLines, &[sample().slice(0, 0)]), "");
}

#[test]
fn json_is_one_array_over_all_batches() {
    let batches = [sample().slice(0, 1), sample().slice(1, 2)];
    let found = text(RowFormat::Json, &batches);
    assert_eq!(found, format!("[\n{}\n]\n", ROWS.join(",\n")));
    let parsed: serde_json::Value = serde_json::from_str(&found).expect("JSON");
    assert_eq!(parsed[0]["count"].as_i64(), Some(i64::MAX));
    let empty: serde_json::Value =
        serde_json::from_str(&text(RowFormat::Json, &[sample().slice(0, 0)])).expect("JSON");
    assert_eq!(empty, serde_json::json!([]));
}

#[test]
fn csv_has_a_header_once_and_quotes_what_needs_it() {
    let batches = [sample().slice(0, 1), sample().slice(1, 2)];
    let expected = "name,count,ratio,at,ok,tags\n\
        \"a,\"\"b\"\"\",9223372036854775807,0.1,2025-03-01T12:30:00.000001Z,true,\"[\"\"a\"\",\"\"b\"\"]\"\n\
        ,-1,NaN,,false,\n\
        \"ä\nö\",,inf,1969-12-31T23:59:59.999999Z,,[]\n";
    assert_eq!(text(RowFormat::Csv, &batches), expected);
    assert_eq!(
        text(RowFormat::Csv, &[sample().slice(0, 0)]),
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
        text(RowFormat::JsonLines, std::slice::from_ref(&batch)),
        "{\"a\":1,\"a_3\":1,\"a_2\":1,\"a_4\":1}\n"
    );
}

#[test]
fn arrow_and_parquet_give_the_batches_back() {
    let bytes = written(RowFormat::Arrow, &[sample(), sample()]);
    let reader = StreamReader::try_new(std::io::Cursor::new(bytes), None).expect("a stream");
    let batches: Vec<RecordBatch> = reader.collect::<Result<_, _>>().expect("batches");
    assert_eq!(batches, [sample(), sample()]);

    let file = Bytes::from(written(RowFormat::Parquet, &[sample(), sample()]));
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

#[test]
fn values_of_every_kind_have_one_look() {
    use arrow::array::{BinaryArray, Date32Array, Decimal128Array, IntervalMonthDayNanoArray};
    use arrow::datatypes::IntervalMonthDayNano;

    let decimals = Decimal128Array::from(vec![-1_050]).with_precision_and_scale(10, 2);
    let interval = IntervalMonthDayNano::new(14, 3, 4_000_000_000);
    let columns: [(&str, ArrayRef); 4] = [
        ("day", Arc::new(Date32Array::from(vec![20_148]))),
        ("price", Arc::new(decimals.expect("ten digits"))),
        ("bytes", Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]]))),
        (
            "gap",
            Arc::new(IntervalMonthDayNanoArray::from(vec![interval])),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).expect("columns of one length");
    assert_eq!(
        text(RowFormat::JsonLines, std::slice::from_ref(&batch)),
        "{\"day\":\"2025-03-01\",\"price\":-10.50,\"bytes\":\"00ff\",\"gap\":\"14 mons 3 days 4.000000000 secs\"}\n"
    );
    assert_eq!(
        text(RowFormat::Csv, &[batch]),
        "day,price,bytes,gap\n2025-03-01,-10.50,00ff,14 mons 3 days 4.000000000 secs\n"
    );
}

/// Groups are written before the end, so that no answer is held whole.
#[test]
fn parquet_is_handed_on_group_by_group() {
    let mut out = Vec::new();
    let numbers: ArrayRef = Arc::new((0..GROUP_ROWS_MAX as i64).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([("n", numbers)]).expect("a column");
    let mut writer =
        RowWriter::new(RowFormat::Parquet, &batch.schema(), &mut out).expect("a vector");
    writer.write(&batch).expect("a group");
    writer.write(&batch.slice(0, 1)).expect("a row");
    let Writing::Parquet(_, out) = &writer.format else {
        panic!("it is Parquet");
    };
    assert!(out.len() > 100_000, "{}", out.len());
}
