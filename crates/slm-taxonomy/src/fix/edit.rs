//! Replacements within the lines of a text.
//!
//! It knows nothing of YAML.

use crate::source::{Position, Source};

/// Replaces the characters from `start` up to but without `end`, on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub start: Position,
    pub end: Position,
    pub with: String,
}

/// The text after the edits, which must not overlap. Those that do not fit the text are left out.
pub(super) fn apply(source: &Source, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut out = String::with_capacity(source.text.len() + 16 * edits.len());
    let mut copied = 0;
    for edit in edits {
        let (Some(start), Some(end)) = (source.offset(edit.start), source.offset(edit.end)) else {
            continue;
        };
        if start < copied || end < start {
            continue;
        }
        out.push_str(&source.text[copied..start]);
        out.push_str(&edit.with);
        copied = end;
    }
    out.push_str(&source.text[copied..]);
    out
}
