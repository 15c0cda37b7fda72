//! Faults as workflow commands, which GitHub shows beside the lines of a change.
//!
//! Format: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
//! It knows nothing of how faults are found.

use crate::diagnostic::{Diagnostic, Report};

/// One `::error` or `::warning` line per fault.
pub fn annotations(report: &Report) -> String {
    report.diagnostics.iter().map(line).collect()
}

fn line(diagnostic: &Diagnostic) -> String {
    let mut place = format!("file={}", property(&diagnostic.path));
    if diagnostic.snippet.is_some() {
        place += &format!(",line={},col={}", diagnostic.line, diagnostic.column);
        // A column makes sense to GitHub only within one line.
        if diagnostic.end.line == diagnostic.line && diagnostic.end.column > diagnostic.column {
            place += &format!(",endColumn={}", diagnostic.end.column - 1);
        } else if diagnostic.end.line > diagnostic.line {
            place += &format!(",endLine={}", diagnostic.end.line);
        }
    }
    let at = match diagnostic.yaml_path.len() {
        0 | 1 => String::new(),
        _ => format!(" (at `{}`)", diagnostic.yaml_path),
    };
    format!(
        "::{} {place},title={}::{}\n",
        diagnostic.severity.name(),
        property(diagnostic.code),
        message(&format!(
            "{}{at}\nhint: {}",
            diagnostic.message, diagnostic.hint
        )),
    )
}

/// A text as the message of a command, which ends at a line break.
fn message(text: &str) -> String {
    let text = text.replace('%', "%25");
    text.replace('\r', "%0D").replace('\n', "%0A")
}

/// A text as a property's value, which ends at a comma or colon too.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_file_can_begin_a_command_of_its_own() {
        assert_eq!(message("a\n::error::b %"), "a%0A::error::b %25");
        assert_eq!(property("a,line=1:\n"), "a%2Cline=1%3A%0A");
    }
}
