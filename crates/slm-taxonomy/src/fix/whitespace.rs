//! White space that no text holds: line endings, ends of lines, tabs, the last newline.
//!
//! What stands in a block scalar stays as it is, and in a broken file only line endings
//! and indentation are touched. It knows nothing of taxonomies.

use super::edit::{Edit, apply};
use super::tree::{self, Style};
use crate::source::{Position, Source, Span};
use crate::yaml::{self, FaultKind, Flavor, Limits, Node};

/// How many broken lines of one file are mended.
const MAX_BROKEN_LINES: usize = 100;
/// The widths that a tab in the indentation may stand for.
const TAB_WIDTHS: [usize; 3] = [2, 4, 8];

/// The text with its white space mended.
pub(super) fn mended(text: &str, flavor: Flavor) -> String {
    let source = Source::new("", line_endings(text));
    let source = match tree::read(&source, flavor) {
        Some(_) => source,
        None => {
            let source = tabs_after_keys(source, flavor);
            Source::new("", tabs_in_indentation(&source, flavor))
        }
    };
    let Some(root) = tree::read(&source, flavor) else {
        return source.text;
    };
    for protect_lines in [false, true] {
        let edits = edits(&source, &root, protect_lines);
        let after = Source::new("", apply(&source, edits));
        if tree::read(&after, flavor).is_some_and(|now| tree::same(&root, &now)) {
            return after.text;
        }
    }
    source.text
}

