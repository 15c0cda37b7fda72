//! A fault with its place, and the report of a whole check.
//!
//! Serialized, a report is what `slm taxonomy check --format json` prints. It knows
//! nothing of how faults are found.

use crate::codes::{Code, Severity};
use crate::leaf::Leaf;
use crate::source::{Position, Source, Span, shown};
use serde::Serialize;
use std::collections::HashSet;

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
    /// One past the last character at fault; the fault's own place where it has no width.
    #[serde(skip)]
    pub end: Position,
    /// The line's text and the width of the fault in it, to draw a caret.
    #[serde(skip)]
    pub snippet: Option<Snippet>,
}

/// The part of a line that a fault is in.
#[derive(Debug, Clone, PartialEq)]
pub struct Snippet {
    /// The line's text; of a long line only the part around the fault.
    pub text: String,
    /// The column of the text's first character, from 1.
    pub first_column: usize,
    /// Whether the line goes on after the text.
    pub is_cut: bool,
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

    /// Keeps only the leaves for which `keep` holds, with what was found in their folders.
    pub fn retain(&mut self, keep: impl Fn(&Leaf) -> bool) {
        let folder = |leaf: &Leaf| {
            leaf.file
                .parent()
                .map(|folder| format!("{}/", shown(folder)))
        };
        self.leaves.retain(|leaf| keep(leaf));
        self.checked = self.leaves.len();
        let folders: HashSet<String> = self.leaves.iter().filter_map(folder).collect();
        self.diagnostics.retain(|diagnostic| {
            let end = diagnostic.path.rfind('/').map_or(0, |at| at + 1);
            folders.contains(&diagnostic.path[..end])
        });
    }

    fn count(&self, severity: Severity) -> usize {
        let of_it = |d: &&Diagnostic| d.severity == severity;
        self.diagnostics.iter().filter(of_it).count()
    }
}

/// The most faults that are kept of one leaf; a file of nonsense has no end of them.
const MAX_FAULTS: usize = 1000;
/// The longest line that is shown whole, in characters.
const MAX_SHOWN: usize = 100;
/// What is kept before the fault of a line that is longer.
const KEPT_BEFORE: usize = 40;

/// Collects the faults of one leaf.
#[derive(Debug)]
pub(crate) struct Sink {
    strict: bool,
    found: Vec<Diagnostic>,
    left_out: usize,
}

impl Sink {
    pub(crate) fn new(strict: bool) -> Sink {
        Sink {
            strict,
            found: Vec::new(),
            left_out: 0,
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
        if self.found.len() >= MAX_FAULTS {
            self.left_out += 1;
            return;
        }
        self.found.push(Diagnostic {
            path: source.path.clone(),
            line: span.start.line,
            column: span.start.column,
            code: code.id(),
            severity: self.severity(code),
            yaml_path: yaml_path.to_string(),
            message: message.into(),
            hint: hint.into(),
            end: span.end.max(span.start),
            snippet: Some(snippet(source.line(span.start.line), span)),
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
            end: Position { line: 1, column: 1 },
            snippet: None,
        });
    }

    /// The faults, by file and place; files stay in the order in which they were checked.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        if self.left_out > 0 {
            let path = self
                .found
                .last()
                .map(|d| d.path.clone())
                .unwrap_or_default();
            let message = format!("{} more faults are not listed", self.left_out);
            self.file(
                path,
                Code::TooManyFaults,
                message,
                "mend those that are, then check again",
            );
        }
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

/// The part of a line to show, and how many of its characters are at fault.
fn snippet(line: &str, span: Span) -> Snippet {
    let start = span.start.column.saturating_sub(1);
    let is_long = line.len() > MAX_SHOWN && line.chars().nth(MAX_SHOWN).is_some();
    let first = if is_long {
        start.saturating_sub(KEPT_BEFORE)
    } else {
        0
    };
    let rest = if line.is_ascii() {
        &line[first.min(line.len())..]
    } else {
        let begin = line
            .char_indices()
            .nth(first)
            .map_or(line.len(), |(at, _)| at);
        &line[begin..]
    };
    let end = rest.char_indices().nth(MAX_SHOWN).map(|(at, _)| at);
    let text = &rest[..end.unwrap_or(rest.len())];
    let length = text.trim_end().chars().count() + first;
    let after = if span.end.line == span.start.line {
        span.end.column.saturating_sub(1)
    } else {
        length
    };
    Snippet {
        text: text.to_string(),
        first_column: first + 1,
        is_cut: end.is_some(),
        width: after
            .min(length.max(start + 1))
            .saturating_sub(start)
            .max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_the_fault() {
        let line = "é".repeat(300) + "Y" + &"z".repeat(300);
        let found = snippet(&line, Span::on_line(1, 301, 1));
        assert_eq!(found.first_column, 261);
        assert_eq!(found.text.chars().count(), MAX_SHOWN);
        assert_eq!(found.text.chars().nth(40), Some('Y'));
        assert!(found.is_cut);
    }

    #[test]
    fn a_fault_beyond_the_line_is_still_one_wide() {
        let found = snippet("ab", Span::on_line(1, 9, 3));
        assert_eq!((found.text.as_str(), found.width), ("ab", 1));
    }

    #[test]
    fn faults_without_end_are_counted() {
        let source = Source::new("x", "a\n".into());
        let mut sink = Sink::new(false);
        for _ in 0..MAX_FAULTS + 5 {
            sink.at(&source, Span::on_line(1, 1, 1), Code::Tab, "", "a tab", "");
        }
        let found = sink.finish();
        assert_eq!(found.len(), MAX_FAULTS + 1);
        assert!(
            found
                .iter()
                .any(|d| d.message == "5 more faults are not listed")
        );
    }
}
