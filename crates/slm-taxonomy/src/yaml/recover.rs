//! Goes on after a syntax error, so that one run names all of them.
//!
//! The line at fault is read as plain text and the file is read again. Where that leaves
//! the meaning in doubt, the tree is given up and only further syntax errors are looked
//! for. It does not know which keys a file may have.

use super::parse::{Limits, Parsed, parse_once};
use super::{Fault, FaultKind, Flavor, locate};
use crate::source::Source;

/// How many syntax errors of one file are looked for.
const MAX_ERRORS: usize = 20;

/// Reads one YAML document and every syntax error in it. A text whose meaning is in doubt
/// yields no tree.
pub fn parse(source: &Source, flavor: Flavor, limits: Limits) -> Parsed {
    let mut parsed = parse_once(&source.text, flavor, limits);
    if !parsed.faults.iter().any(is_syntax) {
        return parsed;
    }
    let mut text = Patched::new(source);
    let mut errors: Vec<Fault> = Vec::new();
    while let Some(error) = pop_syntax_error(&mut parsed, source) {
        let line = error.span.start.line;
        // An error at or above a mended line comes from the mending, not from the author.
        if errors
            .last()
            .is_some_and(|last| line <= last.span.start.line)
        {
            text.in_doubt = true;
            break;
        }
        errors.push(error);
        if errors.len() == MAX_ERRORS || !text.mend(line) {
            text.in_doubt = true;
            break;
        }
        parsed = parse_once(&text.joined(), flavor, limits);
    }
    errors.append(&mut parsed.faults);
    Parsed {
        root: parsed.root.filter(|_| !text.in_doubt),
        faults: errors,
    }
}

/// Reads one YAML document up to its first syntax error, which is then the last fault.
pub(crate) fn parse_strictly(source: &Source, flavor: Flavor, limits: Limits) -> Parsed {
    let mut parsed = parse_once(&source.text, flavor, limits);
    if let Some(error) = pop_syntax_error(&mut parsed, source) {
        parsed.faults.push(error);
    }
    parsed
}

fn is_syntax(fault: &Fault) -> bool {
    fault.kind == FaultKind::Syntax
}

/// The syntax error at which reading ended, at the place where it was made.
fn pop_syntax_error(parsed: &mut Parsed, source: &Source) -> Option<Fault> {
    let last = parsed
        .faults
        .pop_if(|fault| fault.kind == FaultKind::Syntax)?;
    Some(locate::refine(last, source))
}

/// The file's lines, with those at fault mended.
struct Patched {
    lines: Vec<String>,
    /// Whether the mended text may mean something else than the author's.
    in_doubt: bool,
}

impl Patched {
    fn new(source: &Source) -> Patched {
        let lines = (1..=source.line_count()).map(|n| source.line(n).to_string());
        Patched {
            lines: lines.collect(),
            in_doubt: false,
        }
    }

    fn joined(&self) -> String {
        let mut text = self.lines.join("\n");
        text.push('\n');
        text
    }

    /// Mends a line, counted from 1; false when there is no such line.
    fn mend(&mut self, number: usize) -> bool {
        let Some(line) = number
            .checked_sub(1)
            .and_then(|i| self.lines.get(i))
            .cloned()
        else {
            return false;
        };
        let indent = line.len() - line.trim_start().len();
        if line[..indent].contains('\t') {
            let spaces = line[..indent].replace('\t', "  ");
            self.lines[number - 1] = spaces + &line[indent..];
            self.in_doubt = true;
            return true;
        }
        match split_value(&line) {
            Some((head, value)) => {
                let column = head.len() - head.trim_start_matches([' ', '-']).len();
                self.lines[number - 1] = format!("{head}{}", single_quoted(value));
                self.blank_continuation(number, column);
            }
            None => {
                self.lines[number - 1] = String::new();
                self.in_doubt = true;
            }
        }
        true
    }

    /// Blanks the lines that continue the value of a key in `column`.
    fn blank_continuation(&mut self, after: usize, column: usize) {
        for line in self.lines.iter_mut().skip(after) {
            let indent = line.len() - line.trim_start().len();
            if !line.trim().is_empty() && indent <= column {
                return;
            }
            line.clear();
        }
    }
}

/// A line's `key: ` (or `- `) and the value after it.
pub(crate) fn split_value(line: &str) -> Option<(&str, &str)> {
    let content = line.trim_start_matches([' ', '-']);
    let key_start = line.len() - content.len();
    let key_length = content
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(content.len());
    let after_key = &content[key_length..];
    let has_key = key_length > 0 && after_key.starts_with(": ");
    let head = match has_key {
        true => key_start + key_length + 2,
        false if line[..key_start].ends_with("- ") => key_start,
        false => return None,
    };
    let value = line[head..].trim();
    let is_block = value.starts_with(['|', '>']);
    (!value.is_empty() && !is_block).then(|| (&line[..head], value))
}

/// A text of one line in single quotes.
pub(crate) fn single_quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}
