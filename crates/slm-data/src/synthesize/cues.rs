//! Cues: phrases that say a value of the answer without quoting it, such as "this can wait"
//! for a low priority. Phrase and value are swapped together.
//!
//! Without this, each seed would keep its value in every row made from it, and a model could
//! learn the value from the rest of the seed's text. Does not know slots that are quoted.

use super::draft::Draft;
use super::phrases::{LetterPairs, Phrases};
use super::text::words;
use super::wording::like_case;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use slm_taxonomy::Slot;
use std::ops::Range;

/// The cues of one field, made ready to be looked for.
pub(crate) struct Cues {
    /// The JSON pointer of the field.
    pointer: String,
    /// Values with the phrases that say them.
    values: Vec<(String, Vec<String>)>,
    /// All phrases, and the index of the value that each says.
    phrases: Phrases,
    said: Vec<usize>,
}

impl Cues {
    /// Those of a leaf's slots that have cues.
    pub fn of(slots: &[(String, Slot)]) -> Vec<Self> {
        let cues = |(pointer, slot): &(String, Slot)| match slot {
            Slot::Cues(values) => Some(Self::new(pointer, values)),
            _ => None,
        };
        slots.iter().filter_map(cues).collect()
    }

    fn new(pointer: &str, values: &[(String, Vec<String>)]) -> Self {
        let each = values.iter().enumerate();
        let (phrases, said): (Vec<&str>, Vec<usize>) = each
            .flat_map(|(value, (_, phrases))| phrases.iter().map(move |p| (p.as_str(), value)))
            .unzip();
        Self {
            pointer: pointer.to_owned(),
            values: values.to_vec(),
            phrases: Phrases::new(phrases),
            said,
        }
    }

    /// The places of a text that say a value, from left to right, with the value's index.
    fn said_in(&self, text: &str) -> Vec<(Range<usize>, usize)> {
        let found = self.phrases.places(text, &LetterPairs::of_text(text));
        found
            .into_iter()
            .map(|(range, n)| (range, self.said[n]))
            .collect()
    }
}

/// Draws, with probability `rate` per field, a new value uniformly from those with phrases, and
/// says it in place of the old. A text that says no value, or more than one, stays. True when
/// something changed.
pub(crate) fn swap_cues(
    draft: &mut Draft,
    fields: &[Cues],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> bool {
    let mut changed = false;
    for cues in fields {
        changed |= rng.random_bool(rate) && swap(draft, cues, rng);
        guard(draft, cues);
    }
    changed
}

/// Keeps noise off the phrases: mistyped they would say nothing.
fn guard(draft: &mut Draft, cues: &Cues) {
    let said: Vec<String> = draft
        .free_mut()
        .flat_map(|piece| {
            let phrases = cues.said_in(piece).into_iter();
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

fn swap(draft: &mut Draft, cues: &Cues, rng: &mut ChaCha8Rng) -> bool {
    let in_call = format!("/0{}", cues.pointer);
    let pointer = match draft.answer.pointer(&cues.pointer) {
        Some(_) => &cues.pointer,
        None => &in_call,
    };
    let Some(old) = draft.answer.pointer(pointer).and_then(Value::as_str) else {
        return false;
    };
    let old = old.to_owned();
    let values = &cues.values;
    let said: Vec<usize> = draft
        .free_mut()
        .flat_map(|piece| cues.said_in(piece).into_iter().map(|(_, value)| value))
        .collect();
    let agrees = said.iter().all(|value| values[*value].0 == old);
    let choices: Vec<usize> = (0..values.len())
        .filter(|n| !values[*n].1.is_empty())
        .collect();
    if said.is_empty() || !agrees || choices.is_empty() {
        return false;
    }
    let (new, phrases) = &values[choices[rng.random_range(0..choices.len())]];
    let mut changed = false;
    for piece in draft.free_mut() {
        for (range, _) in cues.said_in(piece).into_iter().rev() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesize::text::Text;
    use rand::SeedableRng;
    use serde_json::json;
    use std::collections::{BTreeMap, BTreeSet};

    fn fields() -> Vec<Cues> {
        let cue = |value: &str, phrases: &[&str]| {
            let phrases = phrases.iter().map(|p| p.to_string()).collect();
            (value.to_owned(), phrases)
        };
        let cues = vec![
            cue("high", &["this is urgent", "I need help today"]),
            cue("low", &["this can wait", "can wait"]),
            cue("normal", &["please look into it"]),
        ];
        Cues::of(&[("/priority".to_owned(), Slot::Cues(cues))])
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
            swap_cues(&mut made, &fields(), 1.0, &mut rng);
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
            assert!(!swap_cues(&mut made, &fields(), 1.0, &mut rng));
            assert_eq!(made.question.join(), text);
            assert_eq!(made.answer["priority"], value);
        }
    }
}
