//! Rows to and from JSONL files: streaming, with the line in every error, and
//! written atomically.
//!
//! Does not know what a row means; that is the formats' (`formats`).

use crate::error::{DataError, Place, Result};
use crate::formats::Format;
use crate::sample::{Fault, Sample};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
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

/// Iterates over the samples of a dataset, each checked to be trainable. After a faulty
/// row it goes on with the next.
pub struct SampleReader {
    rows: JsonlReader<Value>,
    /// As the caller named it, or as the first row told.
    format: Option<Format>,
    stem: String,
}

impl SampleReader {
    /// Opens a dataset for streaming; its first row tells its format.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_as(path, None)
    }

    /// Opens a dataset of a format, where one is given.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open_as(path: &Path, format: Option<Format>) -> Result<Self> {
        let stem = path
            .file_stem()
            .map_or_else(|| "row".into(), |s| s.to_string_lossy().into_owned());
        Ok(Self {
            rows: JsonlReader::open(path)?,
            format,
            stem,
        })
    }

    /// The format, once a row has told it.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The line, from 1, of the row that was returned last.
    pub fn line(&self) -> usize {
        self.rows.line()
    }

    fn read(&mut self, row: &Value) -> Result<Sample> {
        let line = self.rows.line();
        let place = Place::line(&self.rows.path, line);
        let refuse = |fault: Fault| DataError::content(place, fault.message, fault.hint);
        let Some(row) = row.as_object() else {
            return Err(refuse(Fault::new(
                "the row is no JSON object",
                "each line must hold one object, such as `{\"messages\": [...]}`",
            )));
        };
        let format = match self.format {
            Some(format) => format,
            None => match Format::detect(row) {
                Ok(format) => *self.format.insert(format),
                Err(fault) => return Err(refuse(fault)),
            },
        };
        let mut sample = format.read(row).map_err(refuse)?;
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
        Some(row.and_then(|row| self.read(&row)))
    }
}

/// Reads a whole dataset.
///
/// # Errors
/// The file cannot be read or has no rows, or some of its rows are no trainable samples:
/// all of these are named.
pub fn read_all(path: &Path) -> Result<Vec<Sample>> {
    read_all_as(path, None)
}

/// Reads a whole dataset of a format, where one is given.
///
/// # Errors
/// As [`read_all`].
pub fn read_all_as(path: &Path, format: Option<Format>) -> Result<Vec<Sample>> {
    let (mut samples, mut faults) = (Vec::new(), Vec::new());
    for sample in SampleReader::open_as(path, format)? {
        match sample {
            Ok(sample) => samples.push(sample),
            // A disk that fails would fail for ever.
            Err(fault @ DataError::Io { .. }) => return Err(fault),
            Err(fault) => faults.push(fault),
        }
    }
    DataError::unless_empty(path, faults, samples.len())?;
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

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    const GOOD: &str = r#"{"id":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"x"}]}"#;

    #[test]
    fn errors_name_the_line_and_column() {
        let (_folder, path) = file(&format!("{GOOD}\n\n{{\"id\": }}\n"));
        let message = read_all(&path).unwrap_err().to_string();
        assert!(
            message.contains("rows.jsonl:3:8: not a valid row: expected value"),
            "{message}"
        );
        assert!(message.contains("\nhint: each line must hold"), "{message}");
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
            message.contains("rows.jsonl:1: unknown role `human` in `messages[0]`"),
            "{message}"
        );
        assert!(message.contains("roles are `system`, `user`"), "{message}");
    }

    #[test]
    fn every_bad_row_is_told_with_its_line() {
        let (_folder, path) = file(&format!("{GOOD}\n[]\n{{\"text\": \"t\"}}\n{GOOD}\nnull\n"));
        let message = read_all(&path).unwrap_err().to_string();
        let folder = format!("{}/", path.parent().unwrap().display());
        let hint = "hint: each line must hold one object, such as `{\"messages\": [...]}`";
        assert_eq!(
            message.replace(&folder, ""),
            format!(
                "rows.jsonl: 3 of 5 rows cannot be used\n\
                 rows.jsonl:2: the row is no JSON object\n{hint}\n\
                 rows.jsonl:3: the row has no `messages`, as rows of the format messages have\n\
                 hint: add it, or drop the row; a file has one format, told by its first row or by `data.format`\n\
                 rows.jsonl:5: the row is no JSON object\n{hint}"
            )
        );
    }

    #[test]
    fn a_named_format_goes_before_the_keys() {
        let (_folder, path) = file("{\"prompt\": \"p\", \"completion\": \"c\"}");
        assert_eq!(read_all(&path).unwrap()[0].messages.len(), 2);
        let raw = read_all_as(&path, Some(Format::RawPromptCompletion)).unwrap();
        assert!(raw[0].messages.is_empty() && raw[0].plain.is_some());
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
