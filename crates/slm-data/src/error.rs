//! The one error type of this crate: where, what, and what to do about it.
//!
//! Does not know which command was running; the caller adds that.

use std::fmt;
use std::path::{Path, PathBuf};

use slm_table::TableError;

/// Where in a file something is wrong. `line` and `column` count from 1; the rows of a Parquet
/// file count as its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// Line, when the fault has one.
    pub line: Option<usize>,
    /// Column in bytes, when the fault has one.
    pub column: Option<usize>,
}

impl Place {
    /// The file as a whole.
    pub fn file(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            column: None,
        }
    }

    /// One line of the file.
    pub fn line(path: &Path, line: usize) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(line),
            column: None,
        }
    }

    /// One character of the file.
    pub fn at(path: &Path, line: usize, column: usize) -> Self {
        Self {
            path: path.to_owned(),
            line: Some(line),
            column: Some(column),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ":{column}")?;
        }
        Ok(())
    }
}

/// What can go wrong with datasets. Every variant prints a `hint:` line.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}\nhint: {}", path.display(), io_hint(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, such as `read`.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file's content is not what it should be.
    #[error("{place}: {message}\nhint: {hint}")]
    Content {
        /// Where.
        place: Place,
        /// What is wrong.
        message: String,
        /// How to mend it.
        hint: String,
    },
    /// A Parquet file cannot be read on.
    #[error("{0}")]
    Table(TableError),
    /// Several rows of a file cannot be used.
    #[error("{}", rows_text(path, faults, *rows))]
    Rows {
        /// The file.
        path: PathBuf,
        /// What is wrong with each of them.
        faults: Vec<DataError>,
        /// How many rows the file has, good and bad.
        rows: usize,
    },
    /// Several things are wrong with a file, each told with its place.
    #[error("{}", faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several {
        /// What is wrong, in the order of the file.
        faults: Vec<DataError>,
    },
    /// Settings or input of a function contradict each other.
    #[error("{message}\nhint: {hint}")]
    Settings {
        /// What is wrong.
        message: String,
        /// How to mend it.
        hint: String,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, DataError>;

impl From<TableError> for DataError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Io {
                path,
                action,
                source,
            } => Self::Io {
                path,
                action,
                source,
            },
            error => Self::Table(error),
        }
    }
}

impl DataError {
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            action,
            source,
        }
    }

    pub(crate) fn content(
        place: Place,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self::Content {
            place,
            message: message.into(),
            hint: hint.into(),
        }
    }

    pub(crate) fn settings(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Settings {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Nothing where there are no faults; otherwise the one there is, or all of them.
    pub(crate) fn unless_empty(path: &Path, mut faults: Vec<Self>, good: usize) -> Result<()> {
        match (faults.pop(), faults.is_empty()) {
            (None, _) => Ok(()),
            (Some(only), true) => Err(only),
            (Some(last), false) => {
                faults.push(last);
                Err(Self::Rows {
                    path: path.to_owned(),
                    rows: faults.len() + good,
                    faults,
                })
            }
        }
    }

    /// What the user should do, without the rest of the message.
    pub fn hint(&self) -> &str {
        match self {
            Self::Io { source, .. } => io_hint(source),
            Self::Content { hint, .. } | Self::Settings { hint, .. } => hint,
            Self::Table(TableError::Content { hint, .. }) => hint,
            Self::Table(TableError::Io { source, .. }) => io_hint(source),
            Self::Rows { faults, .. } | Self::Several { faults } => {
                faults.last().map_or("", Self::hint)
            }
        }
    }
}

/// Faults that are told in full; of the rest only the number.
const TOLD_FAULTS: usize = 100;

fn rows_text(path: &Path, faults: &[DataError], rows: usize) -> String {
    let mut text = format!(
        "{}: {} of {rows} rows cannot be used",
        path.display(),
        faults.len()
    );
    if faults.len() > TOLD_FAULTS {
        text.push_str(&format!("; the first {TOLD_FAULTS} are"));
    }
    for fault in faults.iter().take(TOLD_FAULTS) {
        text.push_str(&format!("\n{fault}"));
    }
    text
}

fn io_hint(source: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match source.kind() {
        ErrorKind::NotFound => "check the path; nothing was written",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "check the permissions of the file and of its folder"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space and run again; the file that was there before is untouched"
        }
        _ => "the file that was there before is untouched; check the path and the disk",
    }
}
