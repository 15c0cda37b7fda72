//! Text in pieces: those that the answer quotes, which stay as they are, and
//! free ones, which may be reworded.
//!
//! Does not know what a rewording is.

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub text: String,
    /// Index of the slot this piece shows; `None` for free text.
    pub slot: Option<usize>,
}

/// A text as a row of pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub pieces: Vec<Piece>,
}

impl Text {
    /// Cuts a text at the given spans (byte range, slot); they must be sorted
    /// and must not overlap.
    pub fn cut(text: &str, spans: &[(std::ops::Range<usize>, usize)]) -> Self {
        let mut pieces = Vec::with_capacity(spans.len() * 2 + 1);
        let mut at = 0;
        for (range, slot) in spans {
            if range.start > at {
                pieces.push(Piece {
                    text: text[at..range.start].to_owned(),
                    slot: None,
                });
            }
            pieces.push(Piece {
                text: text[range.clone()].to_owned(),
                slot: Some(*slot),
            });
            at = range.end;
        }
        if at < text.len() {
            pieces.push(Piece {
                text: text[at..].to_owned(),
                slot: None,
            });
        }
        Self { pieces }
    }

    /// The whole text.
    pub fn join(&self) -> String {
        self.pieces.iter().map(|p| p.text.as_str()).collect()
    }

    /// The free pieces, to be changed in place.
    pub fn free_mut(&mut self) -> impl Iterator<Item = &mut String> {
        self.pieces
            .iter_mut()
            .filter(|p| p.slot.is_none())
            .map(|p| &mut p.text)
    }

    /// Puts free text in front.
    pub fn prepend(&mut self, text: &str) {
        match self.pieces.first_mut() {
            Some(Piece {
                text: first,
                slot: None,
            }) => first.insert_str(0, text),
            _ => self.pieces.insert(
                0,
                Piece {
                    text: text.to_owned(),
                    slot: None,
                },
            ),
        }
    }

    /// Adds free text at the end.
    pub fn append(&mut self, text: &str) {
        match self.pieces.last_mut() {
            Some(Piece {
                text: last,
                slot: None,
            }) => last.push_str(text),
            _ => self.pieces.push(Piece {
                text: text.to_owned(),
                slot: None,
            }),
        }
    }

    /// Puts the first letter in lower case when it is free, starts a word of
    /// which the rest is lower case, and the word is not `I`.
    pub fn lower_first(&mut self) {
        let Some(Piece { text, slot: None }) = self.pieces.first_mut() else {
            return;
        };
        let word: String = text
            .chars()
            .take_while(|c| c.is_alphabetic() || *c == '\'')
            .collect();
        let mut rest = word.chars();
        let Some(first) = rest.next() else { return };
        let plain = first.is_uppercase() && rest.all(|c| c.is_lowercase());
        if plain && word != "I" {
            text.replace_range(..first.len_utf8(), &first.to_lowercase().to_string());
        }
    }
}

/// The words of a text with their byte ranges: runs of letters, digits and
/// inner apostrophes.
pub(crate) fn words(text: &str) -> Vec<(std::ops::Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices() {
        let inside = c.is_alphanumeric() || (c == '\'' && start.is_some());
        match (inside, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push((from..at, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        found.push((from..text.len(), &text[from..]));
    }
    found
}

/// Whether `range` of `text` starts and ends at the border of a word.
pub(crate) fn on_word_borders(text: &str, range: &std::ops::Range<usize>) -> bool {
    let inner = &text[range.clone()];
    let joins = |a: Option<char>, b: Option<char>| {
        a.is_some_and(char::is_alphanumeric) && b.is_some_and(char::is_alphanumeric)
    };
    !joins(
        text[..range.start].chars().next_back(),
        inner.chars().next(),
    ) && !joins(inner.chars().next_back(), text[range.end..].chars().next())
}

/// Byte ranges of `needle` in `text` in any case, not overlapping.
pub(crate) fn find_caseless(text: &str, needle: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    if needle.is_empty() {
        return found;
    }
    let (bytes, first) = (text.as_bytes(), needle.as_bytes()[0]);
    let mut at = 0;
    while at < text.len() {
        // One byte rules out most places.
        let both_ascii = first.is_ascii() && bytes[at].is_ascii();
        if both_ascii && !first.eq_ignore_ascii_case(&bytes[at]) {
            at += 1;
        } else if let Some(len) = caseless_prefix(&text[at..], needle) {
            found.push(at..at + len);
            at += len;
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    found
}

/// ASCII first: most letters are, and the general rule is slow.
fn same_letter(a: char, b: char) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(&b);
    }
    a == b || a.to_lowercase().eq(b.to_lowercase())
}

/// The length in bytes of the start of `text` that equals `needle` in any case.
fn caseless_prefix(text: &str, needle: &str) -> Option<usize> {
    let mut theirs = text.char_indices();
    for c in needle.chars() {
        let (_, other) = theirs.next()?;
        if !same_letter(c, other) {
            return None;
        }
    }
    Some(theirs.next().map_or(text.len(), |(at, _)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_joining_is_the_identity() {
        let text = "pay Acme 30 EUR";
        let cut = Text::cut(text, &[(4..8, 0), (9..11, 1)]);
        assert_eq!(cut.join(), text);
        assert_eq!(cut.pieces.len(), 5);
        assert_eq!(
            cut.pieces[1],
            Piece {
                text: "Acme".into(),
                slot: Some(0)
            }
        );
    }

    #[test]
    fn finds_in_any_case_and_across_widths() {
        assert_eq!(
            find_caseless("Über uns, über alles", "über"),
            vec![0..5, 11..16]
        );
        assert_eq!(
            find_caseless("abc", "abcd"),
            Vec::<std::ops::Range<usize>>::new()
        );
        assert_eq!(
            find_caseless("abc", ""),
            Vec::<std::ops::Range<usize>>::new()
        );
    }

    #[test]
    fn lowers_the_first_word_only_when_plain() {
        for (text, lowered) in [
            ("Where is it", "where is it"),
            ("I am", "I am"),
            ("PDF here", "PDF here"),
        ] {
            let mut cut = Text::cut(text, &[]);
            cut.lower_first();
            assert_eq!(cut.join(), lowered);
        }
    }

    #[test]
    fn words_and_borders() {
        let found: Vec<&str> = words("I can't: 3 x").into_iter().map(|(_, w)| w).collect();
        assert_eq!(found, ["I", "can't", "3", "x"]);
        assert!(on_word_borders("an Ann", &(3..6)));
        assert!(!on_word_borders("Announce", &(0..3)));
    }
}
