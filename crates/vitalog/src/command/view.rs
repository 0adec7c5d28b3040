//! `view`: named statements that SQL reads like tables, stored as versions.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::grid::{Cell, Grid, Heading, shown_time};
use super::keeper::Keeper;
use super::local::Missing;
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::sql::screen;

/// What to do with which view, and where views are kept.
#[derive(Debug, Args)]
pub(super) struct ViewArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Store a statement as a new version of a view, in force from now on.
    Apply {
        /// One SELECT statement.
        #[arg(value_name = "FILE.sql")]
        path: PathBuf,
        /// The name in SQL; without it the file's, up to its last point.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// The views in force.
    List {
        /// All versions, and views that were dropped.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        source: SourceArgs,
    },
    /// Take a view out of force.
    Drop {
        /// The view.
        #[arg(value_name = "NAME")]
        name: String,
        #[command(flatten)]
        source: SourceArgs,
    },
}

pub(super) fn run(args: &ViewArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let open = |source: &SourceArgs| Source::open(source, data, config, Missing::Refuse);
    match &args.action {
        Action::Apply { path, name, source } => {
            let name = match name {
                Some(name) => name.clone(),
                None => stem(path)?,
            };
            let sql = std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let source = open(source)?;
            let applied = Keeper::of(&source)
                .apply_view(&name, &sql)
                .with_context(|| path.display().to_string());
            source.close()?;
            let view = applied?;
            println!("view {} version {} is in force", view.name, view.version);
        }
        Action::List { all, source } => list(&Keeper::of(&open(source)?), *all)?,
        Action::Drop { name, source } => {
            let source = open(source)?;
            let dropped = Keeper::of(&source).drop_view(name);
            source.close()?;
            println!("view {} is dropped", dropped?.name);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `views/red_accounts.sql` → `red_accounts`
fn stem(path: &Path) -> anyhow::Result<String> {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some(stem) => Ok(stem.to_owned()),
        None => bail!("{}: --name NAME names the view", path.display()),
    }
}

fn list(keeper: &Keeper<'_>, shows_all: bool) -> anyhow::Result<()> {
    let mut views = keeper.views()?;
    views.retain(|view| shows_all || (view.is_current && view.sql.is_some()));
    let mut out = io::stdout().lock();
    if views.is_empty() {
        writeln!(
            out,
            "there is no view; `vitalog view apply FILE.sql` makes one"
        )?;
        return Ok(());
    }
    let mut grid = Grid::new(&[
        Heading::left("view", 0),
        Heading::right("version", 0),
        Heading::left("since", 1),
        Heading::left("state", 0),
    ]);
    for view in &views {
        let state = match (&view.sql, view.is_current) {
            (None, _) => "dropped",
            (Some(_), true) => "in force",
            (Some(_), false) => "replaced",
        };
        grid.push(vec![
            Cell::new(&view.name),
            Cell::new(view.version.to_string()),
            Cell::new(shown_time(view.valid_from_us)),
            Cell::new(state),
        ]);
    }
    grid.write(&mut out, screen())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_is_named_after_its_file() {
        let name = stem(Path::new("views/red_accounts.sql")).expect("a name");
        assert_eq!(name, "red_accounts");
        assert!(stem(Path::new("..")).is_err());
    }
}
