//! `cargo xtask layers`: the guard of the floors.
//!
//! Reads `cargo metadata` and compares each arrow with the layer table: an arrow that points up,
//! or at a neighbour that is not drawn, fails, whatever kind of dependency it is. It sees what the
//! manifests declare; what a crate from outside drags in is that crate's affair.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::layer_table::{ALLOWED_IN_TESTS, LAYERS, Layer};
use crate::process;

/// Checks the workspace; prints every arrow that must not be. Returns whether there is none.
pub fn run(root: &Path) -> Result<bool> {
    let output = process::cargo(root)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("start cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read its JSON")?;
    let packages = packages(&metadata)?;
    let mut faults: Vec<String> = packages.iter().flat_map(arrow_faults).collect();
    for package in &packages {
        faults.extend(unsafe_faults(package)?);
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() {
        println!(
            "layers: {} packages, every arrow points down",
            packages.len()
        );
    }
    Ok(faults.is_empty())
}

/// A package as cargo describes it.
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
    /// The root files of its libraries and programs.
    crate_roots: Vec<String>,
}

struct Dependency {
    name: String,
    /// `normal`, `dev` or `build`.
    kind: String,
    /// Whether it is a directory, that is, a package of this workspace.
    is_ours: bool,
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    array(metadata, "packages")?.iter().map(package).collect()
}

fn package(value: &Value) -> Result<Package> {
    let dependencies = array(value, "dependencies")?
        .iter()
        .map(dependency)
        .collect::<Result<_>>()?;
    let mut crate_roots = Vec::new();
    for target in array(value, "targets")? {
        let kinds = array(target, "kind")?;
        if kinds
            .iter()
            .any(|kind| matches!(kind.as_str(), Some("lib" | "bin" | "proc-macro")))
        {
            crate_roots.push(text(target, "src_path")?);
        }
    }
    Ok(Package {
        name: text(value, "name")?,
        dependencies,
        crate_roots,
    })
}

fn dependency(value: &Value) -> Result<Dependency> {
    Ok(Dependency {
        name: text(value, "name")?,
        kind: value["kind"].as_str().unwrap_or("normal").to_owned(),
        is_ours: value["path"].is_string(),
    })
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key]
        .as_array()
        .with_context(|| format!("cargo metadata has no array `{key}`"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    let found = value[key].as_str();
    Ok(found
        .with_context(|| format!("cargo metadata has no text `{key}`"))?
        .to_owned())
}

fn layer_of(name: &str) -> Option<&'static Layer> {
    LAYERS.iter().find(|layer| layer.name == name)
}

/// One sentence for each arrow of a package that must not be.
fn arrow_faults(package: &Package) -> Vec<String> {
    let name = &package.name;
    let Some(layer) = layer_of(name) else {
        return vec![format!(
            "{name} stands on no floor: draw it in docs/architecture.md and in \
             tools/xtask/src/layer_table.rs"
        )];
    };
    package
        .dependencies
        .iter()
        .filter_map(|dependency| arrow_fault(layer, dependency))
        .collect()
}

fn arrow_fault(layer: &Layer, dependency: &Dependency) -> Option<String> {
    let arrow = format!("{} → {}", layer.name, dependency.name);
    let kind = match dependency.kind.as_str() {
        "normal" => String::new(),
        other => format!(" ({other}-dependency)"),
    };
    if dependency.is_ours {
        let name = dependency.name.as_str();
        let for_tests = dependency.kind == "dev" && ALLOWED_IN_TESTS.contains(&name);
        if for_tests || layer.allowed.contains(&name) {
            return None;
        }
        let allowed = match layer.allowed {
            [] => "no package of the workspace".to_owned(),
            names => names.join(", "),
        };
        return Some(format!(
            "{arrow}{kind} is not drawn: {} may use {allowed}",
            layer.name
        ));
    }
    if layer
        .forbidden
        .iter()
        .any(|pattern| matches(pattern, &dependency.name))
    {
        return Some(format!(
            "{arrow}{kind} is forbidden: {} knows none of its kind",
            layer.name
        ));
    }
    let only_in_tests = layer.forbidden_but_in_tests;
    if dependency.kind != "dev"
        && only_in_tests
            .iter()
            .any(|pattern| matches(pattern, &dependency.name))
    {
        return Some(format!(
            "{arrow}{kind} is forbidden: allowed as a dev-dependency only"
        ));
    }
    None
}

/// `tokio*` is tokio and every name that goes on with a hyphen.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        None => pattern == name,
        Some(family) => name
            .strip_prefix(family)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-')),
    }
}

