//! `backup`: an online, incremental copy of a store in another directory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;
use vitalog_store::CopyProgress;
use vitalog_wire::vitalog::v1 as wire;
use wire::upkeep_service_client::UpkeepServiceClient;

use super::local::Missing;
use super::progress::{bar, bytes, count};
use super::source::{Source, SourceArgs};
use crate::config::Config;
use crate::sql::{Backend, failure};

/// Of which store, and where the backup goes.
#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// The directory of the backup, made where it is missing; the next backup into it copies only
    /// what is new. With --url it is one of the server's machine.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    source: SourceArgs,
}

/// What a backup did.
struct Done {
    seq: u64,
    copied_files: u64,
    copied_bytes: u64,
    kept_files: u64,
    kept_bytes: u64,
}

pub(super) fn run(args: &BackupArgs, data: &Path, config: &Config) -> anyhow::Result<ExitCode> {
    let source = Source::open(&args.source, data, config, Missing::Refuse)?;
    let done = backup(&source, &args.to);
    source.close()?;
    let done = done?;
    println!(
        "backed up to seq {}: copied {} files, {}; {} files, {}, were there already",
        done.seq,
        count(done.copied_files),
        bytes(done.copied_bytes),
        count(done.kept_files),
        bytes(done.kept_bytes),
    );
    Ok(ExitCode::SUCCESS)
}

fn backup(source: &Source, to: &Path) -> anyhow::Result<Done> {
    if let Backend::Remote(remote) = source.backend() {
        let shown = to.display();
        ensure!(
            to.is_absolute(),
            "{shown}: with --url the directory is one of the server's machine; name it from the \
             root"
        );
        let path = to.to_str().with_context(|| format!("{shown}: no UTF-8"))?;
        let path = path.to_owned();
        let mut client = UpkeepServiceClient::new(remote.line());
        let answer = source.wait(client.backup(wire::UpkeepServiceBackupRequest { path }));
        let answer = answer.map_err(failure)?.into_inner();
        return Ok(Done {
            seq: answer.seq,
            copied_files: answer.files_copied,
            copied_bytes: answer.bytes_copied,
            kept_files: answer.files.saturating_sub(answer.files_copied),
            kept_bytes: answer.bytes.saturating_sub(answer.bytes_copied),
        });
    }
    let store = source.opened_store()?;
    let report = with_bar("backing up", |progress| store.backup_to(to, progress))?;
    Ok(Done {
        seq: report.seq.unsigned_abs(),
        copied_files: report.copied.files,
        copied_bytes: report.copied.bytes,
        kept_files: report.kept.files,
        kept_bytes: report.kept.bytes,
    })
}

/// Runs `copy` with a progress bar on stderr.
pub(super) fn with_bar<T, E>(
    what: &'static str,
    copy: impl FnOnce(&mut dyn FnMut(CopyProgress<'_>)) -> Result<T, E>,
) -> Result<T, E> {
    let bar = bar(what, Some(0), true);
    let outcome = copy(&mut |progress| {
        bar.set_length(progress.bytes_total);
        bar.set_position(progress.bytes_done);
        bar.set_message(progress.file.to_owned());
    });
    bar.finish_and_clear();
    outcome
}
