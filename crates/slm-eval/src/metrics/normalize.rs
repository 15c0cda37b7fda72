//! SQuAD's normalizing of answers (Rajpurkar et al. 2016, evaluation script 1.1):
//! lower case, ASCII punctuation removed, articles removed, white space collapsed.
//!
//! Does not know what is compared.

/// The normalized text: tokens separated by single spaces.
pub fn normalize(text: &str) -> String {
    tokens(text).join(" ")
}

/// The normalized tokens.
pub fn tokens(text: &str) -> Vec<String> {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|character| !character.is_ascii_punctuation())
        .collect();
    let mut without_articles = String::with_capacity(kept.len());
    let mut word = String::new();
    for character in kept.chars() {
        if character.is_alphanumeric() {
            word.push(character);
        } else {
            push_word(&mut without_articles, &mut word);
            without_articles.push(character);
        }
    }
    push_word(&mut without_articles, &mut word);
    without_articles
        .split_whitespace()
        .map(String::from)
        .collect()
}

fn push_word(text: &mut String, word: &mut String) {
    if matches!(word.as_str(), "a" | "an" | "the") {
        text.push(' ');
    } else {
        text.push_str(word);
    }
    word.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_articles_and_space_are_dropped() {
        assert_eq!(normalize("The  U.S. Navy,\nan A-team"), "us navy ateam");
        assert_eq!(normalize("  a the an "), "");
        assert_eq!(normalize("theory"), "theory");
    }

    #[test]
    fn articles_are_whole_words_beside_other_punctuation() {
        assert_eq!(
            normalize("\u{201c}the\u{201d} end"),
            "\u{201c} \u{201d} end"
        );
    }
}
