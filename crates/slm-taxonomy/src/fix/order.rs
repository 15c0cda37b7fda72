//! The keys of each mapping in the order of the schema.
//!
//! A key moves with its whole value and with the comment lines right above it; blank lines
//! stay between. A mapping that is not written one key per line is left as it is.

use super::tree;
use crate::source::Source;
use crate::yaml::{Entry, Flavor, Node, Value};
use std::ops::Range;

/// The keys of the leaf, of its seed examples and pairs, and of its document.
const ORDERS: &[&[&str]] = &[
    &[
        "version",
        "created_by",
        "task_description",
        "domain",
        "document_outline",
        "seed_examples",
        "document",
    ],
    &["context", "question", "answer", "questions_and_answers"],
    &["repo", "commit", "patterns", "path", "sha256"],
];

/// The text with its keys in order.
pub(super) fn mended(text: &str) -> String {
    let source = Source::new("", text.to_string());
    let Some(mut wanted) = tree::read(&source, Flavor::Yaml11) else {
        return source.text;
    };
    let lines: Vec<&str> = source.text.split_inclusive('\n').collect();
    let mut lines: Vec<String> = lines.into_iter().map(str::to_string).collect();
    sort_below(&mut wanted, &mut lines);
    let after = Source::new("", lines.concat());
    match tree::read(&after, Flavor::Yaml11) {
        Some(now) if tree::same(&wanted, &now) => after.text,
        _ => source.text,
    }
}

/// Sorts the innermost mappings first. Moving lines within a mapping leaves every other
/// line where it is, so the places of the outer ones hold.
fn sort_below(node: &mut Node, lines: &mut [String]) {
    match &mut node.value {
        Value::Scalar(_) => {}
        Value::Sequence(items) => {
            for item in items {
                sort_below(item, lines);
            }
        }
        Value::Mapping(entries) => {
            for entry in entries.iter_mut() {
                sort_below(&mut entry.value, lines);
            }
            if let Some(order) = wanted_order(entries)
                && let Some(sorted) = moved(entries, &order, lines)
            {
                let first = entries[0].key_span.start.line - 1;
                lines[first..first + sorted.len()].clone_from_slice(&sorted);
                let in_order = order.iter().map(|index| entries[*index].clone());
                *entries = in_order.collect();
            }
        }
    }
}

/// The entries' indices in the order of the schema; none when they are in order, or when a
/// key is unknown or stands twice.
fn wanted_order(entries: &[Entry]) -> Option<Vec<usize>> {
    let rank = |order: &[&str], entry: &Entry| order.iter().position(|key| *key == entry.key);
    let ranks = ORDERS.iter().find_map(|order| {
        let ranks = entries.iter().map(|entry| rank(order, entry));
        ranks.collect::<Option<Vec<usize>>>()
    })?;
    let mut indices: Vec<usize> = (0..entries.len()).collect();
    indices.sort_by_key(|index| ranks[*index]);
    let twice = indices
        .windows(2)
        .any(|pair| ranks[pair[0]] == ranks[pair[1]]);
    let in_order = indices.windows(2).all(|pair| pair[0] < pair[1]);
    (!twice && !in_order).then_some(indices)
}

/// A key's lines.
struct Chunk {
    /// Comment lines above the key, the key's line and its value.
    lines: Range<usize>,
    key_line: usize,
    /// The blank lines after it, which stay where they are.
    blank: Range<usize>,
}

/// The lines of a mapping with its entries in the order given, from the first key's line on.
fn moved(entries: &[Entry], order: &[usize], lines: &[String]) -> Option<Vec<String>> {
    let column = entries[0].key_span.start.column;
    let indent = column - 1;
    let starts_line = |entry: &Entry, index: usize| {
        let line = lines.get(entry.key_span.start.line - 1)?;
        let head = line.get(..indent)?;
        let fits = match index {
            0 => head.chars().all(|c| c == ' ' || c == '-'),
            _ => head.chars().all(|c| c == ' '),
        };
        (fits && entry.key_span.start.column == column).then_some(())
    };
    for (index, entry) in entries.iter().enumerate() {
        starts_line(entry, index)?;
    }
    let chunks = chunks(entries, indent, lines)?;
    let head = lines[chunks[0].key_line][..indent].to_string();
    let mut sorted = Vec::new();
    for (place, index) in order.iter().enumerate() {
        let chunk = &chunks[*index];
        for number in chunk.lines.clone() {
            let line = &lines[number];
            let is_key = number == chunk.key_line;
            match (place == 0, *index == 0) {
                // The `- ` of the entry stays with the first key.
                (true, false) if number == chunk.lines.start && !is_key => return None,
                (true, false) if is_key => sorted.push(format!("{head}{}", &line[indent..])),
                (false, true) if is_key => {
                    sorted.push(format!("{}{}", " ".repeat(indent), &line[indent..]));
                }
                _ => sorted.push(line.clone()),
            }
        }
        sorted.extend_from_slice(&lines[chunks[place].blank.clone()]);
    }
    sorted
        .iter()
        .all(|line| line.ends_with('\n'))
        .then_some(sorted)
}

