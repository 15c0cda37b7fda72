//! One row as it is shown: a sample, or a line that is none with the reason.
//!
//! Does not know where lines lie.

use std::path::Path;

use serde_json::Value;
use slm_data::{Format, Sample};

/// Characters of a bad line that are shown.
const MOST: usize = 20_000;

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A sample, and its hash.
    Good(Box<Sample>, String),
    /// A line that is none.
    Bad {
        /// What is wrong, and what to do.
        reason: String,
        /// The line's beginning.
        text: String,
    },
}

/// How the lines of a file become samples.
#[derive(Debug, Clone)]
pub struct Reading {
    format: Option<Format>,
    stem: String,
}

impl Reading {
    /// The reading of a file whose format no row has told yet.
    pub fn of(path: &Path) -> Self {
        let stem = path
            .file_stem()
            .map_or_else(|| "row".into(), |stem| stem.to_string_lossy().into_owned());
        Self { format: None, stem }
    }

    /// Reads a line as `slm data` does, so that the hash is the same. The first row that tells
    /// a format tells it for the file.
    pub fn read(&mut self, bytes: &[u8], line: u64) -> Row {
        match self.sample(bytes, line) {
            Ok(sample) => {
                let hash = slm_data::review::row_hash(&sample);
                Row::Good(Box::new(sample), hash)
            }
            Err(reason) => Row::Bad {
                reason,
                text: String::from_utf8_lossy(bytes)
                    .trim()
                    .chars()
                    .take(MOST)
                    .collect(),
            },
        }
    }

    fn sample(&mut self, bytes: &[u8], line: u64) -> Result<Sample, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| {
            let message = error.to_string();
            let what = message.split(" at line ").next().unwrap_or(&message);
            format!("not a valid row: {what}, column {}", error.column().max(1))
        })?;
        let row = value
            .as_object()
            .ok_or("the row is no JSON object; each line must hold one")?;
        let told = |fault: slm_data::sample::Fault| format!("{}; {}", fault.message, fault.hint);
        let format = match self.format {
            Some(format) => format,
            None => *self.format.insert(Format::detect(row).map_err(told)?),
        };
        let mut sample = format.read(row).map_err(told)?;
        if sample.id.is_empty() {
            sample.id = format!("{}-{line}", self.stem);
        }
        Ok(sample)
    }
}

/// Every text of a sample in which a search looks.
pub fn texts(sample: &Sample) -> impl Iterator<Item = String> + '_ {
    let plain = sample.plain.iter().flat_map(|plain| match plain {
        slm_data::Plain::Pair { prompt, completion } => vec![prompt.clone(), completion.clone()],
        slm_data::Plain::Text { text } => vec![text.clone()],
    });
    let messages = sample.messages.iter().flat_map(|message| {
        std::iter::once(message.content.clone()).chain(message.more.values().map(words))
    });
    std::iter::once(sample.id.clone())
        .chain(plain)
        .chain(messages)
        .chain(sample.metadata.values().map(words))
        .chain(sample.tools.iter().map(words))
}

/// A value in words: a text as it is, anything else as JSON.
pub fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_as_the_dataset_reader_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.jsonl");
        let lines = [
            r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}],"metadata":{"leaf":"l"}}"#,
            r#"{"messages":[{"role":"user","content":null},{"role":"assistant","content":[{"type":"text","text":"a"}]}]}"#,
        ];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut reading = Reading::of(&path);
        for (index, expected) in slm_data::SampleReader::open(&path).unwrap().enumerate() {
            let row = reading.read(lines[index].as_bytes(), index as u64 + 1);
            match (expected, row) {
                (Ok(expected), Row::Good(sample, hash)) => {
                    assert_eq!(*sample, expected);
                    assert_eq!(hash, slm_data::review::row_hash(&expected));
                }
                (Err(error), Row::Bad { reason, .. }) => {
                    let start = reason.split("; ").next().unwrap();
                    assert!(error.to_string().contains(start), "{error} / {reason}");
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_line_that_is_no_row_is_told_with_its_text() {
        let mut reading = Reading::of(Path::new("x.jsonl"));
        for (line, expected) in [
            (b"{\"messages\":[".as_slice(), "EOF while parsing"),
            (b"[1]", "no JSON object"),
            (b"{\"x\":\"\xff\"}", "invalid unicode"),
            (b"{\"x\":1}", "; "),
        ] {
            let Row::Bad { reason, .. } = reading.read(line, 1) else {
                panic!("{line:?} is taken for a row");
            };
            assert!(reason.contains(expected), "{reason}");
        }
    }
}
