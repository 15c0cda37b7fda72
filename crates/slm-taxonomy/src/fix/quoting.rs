//! Quotes where a text is read as something else: `answer: yes`, `created_by: 42`, or broken
//! YAML such as `question: Note: what is it?`. And none around the version's number.
//!
//! It knows the keys of `qna.yaml` that hold text, and nothing of files.

use super::edit::{Edit, apply};
use super::tree::{self, Style};
use crate::source::{Position, Source};
use crate::yaml::{self, Entry, FaultKind, Flavor, Limits, Node, Scalar, ScalarKind, Value};

/// The keys, anywhere in a `qna.yaml`, whose values must be text.
const TEXT_KEYS: &[&str] = &[
    "created_by",
    "task_description",
    "domain",
    "document_outline",
    "repo",
    "commit",
    "patterns",
    "path",
    "sha256",
    "context",
    "question",
    "answer",
];
/// Characters that cannot begin a plain text.
const RESERVED: &[char] = &['@', '`', '%', '*', '&', '!'];
/// How many broken lines of one file are mended.
const MAX_BROKEN_LINES: usize = 100;

/// The text with its quoting mended.
pub(super) fn mended(text: &str) -> String {
    let source = Source::new("", quote_broken_lines(text));
    let Some(root) = tree::read(&source, Flavor::Yaml11) else {
        return source.text;
    };
    let mut wanted = root.clone();
    let mut edits = Vec::new();
    quote_texts(&source, &mut wanted, false, &mut edits);
    unquote_version(&source, &mut wanted, &mut edits);
    let after = Source::new("", apply(&source, edits));
    match tree::read(&after, Flavor::Yaml11) {
        Some(now) if tree::same(&wanted, &now) => after.text,
        _ => source.text,
    }
}

/// Quotes the whole value of each line that YAML cannot read for a `: ` within the value or
/// a reserved character before it. Stops at the first line that is broken otherwise.
fn quote_broken_lines(text: &str) -> String {
    let mut source = Source::new("", text.to_string());
    let mut last = 0;
    for _ in 0..MAX_BROKEN_LINES {
        let Some(line) = first_broken_line(&source).filter(|line| *line > last) else {
            break;
        };
        let Some(edit) = quote_line(&source, line) else {
            break;
        };
        let mended = Source::new("", apply(&source, vec![edit]));
        if first_broken_line(&mended).is_some_and(|next| next <= line) {
            break;
        }
        last = line;
        source = mended;
    }
    source.text
}

fn first_broken_line(source: &Source) -> Option<usize> {
    let parsed = yaml::parse_strictly(source, Flavor::Yaml11, Limits::default());
    let broken = |kind| matches!(kind, FaultKind::Syntax | FaultKind::Unsupported);
    let lines = parsed.faults.iter().filter(|fault| broken(fault.kind));
    lines.map(|fault| fault.span.start.line).min()
}

/// The edit that puts a line's value in quotes, when it is a text that ends with the line.
fn quote_line(source: &Source, number: usize) -> Option<Edit> {
    let line = source.line(number);
    let (head, value) = yaml::split_value(line)?;
    let is_reserved = value.starts_with(RESERVED);
    let holds_colon = value.contains(": ") || value.ends_with(':');
    let is_other = value.starts_with(['"', '\'', '[', '{', '#', '?', '-', ',', '|', '>']);
    // A `#` might begin a comment, which must stay one.
    if is_other || !(is_reserved || holds_colon) || value.contains(" #") || value.contains('\t') {
        return None;
    }
    let key_column = head.len() - head.trim_start_matches([' ', '-']).len();
    let key = head[key_column..].trim_end().trim_end_matches(':');
    if !TEXT_KEYS.contains(&key) && !key.is_empty() {
        return None;
    }
    let next = (number + 1..=source.line_count())
        .map(|number| source.line(number))
        .find(|line| !line.trim().is_empty());
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    if next.is_some_and(|next| indent(next) > key_column) {
        return None;
    }
    let first = head.chars().count() + line[head.len()..].chars().take_while(|c| *c == ' ').count();
    let at = |column| Position {
        line: number,
        column,
    };
    Some(Edit {
        start: at(first + 1),
        end: at(first + 1 + value.chars().count()),
        with: yaml::single_quoted(value),
    })
}