fn chunks(entries: &[Entry], indent: usize, lines: &[String]) -> Option<Vec<Chunk>> {
    let mut chunks = Vec::with_capacity(entries.len());
    let mut start = entries.first()?.key_span.start.line - 1;
    for (index, entry) in entries.iter().enumerate() {
        let key_line = entry.key_span.start.line - 1;
        let limit = match entries.get(index + 1) {
            Some(next) => next.key_span.start.line - 1,
            None => lines.len(),
        };
        if key_line < start || limit <= key_line {
            return None;
        }
        let is_list = matches!(entry.value.value, Value::Sequence(_));
        let end = value_end(lines, key_line, limit, indent, is_list);
        let is_last = index + 1 == entries.len();
        let next = match is_last {
            true => end,
            false => comment_start(lines, end, limit),
        };
        let blank = end..next;
        // Blank lines may belong to a text that keeps them; other comments have no place.
        let all_blank = lines[blank.clone()]
            .iter()
            .all(|line| line.trim().is_empty());
        let keeps_blank = lines[key_line].trim_end().ends_with('+');
        if !all_blank || keeps_blank {
            return None;
        }
        chunks.push(Chunk {
            lines: start..end,
            key_line,
            blank,
        });
        start = next;
    }
    Some(chunks)
}

/// One past the last line of a key's value: the lines below that are indented deeper, or
/// begin an entry of its list.
fn value_end(lines: &[String], key: usize, limit: usize, indent: usize, is_list: bool) -> usize {
    let mut end = key + 1;
    for (number, line) in lines.iter().enumerate().take(limit).skip(key + 1) {
        let text = line.trim_end();
        let body = text.trim_start_matches(' ');
        let depth = text.len() - body.len();
        let is_entry = is_list && depth == indent && (body == "-" || body.starts_with("- "));
        if (depth > indent && !body.is_empty()) || is_entry {
            end = number + 1;
        } else if !body.is_empty() && !body.starts_with('#') {
            break;
        }
    }
    end
}

/// The first of the comment lines that stand right above a key.
fn comment_start(lines: &[String], end: usize, key: usize) -> usize {
    let mut start = key;
    while start > end && lines[start - 1].trim_start().starts_with('#') {
        start -= 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_move_with_their_values_and_comments() {
        let text = "# licence\ncreated_by: me\n\nseed_examples:\n- answer: |\n    # kept\n    a\n\n    b\n  # why\n  question: q  # c\n- question: q\n  answer: r\n# what\ntask_description: t\n\nversion: 3 # v\n# end\n";
        let wanted = "# licence\nversion: 3 # v\n\ncreated_by: me\n# what\ntask_description: t\n\nseed_examples:\n- answer: |\n    # kept\n    a\n\n    b\n  # why\n  question: q  # c\n- question: q\n  answer: r\n# end\n";
        assert_eq!(mended(text), wanted);
        assert_eq!(mended(wanted), wanted);
    }

    #[test]
    fn the_dash_stays_with_the_first_key() {
        let text = "seed_examples:\n  - answer: >-\n      a\n      b\n\n    question: q\n    context: c\n\n  - answer: a\n    question: q\n";
        let wanted = "seed_examples:\n  - context: c\n\n    question: q\n    answer: >-\n      a\n      b\n\n  - question: q\n    answer: a\n";
        assert_eq!(mended(text), wanted);
    }

    #[test]
    fn what_cannot_be_moved_whole_is_left() {
        for text in [
            "{created_by: me, version: 3}\n",
            "created_by: me\nversion: 3\nother: x\n",
            "created_by: |+\n  me\n\nversion: 3\n",
            "created_by: &a me\nversion: *a\n",
            "? created_by\n: me\n? version\n: 3\n",
        ] {
            assert_eq!(mended(text), text);
        }
    }
}
