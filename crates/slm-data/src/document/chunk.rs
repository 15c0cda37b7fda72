//! A document cut into chunks that fit a prompt: along headings, then between sentences;
//! tables and code stay whole.
//!
//! Does not know what a token is: the caller counts.

use super::parts::{Part, PartKind, parts};
use super::{Document, Origin, sentences};
use crate::error::{DataError, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How large chunks may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSettings {
    /// The longest chunk, in tokens; only a table or code by itself may be longer.
    pub max_tokens: usize,
    /// A heading begins a new chunk when the one before has this many tokens.
    pub min_tokens: usize,
}

impl Default for ChunkSettings {
    fn default() -> Self {
        Self {
            max_tokens: 500,
            min_tokens: 100,
        }
    }
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// The document, as [`Document::source`].
    pub source: String,
    /// As [`Document::origin`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The document's SHA-256.
    pub sha256: String,
    /// The place among the document's chunks, from 0.
    pub index: usize,
    /// The headings above the chunk's first line, outermost first.
    pub headings: Vec<String>,
    /// The document's text from `start` to `end`.
    pub text: String,
    /// First byte in the document's text.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// First line, from 1.
    pub first_line: usize,
    /// Last line, from 1.
    pub last_line: usize,
    /// The page, where the document has pages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<usize>,
    /// Tokens, as the caller counts them.
    pub tokens: usize,
}

impl Chunk {
    /// The chunk with the headings above it, as prompts show it.
    pub fn with_headings(&self) -> String {
        match self.headings.is_empty() {
            true => self.text.clone(),
            false => format!("{}\n\n{}", self.headings.join(" > "), self.text),
        }
    }
}

/// Cuts a document. All text of the document is in one chunk or another, in order.
///
/// # Errors
/// The sizes contradict each other.
pub fn chunks(
    document: &Document,
    settings: &ChunkSettings,
    count: &dyn Fn(&str) -> usize,
) -> Result<Vec<Chunk>> {
    if settings.max_tokens == 0 || settings.min_tokens > settings.max_tokens {
        return Err(DataError::settings(
            format!(
                "chunks of {} to {} tokens are impossible",
                settings.min_tokens, settings.max_tokens
            ),
            "give the most tokens of a chunk, at least 1, and a smaller least number",
        ));
    }
    let newlines = document
        .text
        .bytes()
        .enumerate()
        .filter(|(_, b)| *b == b'\n')
        .map(|(at, _)| at);
    let mut cutter = Cutter {
        document,
        settings,
        count,
        open: None,
        path: Vec::new(),
        above: Vec::new(),
        newlines: newlines.collect(),
        done: Vec::new(),
    };
    for part in parts(&document.text, document.kind) {
        cutter.take(&part);
    }
    cutter.close();
    Ok(cutter.done)
}

struct Cutter<'a> {
    document: &'a Document,
    settings: &'a ChunkSettings,
    count: &'a dyn Fn(&str) -> usize,
    /// The chunk in the making.
    open: Option<Range<usize>>,
    /// The headings above the next part, with their levels.
    path: Vec<(usize, String)>,
    /// The headings above the open chunk.
    above: Vec<String>,
    /// Where each line but the first begins, less one.
    newlines: Vec<usize>,
    done: Vec<Chunk>,
}

