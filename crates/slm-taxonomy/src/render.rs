//! Faults as text for people, with the line and a caret under the fault.
//!
//! It knows nothing of colours or of where the text goes. What comes from files is shown
//! without control characters, so that it cannot steer a terminal.

use crate::diagnostic::{Diagnostic, Report, Snippet};

/// All faults of a report, and a summary line.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    for diagnostic in &report.diagnostics {
        render_diagnostic(diagnostic, &mut out);
        out.push('\n');
    }
    out.push_str(&summary(report));
    out.push('\n');
    out
}

/// One line: how much was checked and what was found.
pub fn summary(report: &Report) -> String {
    let leaves = counted(report.checked, "leaf", "leaves");
    let (errors, warnings) = (report.errors(), report.warnings());
    if errors + warnings == 0 {
        return format!("{leaves} checked, no faults");
    }
    let errors = counted(errors, "error", "errors");
    let warnings = counted(warnings, "warning", "warnings");
    format!("{leaves} checked: {errors}, {warnings}")
}

fn render_diagnostic(diagnostic: &Diagnostic, out: &mut String) {
    let number = diagnostic.line.to_string();
    let margin = " ".repeat(number.len());
    let place = match &diagnostic.snippet {
        Some(_) => format!(":{}:{}", diagnostic.line, diagnostic.column),
        None => String::new(),
    };
    out.push_str(&format!(
        "{}[{}]: {}\n{margin}--> {}{place}\n",
        diagnostic.severity.name(),
        diagnostic.code,
        printable(&diagnostic.message),
        printable(&diagnostic.path),
    ));
    if let Some(snippet) = &diagnostic.snippet {
        let (line, caret) = drawn(snippet, diagnostic.column);
        let line = format!("{number} | {line}");
        let caret = format!("{margin} | {caret}");
        out.push_str(&format!("{margin} |\n{}\n{caret}\n", line.trim_end()));
    }
    if diagnostic.yaml_path.len() > 1 {
        out.push_str(&format!(
            "{margin} = at `{}`\n",
            printable(&diagnostic.yaml_path)
        ));
    }
    out.push_str(&format!("hint: {}\n", printable(&diagnostic.hint)));
}

/// The line and the caret line below it.
fn drawn(snippet: &Snippet, column: usize) -> (String, String) {
    let start = column.saturating_sub(snippet.first_column);
    let mut line = String::new();
    let (mut before, mut below) = (0, 0);
    if snippet.first_column > 1 {
        line.push_str("...");
        before += 3;
    }
    for (index, c) in snippet.text.chars().enumerate() {
        let c = printable_char(c);
        line.push(c);
        if index < start {
            before += columns(c);
        } else if index < start + snippet.width {
            below += columns(c);
        }
    }
    if snippet.is_cut {
        line.push_str("...");
    }
    (line, " ".repeat(before) + &"^".repeat(below.max(1)))
}

/// The text with every control or direction character replaced.
fn printable(text: &str) -> String {
    text.chars().map(printable_char).collect()
}

/// A line of a file as a diff shows it: with tabs, and carriage returns made visible.
pub(crate) fn printable_line(line: &str) -> String {
    let shown = line.chars().map(|c| match c {
        '\t' | '\n' => c,
        '\r' => '\u{240d}',
        c => printable_char(c),
    });
    shown.collect()
}

fn printable_char(c: char) -> char {
    match c {
        '\t' => ' ',
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => '\u{fffd}',
        '\u{feff}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// How many columns a terminal gives a character; East Asian wide ones take two.
fn columns(c: char) -> usize {
    match c as u32 {
        0x0300..=0x036f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, column: usize, width: usize) -> (String, String) {
        let snippet = Snippet {
            text: text.to_string(),
            first_column: 1,
            is_cut: false,
            width,
        };
        drawn(&snippet, column)
    }

    #[test]
    fn the_caret_stands_under_the_fault() {
        assert_eq!(at("a: 42", 4, 2), ("a: 42".into(), "   ^^".into()));
        assert_eq!(at("名: x", 4, 1), ("名: x".into(), "    ^".into()));
        assert_eq!(at("\tx", 2, 1), (" x".into(), " ^".into()));
        assert_eq!(at("", 1, 1), ("".into(), "^".into()));
    }

    #[test]
    fn a_cut_line_shows_that_it_is_cut() {
        let snippet = Snippet {
            text: "xxYzz".to_string(),
            first_column: 261,
            is_cut: true,
            width: 1,
        };
        let expected = ("...xxYzz...".to_string(), "     ^".to_string());
        assert_eq!(drawn(&snippet, 263), expected);
    }

    #[test]
    fn control_characters_are_not_passed_on() {
        let (line, _) = at("a\u{1b}[31mb\u{202e}", 1, 1);
        assert_eq!(line, "a\u{fffd}[31mb\u{fffd}");
    }
}