/// Quotes what is read as a number, date or boolean where a text must stand. `wanted`
/// becomes the tree that this must give.
fn quote_texts(source: &Source, wanted: &mut Node, is_text: bool, edits: &mut Vec<Edit>) {
    match &mut wanted.value {
        Value::Scalar(scalar) => {
            let is_other = !matches!(scalar.kind, ScalarKind::String | ScalarKind::Null);
            if is_text && is_other && is_written(source, wanted.span, scalar) {
                scalar.kind = ScalarKind::String;
                edits.push(Edit {
                    start: wanted.span.start,
                    end: wanted.span.end,
                    with: format!("\"{}\"", scalar.text),
                });
            }
        }
        Value::Sequence(items) => {
            for item in items {
                quote_texts(source, item, is_text, edits);
            }
        }
        Value::Mapping(entries) => {
            for Entry { key, value, .. } in entries {
                let is_text = TEXT_KEYS.contains(&key.as_str());
                quote_texts(source, value, is_text, edits);
            }
        }
    }
}

/// Whether the scalar's text stands at its place as it is, in one line; not so for an alias.
fn is_written(source: &Source, span: crate::source::Span, scalar: &Scalar) -> bool {
    let (Some(start), Some(end)) = (source.offset(span.start), source.offset(span.end)) else {
        return false;
    };
    span.start.line == span.end.line
        && start <= end
        && tree::style(source, span) == Style::Plain
        && source.text[start..end] == *scalar.text
        && !scalar.text.contains(['"', '\\'])
}

fn unquote_version(source: &Source, wanted: &mut Node, edits: &mut Vec<Edit>) {
    let Value::Mapping(entries) = &mut wanted.value else {
        return;
    };
    for Entry { key, value, .. } in entries {
        let span = value.span;
        let Value::Scalar(scalar) = &mut value.value else {
            continue;
        };
        let is_number = matches!(scalar.text.as_str(), "2" | "3");
        if key != "version" || !is_number || scalar.kind != ScalarKind::String {
            continue;
        }
        if tree::style(source, span) == Style::Quoted && span.start.line == span.end.line {
            scalar.kind = ScalarKind::Integer;
            edits.push(Edit {
                start: span.start,
                end: span.end,
                with: scalar.text.clone(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_are_read_as_something_else_are_quoted() {
        let text = "version: '3'\ncreated_by: 42  # me\ndocument: {commit: 1234567, n: 5}\nseed_examples:\n- answer: yes\n  question: 2024-05-01\n- answer: null\n";
        let wanted = "version: 3\ncreated_by: \"42\"  # me\ndocument: {commit: \"1234567\", n: 5}\nseed_examples:\n- answer: \"yes\"\n  question: \"2024-05-01\"\n- answer: null\n";
        assert_eq!(mended(text), wanted);
        assert_eq!(mended(wanted), wanted);
    }

    #[test]
    fn lines_that_yaml_cannot_read_are_quoted_whole() {
        let text =
            "question: Note: it's late\nanswer:   *bold* text\ncontext: 東京: 駅\ndomain: `x`\n";
        let wanted = "question: 'Note: it''s late'\nanswer:   '*bold* text'\ncontext: '東京: 駅'\ndomain: '`x`'\n";
        assert_eq!(mended(text), wanted);
    }

    #[test]
    fn what_may_mean_something_else_is_left() {
        for text in [
            "answer: a: b # c\n",
            "answer: a: b\n  goes on\n",
            "answer: \"a\" b: c\n",
            "answer: [a: b\n",
            "other: a: b\n",
            "answer: &a yes\nquestion: !!int 3\n",
        ] {
            let after = mended(text);
            let is_kept = after == text || text.contains("&a");
            assert!(is_kept, "{text}{after}");
        }
    }

    #[test]
    fn a_merge_of_no_mapping_is_left_to_its_author() {
        let text = "seed_examples:\n- <<: text\n  question: q\n";
        assert_eq!(mended(text), text);
    }

    #[test]
    fn an_alias_is_not_quoted() {
        let text = "version: &v 3\nanswer: *v\n";
        assert_eq!(mended(text), text);
    }
}
