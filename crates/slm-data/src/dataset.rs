//! Datasets: samples to and from files, JSONL or Parquet as the name says.
//!
//! A row is the same in both. Where Parquet wants one type for a column whose values have many
//! (`metadata`, `tools`, `tool_calls`), it holds JSON in a text, which the formats read back.
//! Does not know what a row means; that is the formats' (`formats`).

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;
use slm_table::{TableReader, TableWriter, is_parquet};

use crate::error::{DataError, Place, Result};
use crate::formats::Format;
use crate::jsonl::{JsonlReader, JsonlWriter};
use crate::sample::{Fault, Sample};

/// Iterates over the rows of a JSONL or Parquet file.
pub struct RowReader<T>(Source<T>);

enum Source<T> {
    Jsonl(JsonlReader<T>),
    Parquet {
        path: PathBuf,
        rows: Box<TableReader>,
        row: PhantomData<T>,
    },
}

impl<T: DeserializeOwned> RowReader<T> {
    /// Opens a file for streaming; Parquet is read by row group.
    ///
    /// # Errors
    /// The file cannot be opened, or is no Parquet though its name says so.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(match is_parquet(path) {
            true => Source::Parquet {
                path: path.to_owned(),
                rows: Box::new(TableReader::open(path)?),
                row: PhantomData,
            },
            false => Source::Jsonl(JsonlReader::open(path)?),
        }))
    }

    /// The line of a JSONL file, or the row of a Parquet file, that was returned last; from 1.
    pub fn line(&self) -> usize {
        match &self.0 {
            Source::Jsonl(rows) => rows.line(),
            Source::Parquet { rows, .. } => rows.row(),
        }
    }
}

impl<T: DeserializeOwned> Iterator for RowReader<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match &mut self.0 {
            Source::Jsonl(rows) => rows.next(),
            Source::Parquet { path, rows, .. } => {
                let row = match rows.next()? {
                    Ok(row) => row,
                    Err(error) => return Some(Err(error.into())),
                };
                Some(T::deserialize(Value::Object(row)).map_err(|error| {
                    DataError::content(
                        Place::line(path, rows.row()),
                        format!("not a valid row: {error}"),
                        "compare with the rows before it",
                    )
                }))
            }
        }
    }
}

/// Iterates over the samples of a dataset, each checked to be trainable. After a faulty
/// row it goes on with the next.
pub struct SampleReader {
    rows: RowReader<Value>,
    path: PathBuf,
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
            rows: RowReader::open(path)?,
            path: path.to_owned(),
            format,
            stem,
        })
    }

    /// The format, once a row has told it.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// The line of a JSONL file, or the row of a Parquet file, that was returned last; from 1.
    pub fn line(&self) -> usize {
        self.rows.line()
    }

    fn read(&mut self, row: &Value) -> Result<Sample> {
        let line = self.rows.line();
        let place = Place::line(&self.path, line);
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
            // A disk that fails would fail for ever, and a damaged table has no next row.
            Err(fault @ (DataError::Io { .. } | DataError::Table(_))) => return Err(fault),
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

/// Writes samples to a file that takes its name only when complete: Parquet where the name ends
/// so, JSONL otherwise.
pub enum SampleWriter {
    /// Lines of JSON.
    Jsonl(JsonlWriter),
    /// A table.
    Parquet(TableWriter),
}

impl SampleWriter {
    /// Starts a file; its folder is made when missing.
    ///
    /// # Errors
    /// The folder or the temporary file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(match is_parquet(path) {
            true => Self::Parquet(TableWriter::create(path)?),
            false => Self::Jsonl(JsonlWriter::create(path)?),
        })
    }

    /// Appends one sample.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, sample: &Sample) -> Result<()> {
        match self {
            Self::Jsonl(rows) => rows.write(sample),
            Self::Parquet(rows) => Ok(rows.write(&table_row(sample))?),
        }
    }

    /// Puts the file in its place and returns the number of rows. Without this call nothing is
    /// left behind.
    ///
    /// # Errors
    /// The rest cannot be written, or a Parquet file would have no row.
    pub fn finish(self) -> Result<usize> {
        match self {
            Self::Jsonl(rows) => rows.finish(),
            Self::Parquet(rows) => Ok(rows.finish()?),
        }
    }
}

/// The sample as a row of a table: what has no type of its own is JSON in a text.
fn table_row(sample: &Sample) -> slm_table::Row {
    // Serializing a `Sample` cannot fail: all its keys are strings.
    let Ok(Value::Object(mut row)) = serde_json::to_value(sample) else {
        return slm_table::Row::new();
    };
    for name in ["metadata", "tools"] {
        as_text(row.get_mut(name));
    }
    let messages = row.get_mut("messages").and_then(Value::as_array_mut);
    for message in messages.into_iter().flatten() {
        as_text(message.get_mut("tool_calls"));
    }
    row
}