/// One sentence for each library or program that does not forbid unsafe code.
fn unsafe_faults(package: &Package) -> Result<Vec<String>> {
    if layer_of(&package.name).is_some_and(|layer| layer.may_be_unsafe) {
        return Ok(Vec::new());
    }
    let mut faults = Vec::new();
    for path in &package.crate_roots {
        let source = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
        if !forbids_unsafe(&source) {
            faults.push(format!(
                "{}: {path} lacks #![forbid(unsafe_code)]; only vitalog-disk may do without",
                package.name
            ));
        }
    }
    Ok(faults)
}

/// Whether the attribute stands on a line of its own, not in a comment.
fn forbids_unsafe(source: &str) -> bool {
    source
        .lines()
        .any(|line| line.trim() == "#![forbid(unsafe_code)]")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The faults of a workspace with one package that has one dependency.
    fn faults(from: &str, to: &str, kind: Option<&str>, is_ours: bool) -> Vec<String> {
        let path = is_ours.then_some("/somewhere");
        let metadata = json!({ "packages": [{
            "name": from,
            "dependencies": [{ "name": to, "kind": kind, "path": path }],
            "targets": [],
        }]});
        let packages = packages(&metadata).expect("the synthetic metadata is well formed");
        packages.iter().flat_map(arrow_faults).collect()
    }

    #[test]
    fn an_arrow_down_passes() {
        assert!(faults("vitalog-store", "vitalog-disk", None, true).is_empty());
        assert!(faults("vitalog-server", "vitalog-wire", None, true).is_empty());
        assert!(faults("vitalog", "vitalog-server", None, true).is_empty());
        assert!(faults("vitalog-tests", "vitalog", Some("dev"), true).is_empty());
    }

    #[test]
    fn an_arrow_up_is_named_with_what_is_allowed() {
        assert_eq!(
            faults("vitalog-store", "vitalog-query", None, true),
            [
                "vitalog-store → vitalog-query is not drawn: vitalog-store may use \
              vitalog-disk, vitalog-event"
            ]
        );
        assert_eq!(
            faults("vitalog-measure", "vitalog-functions", Some("dev"), true),
            [
                "vitalog-measure → vitalog-functions (dev-dependency) is not drawn: \
              vitalog-measure may use no package of the workspace"
            ]
        );
    }

    #[test]
    fn a_neighbour_that_is_not_drawn_fails() {
        for (from, to) in [
            ("vitalog-functions", "vitalog-store"),
            ("vitalog-server", "vitalog-functions"),
            ("vitalog-event", "vitalog-measure"),
            ("vitalog-query", "vitalog-wire"),
            ("xtask", "vitalog"),
        ] {
            assert_eq!(faults(from, to, None, true).len(), 1, "{from} → {to}");
        }
    }

    #[test]
    fn only_tests_and_benches_use_the_binary() {
        let users: Vec<&str> = LAYERS
            .iter()
            .filter(|layer| faults(layer.name, "vitalog", None, true).is_empty())
            .map(|layer| layer.name)
            .collect();
        assert_eq!(users, ["vitalog-tests", "vitalog-benches"]);
    }

    #[test]
    fn the_table_itself_points_down() {
        for (floor, layer) in LAYERS.iter().enumerate() {
            for name in layer.allowed {
                let below = LAYERS[..floor].iter().any(|lower| lower.name == *name);
                assert!(below, "{} → {name}", layer.name);
            }
        }
    }

    #[test]
    fn the_lower_floors_know_neither_engine_nor_runtime() {
        for name in [
            "vitalog-measure",
            "vitalog-event",
            "vitalog-disk",
            "vitalog-store",
        ] {
            for heavy in ["tokio", "tokio-util", "datafusion", "datafusion-expr"] {
                assert_eq!(
                    faults(name, heavy, None, false).len(),
                    1,
                    "{name} → {heavy}"
                );
                assert_eq!(
                    faults(name, heavy, Some("dev"), false).len(),
                    1,
                    "{name} → {heavy}"
                );
            }
            assert!(faults(name, "tokiofoo", None, false).is_empty());
        }
    }

    #[test]
    fn functions_use_the_engine_in_tests_only() {
        assert_eq!(
            faults("vitalog-functions", "datafusion", None, false).len(),
            1
        );
        assert!(faults("vitalog-functions", "datafusion", Some("dev"), false).is_empty());
        assert!(faults("vitalog-functions", "datafusion-expr", None, false).is_empty());
    }

    #[test]
    fn a_package_outside_the_table_fails() {
        assert_eq!(faults("vitalog-helpers", "serde", None, false).len(), 1);
    }

    #[test]
    fn unsafe_code_is_forbidden_by_the_attribute_and_not_by_a_comment() {
        assert!(forbids_unsafe("//! A crate.\n#![forbid(unsafe_code)]\n"));
        assert!(!forbids_unsafe(
            "//! A crate.\n// #![forbid(unsafe_code)]\n"
        ));
        assert!(!forbids_unsafe("//! A crate.\n"));
    }
}
