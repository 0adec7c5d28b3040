//! The code that `protoc` makes of the contract for Java: it compiles, and the example of
//! `docs/clients/java.md` runs with it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use vitalog_tests::{clients_java, skip};

use super::Guarded;
use crate::text;

/// Every file below `folder` whose name ends with `end`.
fn files(folder: &Path, end: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if text(&path).ends_with(end) {
                found.push(text(&path));
            }
        }
    }
    found.sort();
    found
}

/// Writes the code of the contract below `to`.
fn generate(root: &Path, to: &Path) {
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto");
    let libraries = fs::read_dir(root.join("usr/lib")).unwrap();
    let libraries: Vec<PathBuf> = libraries.map(|entry| entry.unwrap().path()).collect();
    let libraries: OsString = std::env::join_paths(libraries).unwrap();
    let status = Command::new(root.join("usr/bin/protoc"))
        .env("LD_LIBRARY_PATH", libraries)
        .arg(format!("-I{}", contract.display()))
        .arg(format!("-I{}", root.join("usr/include").display()))
        .arg(format!(
            "--plugin=protoc-gen-grpc-java={}",
            root.join("usr/bin/grpc_java_plugin").display()
        ))
        .arg(format!("--java_out={}", to.display()))
        .arg(format!("--grpc-java_out={}", to.display()))
        .args(files(&contract, ".proto"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn the_example_runs_with_generated_code() {
    let root = match clients_java() {
        Ok(root) => root,
        Err(reason) => return skip("clients::java", &reason),
    };
    let server = Guarded::start();
    let folder = server.place.path("java");
    fs::create_dir(&folder).unwrap();
    generate(&root, &folder);
    let example = server.page("java.md").code("java");
    fs::write(folder.join("Example.java"), example).unwrap();
    let jars = root.join("usr/share/java/*");
    let mut compile = Command::new("javac");
    compile
        .args(["-nowarn", "-proc:none", "-cp"])
        .args([&jars, Path::new("-d"), &folder])
        .args(files(&folder, ".java"));
    server.run(&mut compile);
    let classes = std::env::join_paths([&folder, &jars]).unwrap();
    let printed = server.run(Command::new("java").arg("-cp").arg(classes).arg("Example"));
    assert_eq!(printed.trim(), "1");
}
