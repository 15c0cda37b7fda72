//! What a path holds: a report or a run.
//!
//! Does not know how either is shown.

use std::path::{Path, PathBuf};

use slm_eval::report::{Embedded, extract};
use slm_eval::results::Results;

use crate::error::TuiError;
use crate::events::Run;

/// Files looked for in a folder, the most telling first.
const KNOWN: [&str; 3] = ["report.html", "results.json", "events.jsonl"];

/// Something that can be shown.
#[derive(Debug)]
pub enum Source {
    /// An evaluation, with its samples when these are known.
    Report(Box<Embedded>),
    /// A training run, and the file to read again while it goes on.
    Run(Run, PathBuf),
}

impl Source {
    /// Reads a file, or the file of a known name in a folder.
    ///
    /// # Errors
    /// What cannot be read or is none of the known kinds.
    pub fn load(path: &Path) -> Result<Self, TuiError> {
        if path.is_dir() {
            let found = KNOWN
                .iter()
                .map(|name| path.join(name))
                .find(|file| file.is_file());
            return match found {
                Some(file) => Self::load(&file),
                None => Err(unknown(path, "the folder holds nothing that can be shown")),
            };
        }
        let text = read(path)?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl") => run(path, &text),
            Some("json") => report_json(path),
            _ => extract(&text)
                .map(|embedded| Self::Report(Box::new(embedded)))
                .map_err(|source| TuiError::Report {
                    path: path.to_path_buf(),
                    source,
                }),
        }
    }
}

fn read(path: &Path) -> Result<String, TuiError> {
    std::fs::read_to_string(path).map_err(|source| TuiError::Read {
        path: path.to_path_buf(),
        source,
    })
}

fn run(path: &Path, text: &str) -> Result<Source, TuiError> {
    let run = Run::parse(text);
    if run.steps.is_empty() && run.planned.is_none() && !text.is_empty() {
        return Err(unknown(path, "no line tells a step with its loss"));
    }
    Ok(Source::Run(run, path.to_path_buf()))
}

/// Results alone have no samples; the report beside them has.
fn report_json(path: &Path) -> Result<Source, TuiError> {
    let results = Results::load(path).map_err(|source| TuiError::Report {
        path: path.to_path_buf(),
        source,
    })?;
    let beside = path.with_file_name("report.html");
    let samples = std::fs::read_to_string(beside)
        .ok()
        .and_then(|html| extract(&html).ok())
        .filter(|embedded| embedded.results.task == results.task)
        .map(|embedded| embedded.samples)
        .unwrap_or_default();
    Ok(Source::Report(Box::new(Embedded {
        results,
        samples,
        ..Embedded::default()
    })))
}

fn unknown(path: &Path, message: &str) -> TuiError {
    TuiError::Unknown {
        path: path.to_path_buf(),
        message: message.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("slm-tui-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_folder_is_searched_for_known_files() {
        let folder = folder("known");
        let error = Source::load(&folder).unwrap_err().to_string();
        assert!(
            error.contains("nothing that can be shown") && error.contains("hint:"),
            "{error}"
        );
        std::fs::write(folder.join("events.jsonl"), "{\"step\":1,\"loss\":2}\n").unwrap();
        assert!(matches!(Source::load(&folder).unwrap(), Source::Run(..)));
        let results = Results {
            task: "t".into(),
            ..Results::default()
        };
        results.save(&folder.join("results.json")).unwrap();
        assert!(matches!(Source::load(&folder).unwrap(), Source::Report(_)));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn broken_files_are_told() {
        let folder = folder("broken");
        for (name, text, expected) in [
            ("a.html", "<html>", "no evaluation results"),
            ("a.json", "{", "no evaluation results"),
            ("a.jsonl", "{\"x\":1}\n", "no line tells a step"),
        ] {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            let error = Source::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            Source::load(&folder.join("none"))
                .unwrap_err()
                .to_string()
                .contains("reading failed")
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
