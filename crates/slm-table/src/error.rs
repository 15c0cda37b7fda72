//! The error type of this crate: which file, where in it, what is wrong, what to do.

use std::path::{Path, PathBuf};

/// What can go wrong with a table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried, such as `read`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is no table that can be read.
    #[error("{}: {message}\nhint: {hint}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, with the column and the row group where they are known.
        message: String,
        /// How to mend it.
        hint: &'static str,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, TableError>;

pub(crate) const DAMAGED: &str = "the file is damaged or cut short: copy or write it again; `pyarrow.parquet.read_table` would tell more";

impl TableError {
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    pub(crate) fn content(path: &Path, message: impl Into<String>, hint: &'static str) -> Self {
        Self::Content {
            path: path.to_owned(),
            message: message.into(),
            hint,
        }
    }
}
