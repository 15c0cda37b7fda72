//! Rows to and from JSONL files: streaming, with the line in every error, and
//! written atomically.
//!
//! Does not know what a row means; samples are read and written by `dataset`.

use crate::error::{DataError, Place, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use slm_files::WholeFile;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Iterates over the rows of a JSONL file. Blank lines are skipped.
pub struct JsonlReader<T> {
    path: PathBuf,
    reader: BufReader<File>,
    line: usize,
    buffer: Vec<u8>,
    row: PhantomData<T>,
}

impl<T: DeserializeOwned> JsonlReader<T> {
    /// Opens a file for streaming.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| DataError::io(path, "open", e))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 16, file),
            line: 0,
            buffer: Vec::new(),
            row: PhantomData,
        })
    }

    /// The line, from 1, of the row that was returned last.
    pub fn line(&self) -> usize {
        self.line
    }

    fn parse(&self) -> Result<T> {
        let mut text = self.buffer.as_slice();
        if self.line == 1 {
            text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        }
        serde_json::from_slice(text).map_err(|e| {
            let message = e.to_string();
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or(&message)
                .to_owned();
            DataError::content(
                Place::at(&self.path, self.line, e.column().max(1)),
                format!("not a valid row: {message}"),
                row_hint(&e),
            )
        })
    }
}

fn row_hint(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => "compare with the rows before it",
        _ => "each line must hold one complete JSON object; is the file cut short?",
    }
}

impl<T: DeserializeOwned> Iterator for JsonlReader<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        loop {
            self.buffer.clear();
            match self.reader.read_until(b'\n', &mut self.buffer) {
                Err(e) => return Some(Err(DataError::io(&self.path, "read", e))),
                Ok(0) => return None,
                Ok(_) => self.line += 1,
            }
            if !self.buffer.trim_ascii().is_empty() {
                return Some(self.parse());
            }
        }
    }
}

/// Writes rows to a temporary file that takes its name only when complete.
pub struct JsonlWriter {
    path: PathBuf,
    file: BufWriter<WholeFile>,
    rows: usize,
}

impl JsonlWriter {
    /// Starts a file; its folder is made when missing.
    ///
    /// # Errors
    /// The folder or the temporary file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path
            .parent()
            .filter(|p| !p.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)
            .map_err(|e| DataError::io(folder, "create the folder", e))?;
        let file = WholeFile::create(path).map_err(|e| DataError::io(path, "write", e))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            rows: 0,
        })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// The disk is full or the row cannot be serialized.
    pub fn write<T: Serialize>(&mut self, row: &T) -> Result<()> {
        let text =
            serde_json::to_vec(row).map_err(|e| DataError::io(&self.path, "write", e.into()))?;
        self.file
            .write_all(&text)
            .and_then(|()| self.file.write_all(b"\n"))
            .map_err(|e| DataError::io(&self.path, "write", e))?;
        self.rows += 1;
        Ok(())
    }

    /// Puts the file in its place and returns the number of rows. Without this
    /// call nothing is left behind.
    ///
    /// # Errors
    /// The rest cannot be written or the file cannot be renamed.
    pub fn finish(self) -> Result<usize> {
        self.file
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(WholeFile::commit)
            .map_err(|e| DataError::io(&self.path, "write", e))?;
        Ok(self.rows)
    }
}

/// Writes all rows atomically: after an error the file of before is whole.
///
/// # Errors
/// See [`JsonlWriter`].
pub fn write_all<'a, T: Serialize + 'a>(
    path: &Path,
    rows: impl IntoIterator<Item = &'a T>,
) -> Result<usize> {
    let mut writer = JsonlWriter::create(path)?;
    for row in rows {
        writer.write(row)?;
    }
    writer.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn an_unfinished_write_leaves_the_old_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/rows.jsonl");
        let rows = [json!({"a": 1}), json!({"a": 2})];
        assert_eq!(write_all(&path, &rows).unwrap(), 2);
        let mut writer = JsonlWriter::create(&path).unwrap();
        writer.write(&json!({"a": 3})).unwrap();
        drop(writer);
        let back: Result<Vec<Value>> = JsonlReader::open(&path).unwrap().collect();
        assert_eq!(back.unwrap(), rows);
        let left = std::fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(left, 1);
    }
}