/// Lines that end with a line feed, the last one too.
fn line_endings(text: &str) -> String {
    let mut text = text.replace("\r\n", "\n").replace('\r', "\n");
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A space for each tab at which reading breaks off, behind a key's `:`.
fn tabs_after_keys(mut source: Source, flavor: Flavor) -> Source {
    let mut last = 0;
    for _ in 0..MAX_BROKEN_LINES {
        let parsed = yaml::parse_strictly(&source, flavor, Limits::default());
        let broken = parsed.faults.iter().filter(|f| f.kind == FaultKind::Syntax);
        let Some(place) = broken.map(|fault| fault.span.start).min() else {
            break;
        };
        let line: Vec<char> = source.line(place.line).chars().collect();
        let is_tab = |column: usize| line.get(column - 1) == Some(&'\t');
        let Some(tab) = (1..=line.len()).find(|c| is_tab(*c) && c + 1 >= place.column) else {
            break;
        };
        let follows_key = tab > 1 && line[tab - 2] == ':';
        if place.line <= last || tab > place.column || !follows_key {
            break;
        }
        let blank = line[tab - 1..]
            .iter()
            .take_while(|c| c.is_whitespace())
            .count();
        let at = |column| Position {
            line: place.line,
            column,
        };
        let edit = Edit {
            start: at(tab),
            end: at(tab + blank),
            with: " ".into(),
        };
        last = place.line;
        source = Source::new("", apply(&source, vec![edit]));
    }
    source
}

/// Spaces for tabs in the indentation of a text that is broken by them, when every width
/// that makes it readable gives the same meaning.
fn tabs_in_indentation(source: &Source, flavor: Flavor) -> String {
    let mut readings: Vec<(String, Node)> = Vec::new();
    for width in TAB_WIDTHS {
        let mut text = String::with_capacity(source.text.len());
        for line in source.text.split_inclusive('\n') {
            let body = line.trim_start_matches([' ', '\t']);
            for c in line[..line.len() - body.len()].chars() {
                match c {
                    '\t' => text.extend(std::iter::repeat_n(' ', width)),
                    c => text.push(c),
                }
            }
            text.push_str(body);
        }
        let read = Source::new("", text);
        if let Some(root) = tree::read(&read, flavor) {
            readings.push((read.text, root));
        }
    }
    let mut readings = readings.into_iter();
    match readings.next() {
        Some((text, first)) if readings.all(|(_, other)| tree::same(&first, &other)) => text,
        _ => source.text.clone(),
    }
}

/// What to replace: ends of lines outside of block scalars (and outside of every scalar of
/// several lines, when these are protected), and tabs that no scalar holds.
fn edits(source: &Source, root: &Node, protect_lines: bool) -> Vec<Edit> {
    let held = Held::new(source, root, protect_lines);
    let mut edits = Vec::new();
    for number in 1..=source.line_count() {
        if held.is_protected(number) {
            continue;
        }
        let line = source.line(number);
        let kept = line.trim_end_matches([' ', '\t']);
        let at = |column| Position {
            line: number,
            column,
        };
        let length = kept.chars().count();
        if kept.len() < line.len() {
            edits.push(Edit {
                start: at(length + 1),
                end: at(line.chars().count() + 1),
                with: String::new(),
            });
        }
        if kept.contains('\t') {
            for (index, c) in kept.chars().enumerate() {
                let column = index + 1;
                if c == '#' && !held.covers(number, column) {
                    break;
                }
                if c == '\t' && !held.covers(number, column) {
                    // Of a run of tabs and spaces, the last stands for all.
                    let is_followed = kept.chars().nth(column).is_some_and(char::is_whitespace);
                    edits.push(Edit {
                        start: at(column),
                        end: at(column + 1),
                        with: if is_followed { "" } else { " " }.into(),
                    });
                }
            }
        }
    }
    edits
}

/// What of a text belongs to scalars and keys.
struct Held {
    /// Sorted by their start.
    spans: Vec<Span>,
    /// Lines, first and last, whose ends belong to a text. Sorted.
    protected: Vec<(usize, usize)>,
}

impl Held {
    fn new(source: &Source, root: &Node, protect_lines: bool) -> Held {
        let mut spans = Vec::new();
        tree::spans(root, &mut spans);
        spans.sort_by_key(|span| span.start);
        let mut protected = Vec::new();
        for span in &spans {
            let block = tree::style(source, *span) == Style::Block;
            let last = match span.end.column {
                1 => span.end.line - 1,
                _ => span.end.line,
            };
            if block || (protect_lines && span.end.line > span.start.line) {
                let first = span.start.line + usize::from(block);
                protected.push((first, last));
            }
        }
        protected.sort_unstable();
        Held { spans, protected }
    }

    fn is_protected(&self, line: usize) -> bool {
        let after = self.protected.partition_point(|(first, _)| *first <= line);
        self.protected[..after]
            .last()
            .is_some_and(|(_, last)| line <= *last)
    }

    fn covers(&self, line: usize, column: usize) -> bool {
        let place = Position { line, column };
        let after = self.spans.partition_point(|span| span.start <= place);
        self.spans[..after]
            .last()
            .is_some_and(|span| place < span.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(text: &str) -> String {
        mended(text, Flavor::Yaml11)
    }

    #[test]
    fn line_ends_are_mended_and_block_scalars_kept() {
        let text = "a: b  \r\nc: |\r\n  d \r\n\r\n  e\t\r\n# f \r\ng: 'h \r\n  i'";
        assert_eq!(
            after(text),
            "a: b\nc: |\n  d \n\n  e\t\n# f\ng: 'h \n  i'\n"
        );
    }

    #[test]
    fn tabs_between_texts_become_spaces() {
        assert_eq!(after("a: b\tc\t# d\te\n"), "a: b\tc # d\te\n");
        assert_eq!(after("a:\tb\nc:\t d\n"), "a: b\nc: d\n");
        assert_eq!(after("-\ta\n-\t'b\t'\n"), "- a\n- 'b\t'\n");
    }

    #[test]
    fn tabs_in_the_indentation_are_mended_where_they_have_one_meaning() {
        assert_eq!(after("a:\n\tb: c\n\td: e\n"), "a:\n  b: c\n  d: e\n");
        let one_of_two = "a:\n  b:\n\tc: d\n    e: f\n";
        assert_eq!(after(one_of_two), "a:\n  b:\n    c: d\n    e: f\n");
        let unclear = "a:\n  b:\n    c: d\n\te: f\n";
        assert_eq!(after(unclear), unclear);
    }

    #[test]
    fn an_escaped_space_at_the_end_of_a_line_is_part_of_the_text() {
        let text = "a: \"b\\ \n  c\"\nd: e \n";
        assert_eq!(after(text), "a: \"b\\ \n  c\"\nd: e\n");
    }

    #[test]
    fn a_broken_file_keeps_all_but_its_line_endings() {
        assert_eq!(after("a: b: c \r\n"), "a: b: c \n");
        assert_eq!(after(""), "");
    }
}
