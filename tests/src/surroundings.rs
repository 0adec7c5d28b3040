//! What a test finds around it: the data sets, a Python, and the way to say that one is missing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names the Python with DuckDB and pandas.
const PYTHON_VARIABLE: &str = "VITALOG_PYTHON";
/// Names the Python with the clients of `tests/clients/python`.
const CLIENTS_PYTHON_VARIABLE: &str = "VITALOG_CLIENTS_PYTHON";
/// Names the folder with the `node_modules` of `tests/clients/node`.
const CLIENTS_NODE_VARIABLE: &str = "VITALOG_CLIENTS_NODE";
/// Names the folder with what the code of Java needs.
const CLIENTS_JAVA_VARIABLE: &str = "VITALOG_CLIENTS_JAVA";
/// Names the file to which a test that cannot run appends why.
const SKIPPED_VARIABLE: &str = "VITALOG_SKIPPED_TESTS";
/// Names the folder of the data sets, where they do not stand beside the repository.
const DATA_VARIABLE: &str = "VITALOG_SHARED_DATA";

/// Says that the test `name` cannot run here, and why: on stdout, and in the file that
/// `VITALOG_SKIPPED_TESTS` names. The caller then returns.
///
/// # Panics
/// Where that file cannot be written: a skipped test must not look like a passed one.
pub fn skip(name: &str, reason: &str) {
    println!("skipped: {name}: {reason}");
    if let Some(path) = std::env::var_os(SKIPPED_VARIABLE) {
        let file = OpenOptions::new().create(true).append(true).open(&path);
        // One write, so that tests that run at once do not mix their lines.
        file.and_then(|mut file| file.write_all(format!("{name}: {reason}\n").as_bytes()))
            .expect("the list of skipped tests can be written");
    }
}

/// The Python that has what `tests/peers/requirements.txt` names, or why there is none.
///
/// # Errors
/// The reason, for [`skip`].
pub fn python() -> Result<PathBuf, String> {
    let path = std::env::var_os(PYTHON_VARIABLE)
        .map(PathBuf::from)
        .ok_or(format!(
            "{PYTHON_VARIABLE} is not set: no DuckDB and no pandas to compare with"
        ))?;
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "{PYTHON_VARIABLE} names {}, which is no file",
            path.display()
        ))
    }
}

/// The Python that has what `tests/clients/python/requirements.txt` names, or why there is none.
///
/// # Errors
/// The reason, for [`skip`]: nobody said where it is, as on a machine without `python3`.
///
/// # Panics
/// Where there is a `python3` and its clients could not be installed: a client that is not tried
/// is a failure.
pub fn clients_python() -> Result<PathBuf, String> {
    installed(CLIENTS_PYTHON_VARIABLE, None, "python3")
}

/// The folder whose `node_modules` has what `tests/clients/node/package-lock.json` names, or why
/// there is none.
///
/// # Errors
/// As [`clients_python`].
///
/// # Panics
/// As [`clients_python`].
pub fn clients_node() -> Result<PathBuf, String> {
    installed(CLIENTS_NODE_VARIABLE, Some("node_modules"), "node")
}

/// The folder with `protoc`, its plugin and the libraries of Java, or why there is none.
///
/// # Errors
/// As [`clients_python`].
///
/// # Panics
/// Where the folder is not there.
pub fn clients_java() -> Result<PathBuf, String> {
    installed(CLIENTS_JAVA_VARIABLE, Some("usr"), "javac")
}

/// What `variable` names, which must be there, and `part` in it.
fn installed(variable: &str, part: Option<&str>, program: &str) -> Result<PathBuf, String> {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else {
        return Err(format!(
            "{variable} is not set: its clients are not tried; `cargo xtask test` sets it where \
             there is a `{program}`"
        ));
    };
    let needed = part.map_or_else(|| path.clone(), |part| path.join(part));
    assert!(
        needed.exists(),
        "{} is not there: its clients could not be installed; `cargo xtask test` says why at its \
         beginning",
        needed.display()
    );
    Ok(path)
}

/// The events of the data set `name`, or why they are not there.
///
/// # Errors
/// The reason, for [`skip`].
pub fn shared_data(name: &str) -> Result<PathBuf, String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = std::env::var_os(DATA_VARIABLE).map_or(beside, PathBuf::from);
    let path = folder.join(name).join("events.parquet");
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!("the data set {name} is not there"))
    }
}

/// Copies every file and folder of `from` into the new folder `to`.
///
/// # Errors
/// What the file system says.
pub fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
