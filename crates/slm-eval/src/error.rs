//! What can be wrong with a file, told with its place and a hint.
//!
//! Does not know which command asked, nor how messages are coloured.

use std::fmt;
use std::path::{Path, PathBuf};

/// How many problems of one file are printed before the rest is only counted.
const SHOWN: usize = 20;

/// One fault at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file at fault.
    pub path: PathBuf,
    /// Line, counted from 1; 0 when the fault has no line.
    pub line: usize,
    /// Column, counted from 1; 0 when unknown.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl Problem {
    /// A problem of the file as a whole, or at `line` when that is not 0.
    pub fn new(
        path: &Path,
        line: usize,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_path_buf(),
            line,
            column: 0,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// The same problem at a column.
    pub fn at_column(mut self, column: usize) -> Self {
        self.column = column;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.path.display())?;
        if self.line > 0 {
            write!(out, ":{}", self.line)?;
            if self.column > 0 {
                write!(out, ":{}", self.column)?;
            }
        }
        write!(out, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(out, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

/// Why an evaluation could not be read, scored or written.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// The file system said no.
    #[error("{}: {action} failed: {source}\nhint: {hint}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `reading`, `writing`.
        action: &'static str,
        /// What to do about it.
        hint: &'static str,
        /// The system's own words.
        source: std::io::Error,
    },
    /// Every fault found in a file.
    #[error("{}", display_problems(.0))]
    Problems(Vec<Problem>),
    /// A template or a report that cannot be used.
    #[error("{message}\nhint: {hint}")]
    Invalid {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
}

impl EvalError {
    /// Reading `path` failed.
    pub fn reading(path: &Path, source: std::io::Error) -> Self {
        let hint = match source.kind() {
            std::io::ErrorKind::InvalidData => "save it as UTF-8 text",
            std::io::ErrorKind::NotFound => "check the path; it is taken from the current folder",
            _ => "check that the file may be read",
        };
        Self::Io {
            path: path.to_path_buf(),
            action: "reading",
            hint,
            source,
        }
    }

    /// Writing `path` failed.
    pub fn writing(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: path.to_path_buf(),
            action: "writing",
            hint: "check that the folder exists, may be written and has space left",
            source,
        }
    }

    /// A fault without a place in a file.
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// `Ok` when there are no problems, otherwise all of them at once.
    pub fn unless_empty(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Self::Problems(problems))
        }
    }
}

fn display_problems(problems: &[Problem]) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .take(SHOWN)
        .map(Problem::to_string)
        .collect();
    if problems.len() > SHOWN {
        lines.push(format!("... and {} more", problems.len() - SHOWN));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_prints_its_place_and_hint() {
        let problem = Problem::new(Path::new("a.jsonl"), 3, "no `target`", "add one").at_column(7);
        assert_eq!(
            problem.to_string(),
            "a.jsonl:3:7: no `target`\nhint: add one"
        );
    }

    #[test]
    fn many_problems_are_counted_beyond_the_first() {
        let problems = vec![Problem::new(Path::new("a"), 1, "x", ""); 25];
        assert!(
            EvalError::Problems(problems)
                .to_string()
                .ends_with("... and 5 more")
        );
    }
}
