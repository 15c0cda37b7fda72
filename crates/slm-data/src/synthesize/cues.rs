//! Cues: phrases that say a value of the answer without quoting it, such as "this can wait"
//! for a low priority. Phrase and value are swapped together.
//!
//! Without this, each seed would keep its value in every row made from it, and a model could
//! learn the value from the rest of the seed's text. Does not know slots that are quoted.

use super::draft::Draft;
use super::text::words;
use super::wording::{like_case, places};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::Slot;
use std::ops::Range;

/// Values with the phrases that say them.
type Cues = [(String, Vec<String>)];

/// Draws, with probability `rate` per field, a new value uniformly from those with phrases, and
/// says it in place of the old. A text that says no value, or more than one, stays. True when
/// something changed.
pub(crate) fn swap_cues(
    draft: &mut Draft,
    slots: &[(String, Slot)],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> bool {
    let mut changed = false;
    for (pointer, slot) in slots {
        if let Slot::Cues(cues) = slot
            && rng.random_bool(rate)
        {
            changed |= swap(draft, pointer, cues, rng);
        }
        if let Slot::Cues(cues) = slot {
            guard(draft, cues);
        }
    }
    changed
}

/// Keeps noise off the phrases: mistyped they would say nothing.
fn guard(draft: &mut Draft, cues: &Cues) {
    let said: Vec<String> = draft
        .free_mut()
        .flat_map(|piece| {
            let phrases = said_in(piece, cues).into_iter();
            phrases
                .map(|(range, _)| piece[range].to_lowercase())
                .collect::<Vec<_>>()
        })
        .collect();
    let said = said.iter().flat_map(|phrase| words(phrase));
    draft
        .answer_words
        .extend(said.map(|(_, word)| word.to_owned()));
}

fn swap(draft: &mut Draft, pointer: &str, cues: &Cues, rng: &mut ChaCha8Rng) -> bool {
    let in_call = format!("/0{pointer}");
    let pointer = match draft.answer.pointer(pointer) {
        Some(_) => pointer,
        None => &in_call,
    };
    let Some(old) = draft.answer.pointer(pointer).and_then(Value::as_str) else {
        return false;
    };
    let old = old.to_owned();
    let said: Vec<usize> = draft
        .free_mut()
        .flat_map(|piece| said_in(piece, cues).into_iter().map(|(_, value)| value))
        .collect();
    let agrees = said.iter().all(|value| cues[*value].0 == old);
    let choices: Vec<usize> = (0..cues.len()).filter(|n| !cues[*n].1.is_empty()).collect();
    if said.is_empty() || !agrees || choices.is_empty() {
        return false;
    }
    let (new, phrases) = &cues[choices[rng.random_range(0..choices.len())]];
    let mut changed = false;
    for piece in draft.free_mut() {
        for (range, _) in said_in(piece, cues).into_iter().rev() {
            let phrase = &phrases[rng.random_range(0..phrases.len())];
            let written = like_case(phrase, &piece[range.clone()]);
            changed |= piece[range.clone()] != written;
            piece.replace_range(range, &written);
        }
    }
    if let Some(value) = draft.answer.pointer_mut(pointer) {
        *value = Value::String(new.clone());
    }
    changed
}

/// The places of a text that say a value, from left to right, with the value's index.
fn said_in(text: &str, cues: &Cues) -> Vec<(Range<usize>, usize)> {
    let each = cues.iter().enumerate();
    let (phrases, values): (Vec<&str>, Vec<usize>) = each
        .flat_map(|(value, (_, phrases))| phrases.iter().map(move |p| (p.as_str(), value)))
        .unzip();
    let found = places(text, &phrases).into_iter();
    found.map(|(range, n)| (range, values[n])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesize::text::Text;
    use rand::SeedableRng;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    fn slots() -> Vec<(String, Slot)> {
        let cue = |value: &str, phrases: &[&str]| {
            let phrases = phrases.iter().map(|p| p.to_string()).collect();
            (value.to_owned(), phrases)
        };
        let cues = vec![
            cue("high", &["this is urgent", "I need help today"]),
            cue("low", &["this can wait", "can wait"]),
            cue("normal", &["please look into it"]),
        ];
        vec![("/priority".to_owned(), Slot::Cues(cues))]
    }

    fn draft(text: &str, priority: &str) -> Draft {
        Draft {
            question: Text::cut(text, &[]),
            context: None,
            answer: json!({"priority": priority, "product": "Fan"}),
            answer_words: BTreeSet::new(),
            operations: Vec::new(),
            seeds: BTreeSet::new(),
            substitutions: Vec::new(),
        }
    }

    #[test]
    fn phrase_and_value_change_together_and_evenly() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..600 {
            let mut made = draft("The Fan is late. This can wait.", "low");
            swap_cues(&mut made, &slots(), 1.0, &mut rng);
            let text = made.question.join();
            let value = made.answer["priority"].as_str().unwrap().to_owned();
            let said = match value.as_str() {
                "high" => text.contains("This is urgent") || text.contains("I need help today"),
                "low" => text.contains("This can wait") || text.contains(". Can wait"),
                _ => text.contains("Please look into it"),
            };
            assert!(said, "{value}: {text}");
            assert!(!made.answer_words.is_empty() && !made.answer_words.contains("late"));
            *counts.entry(value).or_default() += 1;
        }
        assert!(
            counts.len() == 3 && counts.values().all(|n| *n > 140),
            "{counts:?}"
        );
    }

    #[test]
    fn a_text_without_or_against_its_cue_stays() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (text, value) in [
            ("The Fan is late.", "normal"),
            ("This is urgent.", "low"),
            ("This is urgent, but this can wait.", "low"),
            ("thus this can waiting", "low"),
        ] {
            let mut made = draft(text, value);
            assert!(!swap_cues(&mut made, &slots(), 1.0, &mut rng));
            assert_eq!(made.question.join(), text);
            assert_eq!(made.answer["priority"], value);
        }
    }
}
