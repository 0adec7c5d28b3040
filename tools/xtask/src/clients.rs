//! The clients of other languages that the tests run against a server: Python's in
//! `target/clients/python`, Node's in `target/clients/node`, with the versions that
//! `tests/clients` pins; and, on Debian with a `javac`, Java's in `target/clients/java`, from the
//! packages of the system's own release, which are unpacked and not installed.
//!
//! Invariant for Python and Node: where `python3` or `node` exists, the tests are told of its clients, also when they
//! could not be installed: a client that is not tried is then a failure. Where the language does
//! not exist, they are told nothing, and list what was not tried.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::python::{self, Environment, Made};

const PYTHON: Environment = Environment {
    requirements: "tests/clients/python/requirements.txt",
    folder: "target/clients/python",
    choice: "--prefer-binary",
};
const NODE_PACKAGES: &str = "tests/clients/node";
const NODE_FOLDER: &str = "target/clients/node";
const JAVA_FOLDER: &str = "target/clients/java";
/// What generates, compiles and runs the code of Java.
const JAVA_PACKAGES: &[&str] = &[
    "libgeronimo-annotation-1.3-spec-java",
    "libgoogle-gson-java",
    "libgrpc-java",
    "libguava-java",
    "libnetty-java",
    "libopencensus-java",
    "libperfmark-java",
    "libprotobuf-dev",
    "libprotobuf-java",
    "libprotobuf32",
    "libprotoc32",
    "protobuf-compiler",
    "protobuf-compiler-grpc-java-plugin",
];

/// Where the clients stand; `None` for a language that this machine lacks.
pub struct Clients {
    /// The Python that has them.
    pub python: Option<PathBuf>,
    /// The folder with `node_modules`.
    pub node: Option<PathBuf>,
    /// The folder into which Debian's packages are unpacked; also `None` where they cannot be had.
    pub java: Option<PathBuf>,
}

/// Installs the clients where needed.
pub fn prepare(root: &Path) -> Result<Clients> {
    Ok(Clients {
        python: prepare_python(root)?,
        node: prepare_node(root)?,
        java: prepare_java(root)?,
    })
}

fn prepare_python(root: &Path) -> Result<Option<PathBuf>> {
    match PYTHON.prepare(root)? {
        Made::Ready(python) => return Ok(Some(python)),
        Made::NoPython => {
            println!("`python3` is not installed: its clients are not tried.");
            return Ok(None);
        }
        Made::Failed(reason) => println!("{reason}."),
    }
    println!("The tests of the Python clients will fail: there is a Python to try them with.");
    Ok(Some(PYTHON.python(root)))
}

fn prepare_node(root: &Path) -> Result<Option<PathBuf>> {
    let Some(version) = node_version() else {
        println!("`node` is not installed: its clients are not tried.");
        return Ok(None);
    };
    let folder = root.join(NODE_FOLDER);
    let modules = folder.join("node_modules");
    let read = |name: &str| {
        let path = root.join(NODE_PACKAGES).join(name);
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))
    };
    let (package, lock) = (read("package.json")?, read("package-lock.json")?);
    let stamp = folder.join("stamp.txt");
    let wanted = python::stamp_text(&version, &lock);
    if python::is_current(&stamp, &modules, &wanted) {
        return Ok(Some(folder));
    }
    println!("installing the Node clients in {NODE_FOLDER}");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {NODE_FOLDER}"))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("create {NODE_FOLDER}"))?;
    std::fs::write(folder.join("package.json"), package).context("write package.json")?;
    std::fs::write(folder.join("package-lock.json"), lock).context("write package-lock.json")?;
    if install(&folder)? {
        std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
    } else {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {NODE_FOLDER}"))?;
        println!("npm could not install {NODE_PACKAGES}/package-lock.json; it says why above.");
        println!("The tests of the Node clients will fail: there is a Node to try them with.");
    }
    Ok(Some(folder))
}

/// Installs exactly what the lock file names and runs none of its scripts.
fn install(folder: &Path) -> Result<bool> {
    if !process::runs("npm", &["--version"]) {
        println!("`npm` is not installed, though `node` is");
        return Ok(false);
    }
    let mut install = Command::new("npm");
    install
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder);
    process::show(&mut install)
}

/// The version of `node`, such as `v20.20.2`.
fn node_version() -> Option<String> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !version.is_empty()).then_some(version)
}

fn prepare_java(root: &Path) -> Result<Option<PathBuf>> {
    for (program, argument) in [
        ("javac", "-version"),
        ("apt-get", "--version"),
        ("dpkg-deb", "--version"),
    ] {
        if !process::runs(program, &[argument]) {
            println!("`{program}` is not installed: the code of Java is not tried.");
            return Ok(None);
        }
    }
    let folder = root.join(JAVA_FOLDER);
    let stamp = folder.join("stamp.txt");
    let wanted = JAVA_PACKAGES.join("\n");
    if python::is_current(&stamp, &folder.join("usr"), &wanted) {
        return Ok(Some(folder));
    }
    println!("unpacking the packages of Java in {JAVA_FOLDER}");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("remove {JAVA_FOLDER}"))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("create {JAVA_FOLDER}"))?;
    if unpack(&folder)? {
        std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
        return Ok(Some(folder));
    }
    std::fs::remove_dir_all(&folder).with_context(|| format!("remove {JAVA_FOLDER}"))?;
    println!("They cannot be had here: the code of Java is not tried.");
    Ok(None)
}

/// Downloads and unpacks the packages of Java.
fn unpack(folder: &Path) -> Result<bool> {
    let mut download = Command::new("apt-get");
    download
        .args(["--quiet", "--quiet", "download"])
        .args(JAVA_PACKAGES)
        .current_dir(folder);
    if !process::show(&mut download)? {
        return Ok(false);
    }
    for entry in std::fs::read_dir(folder).with_context(|| format!("read {JAVA_FOLDER}"))? {
        let package = entry.with_context(|| format!("read {JAVA_FOLDER}"))?.path();
        if package
            .extension()
            .is_none_or(|extension| extension != "deb")
        {
            continue;
        }
        let mut extract = Command::new("dpkg-deb");
        extract.arg("--extract").arg(&package).arg(folder);
        if !process::show(&mut extract)? {
            return Ok(false);
        }
    }
    Ok(true)
}
