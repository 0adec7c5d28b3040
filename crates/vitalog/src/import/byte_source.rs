//! The bytes of a file or of the standard input: how many were read, and what they are packed in.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// The bytes of a source below its compression.
pub(super) struct ByteSource {
    /// From the first byte on.
    pub reader: Box<dyn Read + Send>,
    /// The first bytes, at most [`HEAD_BYTES`], as they will come from `reader`.
    pub head: Vec<u8>,
    pub compressed: bool,
    pub progress: Progress,
}

/// Bytes shown before anything is decided about a file.
pub(super) const HEAD_BYTES: usize = 4 << 10;

/// How much of a file was read, before decompression.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    read: Arc<AtomicU64>,
    pub total: Option<u64>,
}

impl Progress {
    pub(super) fn of_total(total: Option<u64>) -> Self {
        Self {
            read: Arc::default(),
            total,
        }
    }

    pub(super) fn bytes_read(&self) -> u64 {
        // Only shown to people: no order with anything else is needed.
        self.read.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, bytes: u64) {
        self.read.store(bytes, Ordering::Relaxed);
    }
}

impl ByteSource {
    /// Unpacks `reader` if its first bytes are those of gzip or zstd.
    ///
    /// # Errors
    /// What reading the first bytes says.
    pub(super) fn open(reader: Box<dyn Read + Send>, total: Option<u64>) -> io::Result<Self> {
        let progress = Progress::of_total(total);
        let counted = Counted {
            reader,
            read: Arc::clone(&progress.read),
        };
        let (head, reader) = peek(Box::new(counted))?;
        let unpacked: Box<dyn Read + Send> = match head.as_slice() {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(BufReader::new(reader))),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(WholeFrames(zstd::Decoder::new(reader)?)),
            _ => {
                return Ok(Self {
                    reader,
                    head,
                    compressed: false,
                    progress,
                });
            }
        };
        let (head, reader) = peek(unpacked)?;
        Ok(Self {
            reader,
            head,
            compressed: true,
            progress,
        })
    }
}

/// The first bytes, and a reader that begins with them again.
fn peek(mut reader: Box<dyn Read + Send>) -> io::Result<(Vec<u8>, Box<dyn Read + Send>)> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let mut failure = None;
    if let Err(error) = reader
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
    {
        // What came before the error is still handed out.
        failure = Some(error);
    }
    let start = Cursor::new(head.clone());
    match failure {
        None => Ok((head, Box::new(start.chain(reader)))),
        Some(error) => Ok((head, Box::new(start.chain(Failing(Some(error)))))),
    }
}

/// Fails once, with an error that came too early.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Counts what goes through.
struct Counted {
    reader: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Names the errors of the decompressor, which come without a kind, as damage.
struct WholeFrames(zstd::Decoder<'static, BufReader<Box<dyn Read + Send>>>);

impl Read for WholeFrames {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
            _ => error,
        })
    }
}

/// Opens a file and its length.
pub(super) fn open_file(path: &std::path::Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "it is a directory",
        ));
    }
    Ok((file, metadata.len()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn text() -> Vec<u8> {
        (0..20_000)
            .flat_map(|line| format!("line {line}\n").into_bytes())
            .collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).expect("memory")
    }

    fn unpack(bytes: &[u8]) -> (Vec<u8>, Option<io::ErrorKind>) {
        let total = Some(bytes.len() as u64);
        let source = ByteSource::open(Box::new(Cursor::new(bytes.to_vec())), total).expect("opens");
        let mut reader = source.reader;
        let mut unpacked = Vec::new();
        let error = reader.read_to_end(&mut unpacked).err();
        assert!(unpacked.starts_with(&source.head));
        if error.is_none() {
            assert_eq!(Some(source.progress.bytes_read()), source.progress.total);
        }
        (unpacked, error.map(|error| error.kind()))
    }

    #[test]
    fn packed_bytes_come_out_whole_in_one_piece_or_several() {
        let whole = text();
        let (first, second) = whole.split_at(whole.len() / 2);
        for bytes in [
            text(),
            gzip(&text()),
            zstd(&text()),
            [gzip(first), gzip(second)].concat(),
            [zstd(first), zstd(second)].concat(),
        ] {
            assert_eq!(unpack(&bytes), (text(), None));
        }
        assert_eq!(unpack(b""), (Vec::new(), None));
        assert_eq!(unpack(&gzip(b"")), (Vec::new(), None));
    }

    #[test]
    fn what_is_cut_off_says_so_after_what_could_be_read() {
        for bytes in [gzip(&text()), zstd(&text())] {
            for keep in [5, 20, bytes.len() / 2, bytes.len() - 1] {
                let (unpacked, error) = unpack(&bytes[..keep]);
                assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{keep} bytes");
                assert!(text().starts_with(&unpacked));
            }
        }
    }

    #[test]
    fn damage_is_named() {
        for mut bytes in [gzip(&text()), zstd(&text())] {
            let middle = bytes.len() / 2;
            bytes[middle..middle + 64].fill(0xff);
            let (_, error) = unpack(&bytes);
            let damage = [io::ErrorKind::InvalidInput, io::ErrorKind::InvalidData];
            assert!(
                error.is_some_and(|kind| damage.contains(&kind)),
                "{error:?}"
            );
        }
    }
}
