//! Why nothing can be shown.
//!
//! Does not know the views.

use std::path::PathBuf;

/// Why a view could not be opened or went wrong.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The file cannot be read.
    #[error("{}: reading failed: {source}\nhint: check that the file exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's own words.
        source: std::io::Error,
    },
    /// The file is not one of those that can be shown.
    #[error("{}: {message}\nhint: give a report.html, a results.json, a run's events.jsonl, a dataset in JSONL, or a folder with one of them", path.display())]
    Unknown {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The file is of the right kind, but broken.
    #[error("{}: {source}", path.display())]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong, with a hint.
        source: slm_eval::EvalError,
    },
    /// A Parquet file cannot be read.
    #[error("{0}")]
    Table(slm_table::TableError),
    /// Standard output is no terminal.
    #[error(
        "standard output is not a terminal\nhint: run it in a terminal, or use `slm eval report` for text"
    )]
    NoTerminal,
    /// The terminal failed.
    #[error("the terminal failed: {0}\nhint: check TERM, or use `slm eval report` for text")]
    Terminal(std::io::Error),
}
