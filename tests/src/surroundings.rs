//! What a test finds around it: the data sets, a Python, and the way to say that one is missing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Names the Python with DuckDB and pandas.
const PYTHON_VARIABLE: &str = "VITALOG_PYTHON";
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
