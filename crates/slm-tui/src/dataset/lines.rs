//! Where each row of a JSONL file begins and ends, found in slices while the screen is drawn.
//!
//! The file is read at places, not mapped: a file that is cut short meanwhile is an error of one
//! row, not of the process. Does not know what a row means.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memchr_iter;

/// Rows above this are not read.
const LARGEST: u64 = 64 << 20;

/// The place of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The first byte.
    pub start: u64,
    /// Bytes, without the line feed.
    pub length: u64,
    /// The line, from 1; blank lines count, but are no rows.
    pub line: u64,
}

/// The rows of a file, as far as they were found.
#[derive(Debug)]
pub struct Lines {
    file: File,
    /// Bytes of the file when it was opened.
    size: u64,
    /// Bytes looked through.
    read: u64,
    /// Where the line begins that is being looked through.
    start: u64,
    /// Lines ended so far.
    ended: u64,
    /// Whether that line has anything but white space yet.
    blank: bool,
    complete: bool,
    rows: Vec<Place>,
    buffer: Vec<u8>,
}

impl Lines {
    /// Opens a file; no row is known before [`Lines::find`].
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self {
            file,
            size,
            read: 0,
            start: 0,
            ended: 0,
            blank: true,
            complete: false,
            rows: Vec::new(),
            buffer: Vec::new(),
        })
    }

    /// Looks through at most so many bytes more; whether there are more behind them.
    ///
    /// # Errors
    /// The file cannot be read; the rows found so far stay.
    pub fn find(&mut self, bytes: usize) -> io::Result<bool> {
        if self.complete {
            return Ok(false);
        }
        self.buffer.resize(bytes, 0);
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = read_at(&mut self.file, self.read, &mut buffer);
        if let Ok(count) = outcome {
            self.take(&buffer[..count]);
            if count < bytes {
                self.end(self.read);
                self.complete = true;
                buffer = Vec::new();
            }
        } else {
            self.complete = true;
        }
        self.buffer = buffer;
        outcome.map(|_| !self.complete)
    }

    fn take(&mut self, block: &[u8]) {
        let mut from = 0;
        for at in memchr_iter(b'\n', block) {
            self.look(&block[from..at]);
            self.end(self.read + at as u64);
            self.start = self.read + at as u64 + 1;
            from = at + 1;
        }
        self.look(&block[from..]);
        self.read += block.len() as u64;
    }

    fn look(&mut self, piece: &[u8]) {
        self.blank = self.blank && piece.iter().all(u8::is_ascii_whitespace);
    }

    /// A line ends before this byte.
    fn end(&mut self, at: u64) {
        self.ended += 1;
        if !self.blank {
            self.rows.push(Place {
                start: self.start,
                length: at - self.start,
                line: self.ended,
            });
        }
        self.blank = true;
    }

    /// Rows found so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether no row was found so far.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether the whole file was looked through.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The share of the file looked through, from 0 to 1.
    pub fn share(&self) -> f64 {
        if self.complete || self.size == 0 {
            return 1.0;
        }
        (self.read as f64 / self.size as f64).min(1.0)
    }

    /// The place of a row.
    pub fn place(&self, row: usize) -> Option<Place> {
        self.rows.get(row).copied()
    }

    /// The bytes of a row, without a byte order mark.
    ///
    /// # Errors
    /// Why the row cannot be shown, in words.
    pub fn row(&mut self, row: usize) -> Result<Vec<u8>, String> {
        let place = self.place(row).ok_or("there is no such row")?;
        if place.length > LARGEST {
            return Err(format!(
                "the row has {} MB; rows of up to {} MB are shown",
                place.length >> 20,
                LARGEST >> 20
            ));
        }
        let mut bytes = vec![0; place.length as usize];
        let count = read_at(&mut self.file, place.start, &mut bytes)
            .map_err(|error| format!("reading failed: {error}"))?;
        if count < bytes.len() {
            return Err("the file was cut short after it was opened".into());
        }
        strip_mark(place.start, &mut bytes);
        Ok(bytes)
    }

    /// The bytes of rows that lie together, from this row on: as many whole rows as fit, and
    /// at least one. The rows' places are relative to the block's first byte.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn block(&mut self, first: usize, bytes: u64) -> io::Result<(Vec<u8>, Vec<Place>)> {
        let Some(start) = self.place(first).map(|place| place.start) else {
            return Ok((Vec::new(), Vec::new()));
        };
        let fits = |place: &&Place| place.start + place.length - start <= bytes;
        let mut places: Vec<Place> = self.rows[first..]
            .iter()
            .take_while(fits)
            .copied()
            .collect();
        if places.is_empty() {
            // One row is more than a block; a row that is never shown is never found either.
            places.extend(self.place(first).filter(|place| place.length <= LARGEST));
        }
        let length = places
            .last()
            .map_or(0, |last| last.start + last.length - start);
        let mut block = vec![0; length as usize];
        let count = read_at(&mut self.file, start, &mut block)?;
        block.truncate(count);
        for place in &mut places {
            place.start -= start;
        }
        Ok((block, places))
    }
}

