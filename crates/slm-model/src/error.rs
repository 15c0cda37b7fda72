//! What can go wrong when a model is read, written or built.

use std::path::{Path, PathBuf};

/// A problem with a model's files or settings; every variant names the place and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read or written.
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `write`, `map`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// A file is there but its content is not what it must be.
    #[error("{}: {problem}\nhint: {hint}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// A setting does not fit the model.
    #[error("{problem}\nhint: {hint}")]
    Setting {
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
}

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, ModelError>;

impl ModelError {
    /// Wraps an I/O error with the action and the path.
    pub fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_path_buf(),
            source,
        }
    }

    /// A fault in the content of `path`.
    pub fn invalid(path: &Path, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.to_path_buf(),
            problem: problem.into(),
            hint: hint.into(),
        }
    }

    /// The same, where a setting that does not fit was read from `path`.
    pub(crate) fn of_file(self, path: &Path) -> Self {
        match self {
            Self::Setting { problem, hint } => Self::invalid(path, problem, hint),
            other => other,
        }
    }

    /// A setting that does not fit.
    pub fn setting(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Setting {
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}
