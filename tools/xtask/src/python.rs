//! Python environments of the tests: made under `target` from a list of pinned packages, and kept
//! until the list, or the Python, changes.
//!
//! Invariant: an environment that stands is whole; one whose installation failed is taken away.
//! Nothing outside `target` is touched.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// An environment to be.
pub struct Environment {
    /// The list of packages, below the checkout.
    pub requirements: &'static str,
    /// The folder to make, below the checkout.
    pub folder: &'static str,
    /// How pip chooses between built packages and sources.
    pub choice: &'static str,
}

/// What came of an environment.
pub enum Made {
    /// The Python of the environment.
    Ready(PathBuf),
    /// There is no `python3`.
    NoPython,
    /// Why it could not be made, though there is a Python.
    Failed(String),
}

impl Environment {
    /// The Python of the environment, whether or not it is there.
    pub fn python(&self, root: &Path) -> PathBuf {
        root.join(self.folder).join("bin/python")
    }

    /// Makes or renews the environment where needed.
    ///
    /// # Errors
    /// What the file system says.
    pub fn prepare(&self, root: &Path) -> Result<Made> {
        let Some(version) = system_python() else {
            return Ok(Made::NoPython);
        };
        let list = root.join(self.requirements);
        let requirements = std::fs::read_to_string(&list)
            .with_context(|| format!("read {}", self.requirements))?;
        let folder = root.join(self.folder);
        let python = self.python(root);
        let stamp = folder.join("stamp.txt");
        let wanted = stamp_text(&version, &requirements);
        if is_current(&stamp, &python, &wanted) {
            return Ok(Made::Ready(python));
        }
        println!("making the Python environment {}", self.folder);
        let mut environment = Command::new("python3");
        environment.args(["-m", "venv", "--clear"]).arg(&folder);
        if !process::show(&mut environment)? {
            return failed(
                &folder,
                "`python3 -m venv` failed; some systems keep it in a package of its own, such as \
                 python3-venv",
            );
        }
        let mut install = Command::new(&python);
        install
            .args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args([self.choice, "--requirement"])
            .arg(&list);
        if !process::show(&mut install)? {
            let words = format!(
                "pip could not install {}; it says why above",
                self.requirements
            );
            return failed(&folder, &words);
        }
        std::fs::write(&stamp, wanted).with_context(|| format!("write {}", stamp.display()))?;
        Ok(Made::Ready(python))
    }
}

/// Takes away what an installation left.
fn failed(folder: &Path, reason: &str) -> Result<Made> {
    if folder.exists() {
        std::fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(Made::Failed(reason.to_owned()))
}

/// The version of `python3`, such as `Python 3.11.7`.
fn system_python() -> Option<String> {
    let output = Command::new("python3").arg("--version").output().ok()?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !version.is_empty()).then_some(version)
}

/// What an environment was made from.
pub fn stamp_text(version: &str, requirements: &str) -> String {
    format!("# {version}\n{requirements}")
}

/// Whether what stands was made from `wanted`, and its `program` is there.
pub fn is_current(stamp: &Path, program: &Path, wanted: &str) -> bool {
    std::fs::read_to_string(stamp).is_ok_and(|found| found == wanted) && program.exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_kept_until_what_it_was_made_from_changes() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let stamp = directory.path().join("stamp.txt");
        let python = directory.path().join("python");
        let wanted = stamp_text("Python 3.11.7", "duckdb==1.5.5\n");
        assert!(
            !is_current(&stamp, &python, &wanted),
            "nothing is there yet"
        );

        std::fs::write(&stamp, &wanted).expect("write the stamp");
        assert!(!is_current(&stamp, &python, &wanted), "the Python is gone");

        std::fs::write(&python, "").expect("write the program");
        assert!(is_current(&stamp, &python, &wanted));
        let newer = stamp_text("Python 3.12.0", "duckdb==1.5.5\n");
        assert!(!is_current(&stamp, &python, &newer), "the Python changed");
        let other = stamp_text("Python 3.11.7", "duckdb==1.6.0\n");
        assert!(
            !is_current(&stamp, &python, &other),
            "a requirement changed"
        );
    }

    #[test]
    fn nothing_is_left_of_a_failed_installation() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let folder = directory.path().join("python");
        std::fs::create_dir_all(folder.join("bin")).expect("a folder");
        std::fs::write(folder.join("bin/python"), "").expect("a file");
        let made = failed(&folder, "no network").expect("it can be removed");
        assert!(matches!(made, Made::Failed(reason) if reason == "no network"));
        assert!(!folder.exists());
    }
}
