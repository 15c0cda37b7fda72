//! Moves the parser's place of a syntax error to where the author's error is.
//!
//! The parser notices some errors only at the next line. It knows lines, not YAML.

use super::fault::Fault;
use crate::source::{Source, Span};

/// The fault at the place where it was made.
pub(super) fn refine(mut fault: Fault, source: &Source) -> Fault {
    let line = fault.span.start.line;
    let text = source.line(line);
    let indent = indent_of(text);
    let below = (line + 1..=source.line_count()).find(|n| !source.line(*n).trim().is_empty());
    let tab_below = below.filter(|n| indent_of(source.line(*n)).contains('\t'));
    if let Some(tab) = indent.chars().position(|c| c == '\t') {
        if is_about_tab(&fault) || fault.span.start.column <= indent.chars().count() + 1 {
            fault.message = "a tab in the indentation, where YAML allows only spaces".into();
            fault.hint = "replace the tab with spaces".into();
            fault.span = Span::on_line(line, tab + 1, 1);
        }
    } else if let Some(line) = tab_below.filter(|_| is_about_tab(&fault) && !text.contains('\t')) {
        // The text that it was to go on with begins on the line that the parser tells.
        return refine(
            Fault {
                span: Span::on_line(line, 1, 1),
                ..fault
            },
            source,
        );
    } else if fault.message.contains("without its `:`") {
        if let Some(line) = line_above(source, line).filter(|n| is_bare(source.line(*n))) {
            let text = source.line(line).trim_end();
            let start = text.len() - text.trim_start().len();
            fault.span = Span::on_line(line, start + 1, text.chars().count() - start);
        }
    } else if is_entry_start(text, fault.span.start.column) {
        fault.message = "a list entry stands where a key was expected".into();
        fault.hint = "indent the `- ` as the entries above, or remove it".into();
        fault.span = Span::on_line(line, indent.chars().count() + 1, 1);
    } else if line > source.line_count() {
        let last = source.line_count();
        fault.span = Span::on_line(last, source.line(last).trim_end().chars().count() + 1, 1);
    }
    fault
}

fn is_about_tab(fault: &Fault) -> bool {
    fault.message.contains("a tab")
}

fn indent_of(line: &str) -> String {
    line.chars().take_while(|c| c.is_whitespace()).collect()
}

/// Whether only `- ` stands before the column.
fn is_entry_start(line: &str, column: usize) -> bool {
    let before: String = line.chars().take(column.saturating_sub(1)).collect();
    before.trim() == "-"
}

fn line_above(source: &Source, line: usize) -> Option<usize> {
    (1..line).rev().find(|n| !source.line(*n).trim().is_empty())
}

/// A line that is neither a key with a value, a list entry nor a comment.
fn is_bare(line: &str) -> bool {
    let text = line.trim();
    let marked = text.starts_with(['-', '#']) || text.ends_with(':');
    !text.is_empty() && !marked && !text.contains(": ") && !text.ends_with(['|', '>'])
}
