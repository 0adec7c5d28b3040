//! Where the writer of a foreign format puts its bytes until they are checksummed and on disk, and
//! the file that they go to.

use std::io::{self, Write};

use vitalog_disk::{Directory, WriteFile};

use crate::error::Result;

/// Bytes that a format's writer has written and that are not on disk yet.
#[derive(Debug, Default)]
pub(crate) struct Spool {
    pub bytes: Vec<u8>,
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A new file `temporary`; one that an earlier attempt left there goes.
///
/// # Errors
/// A full or failing disk.
pub(crate) fn create_anew(
    directory: &dyn Directory,
    temporary: &str,
) -> Result<Box<dyn WriteFile>> {
    if directory.exists(temporary)? {
        directory.remove(temporary)?;
    }
    Ok(directory.create(temporary)?)
}