impl Cutter<'_> {
    fn tokens(&self, range: &Range<usize>) -> usize {
        (self.count)(&self.document.text[range.clone()])
    }

    fn take(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Heading(level, words) => {
                let long_enough = |open| self.tokens(open) >= self.settings.min_tokens;
                if self.open.as_ref().is_some_and(long_enough) {
                    self.close();
                }
                self.path.retain(|(above, _)| above < level);
                self.add(part.range.clone());
                self.path.push((*level, words.clone()));
            }
            PartKind::Paragraph if self.tokens(&part.range) > self.settings.max_tokens => {
                self.cut(part.range.clone())
            }
            PartKind::Paragraph | PartKind::Whole => self.add(part.range.clone()),
        }
    }

    /// Adds a piece to the open chunk, or begins another when it does not fit.
    fn add(&mut self, piece: Range<usize>) {
        if let Some(open) = &self.open {
            let longer = open.start..piece.end;
            if self.tokens(&longer) <= self.settings.max_tokens {
                self.open = Some(longer);
                return;
            }
            self.close();
        }
        self.above = self.path.iter().map(|(_, words)| words.clone()).collect();
        self.open = Some(piece);
    }

    /// Adds a paragraph sentence by sentence; a sentence too long, word by word.
    fn cut(&mut self, range: Range<usize>) {
        let text = &self.document.text;
        for sentence in sentences(&text[range.clone()]) {
            let sentence = range.start + sentence.start..range.start + sentence.end;
            if self.tokens(&sentence) <= self.settings.max_tokens {
                self.add(sentence);
                continue;
            }
            let mut start = sentence.start;
            for word in text[sentence.clone()].split_inclusive(char::is_whitespace) {
                self.add(start..start + word.len());
                start += word.len();
            }
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let text = self.document.text[open.clone()].trim_end();
        let range = open.start..open.start + text.len();
        let line = |byte: usize| self.newlines.partition_point(|newline| *newline < byte) + 1;
        let (first_line, last_line) = (line(range.start), line(range.end));
        self.done.push(Chunk {
            source: self.document.source.clone(),
            origin: self.document.origin.clone(),
            sha256: self.document.sha256.clone(),
            index: self.done.len(),
            headings: std::mem::take(&mut self.above),
            text: text.to_owned(),
            start: range.start,
            end: range.end,
            first_line,
            last_line,
            page: self.document.page_at(range.start),
            tokens: self.tokens(&range),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::from_bytes;
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    fn cut(text: &str, max_tokens: usize, min_tokens: usize) -> Vec<Chunk> {
        let document = from_bytes(Path::new("d.md"), text.into()).unwrap();
        chunks(
            &document,
            &ChunkSettings {
                max_tokens,
                min_tokens,
            },
            &words,
        )
        .unwrap()
    }

    #[test]
    fn headings_begin_chunks_and_are_told() {
        let text = "# A\nOne two three.\n\n## B\nFour five six.\n\n## C\nSeven.";
        let made = cut(text, 20, 4);
        let shown: Vec<(&str, String)> = made
            .iter()
            .map(|c| (c.text.as_str(), c.headings.join("/")))
            .collect();
        assert_eq!(
            shown,
            [
                ("# A\nOne two three.", String::new()),
                ("## B\nFour five six.", "A".into()),
                ("## C\nSeven.", "A".into())
            ]
        );
        assert_eq!((made[1].first_line, made[1].last_line), (4, 5));
        assert_eq!(made[1].with_headings(), "A\n\n## B\nFour five six.");
    }

    #[test]
    fn sentences_are_not_cut_and_tables_stay_whole() {
        let table = "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |";
        let text = format!("One two three. Four five six. Seven eight.\n\n{table}\n\nEnd.");
        let made = cut(&text, 6, 0);
        let texts: Vec<&str> = made.iter().map(|c| c.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "One two three. Four five six.",
                "Seven eight.",
                table,
                "End."
            ]
        );
        assert!(
            made[2].tokens > 6,
            "the table is longer than allowed, and whole"
        );
    }

    proptest! {
        #[test]
        fn chunks_are_slices_that_cover_the_text(text in "(# [a-c]{1,3}\n|[a-c]{1,4}[.!]? |\n\n|\\| a \\| b \\|\n){1,60}", max in 1usize..12) {
            prop_assume!(text.chars().any(char::is_alphanumeric));
            let made = cut(&text, max, max / 3);
            for chunk in &made {
                prop_assert_eq!(&text[chunk.start..chunk.end], &chunk.text);
            }
            prop_assert!(made.windows(2).all(|w| w[0].end <= w[1].start));
            let ink = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            let all: String = made.iter().map(|c| c.text.clone()).collect();
            prop_assert_eq!(ink(&all), ink(&text));
        }
    }
}
