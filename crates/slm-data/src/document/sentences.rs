//! Where sentences end.
//!
//! Knows Latin punctuation and a few abbreviations. Does not know languages.

use std::ops::Range;

/// Words before whose full stop no sentence ends.
const ABBREVIATIONS: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "e.g", "i.e", "etc", "vs", "cf", "fig", "no", "vol",
    "approx", "inc", "ltd", "co", "jr", "sr", "al", "p",
];

/// The sentences of a text, each with the white space behind it; together they are the text.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let ends = matches!(letter, '.' | '!' | '?' | '。' | '！' | '？' | '…');
        if !ends || (letter == '.' && is_abbreviation(&text[start..at])) {
            continue;
        }
        while letters
            .next_if(|(_, c)| matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '.' | '!' | '?'))
            .is_some()
        {}
        let wide = matches!(letter, '。' | '！' | '？');
        let mut spaces = 0;
        while letters.next_if(|(_, c)| c.is_whitespace()).is_some() {
            spaces += 1;
        }
        let Some((next, follows)) = letters.peek().copied() else {
            break;
        };
        if wide || (spaces > 0 && !follows.is_lowercase()) {
            found.push(start..next);
            start = next;
        }
    }
    if start < text.len() {
        found.push(start..text.len());
    }
    found
}

fn is_abbreviation(before: &str) -> bool {
    let word = before
        .rsplit(|c: char| c.is_whitespace() || c == '(')
        .next()
        .unwrap_or_default();
    let single = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    single || ABBREVIATIONS.contains(&word.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text)
            .into_iter()
            .map(|range| text[range].trim())
            .collect()
    }

    #[test]
    fn ends_at_stops_and_not_at_abbreviations() {
        let text = "Dr. J. Smith measured 3.5 m. \"Really?\" Yes, e.g. Today! and on";
        assert_eq!(
            split(text),
            [
                "Dr. J. Smith measured 3.5 m.",
                "\"Really?\"",
                "Yes, e.g. Today! and on"
            ]
        );
        assert_eq!(split("一。二。"), ["一。", "二。"]);
        assert!(split("").is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "\\PC{0,80}") {
            let joined: String = sentences(&text).into_iter().map(|r| text[r].to_owned()).collect();
            prop_assert_eq!(joined, text);
        }
    }
}