fn as_text(value: Option<&mut Value>) {
    if let Some(value) = value {
        *value = value.to_string().into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl::write_all;
    use serde_json::json;

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

    /// The rows of a dataset of each format, as JSON.
    fn rows_of(format: Format) -> Vec<Value> {
        let call = json!({"type": "function", "function": {"name": "f", "arguments": {"x": [1], "y": null}}});
        match format {
            Format::Messages => vec![
                json!({"id": "a", "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "x", "weight": 1}],
                       "metadata": {"leaf": "l", "seed": 3, "odd": [null, {"a": {}}]}, "unmask": true}),
                json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "", "tool_calls": [call]},
                       {"role": "tool", "content": "7", "name": "f"}, {"role": "assistant", "content": "ß"}],
                       "tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": 1, "y": "z"}}}]}),
            ],
            Format::Sharegpt => vec![json!({"conversations": [
                {"from": "human", "value": "q"}, {"from": "gpt", "value": "x"}], "system": "s"})],
            Format::PromptCompletion | Format::RawPromptCompletion => {
                vec![json!({"prompt": "p", "completion": "c"})]
            }
            Format::Alpaca => vec![
                json!({"instruction": "i", "input": "", "output": "o", "text": "i o"}),
                json!({"instruction": "i", "input": "n", "output": "o", "text": "i n o"}),
            ],
            Format::Text => vec![json!({"text": "t"}), json!({"text": "u", "id": 7})],
        }
    }

    #[test]
    fn every_format_reads_the_same_from_parquet() {
        let folder = tempfile::tempdir().unwrap();
        for (format, name) in Format::NAMES {
            let (jsonl, table) = (
                folder.path().join("d.jsonl"),
                folder.path().join("d.parquet"),
            );
            let rows = rows_of(format);
            write_all(&jsonl, &rows).unwrap();
            let mut writer = TableWriter::create(&table).unwrap();
            for row in &rows {
                writer.write(row.as_object().unwrap()).unwrap();
            }
            writer.finish().unwrap();
            let named = (format == Format::RawPromptCompletion).then_some(format);
            let mut samples = read_all_as(&table, named).unwrap();
            let mut expected = read_all_as(&jsonl, named).unwrap();
            if format == Format::Messages {
                // A struct's null is absent, which metadata written as JSON avoids (below).
                samples[0].metadata.remove("odd");
                expected[0].metadata.remove("odd");
                let call = &mut expected[1].messages[1].more["tool_calls"][0]["function"];
                call["arguments"].as_object_mut().unwrap().remove("y");
            }
            assert_eq!(samples, expected, "{name}");
            let mut reader = SampleReader::open_as(&table, named).unwrap();
            reader.next();
            assert_eq!(
                (reader.format(), reader.line()),
                (Some(format), 1),
                "{name}"
            );
        }
    }

    #[test]
    fn samples_survive_parquet_whole() {
        let folder = tempfile::tempdir().unwrap();
        let jsonl = folder.path().join("d.jsonl");
        write_all(&jsonl, &rows_of(Format::Messages)).unwrap();
        let samples = read_all(&jsonl).unwrap();
        let table = folder.path().join("new/D.PARQUET");
        let mut writer = SampleWriter::create(&table).unwrap();
        for sample in &samples {
            writer.write(sample).unwrap();
        }
        assert_eq!(writer.finish().unwrap(), 2);
        assert_eq!(&std::fs::read(&table).unwrap()[..4], b"PAR1");
        assert_eq!(read_all(&table).unwrap(), samples);
    }

    #[test]
    fn faults_of_a_table_name_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut writer = TableWriter::create(&path).unwrap();
        for row in [json!({"text": "t"}), json!({"x": 1}), json!({"text": " "})] {
            writer.write(row.as_object().unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let message = read_all(&path).unwrap_err().to_string();
        let place = path.display();
        assert!(message.contains("2 of 3 rows cannot be used"), "{message}");
        assert!(
            message.contains(&format!("{place}:2: the row has no `text`")),
            "{message}"
        );
        assert!(
            message.contains(&format!("{place}:3: the row's text is empty")),
            "{message}"
        );
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = read_all(&path).unwrap_err().to_string();
        assert!(message.contains("not a Parquet file"), "{message}");
        assert!(
            message.contains("\nhint: the file is damaged or cut short"),
            "{message}"
        );
    }

    #[test]
    fn typed_rows_are_checked_with_their_place() {
        #[derive(Debug, serde::Deserialize)]
        struct Labelled {
            accept: bool,
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.parquet");
        let mut writer = TableWriter::create(&path).unwrap();
        for row in [json!({"accept": true, "n": 1}), json!({"n": 2})] {
            writer.write(row.as_object().unwrap()).unwrap();
        }
        writer.finish().unwrap();
        let mut rows = RowReader::<Labelled>::open(&path).unwrap();
        assert!(rows.next().unwrap().unwrap().accept);
        let message = rows.next().unwrap().unwrap_err().to_string();
        assert!(
            message.contains("l.parquet:2: not a valid row: missing field `accept`"),
            "{message}"
        );
    }
}
