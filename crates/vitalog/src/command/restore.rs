//! `restore`: a store out of a backup, every byte of it checked before it counts as one.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use vitalog_disk::{Directory, LOCK_NAME, RealDirectory};
use vitalog_store::restore_directory;

use super::backup::with_bar;
use super::progress::{bytes, count};

/// Where the backup lies.
#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// The directory of the backup; the store is made in `--data`, which must be absent or empty.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
}

/// The folders that a restore which was cut short may have left.
const FOLDERS: [&str; 6] = [
    "cold",
    "definitions",
    "manifest",
    "segments",
    "symbols",
    "writers",
];

pub(super) fn run(args: &RestoreArgs, data: &Path) -> anyhow::Result<ExitCode> {
    if !args.from.join("manifest").is_dir() {
        bail!("{}: there is no backup here", args.from.display());
    }
    refuse_strangers(data)?;
    let open = |path: &Path| -> anyhow::Result<Arc<dyn Directory>> {
        let directory =
            RealDirectory::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Ok(Arc::new(directory))
    };
    let (source, target) = (open(&args.from)?, open(data)?);
    let report = with_bar("restoring", |progress| {
        restore_directory(&source, &target, progress)
    })?;
    println!(
        "restored {} events up to seq {} into {}: {} files, {}, verified",
        count(report.rows),
        report.seq,
        data.display(),
        count(report.restored.files),
        bytes(report.restored.bytes),
    );
    Ok(ExitCode::SUCCESS)
}

/// Anything that no restore leaves is somebody's.
fn refuse_strangers(data: &Path) -> anyhow::Result<()> {
    if !data.exists() {
        return Ok(());
    }
    let entries = std::fs::read_dir(data).with_context(|| data.display().to_string())?;
    for entry in entries {
        let name = entry?.file_name();
        if name != LOCK_NAME && !FOLDERS.iter().any(|folder| name == *folder) {
            bail!(
                "{}: not empty ({} is there); a store is restored into an empty directory",
                data.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}
