//! Scripts, against a store of this process and against a server.

use clap::Parser;

use super::*;

fn script(executor: &Executor, text: &str, format: OutputFormat) -> (bool, String, String) {
    let (mut out, mut log) = (Vec::new(), Vec::new());
    let is_done = run_script(executor, text, format, &mut out, &mut log, false).expect("vectors");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (is_done, text(out), text(log))
}

#[test]
fn statements_run_in_order() {
    let fixture = testing::local();
    let text = "SELECT 1 AS a; -- first;\nSELECT ';' AS b, NULL AS c;";
    let (is_done, out, log) = script(&fixture.executor, text, OutputFormat::Jsonl);
    assert_eq!(
        (is_done, out.as_str()),
        (true, "{\"a\":1}\n{\"b\":\";\",\"c\":null}\n")
    );
    assert_eq!(log, "");
}

#[test]
fn a_script_stops_at_its_first_error_and_names_it() {
    for fixture in [testing::local(), testing::remote()] {
        let text = "SELECT 1 AS a;\nSELECT 2 AS a;\n\n  SELECT evnt FROM events;\nSELECT 4 AS a;";
        let (is_done, out, log) = script(&fixture.executor, text, OutputFormat::Csv);
        assert_eq!((is_done, out.as_str()), (false, "a\n1\na\n2\n"));
        assert!(
            log.starts_with("error in statement 3 of 4, which begins at line 4: "),
            "{log}"
        );
        assert!(
            log.contains("line 4, column 10"),
            "the place in the script: {log}"
        );
        assert!(log.contains("did you mean event"), "{log}");
    }
}

#[test]
fn a_server_answers_as_a_directory_does() {
    let (local, remote) = (testing::local(), testing::remote());
    let statements = [
        "SELECT i, i * 0.5 AS half, 'ä' AS t, make_array(i, NULL) AS l FROM generate_series(1, 20000) AS s(i) ORDER BY i",
        "SELECT * FROM events",
        "SELECT TIMESTAMP '2025-03-01T12:30:00Z' AS at",
    ];
    for format in [
        OutputFormat::Table,
        OutputFormat::Csv,
        OutputFormat::Json,
        OutputFormat::Jsonl,
    ] {
        for sql in statements {
            let here = script(&local.executor, sql, format);
            assert!(here.0, "{}", here.2);
            let there = script(&remote.executor, sql, format);
            assert!(here == there, "{format:?}: {sql}: {}", there.2);
        }
    }
}

#[test]
fn a_server_only_reads() {
    let fixture = testing::remote();
    let text = "COPY (SELECT 1) TO 'file.csv'";
    let (is_done, _, log) = script(&fixture.executor, text, OutputFormat::Table);
    assert!(!is_done && log.contains("COPY"), "{log}");
}

#[test]
fn a_local_statement_may_write_and_read_files() {
    let fixture = testing::local();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("numbers.parquet");
    let file = file.display();
    let text = format!("COPY (SELECT 7 AS n) TO '{file}'; SELECT n FROM '{file}'");
    let (is_done, out, log) = script(&fixture.executor, &text, OutputFormat::Jsonl);
    assert!(is_done, "{log}");
    assert!(out.ends_with("{\"n\":7}\n"), "{out}");
}

#[test]
fn a_reader_that_goes_away_ends_a_script_quietly() {
    struct Head(usize);
    impl Write for Head {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.0 -= 1;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let fixture = testing::local();
    let text = "SELECT * FROM generate_series(1, 1000000000); SELECT nothing";
    for format in [OutputFormat::Jsonl, OutputFormat::Csv, OutputFormat::Arrow] {
        let mut log = Vec::new();
        let ended = run_script(
            &fixture.executor,
            text,
            format,
            &mut Head(3),
            &mut log,
            true,
        );
        assert!(ended.expect("a vector"), "{format:?}");
        assert_eq!(String::from_utf8_lossy(&log), "", "{format:?}");
    }
}

#[test]
fn an_interrupt_stops_a_running_statement() {
    let fixture = testing::local_with(Box::new(|| {
        tokio::time::sleep(std::time::Duration::from_millis(20)).boxed()
    }));
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000000)";
    let (is_done, out, log) = script(&fixture.executor, endless, OutputFormat::Jsonl);
    assert_eq!(
        (is_done, out.as_str(), log.as_str()),
        (false, "", "cancelled\n")
    );
}

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    sql: SqlArgs,
}

#[test]
fn arguments_are_checked() {
    let parse = |words: &[&str]| {
        Arguments::try_parse_from(["sql"].iter().chain(words)).map(|arguments| arguments.sql)
    };
    let args = parse(&["-c", "SELECT 1", "--format", "jsonl", "--url", "grpc://h:1"]);
    let args = args.expect("good arguments");
    assert_eq!(args.url.as_deref(), Some("http://h:1"));
    assert_eq!(args.format, OutputFormat::Jsonl);
    for wrong in [
        &["-c", "SELECT 1", "-f", "x"][..],
        &["--format", "xml"],
        &["--url", "http://h:1"],
    ] {
        let error = parse(wrong).expect_err("wrong arguments");
        assert_eq!(error.exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn a_binary_format_takes_one_statement() {
    assert!(check_format(OutputFormat::Parquet, Some("SELECT 1; SELECT 2")).is_err());
    assert!(check_format(OutputFormat::Arrow, None).is_err());
    assert!(check_format(OutputFormat::Json, Some("SELECT 1; SELECT 2")).is_ok());
}
