//! Phrases that are looked for in many texts.
//!
//! Most texts hold none of them, which the pairs of letters tell before any comparing. Does not
//! know what a phrase means.

use super::text::{find_caseless, on_word_borders};
use std::ops::Range;

/// The pairs of neighbouring letters that a text has, in any case, as a set of 1,024 kinds: a
/// text can only hold what has no pair beyond its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LetterPairs([u64; 16]);

/// The one letter outside ASCII whose lower case is within it, the sign for kelvin.
const KELVIN: char = '\u{212a}';

impl LetterPairs {
    /// The pairs of a text to look into.
    pub fn of_text(text: &str) -> Self {
        match text.contains(KELVIN) {
            true => Self([u64::MAX; 16]),
            false => Self::of(text),
        }
    }

    /// The pairs of a phrase to look for.
    pub fn of_phrase(phrase: &str) -> Self {
        match phrase.contains(KELVIN) {
            true => Self([0; 16]),
            false => Self::of(phrase),
        }
    }

    fn of(text: &str) -> Self {
        let mut pairs = [0u64; 16];
        for pair in text.as_bytes().windows(2) {
            let kind = kind(pair[0]) << 5 | kind(pair[1]);
            pairs[kind >> 6] |= 1 << (kind & 63);
        }
        Self(pairs)
    }

    /// Whether a text with these pairs may hold a phrase with those.
    pub fn may_hold(&self, phrase: &Self) -> bool {
        self.0
            .iter()
            .zip(&phrase.0)
            .all(|(own, its)| own & its == *its)
    }
}

/// One of 32 kinds of byte: a kind for each letter of ASCII in any case, one for all bytes of
/// other letters, of which case may change any, and four for the rest.
fn kind(byte: u8) -> usize {
    match byte.to_ascii_lowercase() {
        letter @ b'a'..=b'z' => usize::from(letter - b'a') + 1,
        0x80.. => 0,
        b' ' => 27,
        b'0'..=b'9' => 28,
        mark if mark < b'0' => 29,
        _ => 30,
    }
}

/// Phrases, each with its index.
#[derive(Debug, Clone)]
pub(crate) struct Phrases {
    phrases: Vec<(String, LetterPairs)>,
    /// The indices, those of the longest phrases first.
    by_length: Vec<usize>,
}

impl Phrases {
    pub fn new<'a>(phrases: impl IntoIterator<Item = &'a str>) -> Self {
        let pairs = |phrase: &str| (phrase.to_owned(), LetterPairs::of_phrase(phrase));
        let phrases: Vec<(String, LetterPairs)> = phrases.into_iter().map(pairs).collect();
        let mut by_length: Vec<usize> = (0..phrases.len()).collect();
        by_length.sort_by_key(|&n| std::cmp::Reverse(phrases[n].0.len()));
        Self { phrases, by_length }
    }

    pub fn len(&self) -> usize {
        self.phrases.len()
    }

    pub fn get(&self, n: usize) -> &str {
        &self.phrases[n].0
    }

    /// The places where any of the phrases stands in a text with these pairs, from left to right,
    /// with its index. Of phrases that overlap the longest counts.
    pub fn places(&self, text: &str, pairs: &LetterPairs) -> Vec<(Range<usize>, usize)> {
        let mut found: Vec<(Range<usize>, usize)> = Vec::new();
        for &n in &self.by_length {
            let (phrase, its) = &self.phrases[n];
            if !pairs.may_hold(its) {
                continue;
            }
            for range in find_caseless(text, phrase) {
                let free = found
                    .iter()
                    .all(|(other, _)| range.end <= other.start || other.end <= range.start);
                if free && on_word_borders(text, &range) {
                    found.push((range, n));
                }
            }
        }
        found.sort_by_key(|(range, _)| range.start);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_longest_of_overlapping_phrases_counts() {
        let phrases = Phrases::new(["order", "work order", "K"]);
        let text = "My Work Order, an order; reorder. 5 \u{212a}";
        let found = phrases.places(text, &LetterPairs::of_text(text));
        assert_eq!(found, [(3..13, 1), (18..23, 0), (36..39, 2)]);
    }

    proptest! {
        #[test]
        fn what_a_text_holds_is_never_ruled_out(
            text in "[a-dA-D 0-9'éÉßKİı\u{212a}.,-]{0,20}", phrase in "[a-dA-D 0-9'éÉKkİi\u{212a}.-]{1,4}",
        ) {
            let may = LetterPairs::of_text(&text).may_hold(&LetterPairs::of_phrase(&phrase));
            prop_assert!(may || find_caseless(&text, &phrase).is_empty());
        }
    }
}
