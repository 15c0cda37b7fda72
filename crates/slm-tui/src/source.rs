//! What a path holds: a report, a run or a dataset.
//!
//! Does not know how any of them is shown.

use std::path::{Path, PathBuf};

use slm_eval::report::{Embedded, extract};
use slm_eval::results::Results;

use crate::dataset::Browser;
use crate::error::TuiError;
use crate::events::{Run, RunFile};

/// Files looked for in a folder, the most telling first; then a dataset's.
const KNOWN: [&str; 3] = ["report.html", "results.json", EVENTS];
/// A run's events.
const EVENTS: &str = "events.jsonl";

/// Something that can be shown.
#[derive(Debug)]
pub enum Source {
    /// An evaluation, with its samples when these are known.
    Report(Box<Embedded>),
    /// Training runs, with the files to read again while they go on.
    Runs(Vec<RunFile>),
    /// A dataset under review.
    Dataset(Box<Browser>),
}

impl Source {
    /// Reads one file, or the file of a known name in a folder; of several paths each must be
    /// a run.
    ///
    /// # Errors
    /// What cannot be read or is none of the known kinds.
    pub fn load(paths: &[PathBuf]) -> Result<Self, TuiError> {
        if let [path] = paths {
            return Self::load_one(path);
        }
        let mut runs = Vec::new();
        for path in paths {
            match Self::load_one(path)? {
                Self::Runs(more) => runs.extend(more),
                _ => {
                    return Err(unknown(
                        path,
                        "it is no run, and only runs are shown together",
                    ));
                }
            }
        }
        Ok(Self::Runs(runs))
    }

    fn load_one(path: &Path) -> Result<Self, TuiError> {
        if path.is_dir() {
            let mut files = KNOWN.iter().map(|name| path.join(name));
            return match files.find(|file| file.is_file()) {
                Some(file) => Self::load_one(&file),
                None => dataset(path, Browser::files_of(path)),
            };
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("parquet") => match Browser::is_dataset(path).map_err(unreadable(path))? {
                true => dataset(path, vec![path.to_path_buf()]),
                false => Err(unknown(path, "none of its first rows is one of a dataset")),
            },
            Some("jsonl") => {
                let name = path.file_name().is_some_and(|name| name == EVENTS);
                let is_dataset = !name && Browser::is_dataset(path).map_err(unreadable(path))?;
                match is_dataset {
                    true => dataset(path, vec![path.to_path_buf()]),
                    false => run(path),
                }
            }
            Some("json") => report_json(path),
            _ => extract(&read(path)?)
                .map(|embedded| Self::Report(Box::new(embedded)))
                .map_err(|source| TuiError::Report {
                    path: path.to_path_buf(),
                    source,
                }),
        }
    }
}

fn read(path: &Path) -> Result<String, TuiError> {
    std::fs::read_to_string(path).map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> TuiError {
    move |source| match source.downcast() {
        Ok(table) => TuiError::Table(table),
        Err(source) => TuiError::Read {
            path: path.to_path_buf(),
            source,
        },
    }
}

fn dataset(path: &Path, files: Vec<PathBuf>) -> Result<Source, TuiError> {
    if files.is_empty() {
        return Err(unknown(path, "the folder holds nothing that can be shown"));
    }
    Browser::open(files, 0)
        .map(|browser| Source::Dataset(Box::new(browser)))
        .map_err(unreadable(path))
}

fn run(path: &Path) -> Result<Source, TuiError> {
    let text = read(path)?;
    let run = Run::parse(&text);
    if run.steps.is_empty() && run.planned.is_none() && !text.is_empty() {
        return Err(unknown(
            path,
            "no line tells a step with its loss, and none of the first is a row of a dataset",
        ));
    }
    Ok(Source::Runs(vec![RunFile::new(path, run)]))
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
        let error = Source::load(std::slice::from_ref(&folder))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("nothing that can be shown") && error.contains("hint:"),
            "{error}"
        );
        std::fs::write(folder.join("events.jsonl"), "{\"step\":1,\"loss\":2}\n").unwrap();
        assert!(matches!(
            Source::load(std::slice::from_ref(&folder)).unwrap(),
            Source::Runs(_)
        ));
        let results = Results {
            task: "t".into(),
            ..Results::default()
        };
        results.save(&folder.join("results.json")).unwrap();
        assert!(matches!(
            Source::load(std::slice::from_ref(&folder)).unwrap(),
            Source::Report(_)
        ));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_dataset_is_told_from_a_run_and_several_paths_are_runs() {
        let folder = folder("dataset");
        let (train, run) = (folder.join("train.jsonl"), folder.join("run.jsonl"));
        std::fs::write(&train, "bad\n{\"messages\":[]}\n").unwrap();
        std::fs::write(folder.join("test.jsonl"), "").unwrap();
        std::fs::write(&run, "{\"step\":1,\"loss\":2}\n").unwrap();
        for (path, files) in [(&train, 1), (&folder, 2)] {
            let Source::Dataset(browser) = Source::load(std::slice::from_ref(path)).unwrap() else {
                panic!("{path:?} is taken for something else");
            };
            assert_eq!(browser.number(), (1, files));
        }
        let both = Source::load(&[run.clone(), run.clone()]).unwrap();
        assert!(matches!(both, Source::Runs(runs) if runs.len() == 2));
        let error = Source::load(&[run, train]).unwrap_err().to_string();
        assert!(error.contains("only runs are shown together"), "{error}");
        let error = Source::load(&["x.parquet".into()]).unwrap_err().to_string();
        assert!(error.starts_with("x.parquet: "), "{error}");
        assert_eq!(error.matches("x.parquet").count(), 1, "{error}");
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
            let error = Source::load(std::slice::from_ref(&path))
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(
            Source::load(&[folder.join("none")])
                .unwrap_err()
                .to_string()
                .contains("reading failed")
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
