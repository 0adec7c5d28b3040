//! The pages of `docs/clients`: their code is run as it stands, and prints what they say.

use std::fs;
use std::process::Command;

use serde_json::Value;
use vitalog_tests::{Page, clients_node, clients_python, skip};

use super::{Guarded, node, python};
use crate::text;

/// The name of the extension of DuckDB that the packages of the tests carry.
const HTTPFS: &str = "import importlib.util, pathlib\n\
    package = pathlib.Path(importlib.util.find_spec('duckdb_extension_httpfs').origin).parent\n\
    httpfs = package / f'extensions/v{duckdb.__version__}/httpfs.duckdb_extension'\n\
    database.execute(f\"LOAD '{httpfs}'\")";

/// Runs all Python of a page.
fn run_python(server: &Guarded, page: &Page, test: &str) {
    let python = match clients_python() {
        Ok(python) => python,
        Err(reason) => return skip(test, &reason),
    };
    let script = server.place.write("page.py", page.code("python"));
    let printed = server.run(
        python::command(&python)
            .arg(script)
            .current_dir(server.place.path("")),
    );
    assert_eq!(printed, page.printed("python"));
}

/// Runs all of a page's shell.
fn run_shell(server: &Guarded, page: &Page) {
    let script = server.place.write("page.sh", page.code("sh"));
    let printed = server.run(
        Command::new("sh")
            .args(["-eu", &script])
            .current_dir(server.place.path("")),
    );
    assert_eq!(printed, page.printed("sh"));
}

fn has_curl() -> bool {
    Command::new("curl").arg("--version").output().is_ok()
}

#[test]
fn python() {
    let server = Guarded::start();
    let page = server.page("python.md");
    run_python(&server, &page, "clients::pages::python");
}

#[test]
fn sqlalchemy() {
    let server = Guarded::start();
    let page = server.page("sqlalchemy.md");
    run_python(&server, &page, "clients::pages::sqlalchemy");
}

#[test]
fn duckdb() {
    if !has_curl() {
        return skip("clients::pages::duckdb", "there is no curl");
    }
    let server = Guarded::start();
    let page = server
        .page("duckdb.md")
        .with("database.execute(\"INSTALL httpfs\")\n", "")
        .with("database.execute(\"LOAD httpfs\")", HTTPFS);
    // The page goes from one language to the other and back: its first block appends what curl
    // then asks for, and every snapshot has it.
    let python = match clients_python() {
        Ok(python) => python,
        Err(reason) => return skip("clients::pages::duckdb", &reason),
    };
    let first = page.blocks_of("python").next().unwrap();
    let script = server.place.write("first.py", first);
    server.run(
        python::command(&python)
            .arg(script)
            .current_dir(server.place.path("")),
    );
    run_shell(&server, &page);
    server.publish();
    run_python(&server, &page, "clients::pages::duckdb");
}

#[test]
fn curl() {
    if !has_curl() {
        return skip("clients::pages::curl", "there is no curl");
    }
    let server = Guarded::start();
    run_shell(&server, &server.page("curl.md"));
}

#[test]
fn node() {
    let modules = match clients_node() {
        Ok(modules) => modules,
        Err(reason) => return skip("clients::pages::node", &reason),
    };
    let server = Guarded::start();
    let folder = node::folder(&server.place, &modules);
    let port = server.grpc.rsplit(':').next().unwrap();
    let page = server
        .page("node.md")
        .with("port: 50051", &format!("port: {port}"));
    fs::write(folder.join("page.mjs"), page.code("js")).unwrap();
    let printed = server.run(Command::new("node").arg("page.mjs").current_dir(folder));
    assert_eq!(printed, page.printed("js"));
}

/// What dbt sends is plain SQL: the model becomes a view, and every test of dbt answers 0.
#[test]
fn dbt() {
    let server = Guarded::start();
    let events = server.place.write_events("events.jsonl", 0..200);
    server.remote(&["import", &events]);
    let page = server.page("dbt.md");
    let mut statements = page.blocks_of("sql");
    let model = statements.next().unwrap();
    let model = server.place.write("weekly_accounts.sql", model);
    server.remote(&["view", "apply", &model]);
    let rows = server.rows("SELECT count(*) AS n FROM weekly_accounts");
    assert!(rows[0]["n"].as_u64() > Some(0), "{rows:?}");
    let mut tests = 0;
    for sql in statements {
        let rows = server.rows(sql);
        assert!(!rows.is_empty(), "{sql}");
        if let Some(failures) = rows[0].get("failures") {
            assert_eq!(failures, 0, "{sql}: {rows:?}");
            tests += 1;
        }
    }
    assert_eq!(tests, 4);
}

/// Every page names files of this repository that exist.
#[test]
fn links_of_the_pages_lead_somewhere() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/clients");
    let mut pages = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        pages += 1;
        for target in page.split("](").skip(1) {
            let target = target.split([')', '#']).next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(folder.join(target).exists(), "{}: {target}", text(&path));
            }
        }
    }
    assert!(pages > 9, "{pages}");
}

/// The rows that a statement has, as the command line shows them.
impl Guarded {
    fn remote(&self, arguments: &[&str]) -> String {
        let url = format!("grpc://{}", self.grpc);
        let vitalog = self
            .place
            .vitalog()
            .with_setting("VITALOG_TOKEN", &self.token);
        vitalog.stdout_of(&[arguments, &["--url", &url]].concat())
    }

    fn rows(&self, sql: &str) -> Vec<Value> {
        let lines = self.remote(&["sql", "--format", "jsonl", "-c", sql]);
        let row = |line| serde_json::from_str(line).unwrap();
        lines.lines().map(row).collect()
    }

    fn publish(&self) {
        self.remote(&["snapshot", "create", "--table", "events"]);
    }
}
