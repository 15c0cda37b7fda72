//! The text of a file with its lines.
//!
//! Lines end at LF, CRLF or a lone CR, as in YAML. It does not know what the text means.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

/// A place in a text: line and column count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// A stretch of text, from `start` up to but without `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first character.
    pub start: Position,
    /// One past the last character.
    pub end: Position,
}

impl Span {
    /// The stretch of `width` characters of one line.
    pub fn on_line(line: usize, column: usize, width: usize) -> Span {
        Span {
            start: Position { line, column },
            end: Position {
                line,
                column: column + width,
            },
        }
    }
}

/// A file's text.
#[derive(Debug)]
pub struct Source {
    /// The path as it is shown to the user.
    pub path: String,
    /// The text, without a byte order mark.
    pub text: String,
    line_starts: Vec<usize>,
}

/// Why a file could not be read as text.
#[derive(Debug, thiserror::Error)]
pub enum ReadFault {
    /// The file is missing or may not be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is longer than [`MAX_FILE_BYTES`].
    #[error("the file is larger than {} MiB", MAX_FILE_BYTES / 1024 / 1024)]
    TooLarge,
    /// The file is not UTF-8; the text before the first wrong byte, and that byte.
    #[error("the file is not UTF-8 text: the byte 0x{byte:02X} is wrong")]
    NotUtf8 {
        /// The text up to the byte.
        before: Source,
        /// Where the byte stands.
        place: Position,
        /// The byte.
        byte: u8,
    },
}

impl Source {
    /// Reads the file at `path`.
    pub fn read(path: &Path) -> Result<Source, ReadFault> {
        let mut bytes = Vec::new();
        let file = open_regular(path)?;
        file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(ReadFault::TooLarge);
        }
        let shown = shown(path);
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Source::new(shown, text)),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let before = Source::new(shown, text);
                let line = before.line_starts.len();
                let column = before.line(line).chars().count() + 1;
                Err(ReadFault::NotUtf8 {
                    place: Position { line, column },
                    byte: error.as_bytes().get(valid).copied().unwrap_or_default(),
                    before,
                })
            }
        }
    }

    /// A source of the given text.
    pub fn new(path: impl Into<String>, mut text: String) -> Source {
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let line_starts = line_starts(&text);
        Source {
            path: path.into(),
            text,
            line_starts,
        }
    }

    /// The number of lines; a text that ends in a newline has no further, empty line.
    pub fn line_count(&self) -> usize {
        let last_is_empty = self.line_starts.last() == Some(&self.text.len());
        self.line_starts.len() - usize::from(last_is_empty && self.line_starts.len() > 1)
    }

    /// The text of a line, counted from 1, without its line ending; empty beyond the end.
    pub fn line(&self, line: usize) -> &str {
        self.line_with_ending(line).trim_end_matches(['\n', '\r'])
    }

    /// The byte at which a place lies, if the line has it; the end of the line counts.
    pub fn offset(&self, place: Position) -> Option<usize> {
        let start = *self.line_starts.get(place.line.checked_sub(1)?)?;
        let line = self.line(place.line);
        let column = place.column.checked_sub(1)?;
        let ends = std::iter::once(line.len());
        let mut offsets = line.char_indices().map(|(at, _)| at).chain(ends);
        offsets.nth(column).map(|at| start + at)
    }

    /// The text of a line, counted from 1, with its line ending.
    pub fn line_with_ending(&self, line: usize) -> &str {
        let Some(&start) = line.checked_sub(1).and_then(|i| self.line_starts.get(i)) else {
            return "";
        };
        let end = self
            .line_starts
            .get(line)
            .copied()
            .unwrap_or(self.text.len());
        &self.text[start..end]
    }
}

/// Opens a file that is no folder, pipe or device, which could be read without end.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::Error::other("it is not a regular file"))
}

/// A path as it is shown: with forward slashes, and unprintable parts replaced.
pub fn shown(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    if cfg!(windows) {
        text.replace('\\', "/")
    } else {
        text
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let mut starts = vec![0];
    for (index, byte) in bytes.iter().enumerate() {
        let ends = match byte {
            b'\n' => true,
            b'\r' => bytes.get(index + 1) != Some(&b'\n'),
            _ => false,
        };
        if ends {
            starts.push(index + 1);
        }
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_at_lf_crlf_and_cr() {
        let source = Source::new("x", "a\nbb\r\nc\rd".into());
        let lines: Vec<&str> = (1..=5).map(|n| source.line(n)).collect();
        assert_eq!(lines, ["a", "bb", "c", "d", ""]);
        assert_eq!(source.line_count(), 4);
        assert_eq!(Source::new("x", "a\n".into()).line_count(), 1);
        assert_eq!(Source::new("x", String::new()).line_count(), 1);
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(Source::new("x", "\u{feff}a".into()).line(1), "a");
    }

    #[test]
    fn a_wrong_byte_is_located() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("qna.yaml");
        std::fs::write(&path, b"a: b\nc: \xc3\xa9\xff\n").unwrap();
        let Err(ReadFault::NotUtf8 { place, byte, .. }) = Source::read(&path) else {
            panic!("the byte 0xff is not UTF-8");
        };
        assert_eq!((place, byte), (Position { line: 2, column: 5 }, 0xff));
    }
}