fn strip_mark(start: u64, bytes: &mut Vec<u8>) {
    if start == 0 && bytes.starts_with("\u{feff}".as_bytes()) {
        bytes.drain(..3);
    }
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &mut File, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
    file.seek(SeekFrom::Start(at))?;
    let mut count = 0;
    while count < buffer.len() {
        match file.read(&mut buffer[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of a content with their lines, found in slices of each size.
    fn rows(content: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, content).unwrap();
        let all = |slice: usize| {
            let mut lines = Lines::open(&path).unwrap();
            while lines.find(slice).unwrap() {}
            assert!((lines.share() - 1.0).abs() < 1e-9 && lines.is_complete());
            (0..lines.len())
                .map(|row| (lines.place(row).unwrap().line, lines.row(row).unwrap()))
                .collect::<Vec<_>>()
        };
        let whole = all(1 << 20);
        for slice in [1, 2, 3, 7, 64] {
            if content.len() < 1000 {
                assert_eq!(all(slice), whole, "slices of {slice}");
            }
        }
        whole
    }

    #[test]
    fn blank_lines_count_but_are_no_rows() {
        let row = |line: u64, text: &str| (line, text.as_bytes().to_vec());
        assert_eq!(rows(b""), []);
        assert_eq!(rows(b"\n\r\n  \n"), []);
        assert_eq!(rows(b"a"), [row(1, "a")]);
        assert_eq!(rows(b"a\n\n \t\nb\n"), [row(1, "a"), row(4, "b")]);
        assert_eq!(
            rows(b"a\r\nb\r\n\r\nc"),
            [row(1, "a\r"), row(2, "b\r"), row(4, "c")]
        );
        assert_eq!(rows("\u{feff}a\n".as_bytes()), [row(1, "a")]);
        assert_eq!(rows(b"\xff\xfe\n"), [(1, b"\xff\xfe".to_vec())]);
    }

    #[test]
    fn a_line_of_a_megabyte_is_one_row() {
        let mut content = b"a\n".to_vec();
        content.extend(vec![b'x'; 3 << 20]);
        content.extend(b"\nb");
        let rows = rows(&content);
        assert_eq!(
            rows.iter().map(|row| row.1.len()).collect::<Vec<_>>(),
            [1, 3 << 20, 1]
        );
    }

    #[test]
    fn blocks_hold_whole_rows_and_at_least_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "aaaa\n\nbb\ncc\n").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        while lines.find(5).unwrap() {}
        let (block, places) = lines.block(0, 2).unwrap();
        assert_eq!((block.as_slice(), places.len()), (b"aaaa".as_slice(), 1));
        let (block, places) = lines.block(1, 5).unwrap();
        assert_eq!(block, b"bb\ncc");
        assert_eq!((places[1].start, places[1].line), (3, 4));
        assert!(lines.block(3, 5).unwrap().1.is_empty());
    }

    #[test]
    fn a_file_cut_short_is_an_error_of_the_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, "{\"a\":1}\n{\"a\":2}\n").unwrap();
        let mut lines = Lines::open(&path).unwrap();
        while lines.find(100).unwrap() {}
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(10)
            .unwrap();
        assert!(lines.row(0).is_ok());
        assert!(lines.row(1).unwrap_err().contains("cut short"));
    }
}
