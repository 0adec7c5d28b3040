//! Lines of a text file, none of them longer in memory than a limit.

use std::io::{self, BufRead, BufReader, Read};

const BUFFER_BYTES: usize = 256 << 10;

/// What a call of [`LineReader::read_line`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineRead {
    /// A whole line.
    Whole,
    /// A line beyond the limit; its first bytes were kept, the rest is skipped.
    TooLong,
    /// There are no more lines.
    End,
}

/// Bytes kept of a line that is too long.
const HEAD_BYTES: usize = 1 << 10;

/// Reads lines that end with `\n`, or with the end of the file.
pub(super) struct LineReader {
    reader: BufReader<Box<dyn Read + Send>>,
    line_bytes_max: usize,
    at_start: bool,
}

impl LineReader {
    pub(super) fn new(reader: Box<dyn Read + Send>, line_bytes_max: usize) -> Self {
        let reader = BufReader::with_capacity(BUFFER_BYTES, reader);
        Self {
            reader,
            line_bytes_max,
            at_start: true,
        }
    }

    /// Replaces `line` by the next line, without its `\n`. The byte order mark of UTF-8 before the
    /// first line is left out.
    ///
    /// # Errors
    /// What the file or its decompressor says; the line begun is lost.
    pub(super) fn read_line(&mut self, line: &mut Vec<u8>) -> io::Result<LineRead> {
        line.clear();
        let limit = self.line_bytes_max as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', line)?;
        if read == 0 {
            return Ok(LineRead::End);
        }
        if std::mem::replace(&mut self.at_start, false) && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if read as u64 == limit {
            self.reader.skip_until(b'\n')?;
            line.truncate(HEAD_BYTES);
            return Ok(LineRead::TooLong);
        }
        Ok(LineRead::Whole)
    }
}

/// `line` without a `\r` at its end.
pub(super) fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], limit: usize) -> Vec<(LineRead, String)> {
        let mut reader = LineReader::new(Box::new(io::Cursor::new(text.to_vec())), limit);
        let (mut line, mut lines) = (Vec::new(), Vec::new());
        loop {
            let read = reader.read_line(&mut line).expect("memory can be read");
            if read == LineRead::End {
                return lines;
            }
            lines.push((read, String::from_utf8_lossy(&line).into_owned()));
        }
    }

    #[test]
    fn lines_end_with_a_newline_or_the_file() {
        let whole = |text: &str| (LineRead::Whole, text.to_owned());
        assert_eq!(lines(b"", 9), []);
        assert_eq!(
            lines(b"a\n\nb\r\nc", 9),
            [whole("a"), whole(""), whole("b\r"), whole("c")]
        );
        assert_eq!(
            lines(b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n", 9),
            [whole("a"), whole("\u{feff}b")]
        );
        assert_eq!(without_carriage_return(b"b\r"), b"b");
    }

    #[test]
    fn long_lines_are_skipped_and_the_next_is_whole() {
        let text = format!("{}\nshort\n{}", "x".repeat(5_000), "y".repeat(5_000));
        let found = lines(text.as_bytes(), 4_999);
        let reads: Vec<_> = found.iter().map(|(read, _)| *read).collect();
        assert_eq!(
            reads,
            [LineRead::TooLong, LineRead::Whole, LineRead::TooLong]
        );
        assert_eq!(
            (found[0].1.len(), found[1].1.as_str()),
            (HEAD_BYTES, "short")
        );
        let found = lines(text.as_bytes(), 5_000);
        assert!(found.iter().all(|(read, _)| *read == LineRead::Whole));
        assert_eq!(found[2].1.len(), 5_000);
    }
}
