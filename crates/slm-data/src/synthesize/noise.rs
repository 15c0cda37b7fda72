//! What keyboards do to text: case, punctuation, typing errors.
//!
//! Does not touch slots, nor words that the answer has, nor digits.

use super::draft::Draft;
use super::text::{Text, words};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Writes the free text in lower case, or without capital at the start.
pub(crate) fn change_case(text: &mut Text, rng: &mut ChaCha8Rng) -> bool {
    let before = text.join();
    if rng.random_bool(0.5) {
        text.lower_first();
    } else {
        for piece in text.free_mut() {
            *piece = piece.to_lowercase();
        }
    }
    text.join() != before
}

/// Drops or repeats the last mark, or drops the commas or the apostrophes of
/// `don't` and its like.
pub(crate) fn change_punctuation(text: &mut Text, rng: &mut ChaCha8Rng) -> bool {
    let before = text.join();
    match rng.random_range(0..4) {
        0 => drop_last_mark(text),
        1 => double_last_mark(text),
        2 => text
            .free_mut()
            .for_each(|piece| *piece = piece.replace(", ", " ")),
        _ => text
            .free_mut()
            .for_each(|piece| *piece = piece.replace("n't", "nt")),
    }
    text.join() != before
}

fn drop_last_mark(text: &mut Text) {
    if let Some(last) = text.pieces.last_mut().filter(|p| p.slot.is_none()) {
        let kept = last.text.trim_end_matches(['.', '!', '?']).len();
        last.text.truncate(kept);
    }
}

fn double_last_mark(text: &mut Text) {
    let last = text.pieces.last_mut().filter(|p| p.slot.is_none());
    if let Some(last) = last.filter(|p| p.text.ends_with(['!', '?'])) {
        let mark = last.text.chars().next_back();
        last.text.extend(mark);
    }
}

/// Makes one or two typing errors in free words of five letters and more that
/// the answer does not have.
pub(crate) fn mistype(draft: &mut Draft, rng: &mut ChaCha8Rng) -> bool {
    let answer_words = std::mem::take(&mut draft.answer_words);
    let mut left = rng.random_range(1..=2);
    let total: usize = draft.free_mut().map(|p| words(p).len()).sum();
    let rate = (2.0 / total.max(2) as f64).min(1.0);
    let mut changed = false;
    for piece in draft.free_mut() {
        // From the back, so that ranges before stay true.
        let plan: Vec<_> = words(piece)
            .into_iter()
            .map(|(range, word)| (range, word.to_owned()))
            .collect();
        for (range, word) in plan.into_iter().rev() {
            let plain = word.chars().count() >= 5 && word.chars().all(char::is_alphabetic);
            if left == 0
                || !plain
                || answer_words.contains(&word.to_lowercase())
                || !rng.random_bool(rate)
            {
                continue;
            }
            piece.replace_range(range, &misspell(&word, rng));
            left -= 1;
            changed = true;
        }
    }
    draft.answer_words = answer_words;
    changed
}

/// Swaps, drops or doubles one inner letter.
fn misspell(word: &str, rng: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    let at = rng.random_range(1..letters.len() - 2);
    match rng.random_range(0..3) {
        0 => letters.swap(at, at + 1),
        1 => drop(letters.remove(at)),
        _ => letters.insert(at, letters[at]),
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use std::collections::BTreeSet;

    fn draft(text: &str, slot: std::ops::Range<usize>) -> Draft {
        Draft {
            question: Text::cut(text, &[(slot, 0)]),
            context: None,
            answer: serde_json::Value::Null,
            answer_words: BTreeSet::from(["account".to_owned()]),
            operations: vec![],
            seeds: BTreeSet::new(),
            substitutions: vec![],
        }
    }

    proptest! {
        #[test]
        fn slots_and_answer_words_survive(seed: u64) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut made = draft("Please, close Northwind Trading and my account today!", 14..31);
            mistype(&mut made, &mut rng);
            change_punctuation(&mut made.question, &mut rng);
            change_case(&mut made.question, &mut rng);
            let text = made.question.join();
            prop_assert!(text.contains("Northwind Trading") && text.contains("account"), "{}", text);
            prop_assert!(text.len() + 4 >= "Please, close Northwind Trading and my account today!".len() - 2);
        }
    }

    #[test]
    fn misspelling_changes_little() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..50 {
            let wrong = misspell("computer", &mut rng);
            assert!(
                wrong.starts_with('c') && wrong.ends_with('r') && wrong.len().abs_diff(8) <= 1,
                "{wrong}"
            );
        }
    }
}
