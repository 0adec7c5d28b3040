//! Child processes of the chores: started, shown while they run, and read.
//!
//! Invariant: what a child prints reaches the terminal as it comes, byte for byte, whether or not
//! it is also kept to be read afterwards.

use std::ffi::OsStr;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

/// What a child left behind.
pub struct Finished {
    /// Whether it ended with status 0.
    pub success: bool,
    /// Its standard output and its standard error, without colours.
    pub stdout: String,
    pub stderr: String,
}

/// `cargo`, the one that runs this program, in the workspace.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // What cargo says of this package to this program is not the next build's: ring watches these
    // variables, and would be built anew with all that stands on it.
    for (name, _) in std::env::vars_os() {
        let is_of_this_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if is_of_this_package {
            command.env_remove(name);
        }
    }
    command
}

/// Whether `program --version` (or any other probing argument) runs and succeeds.
pub fn runs(program: impl AsRef<OsStr>, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Runs a child on this process's own terminal; returns whether it succeeded.
pub fn show(command: &mut Command) -> Result<bool> {
    let status = command
        .status()
        .with_context(|| format!("start {}", words(command)))?;
    Ok(status.success())
}

/// Runs a child, passes what it prints through as it comes, and returns it as well.
///
/// The child sees pipes, not a terminal; where this process has a terminal, cargo and its tools
/// are told to keep their colours and their progress bar.
pub fn show_and_read(command: &mut Command) -> Result<Finished> {
    if std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "always");
        command
            .env("CARGO_TERM_PROGRESS_WHEN", "always")
            .env("CARGO_TERM_PROGRESS_WIDTH", "80");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {}", words(command)))?;
    let stdout = child.stdout.take().expect("stdout was piped above");
    let stderr = child.stderr.take().expect("stderr was piped above");
    let (stdout, stderr) = std::thread::scope(|scope| {
        let errors = scope.spawn(|| pass_through(stderr, std::io::stderr()));
        let output = pass_through(stdout, std::io::stdout());
        (
            output,
            errors.join().expect("the copying thread does not panic"),
        )
    });
    let status = child
        .wait()
        .with_context(|| format!("wait for {}", words(command)))?;
    Ok(Finished {
        success: status.success(),
        stdout: plain(&stdout?),
        stderr: plain(&stderr?),
    })
}

/// Copies `from` to `to` until its end, flushing what comes, and returns all of it.
fn pass_through(mut from: impl Read, mut to: impl Write) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let mut buffer = [0; 8192];
    loop {
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(kept);
        }
        kept.extend_from_slice(&buffer[..length]);
        to.write_all(&buffer[..length])?;
        to.flush()?;
    }
}

/// The text of an output without its colour codes (`ESC [ … letter`).
fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            let _letter = characters.find(char::is_ascii_alphabetic);
        } else {
            kept.push(character);
        }
    }
    kept
}

/// The command as a person would type it.
pub fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    std::iter::once(program)
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_removed_and_nothing_else() {
        let coloured = "\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] \u{1b}[1m3\u{1b}[0m tests run é";
        assert_eq!(
            plain(coloured.as_bytes()),
            "     Summary [ 0.1s] 3 tests run é"
        );
    }

    #[test]
    fn what_passes_through_is_kept_whole() {
        let text = "line\n".repeat(5_000);
        let mut shown = Vec::new();
        let kept = pass_through(text.as_bytes(), &mut shown).expect("reading memory succeeds");
        assert_eq!(kept, text.as_bytes());
        assert_eq!(shown, text.as_bytes());
    }

    #[test]
    fn a_command_is_named_as_it_is_typed() {
        let mut command = Command::new("/a/b/cargo");
        command.args(["test", "--doc"]);
        assert_eq!(words(&command), "cargo test --doc");
    }
}
