//! The command `sql`: questions from a prompt, an argument, a file or stdin.
//!
//! It owns how a script is split, how an answer is written and how the prompt behaves. It does not
//! own what SQL means: that is the query engine of this process, or of a server. Invariants:
//! answers go to stdout and nothing else does; a script stops at its first error and names the
//! statement; a reader that goes away ends it quietly.

mod backend;
mod bearer;
mod catalog;
mod channel;
mod completion;
mod directive;
mod execution;
mod format;
mod remote;
mod repl;
mod statements;
mod table;
#[cfg(test)]
mod testing;

use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use futures::FutureExt;
use vitalog_query::QueryEngine;

pub(crate) use self::backend::Backend;
pub(crate) use self::bearer::{Bearer, Line};
pub(crate) use self::channel::{TlsArgs, connect, parse_url};
use self::execution::{Executor, Interrupt, Outcome};
pub(crate) use self::format::Screen;
pub use self::format::{OutputFormat, write_batches};
pub(crate) use self::remote::{Remote, failure};
use self::statements::split;
pub(crate) use self::table::{cut, text_width, visible};

/// What to ask, whom, and how to write the answers.
#[derive(Args, Clone, Debug)]
pub struct SqlArgs {
    /// Runs these statements, separated by semicolons, and leaves.
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// Runs the statements of a file and leaves; - is stdin.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How answers are written.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: OutputFormat,
    /// Asks a server at grpc://HOST:PORT (grpcs:// with TLS) and not a directory.
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    url: Option<String>,
}

/// Bytes of answers that wait to be written.
const OUTPUT_BYTES: usize = 64 << 10;

/// Runs the command; `open` is called where no server is named. Blocks: not to be called on an
/// asynchronous runtime. Exit codes: 0 done, 1 a statement failed, 2 usage.
///
/// # Errors
/// There is nobody to ask, or nothing to read: the store does not open, the server or the file is
/// not there, the terminal fails. A statement that fails is reported here and is no error.
pub fn run(
    args: SqlArgs,
    open: impl FnOnce() -> anyhow::Result<QueryEngine>,
) -> anyhow::Result<ExitCode> {
    let SqlArgs {
        command,
        file,
        format,
        url,
    } = args;
    let script = match (command, file) {
        (Some(sql), _) => Some(sql),
        (None, Some(path)) => Some(read_script(&path)?),
        (None, None) if !io::stdin().is_terminal() => Some(read_script(Path::new("-"))?),
        (None, None) => None,
    };
    if let Err(message) = check_format(format, script.as_deref()) {
        eprintln!("error: {message}");
        return Ok(ExitCode::from(2));
    }
    // A script ends by Ctrl-C as any process does; a prompt outlives its statements.
    let interrupt: Interrupt = match &script {
        Some(_) => Box::new(|| std::future::pending().boxed()),
        None => Box::new(|| {
            async {
                // Where no signal can be had, none stops the statement.
                if tokio::signal::ctrl_c().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            .boxed()
        }),
    };
    let executor = Executor::new(interrupt, async || match url {
        Some(address) => Remote::connect(&address)
            .await
            .map(Box::new)
            .map(Backend::Remote),
        None => open().map(Backend::Local),
    })?;
    match script {
        None => repl::run(&executor, format).map(|()| ExitCode::SUCCESS),
        Some(script) => {
            let mut out = BufWriter::with_capacity(OUTPUT_BYTES, io::stdout());
            let is_watched = io::stderr().is_terminal();
            let log = &mut io::stderr();
            let is_done = run_script(&executor, &script, format, &mut out, log, is_watched)?;
            Ok(if is_done {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(1)
            })
        }
    }
}

/// Runs the statements of a script up to the first that fails; `false` if one did. With
/// `is_watched`, counts and times go to `log`, too.
fn run_script(
    executor: &Executor,
    script: &str,
    format: OutputFormat,
    out: &mut dyn Write,
    log: &mut dyn Write,
    is_watched: bool,
) -> io::Result<bool> {
    let statements = split(script).statements;
    let count = statements.len();
    for (index, statement) in statements.iter().enumerate() {
        match executor.run(statement.placed(), format, screen(), out) {
            Ok(Outcome::Done(summary)) => {
                if is_watched {
                    writeln!(log, "{}", summary.describe(true))?;
                }
                for note in summary.notes {
                    writeln!(log, "{note}")?;
                }
            }
            Ok(Outcome::OutputClosed) => return Ok(true),
            Ok(Outcome::Cancelled) => {
                writeln!(log, "cancelled")?;
                return Ok(false);
            }
            Err(error) => {
                let (number, line) = (index + 1, statement.line);
                match count {
                    1 => writeln!(log, "error: {error:#}")?,
                    _ => writeln!(
                        log,
                        "error in statement {number} of {count}, which begins at line {line}: {error:#}"
                    )?,
                }
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Binary formats hold one answer and are not for eyes.
fn check_format(format: OutputFormat, script: Option<&str>) -> Result<(), String> {
    if !format.is_binary() {
        return Ok(());
    }
    let name = format.name();
    let count = script.map_or(0, |script| split(script).statements.len());
    if count != 1 {
        return Err(format!(
            "--format {name} writes the answer of one statement, found {count}"
        ));
    }
    if io::stdout().is_terminal() {
        return Err(format!(
            "--format {name} is not written to a terminal; redirect it to a file"
        ));
    }
    Ok(())
}

/// The text of a file, or of stdin for `-`.
fn read_script(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin()
            .read_to_string(&mut text)
            .context("cannot read statements from stdin")?;
    } else {
        text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read statements from {}", path.display()))?;
    }
    // Some editors begin a file with a byte order mark, which is no SQL.
    Ok(match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// What stdout can show.
pub(crate) fn screen() -> Screen {
    if !io::stdout().is_terminal() {
        return Screen::default();
    }
    let width = rustyline::DefaultEditor::new()
        .ok()
        .and_then(|mut editor| editor.dimensions());
    let is_coloured = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    Screen {
        width: width.map(|(columns, _)| usize::from(columns)),
        is_coloured,
    }
}

#[cfg(test)]
#[path = "script_tests.rs"]
mod tests;
