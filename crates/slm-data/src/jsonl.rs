//! Rows to and from JSONL files: streaming, with the line in every error, and
//! written atomically.
//!
//! Does not know what a row means beyond `Sample::fault`.

use crate::error::{DataError, Place, Result};
use crate::sample::Sample;
use serde::Serialize;
use serde::de::DeserializeOwned;
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
        serde_json::error::Category::Data => {
            "compare with `{\"id\": \"1\", \"messages\": [{\"role\": \"user\", \"content\": \"...\"}, {\"role\": \"assistant\", \"content\": \"...\"}]}`"
        }
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

/// Iterates over the samples of a dataset, each checked to be trainable.
pub struct SampleReader {
    rows: JsonlReader<Sample>,
    stem: String,
}

impl SampleReader {
    /// Opens a dataset for streaming.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let stem = path
            .file_stem()
            .map_or_else(|| "row".into(), |s| s.to_string_lossy().into_owned());
        Ok(Self {
            rows: JsonlReader::open(path)?,
            stem,
        })
    }

    fn check(&self, mut sample: Sample) -> Result<Sample> {
        let line = self.rows.line();
        if let Some(fault) = sample.fault() {
            let place = Place::line(&self.rows.path, line);
            return Err(DataError::content(place, fault.message, fault.hint));
        }
        if sample.id.is_empty() {
            sample.id = format!("{}-{line}", self.stem);
        }
        Ok(sample)
    }
}

impl Iterator for SampleReader {
    type Item = Result<Sample>;

    fn next(&mut self) -> Option<Result<Sample>> {
        let row = self.rows.next()?;
        Some(row.and_then(|sample| self.check(sample)))
    }
}

/// Reads a whole dataset; the first faulty row is the error.
///
/// # Errors
/// The file cannot be read, has no rows, or has a row that is not a trainable
/// sample.
pub fn read_all(path: &Path) -> Result<Vec<Sample>> {
    let samples = SampleReader::open(path)?.collect::<Result<Vec<_>>>()?;
    if samples.is_empty() {
        return Err(DataError::content(
            Place::file(path),
            "the dataset has no rows",
            "give the file at least one row, or check that the stage before wrote it",
        ));
    }
    Ok(samples)
}

/// Writes rows to a temporary file that takes its name only when complete.
pub struct JsonlWriter {
    path: PathBuf,
    temporary: PathBuf,
    file: Option<BufWriter<File>>,
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
        let name = path
            .file_name()
            .map_or_else(|| "rows".into(), |n| n.to_string_lossy().into_owned());
        let temporary = folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let file = File::create(&temporary).map_err(|e| DataError::io(path, "write", e))?;
        Ok(Self {
            path: path.to_owned(),
            temporary,
            file: Some(BufWriter::new(file)),
            rows: 0,
        })
    }

    /// Appends one row.
    ///
    /// # Errors
    /// The disk is full or the row cannot be serialized.
    pub fn write<T: Serialize>(&mut self, row: &T) -> Result<()> {
        let Some(file) = self.file.as_mut() else {
            return Ok(());
        };
        let text =
            serde_json::to_vec(row).map_err(|e| DataError::io(&self.path, "write", e.into()))?;
        file.write_all(&text)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|e| DataError::io(&self.path, "write", e))?;
        self.rows += 1;
        Ok(())
    }

    /// Puts the file in its place and returns the number of rows. Without this
    /// call nothing is left behind.
    ///
    /// # Errors
    /// The rest cannot be written or the file cannot be renamed.
    pub fn finish(mut self) -> Result<usize> {
        let Some(writer) = self.file.take() else {
            return Ok(self.rows);
        };
        let outcome = writer
            .into_inner()
            .map_err(std::io::IntoInnerError::into_error)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.temporary, &self.path));
        outcome.map_err(|e| {
            let _ = std::fs::remove_file(&self.temporary);
            DataError::io(&self.path, "write", e)
        })?;
        Ok(self.rows)
    }
}

impl Drop for JsonlWriter {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            let _ = std::fs::remove_file(&self.temporary);
        }
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

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    const GOOD: &str = r#"{"id":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"x"}]}"#;

    #[test]
    fn errors_name_the_line_and_column() {
        let (_folder, path) = file(&format!("{GOOD}\n\n{{\"id\": 1}}\n"));
        let message = read_all(&path).unwrap_err().to_string();
        assert!(
            message.contains("rows.jsonl:3:8: not a valid row: invalid type"),
            "{message}"
        );
        assert!(message.contains("\nhint: compare with"), "{message}");
        let (_folder, path) = file(&format!("{GOOD}\n{}", &GOOD[..40]));
        let message = read_all(&path).unwrap_err().to_string();
        assert!(
            message.contains("rows.jsonl:2:40: not a valid row: EOF"),
            "{message}"
        );
        assert!(message.contains("cut short"), "{message}");
    }

    #[test]
    fn a_row_without_assistant_text_names_its_line() {
        let (_folder, path) = file(&format!(
            "{GOOD}\n{{\"messages\":[{{\"role\":\"user\",\"content\":\"q\"}}]}}\n"
        ));
        let message = read_all(&path).unwrap_err().to_string();
        assert!(
            message.contains("rows.jsonl:2: the row has no assistant text"),
            "{message}"
        );
        assert!(message.contains("\nhint: add"), "{message}");
    }

    #[test]
    fn an_unknown_role_lists_the_known() {
        let (_folder, path) = file(&GOOD.replace("user", "human"));
        let message = read_all(&path).unwrap_err().to_string();
        assert!(
            message.contains("unknown variant `human`, expected one of `system`, `user`"),
            "{message}"
        );
    }

    #[test]
    fn invalid_utf8_and_empty_files_are_errors_not_panics() {
        let (_folder, path) = file("");
        assert!(read_all(&path).unwrap_err().to_string().contains("no rows"));
        std::fs::write(&path, b"{\"id\": \"\xff\"}\n").unwrap();
        assert!(read_all(&path).unwrap_err().to_string().contains(":1:"));
        assert!(
            read_all(Path::new("/nonexistent/rows.jsonl"))
                .unwrap_err()
                .to_string()
                .contains("cannot open")
        );
    }

    #[test]
    fn round_trip_and_missing_ids() {
        let (folder, path) = file(&format!(
            "\u{feff}{}\n{GOOD}",
            GOOD.replace("\"id\":\"a\",", "")
        ));
        let samples = read_all(&path).unwrap();
        assert_eq!(samples[0].id, "rows-1");
        let out = folder.path().join("new/out.jsonl");
        assert_eq!(write_all(&out, &samples).unwrap(), 2);
        assert_eq!(read_all(&out).unwrap(), samples);
    }

    #[test]
    fn an_unfinished_write_leaves_the_old_file_whole() {
        let (folder, path) = file(GOOD);
        let mut writer = JsonlWriter::create(&path).unwrap();
        writer.write(&Sample::pair("b", "q", "x")).unwrap();
        drop(writer);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), GOOD);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
