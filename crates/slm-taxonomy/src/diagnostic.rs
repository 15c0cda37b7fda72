//! A fault with its place, and the report of a whole check.
//!
//! Serialized, a report is what `slm taxonomy check --format json` prints. It knows
//! nothing of how faults are found.

use crate::codes::{Code, Severity};
use crate::leaf::Leaf;
use crate::source::{Source, Span};
use serde::Serialize;

/// One fault, with its place and what to do about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostic {
    /// The file or folder.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The stable code, such as `SLM-T010`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// The value's path within the YAML, such as `.seed_examples[2].answer`; `.` is the
    /// whole document, and it is empty where the fault is not in YAML.
    pub yaml_path: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The line's text and the width of the fault in it, to draw a caret.
    #[serde(skip)]
    pub snippet: Option<Snippet>,
}

/// The line that a fault is in.
#[derive(Debug, Clone, PartialEq)]
pub struct Snippet {
    /// The line's text.
    pub text: String,
    /// The number of characters at fault, at least 1.
    pub width: usize,
}

/// What a check found.
#[derive(Debug, Default, Clone, Serialize)]
pub struct Report {
    /// The leaves, in the order of their paths; those with faults as far as they could be read.
    #[serde(skip)]
    pub leaves: Vec<Leaf>,
    /// The number of leaves checked.
    pub checked: usize,
    /// The faults, by file in the order of the leaves, within a file by place.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// The number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// The number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        let of_it = |d: &&Diagnostic| d.severity == severity;
        self.diagnostics.iter().filter(of_it).count()
    }
}

/// Collects the faults of one leaf.
#[derive(Debug)]
pub(crate) struct Sink {
    strict: bool,
    found: Vec<Diagnostic>,
}

impl Sink {
    pub(crate) fn new(strict: bool) -> Sink {
        Sink {
            strict,
            found: Vec::new(),
        }
    }

    /// Adds a fault at a place of a text.
    pub(crate) fn at(
        &mut self,
        source: &Source,
        span: Span,
        code: Code,
        yaml_path: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let text = source.line(span.start.line);
        self.found.push(Diagnostic {
            path: source.path.clone(),
            line: span.start.line,
            column: span.start.column,
            code: code.id(),
            severity: self.severity(code),
            yaml_path: yaml_path.to_string(),
            message: message.into(),
            hint: hint.into(),
            snippet: Some(snippet(text, span)),
        });
    }

    /// Adds a fault of a whole file or folder.
    pub(crate) fn file(
        &mut self,
        path: String,
        code: Code,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.found.push(Diagnostic {
            path,
            line: 1,
            column: 1,
            code: code.id(),
            severity: self.severity(code),
            yaml_path: String::new(),
            message: message.into(),
            hint: hint.into(),
            snippet: None,
        });
    }

    /// The faults, by file and place; files stay in the order in which they were checked.
    pub(crate) fn finish(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        let mut order: Vec<String> = Vec::new();
        for diagnostic in &found {
            if !order.contains(&diagnostic.path) {
                order.push(diagnostic.path.clone());
            }
        }
        let rank = |path: &str| order.iter().position(|known| known == path);
        found.sort_by_cached_key(|d| (rank(&d.path), d.line, d.column, d.code));
        found
    }

    fn severity(&self, code: Code) -> Severity {
        if self.strict && code.strict_is_error() {
            Severity::Error
        } else {
            code.severity()
        }
    }
}

fn snippet(text: &str, span: Span) -> Snippet {
    let length = text.chars().count();
    let end = if span.end.line == span.start.line {
        span.end.column
    } else {
        text.trim_end().chars().count() + 1
    };
    let end = end.min(length + 1);
    Snippet {
        text: text.to_string(),
        width: end.saturating_sub(span.start.column).max(1),
    }
}
