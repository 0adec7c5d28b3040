//! The prompt: takes lines, runs what is complete, goes on after errors.
//!
//! [`Repl`] is everything but the terminal, so that a test can drive it; `run` puts rustyline
//! around it.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper, Highlighter, Hinter};

use super::catalog::{Catalog, function_rows};
use super::completion::complete;
use super::directive::{self, Directive, HELP};
use super::execution::{Executor, Outcome};
use super::format::{OutputFormat, Screen, answer_writer};
use super::statements::split;

const PROMPT: &str = "vitalog> ";

/// Statements remembered from one run to the next.
const HISTORY_ENTRIES_MAX: usize = 10_000;

/// Whether the prompt comes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    Leave,
}

/// The prompt without a terminal.
pub(super) struct Repl<'e> {
    executor: &'e Executor,
    format: OutputFormat,
    is_timed: bool,
    /// As last seen.
    catalog: Arc<Catalog>,
    pub screen: Screen,
}

/// Whether Enter behind `text` runs it, rather than begins another line.
pub(super) fn is_complete(text: &str) -> bool {
    directive::is_directive(text) || split(text).is_complete
}

impl<'e> Repl<'e> {
    pub fn new(executor: &'e Executor, format: OutputFormat, screen: Screen) -> Self {
        Self {
            executor,
            format,
            is_timed: true,
            catalog: Arc::default(),
            screen,
        }
    }

    /// Runs what was entered. Answers go to `out`; counts, times and errors to `log`.
    ///
    /// # Errors
    /// `out` or `log` fails.
    pub fn handle(
        &mut self,
        text: &str,
        out: &mut dyn Write,
        log: &mut dyn Write,
    ) -> io::Result<Flow> {
        if directive::is_directive(text) {
            return match directive::parse(text).map(|directive| self.obey(directive, out, log)) {
                Ok(outcome) => outcome.or_else(|error| {
                    writeln!(log, "error: {error:#}")?;
                    Ok(Flow::Continue)
                }),
                Err(message) => {
                    writeln!(log, "error: {message}")?;
                    Ok(Flow::Continue)
                }
            };
        }
        for statement in split(text).statements {
            let outcome = self
                .executor
                .run(statement.placed(), self.format, self.screen, out);
            match outcome {
                Ok(Outcome::Done(summary)) => {
                    writeln!(log, "{}", summary.describe(self.is_timed))?;
                    for note in summary.notes {
                        writeln!(log, "{note}")?;
                    }
                }
                Ok(Outcome::Cancelled) => {
                    writeln!(log, "cancelled")?;
                    break;
                }
                Ok(Outcome::OutputClosed) => return Ok(Flow::Leave),
                Err(error) => {
                    writeln!(log, "error: {error:#}")?;
                    break;
                }
            }
        }
        Ok(Flow::Continue)
    }

