//! The quarantine: bytes and files that are no part of the store any more and are kept for people.
//!
//! Nothing in it is ever read or removed by the store, and no name is used twice.

use vitalog_disk::Directory;

use crate::error::Result;
use crate::wal;

/// The folder of what was set aside.
pub(crate) const FOLDER: &str = "quarantine";

/// Bytes that a torn write, or damage that cannot be told from one, left at the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The log file they were found in.
    pub file: String,
    /// Where they began.
    pub offset: u64,
    /// How many there were.
    pub bytes: u64,
    /// The file that keeps them.
    pub kept_in: String,
    /// Why they are no commit group.
    pub reason: String,
}

/// A name that nothing in the quarantine has: an earlier attempt that was cut short may have kept
/// the same bytes before, and the first copy is the whole one.
fn free_name(directory: &dyn Directory, stem: &str, extension: &str) -> Result<String> {
    let mut name = format!("{FOLDER}/{stem}.{extension}");
    for again in 2.. {
        if !directory.exists(&name)? {
            break;
        }
        name = format!("{FOLDER}/{stem}-{again}.{extension}");
    }
    Ok(name)
}

/// Keeps bytes of log file `number` under a name of their own.
pub(crate) fn set_aside(
    directory: &dyn Directory,
    number: u64,
    offset: u64,
    bytes: &[u8],
    reason: &str,
) -> Result<Quarantined> {
    let kept_in = free_name(directory, &format!("{number:016}-{offset}"), "wal")?;
    vitalog_disk::write_atomically(directory, &kept_in, bytes)?;
    Ok(Quarantined {
        file: wal::file_name(number),
        offset,
        bytes: bytes.len() as u64,
        kept_in,
        reason: reason.to_owned(),
    })
}

/// Moves file `name`, as `quarantine/<folder>-<file>`. Returns where it is now; `None` where there
/// is no such file. Durable on return.
pub(crate) fn move_file(directory: &dyn Directory, name: &str) -> Result<Option<String>> {
    if !directory.exists(name)? {
        return Ok(None);
    }
    let flat = name.replace('/', "-");
    let (stem, extension) = flat.rsplit_once('.').unwrap_or((&flat, "file"));
    let kept_in = free_name(directory, stem, extension)?;
    directory.rename(name, &kept_in)?;
    Ok(Some(kept_in))
}
