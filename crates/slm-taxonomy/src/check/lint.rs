//! White space and characters that are there without being seen.
//!
//! It looks at lines and knows nothing of YAML, so it also serves files whose YAML is
//! broken.

use super::fields::Page;
use crate::codes::Code;
use crate::source::Span;

/// Reports odd white space; tabs on `broken_lines` are part of another fault already.
pub(super) fn check(page: &mut Page, broken_lines: &[usize]) {
    let source = page.source;
    let mut carriage_returns = 0;
    for number in 1..=source.line_count() {
        let line = source.line(number);
        carriage_returns += usize::from(source.line_with_ending(number).contains('\r'));
        if carriage_returns == 1 && source.line_with_ending(number).contains('\r') {
            let span = Span::on_line(number, line.chars().count() + 1, 1);
            let message = "lines end with a carriage return";
            page.fault(
                span,
                Code::LineEnding,
                "",
                message,
                "save the file with Unix line endings (LF)",
            );
        }
        check_line(page, number, line, broken_lines.contains(&number));
    }
    if !source.text.is_empty() && !source.text.ends_with(['\n', '\r']) {
        let last = source.line_count();
        let span = Span::on_line(last, source.line(last).chars().count() + 1, 1);
        let message = "the last line has no newline at its end";
        page.fault(
            span,
            Code::LineEnding,
            "",
            message,
            "end the file with a newline",
        );
    }
}

fn check_line(page: &mut Page, number: usize, line: &str, broken: bool) {
    let trimmed = line.trim_end_matches([' ', '\t']);
    let length = trimmed.chars().count();
    if trimmed.len() < line.len() {
        let width = line.len() - trimmed.len();
        let span = Span::on_line(number, length + 1, width);
        let message = "white space at the end of the line";
        page.fault(span, Code::TrailingSpace, "", message, "remove it");
    }
    if let Some(index) = trimmed.chars().position(|c| c == '\t').filter(|_| !broken) {
        let span = Span::on_line(number, index + 1, 1);
        page.fault(span, Code::Tab, "", "a tab", "replace it with spaces");
    }
    if trimmed.is_ascii() && !trimmed.bytes().any(|b| b.is_ascii_control()) {
        return;
    }
    for (index, c) in trimmed.chars().enumerate() {
        if let Some((name, hint)) = odd(c) {
            let span = Span::on_line(number, index + 1, 1);
            let message = format!("{name} (U+{:04X})", c as u32);
            page.fault(span, Code::OddSpace, "", message, hint);
            return;
        }
    }
}

fn odd(c: char) -> Option<(&'static str, &'static str)> {
    match c {
        '\u{a0}' | '\u{2007}' | '\u{202f}' => Some(("a no-break space", "replace it with a space")),
        '\u{2028}' | '\u{2029}' | '\u{85}' => {
            Some(("an odd line break", "replace it with a newline"))
        }
        '\u{200b}' | '\u{2060}' | '\u{feff}' => Some(("an invisible character", "remove it")),
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            Some(("an invisible direction mark", "remove it"))
        }
        c if c.is_control() && c != '\t' => Some(("a control character", "remove it")),
        _ => None,
    }
}
