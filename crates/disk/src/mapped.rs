//! A whole file as read-only memory. The only unsafe code of Vitalog is here.
//!
//! It owns the step from an open file to an Arrow [`Buffer`]; who may map which file is the
//! write-once contract of the crate.

use std::fs::File;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;

use arrow_buffer::Buffer;
use memmap2::Mmap;

/// Maps the whole of `file`, page-aligned. The map lives as long as the buffer, its clones and
/// its slices, and needs neither the file handle nor the file's name.
///
/// # Errors
/// What `fstat` and `mmap` report.
pub(crate) fn map_file(file: &File) -> io::Result<Buffer> {
    // A length of zero cannot be mapped.
    if file.metadata()?.len() == 0 {
        return Ok(Buffer::default());
    }
    // SAFETY: the memory of a map must not change and must not lose its file's bytes while it is
    // read. The write-once contract gives both: published files are never changed or truncated in
    // place, deletion is unlinking (a map keeps an unlinked file's bytes), and the directory is
    // locked, so no second process works here at the same time; one that opens the directory
    // while a map still outlives it is bound by the same contract. The types do not enforce this:
    // a caller that maps a file it goes on writing breaks it.
    let map = unsafe { Mmap::map(file)? };
    let Some(start) = NonNull::new(map.as_ptr().cast_mut()) else {
        return Err(io::Error::other("the system returned an empty address"));
    };
    let length = map.len();
    // SAFETY: `start` is valid for reading `length` bytes as long as `map` lives, and the buffer
    // owns `map`; moving `map` into the `Arc` does not move the mapped pages. Nothing is written
    // through `start`: a `Buffer` is read-only, and one of a custom allocation never becomes
    // mutable. The bytes stay what they are by the write-once contract: published files are never
    // changed or truncated in place, deletion is unlinking, the directory is locked.
    Ok(unsafe { Buffer::from_custom_allocation(start, length, Arc::new(map)) })
}
