//! `health`: the score table, or one account's headline, explanation, signals and steps.
//!
//! It asks the relations in SQL, of a directory or a server alike; it owns no formula.

pub(super) mod account;
mod bars;
pub(super) mod board;
pub(super) mod standing;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use self::account::Account;
use self::board::{Board, SortColumn};
use super::local::Missing;
use super::source::{Source, SourceArgs, quoted};
use crate::config::Config;
use crate::sql::{OutputFormat, screen, write_batches};

/// Whose health, by which model, when, and how to write it.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// One account (of a model over users: one user); without it all of them.
    #[arg(value_name = "ACCOUNT")]
    account: Option<String>,
    /// The health model.
    #[arg(long, value_name = "MODEL", default_value = MODEL_DEFAULT)]
    model: String,
    /// The instant, or the date whose end it is; without it now. Name, plan and mrr are today's.
    #[arg(long, value_name = "TIME")]
    as_of: Option<String>,
    /// The column to order by, what is worst (of mrr: most) first.
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "status",
        conflicts_with = "account"
    )]
    sort: SortColumn,
    /// Most rows of the table.
    #[arg(long, value_name = "N", conflicts_with = "account")]
    limit: Option<usize>,
    /// How it is written; of one account, formats for programs hold its explanation by event.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: OutputFormat,
    #[command(flatten)]
    source: SourceArgs,
}

/// The model that is meant where none is named.
pub(super) const MODEL_DEFAULT: &str = "default";

/// Which model, as of when.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub model: String,
    /// As the relations take it; `None` is now.
    pub as_of: Option<String>,
}

impl Question {
    /// A call of a relation for this model and instant, with further named arguments.
    pub fn call(&self, relation: &str, more: &[(&str, &str)]) -> String {
        let mut arguments = format!("model => {}", quoted(&self.model));
        if let Some(as_of) = &self.as_of {
            arguments += &format!(", as_of => {}", quoted(as_of));
        }
        for (name, value) in more {
            arguments += &format!(", {name} => {}", quoted(value));
        }
        format!("{relation}({arguments})")
    }
}

pub(super) fn run(args: &HealthArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let question = Question {
        model: args.model.clone(),
        as_of: args.as_of.clone(),
    };
    let mut out = io::stdout().lock();
    match &args.account {
        None => {
            let board = Board::ask(&source, &question)?.sorted(args.sort, args.limit);
            match args.format {
                OutputFormat::Table => board.write(&mut out, screen())?,
                format => write_batches(format, &[board.batch()?], &mut out)?,
            }
        }
        Some(id) => {
            let account = Account::ask(&source, &question, id)?;
            match args.format {
                OutputFormat::Table => account.write(&mut out, screen())?,
                format => write_batches(format, &[account.batch().clone()], &mut out)?,
            }
        }
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_quote_what_they_are_given() {
        let question = Question {
            model: "o'neill".to_owned(),
            as_of: Some("2025-03-01".to_owned()),
        };
        assert_eq!(
            question.call("health_explain", &[("account", "a'b")]),
            "health_explain(model => 'o''neill', as_of => '2025-03-01', account => 'a''b')"
        );
    }
}
