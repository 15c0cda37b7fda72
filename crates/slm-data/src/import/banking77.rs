//! Banking77 (PolyAI-LDN/task-specific-datasets, CC BY 4.0; Casanueva et al.
//! 2020): customers' questions with one of 77 labels.
//!
//! Does not know how the labels are put to the model.

use crate::error::{DataError, Place, Result};
use crate::sample::Sample;
use std::path::Path;

/// Rows of the complete public set: training, test.
pub const EXPECTED_ROWS: (usize, usize) = (10_003, 3_080);

/// Reads `train.csv` and `test.csv`: (training, test). The user says the text,
/// the assistant answers with the category.
///
/// # Errors
/// A file is missing, is not CSV with `text,category`, or has a category that
/// `categories.json` does not list.
pub fn banking77(folder: &Path) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let labels = banking77_labels(folder)?;
    Ok((
        read(folder, "train", &labels)?,
        read(folder, "test", &labels)?,
    ))
}

/// The 77 categories, from `categories.json`.
///
/// # Errors
/// The file is missing or no list of strings.
pub fn banking77_labels(folder: &Path) -> Result<Vec<String>> {
    let path = folder.join("categories.json");
    let text = std::fs::read_to_string(&path).map_err(|e| DataError::io(&path, "read", e))?;
    serde_json::from_str(&text).map_err(|e| {
        DataError::content(
            Place::at(&path, e.line(), e.column()),
            format!("not a list of categories: {e}"),
            "expected `[\"card_arrival\", ...]`",
        )
    })
}

fn read(folder: &Path, split: &str, labels: &[String]) -> Result<Vec<Sample>> {
    let path = folder.join(format!("{split}.csv"));
    let text = std::fs::read_to_string(&path).map_err(|e| DataError::io(&path, "read", e))?;
    let fault = |line: Option<u64>, message: String| {
        let place = line.map_or_else(|| Place::file(&path), |l| Place::line(&path, l as usize));
        DataError::content(
            place,
            message,
            "expected the columns `text,category`, as published",
        )
    };
    let mut samples = Vec::new();
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let header = rows
        .headers()
        .map_err(|e| fault(None, format!("not CSV: {e}")))?;
    if header != vec!["text", "category"] {
        return Err(fault(Some(1), "the columns are not `text,category`".into()));
    }
    for (n, row) in rows.records().enumerate() {
        let row = row.map_err(|e| {
            fault(
                e.position().map(csv::Position::line),
                format!("not CSV: {e}"),
            )
        })?;
        let line = row.position().map(csv::Position::line);
        let (text, category) = (row[0].trim(), row[1].trim());
        if text.is_empty() || !labels.iter().any(|l| l == category) {
            return Err(fault(
                line,
                format!("no text, or `{category}` is not in `categories.json`"),
            ));
        }
        samples.push(
            Sample::pair(format!("banking77-{split}-{n:05}"), text, category)
                .with("leaf", "banking77")
                .with("label", category)
                .with("teacher", "human"),
        );
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(rows: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("categories.json"), r#"["lost", "late"]"#).unwrap();
        for split in ["train", "test"] {
            std::fs::write(
                folder.path().join(format!("{split}.csv")),
                format!("text,category\n{rows}"),
            )
            .unwrap();
        }
        folder
    }

    #[test]
    fn reads_quoted_text() {
        let folder = fixture("\"Where, \"\"exactly\"\",\nis it? \",late\nGone,lost\n");
        let (train, test) = banking77(folder.path()).unwrap();
        assert_eq!((train.len(), test.len()), (2, 2));
        assert_eq!(train[0].question(), Some("Where, \"exactly\",\nis it?"));
        assert_eq!(
            (train[1].answer(), train[1].id.as_str()),
            (Some("lost"), "banking77-train-00001")
        );
    }

    #[test]
    fn faults_name_the_line() {
        let message = banking77(fixture("a,late\nb,other\n").path())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("train.csv:3: no text, or `other`"),
            "{message}"
        );
        let message = banking77(fixture("a,late,x\n").path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("train.csv:2: not CSV"), "{message}");
        assert!(
            banking77(Path::new("/nonexistent"))
                .unwrap_err()
                .to_string()
                .contains("categories.json")
        );
    }

    #[test]
    fn counts_of_the_public_set() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/banking77");
        if !folder.is_dir() {
            println!("skipped: no copy of Banking77 at {}", folder.display());
            return;
        }
        let (train, test) = banking77(&folder).unwrap();
        assert_eq!((train.len(), test.len()), EXPECTED_ROWS);
        assert_eq!(banking77_labels(&folder).unwrap().len(), 77);
    }
}