    /// Looks at tables and functions again.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn refresh(&mut self) -> anyhow::Result<&Arc<Catalog>> {
        self.catalog = self.executor.catalog()?;
        Ok(&self.catalog)
    }

    fn obey(
        &mut self,
        directive: Directive,
        out: &mut dyn Write,
        log: &mut dyn Write,
    ) -> anyhow::Result<Flow> {
        match directive {
            Directive::Tables => {
                let rows = self.refresh()?.table_rows();
                self.show(&rows, out, log)?;
            }
            Directive::Schema(table) => {
                let rows = self
                    .refresh()?
                    .column_rows(table.as_deref())
                    .with_context(|| {
                        let name = table.unwrap_or_default();
                        format!("there is no table {name:?}; .tables lists those there are")
                    })?;
                self.show(&rows, out, log)?;
            }
            Directive::Functions(pattern) => self.show_functions(pattern.as_deref(), out, log)?,
            Directive::Timer(is_timed) => self.is_timed = is_timed,
            Directive::Mode(format) => self.format = format,
            Directive::Help => out.write_all(HELP.as_bytes())?,
            Directive::Quit => return Ok(Flow::Leave),
        }
        out.flush()?;
        Ok(Flow::Continue)
    }

    /// One function with all that is written about it, several as a list.
    fn show_functions(
        &mut self,
        pattern: Option<&str>,
        out: &mut dyn Write,
        log: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let catalog = Arc::clone(self.refresh()?);
        let found = catalog.functions_like(pattern.unwrap_or_default());
        let exact = pattern.and_then(|name| found.iter().find(|one| one.name == name));
        match (found.as_slice(), exact) {
            ([], _) => anyhow::bail!(
                "no function has {:?} in its name",
                pattern.unwrap_or_default()
            ),
            (_, Some(one)) | ([one], None) => {
                writeln!(out, "{}  ({})", one.signature, one.kind)?;
                for part in [&one.description, &one.example] {
                    if !part.trim().is_empty() {
                        writeln!(out, "\n{}", part.trim())?;
                    }
                }
                Ok(())
            }
            (several, None) => self.show(&function_rows(several), out, log),
        }
    }

    fn show(
        &self,
        rows: &RecordBatch,
        out: &mut dyn Write,
        log: &mut dyn Write,
    ) -> anyhow::Result<()> {
        let mut writer = answer_writer(self.format, &rows.schema(), self.screen, out)?;
        writer.write(rows)?;
        for note in writer.finish()? {
            writeln!(log, "{note}")?;
        }
        Ok(())
    }
}

/// What rustyline asks while a line is edited.
#[derive(Helper, Highlighter, Hinter)]
struct Assistant {
    catalog: Arc<Catalog>,
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(&self.catalog, line, cursor))
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match is_complete(context.input()) {
            true => ValidationResult::Valid(None),
            false => ValidationResult::Incomplete,
        })
    }
}

/// Prompts on the terminal until the user leaves.
///
/// # Errors
/// The terminal fails.
pub(super) fn run(executor: &Executor, format: OutputFormat) -> anyhow::Result<()> {
    let mut repl = Repl::new(executor, format, super::screen());
    // A prompt that cannot complete is still a prompt.
    let catalog = match repl.refresh() {
        Ok(catalog) => Arc::clone(catalog),
        Err(error) => {
            eprintln!("no completion: {error:#}");
            Arc::default()
        }
    };
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY_ENTRIES_MAX)?
        .history_ignore_space(true)
        .build();
    let mut editor = Editor::<Assistant, DefaultHistory>::with_config(config)?;
    editor.set_helper(Some(Assistant { catalog }));
    let history = history_path();
    if let Some(path) = &history {
        // The first run has none.
        let _ = editor.load_history(path);
    }
    eprintln!(
        "vitalog {}; .help shows what there is, Ctrl-D leaves",
        env!("CARGO_PKG_VERSION")
    );
    loop {
        let text = match editor.readline(PROMPT) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(error.into()),
        };
        if text.trim().is_empty() {
            continue;
        }
        editor.add_history_entry(text.trim_end())?;
        if let Some(path) = &history {
            // History is a convenience: a full disk must not end the prompt.
            let _ = editor.append_history(path);
        }
        repl.screen = super::screen();
        let flow = repl.handle(&text, &mut io::stdout().lock(), &mut io::stderr().lock())?;
        if flow == Flow::Leave {
            break;
        }
        if let Some(assistant) = editor.helper_mut() {
            assistant.catalog = Arc::clone(&repl.catalog);
        }
    }
    Ok(())
}

/// `vitalog/sql_history` in the user's data directory, which is made where it is missing; `None`
/// without a home.
fn history_path() -> Option<PathBuf> {
    let directory = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    let data = directory("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let data = data.or_else(|| {
        let home = PathBuf::from(directory("HOME")?);
        let below = if cfg!(target_os = "macos") {
            "Library/Application Support"
        } else {
            ".local/share"
        };
        Some(home.join(below))
    })?;
    let directory = data.join("vitalog");
    std::fs::create_dir_all(&directory).ok()?;
    Some(directory.join("sql_history"))
}

#[cfg(test)]
#[path = "repl_tests.rs"]
mod tests;
