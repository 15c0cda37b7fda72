//! The parts of a text: headings, paragraphs, tables and code, as Markdown marks them.
//!
//! Does not know tokens or chunks.

use super::Kind;
use std::ops::Range;

/// What a part is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartKind {
    /// A heading: its level from 1, and its words.
    Heading(usize, String),
    /// Running text, which may be cut between sentences.
    Paragraph,
    /// A table or code, which is kept whole.
    Whole,
}

/// A part and its place, without blank lines around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub kind: PartKind,
    pub range: Range<usize>,
}

/// The parts of a text in order. All that is not white space is in one of them.
pub(super) fn parts(text: &str, kind: Kind) -> Vec<Part> {
    let marked = matches!(kind, Kind::Markdown | Kind::Html);
    let lines = lines(text);
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = text[lines[at].clone()].trim_start_matches('\u{feff}');
        if line.trim().is_empty() {
            at += 1;
            continue;
        }
        let (kind, count) = match marked {
            true => marked_part(text, &lines[at..]),
            false => (PartKind::Paragraph, paragraph(text, &lines[at..], false)),
        };
        let range = trimmed(text, lines[at].start..lines[at + count - 1].end);
        found.push(Part { kind, range });
        at += count;
    }
    found
}

fn lines(text: &str) -> Vec<Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n')
        .map(|line| {
            let range = start..start + line.len();
            start = range.end;
            range
        })
        .collect()
}

/// The range without white space (and byte order mark) at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    let piece = &text[range.clone()];
    let start = range.start + (piece.len() - piece.trim_start_matches(blank).len());
    start..start + piece.trim_matches(blank).len()
}

/// The kind and the number of lines of the part that begins with the first line.
fn marked_part(text: &str, lines: &[Range<usize>]) -> (PartKind, usize) {
    let line = |n: usize| {
        lines
            .get(n)
            .map(|range| text[range.clone()].trim_matches(['\u{feff}', '\n', '\r']))
    };
    let first = line(0).unwrap_or_default();
    if let Some((level, words)) = heading(first) {
        return (PartKind::Heading(level, words.to_owned()), 1);
    }
    if let Some(level) = line(1).and_then(underline).filter(|_| !is_table_row(first)) {
        return (PartKind::Heading(level, first.trim().to_owned()), 2);
    }
    if let Some(fence) = fence(first) {
        let close = (1..lines.len())
            .find(|n| line(*n).is_some_and(|l| l.trim() == fence || l.trim().starts_with(fence)));
        return (PartKind::Whole, close.map_or(lines.len(), |n| n + 1));
    }
    if is_table_row(first) && line(1).is_some_and(is_table_rule) {
        let count = (0..lines.len())
            .take_while(|n| line(*n).is_some_and(is_table_row))
            .count();
        return (PartKind::Whole, count.max(2));
    }
    (PartKind::Paragraph, paragraph(text, lines, true))
}

/// Lines up to a blank one or, in marked text, to the beginning of another part.
fn paragraph(text: &str, lines: &[Range<usize>], marked: bool) -> usize {
    let line = |n: usize| {
        lines
            .get(n)
            .map_or("", |range| text[range.clone()].trim_end())
    };
    let ends = |n: usize| {
        let this = line(n);
        this.trim().is_empty()
            || (marked
                && (heading(this).is_some()
                    || fence(this).is_some()
                    || (is_table_row(this) && is_table_rule(line(n + 1)))))
    };
    1 + (1..lines.len()).take_while(|n| !ends(*n)).count()
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|b| *b == b'#').count();
    let words = line.get(level..)?;
    ((1..=6).contains(&level) && words.starts_with([' ', '\t']))
        .then(|| (level, words.trim().trim_end_matches('#').trim()))
}

fn underline(line: &str) -> Option<usize> {
    let line = line.trim();
    let all = |mark: u8| line.len() >= 3 && line.bytes().all(|b| b == mark);
    if all(b'=') {
        Some(1)
    } else {
        all(b'-').then_some(2)
    }
}

fn fence(line: &str) -> Option<&'static str> {
    let line = line.trim_start();
    ["```", "~~~"]
        .into_iter()
        .find(|fence| line.starts_with(fence))
}

fn is_table_row(line: &str) -> bool {
    let line = line.trim();
    line.starts_with('|') || line.matches(" | ").count() > 0
}

fn is_table_rule(line: &str) -> bool {
    let line = line.trim();
    line.contains('|')
        && line.contains('-')
        && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' '))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn markdown_is_told_apart() {
        let text = "\u{feff}# One #\nText\nmore\n| a | b |\n|---|---|\n| 1 | 2 |\n\nTwo\n---\n```\n# no heading\n\n```\nend";
        let found: Vec<(PartKind, &str)> = parts(text, Kind::Markdown)
            .into_iter()
            .map(|p| (p.kind, &text[p.range]))
            .collect();
        assert_eq!(
            found,
            [
                (PartKind::Heading(1, "One".into()), "# One #"),
                (PartKind::Paragraph, "Text\nmore"),
                (PartKind::Whole, "| a | b |\n|---|---|\n| 1 | 2 |"),
                (PartKind::Heading(2, "Two".into()), "Two\n---"),
                (PartKind::Whole, "```\n# no heading\n\n```"),
                (PartKind::Paragraph, "end"),
            ]
        );
        assert_eq!(parts("# one\ntwo", Kind::Plain).len(), 1);
    }

    proptest! {
        #[test]
        fn parts_cover_all_but_blanks(text in "[#a|\\-=` \n~.]{0,60}") {
            for kind in [Kind::Markdown, Kind::Plain] {
                let parts = parts(&text, kind);
                let kept: String = parts.iter().map(|p| text[p.range.clone()].to_owned()).collect();
                let ink = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                prop_assert_eq!(ink(&kept), ink(&text));
                prop_assert!(parts.windows(2).all(|w| w[0].range.end <= w[1].range.start));
            }
        }
    }
}
