//! Generated code of the wire: `proto/` in, `crates/wire/src/generated/` out.
//!
//! Pure Rust from the .proto text to the Rust text, so no machine needs `protoc`. The output is
//! checked in and `check` compares it byte for byte; it depends on `proto/` and on the versions in
//! `Cargo.lock` alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use prost::Message;
use prost_types::FileDescriptorSet;

/// The descriptors of every file, as server reflection hands them out.
const DESCRIPTOR_SET: &str = "descriptor_set.bin";
const SOURCES: &str = "proto";
const OUTPUT: &str = "crates/wire/src/generated";

/// File name to content.
type Files = BTreeMap<String, Vec<u8>>;

/// Writes the generated directory anew.
pub fn write(root: &Path) -> Result<()> {
    let output = root.join(OUTPUT);
    let wanted = generated(root)?;
    std::fs::create_dir_all(&output).with_context(|| format!("create {}", output.display()))?;
    for name in read_directory(&output)?.keys() {
        if !wanted.contains_key(name) {
            std::fs::remove_file(output.join(name)).with_context(|| format!("remove {name}"))?;
        }
    }
    for (name, content) in &wanted {
        std::fs::write(output.join(name), content).with_context(|| format!("write {name}"))?;
        println!("{OUTPUT}/{name}: {} bytes", content.len());
    }
    Ok(())
}

/// Whether the generated directory is what `proto/` gives now; prints each file that is not.
pub fn check(root: &Path) -> Result<bool> {
    let drifted = differences(&read_directory(&root.join(OUTPUT))?, &generated(root)?);
    for line in &drifted {
        eprintln!("{OUTPUT}/{line}");
    }
    if drifted.is_empty() {
        println!("generated code matches {SOURCES}/");
    } else {
        eprintln!("the generated code has drifted from {SOURCES}/; run `cargo xtask generate`");
    }
    Ok(drifted.is_empty())
}

/// One line for each file that is missing, left over or different.
fn differences(found: &Files, wanted: &Files) -> Vec<String> {
    let missing_or_different = wanted
        .iter()
        .filter_map(|(name, content)| match found.get(name) {
            None => Some(format!("{name}: missing")),
            Some(other) if other != content => Some(format!("{name}: differs")),
            Some(_) => None,
        });
    let left_over = found
        .keys()
        .filter(|name| !wanted.contains_key(*name))
        .map(|name| format!("{name}: not made by any file of {SOURCES}/"));
    missing_or_different.chain(left_over).collect()
}

/// Compiles every .proto file and returns the Rust files and the descriptor set.
fn generated(root: &Path) -> Result<Files> {
    let includes = root.join(SOURCES);
    let mut sources = Vec::new();
    collect_proto_files(&includes, &mut sources)?;
    ensure!(
        !sources.is_empty(),
        "no .proto file below {}",
        includes.display()
    );
    sources.sort();

    let descriptors = protox::compile(&sources, [&includes]).context("compile the .proto files")?;
    let scratch = tempfile::tempdir().context("make a temporary directory")?;
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .emit_rerun_if_changed(false)
        .bytes(".vitalog")
        .out_dir(scratch.path())
        .compile_fds(descriptors.clone())
        .context("generate Rust")?;
    let mut files = read_directory(scratch.path())?;
    files.insert(DESCRIPTOR_SET.to_owned(), encode(descriptors));
    Ok(files)
}

/// The descriptor set as bytes. Vitalog's own files keep their comments, so that a reflecting
/// client shows them; those of `google.protobuf` would only add weight.
fn encode(mut descriptors: FileDescriptorSet) -> Vec<u8> {
    for file in &mut descriptors.file {
        if !file.package().starts_with("vitalog.") {
            file.source_code_info = None;
        }
    }
    descriptors.encode_to_vec()
}

fn collect_proto_files(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("read directory {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            collect_proto_files(&path, found)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "proto")
        {
            found.push(path);
        }
    }
    Ok(())
}

/// The files of one directory; one that does not exist is empty.
fn read_directory(directory: &Path) -> Result<Files> {
    let mut files = Files::new();
    if !directory.exists() {
        return Ok(files);
    }
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let content = std::fs::read(entry.path()).with_context(|| format!("read {name}"))?;
        files.insert(name, content);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(entries: &[(&str, &str)]) -> Files {
        entries
            .iter()
            .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
            .collect()
    }

    #[test]
    fn equal_directories_have_no_difference() {
        let both = files(&[("a.rs", "x"), ("b.bin", "y")]);
        assert!(differences(&both, &both).is_empty());
    }

    #[test]
    fn every_kind_of_drift_is_named() {
        let found = files(&[("changed.rs", "old"), ("stale.rs", "x")]);
        let wanted = files(&[("changed.rs", "new"), ("new.rs", "x")]);
        let lines = differences(&found, &wanted);
        assert_eq!(
            lines,
            [
                "changed.rs: differs",
                "new.rs: missing",
                "stale.rs: not made by any file of proto/"
            ]
        );
    }

    #[test]
    fn checked_in_code_is_what_the_proto_files_give() {
        let root = crate::workspace_root();
        let found = read_directory(&root.join(OUTPUT)).expect("read the generated directory");
        let wanted = generated(&root).expect("compile the .proto files");
        assert_eq!(differences(&found, &wanted), Vec::<String>::new());
    }
}
