//! Whole sentences: another order, and sentences borrowed from other seeds where
//! they cannot change the answer.
//!
//! Does not know words within sentences.

use super::draft::Draft;
use super::slots::Template;
use super::text::{Piece, Text, words};
use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeSet;

/// A sentence that begins with one of these leans on the one before.
const LEANING: [&str; 34] = [
    "it",
    "its",
    "this",
    "these",
    "that",
    "those",
    "they",
    "their",
    "he",
    "she",
    "his",
    "her",
    "such",
    "then",
    "however",
    "but",
    "also",
    "therefore",
    "thus",
    "so",
    "and",
    "or",
    "first",
    "second",
    "next",
    "finally",
    "later",
    "after",
    "before",
    "both",
    "there",
    "here",
    "instead",
    "otherwise",
];

/// A question with one of these asks for the order of things.
const ORDERING: [&str; 12] = [
    "first", "last", "before", "after", "next", "previous", "above", "below", "order", "sequence",
    "begin", "end",
];

/// Puts the sentences of a prose context into another order. Only where no slot
/// crosses a border, no sentence leans on another, and neither question nor
/// answer is about the order.
pub(crate) fn reorder(draft: &mut Draft, rng: &mut ChaCha8Rng) -> bool {
    let question = draft.question.join();
    let Some(context) = &mut draft.context else {
        return false;
    };
    let asks_order = words(&question)
        .iter()
        .any(|(_, w)| ORDERING.contains(&w.to_lowercase().as_str()));
    let mut sentences = sentences(context);
    if asks_order
        || sentences.len() < 3
        || context.join().contains('\n')
        || sentences.iter().skip(1).any(leans)
    {
        return false;
    }
    let before = context.join();
    sentences.shuffle(rng);
    *context = join(&sentences);
    context.join() != before
}

fn leans(sentence: &Text) -> bool {
    let text = sentence.join();
    let first = words(&text).first().map(|(_, w)| w.to_lowercase());
    first.is_none_or(|w| LEANING.contains(&w.as_str()))
}

/// Whether a sentence points at something said before, as in `this share`.
fn points_back(sentence: &str) -> bool {
    let back = [
        "it", "this", "these", "that", "those", "they", "them", "such",
    ];
    words(sentence)
        .iter()
        .any(|(_, w)| back.contains(&w.to_lowercase().as_str()))
}

/// Adds a sentence of another seed's context, at the end or the start, that
/// shares no telling word with the question and none with the answer.
pub(crate) fn distract(draft: &mut Draft, others: &[Template], rng: &mut ChaCha8Rng) -> bool {
    let telling = telling_words(&draft.question.join());
    let Some(donor) = others.get(rng.random_range(0..others.len().max(1))) else {
        return false;
    };
    let Some(theirs) = donor
        .context
        .as_ref()
        .filter(|_| !draft.seeds.contains(&donor.seed))
    else {
        return false;
    };
    let Some(context) = &mut draft.context else {
        return false;
    };
    let text = context.join();
    let fitting: Vec<Text> = sentences(theirs)
        .into_iter()
        .filter(|s| {
            let sentence = s.join();
            let own = telling_words(&sentence);
            !leans(s)
                && !points_back(&sentence)
                && own.len() >= 3
                && !text.contains(sentence.trim())
                && own
                    .iter()
                    .all(|w| !telling.contains(w) && !draft.answer_words.contains(w))
        })
        .collect();
    let Some(sentence) = fitting.get(rng.random_range(0..fitting.len().max(1))) else {
        return false;
    };
    let sentence = sentence.join().trim().to_owned();
    if rng.random_bool(0.5) {
        context.append(&format!(" {sentence}"));
    } else {
        context.prepend(&format!("{sentence} "));
    }
    draft.seeds.insert(donor.seed);
    true
}

/// Adds a sentence of another seed's question whose answer agrees in every field
/// not copied from text, if the sentence shows no slot, digit or name.
pub(crate) fn carry(
    draft: &mut Draft,
    own: &Template,
    others: &[Template],
    rng: &mut ChaCha8Rng,
) -> bool {
    let alike: Vec<&Template> = others
        .iter()
        .filter(|t| !draft.seeds.contains(&t.seed) && t.skeleton == own.skeleton)
        .collect();
    let Some(donor) = alike.get(rng.random_range(0..alike.len().max(1))) else {
        return false;
    };
    let all = sentences(&donor.question);
    if all.len() < 2 {
        return false;
    }
    let text = draft.question.join();
    let neutral: Vec<String> = all
        .iter()
        .filter(|s| is_neutral(s))
        .map(|s| s.join().trim().to_owned())
        .filter(|s| !text.contains(s.as_str()))
        .collect();
    let Some(sentence) = neutral.get(rng.random_range(0..neutral.len().max(1))) else {
        return false;
    };
    if !text.trim_end().ends_with(['.', '!', '?']) {
        draft.question.append(".");
    }
    draft.question.append(&format!(" {sentence}"));
    draft.seeds.insert(donor.seed);
    true
}

fn is_neutral(sentence: &Text) -> bool {
    let text = sentence.join();
    let found = words(text.trim());
    let names = found
        .iter()
        .skip(1)
        .any(|(_, w)| w.starts_with(char::is_uppercase) && !w.starts_with('I'));
    sentence.pieces.iter().all(|p| p.slot.is_none())
        && (4..=20).contains(&found.len())
        && text.trim().ends_with(['.', '!', '?'])
        && !text.contains(|c: char| c.is_ascii_digit() || c == '"' || c == '\n')
        && !names
        && !leans(sentence)
}

/// Lower-case words of four letters and more, which say what a text is about.
fn telling_words(text: &str) -> BTreeSet<String> {
    words(text)
        .into_iter()
        .filter(|(_, w)| w.chars().count() >= 4)
        .map(|(_, w)| w.to_lowercase())
        .collect()
}

/// Abbreviations whose dot ends no sentence.
const ABBREVIATIONS: [&str; 14] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "no", "inc", "ltd", "co", "e.g", "i.e", "vs", "approx",
];

/// The sentences of a text, slots kept. A border is a mark followed by a space
/// and a capital in free text.
pub(crate) fn sentences(text: &Text) -> Vec<Text> {
    cut_at(text, borders)
}

/// The parts of a text, slots kept: free pieces are cut at the places that `borders` gives for
/// one of them and for whether another piece follows.
pub(crate) fn cut_at(text: &Text, borders: impl Fn(&str, bool) -> Vec<usize>) -> Vec<Text> {
    let mut done: Vec<Text> = Vec::new();
    let mut open = Text::default();
    let mut rest = text.pieces.iter().peekable();
    while let Some(piece) = rest.next() {
        if piece.slot.is_some() {
            open.pieces.push(piece.clone());
            continue;
        }
        let mut from = 0;
        for border in borders(&piece.text, rest.peek().is_some()) {
            open.pieces.push(Piece {
                text: piece.text[from..border].to_owned(),
                slot: None,
            });
            done.push(std::mem::take(&mut open));
            from = border;
        }
        if from < piece.text.len() {
            open.pieces.push(Piece {
                text: piece.text[from..].to_owned(),
                slot: None,
            });
        }
    }
    if !open.pieces.is_empty() {
        done.push(open);
    }
    done
}

/// Places just after a mark and its space where a new sentence begins; the end
/// of a piece counts when another one follows.
fn borders(text: &str, more: bool) -> Vec<usize> {
    let mut found = Vec::new();
    for (at, mark) in text
        .char_indices()
        .filter(|(_, c)| matches!(c, '.' | '!' | '?'))
    {
        let after = &text[at + 1..];
        let space = after.len() - after.trim_start_matches(' ').len();
        let next = after[space..].chars().next();
        let opens = next.map_or(more, |c| c.is_uppercase() || c.is_ascii_digit());
        let word = text[..at]
            .rsplit([' ', '\n', '('])
            .next()
            .unwrap_or_default()
            .to_lowercase();
        // No word at all stands before a mark that follows a slot.
        let short =
            mark == '.' && (ABBREVIATIONS.contains(&word.as_str()) || word.chars().count() == 1);
        if space > 0 && opens && !short {
            found.push(at + 1 + space);
        }
    }
    found
}

/// The sentences as one text, with a space between them.
pub(crate) fn join(sentences: &[Text]) -> Text {
    let mut whole = Text::default();
    for (n, sentence) in sentences.iter().enumerate() {
        if n > 0 && !whole.join().ends_with(' ') {
            whole.append(" ");
        }
        whole.pieces.extend(sentence.pieces.iter().cloned());
    }
    if let Some(last) = whole.pieces.last_mut().filter(|p| p.slot.is_none()) {
        last.text.truncate(last.text.trim_end().len());
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn draft(context: &str, question: &str) -> Draft {
        Draft {
            question: Text::cut(question, &[]),
            context: Some(Text::cut(context, &[])),
            answer: serde_json::Value::Null,
            answer_words: BTreeSet::from(["paris".to_owned()]),
            operations: vec![],
            seeds: BTreeSet::from([0]),
            substitutions: vec![],
        }
    }

    #[test]
    fn sentences_join_to_the_text() {
        let text = "Dr. Ann Lee came. She paid $3.50 to St. Mary! Why? no one knows.";
        let found = sentences(&Text::cut(text, &[(4..11, 0)]));
        let shown: Vec<String> = found.iter().map(Text::join).collect();
        assert_eq!(
            shown,
            [
                "Dr. Ann Lee came. ",
                "She paid $3.50 to St. Mary! ",
                "Why? no one knows."
            ]
        );
        assert_eq!(shown.concat(), text);
    }

    #[test]
    fn a_sentence_ends_after_a_value_too() {
        let found = sentences(&Text::cut(
            "My order is KX-48213. This can wait.",
            &[(12..20, 0)],
        ));
        let shown: Vec<String> = found.iter().map(Text::join).collect();
        assert_eq!(shown, ["My order is KX-48213. ", "This can wait."]);
    }

    #[test]
    fn reorders_only_independent_sentences() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut safe = draft("Ants dig. Bees fly. Cats nap. Dogs run.", "Who naps?");
        while !reorder(&mut safe, &mut rng) {}
        let mut parts: Vec<String> = safe
            .context
            .unwrap()
            .join()
            .split(". ")
            .map(|s| s.trim_end_matches('.').to_owned())
            .collect();
        parts.sort();
        assert_eq!(parts, ["Ants dig", "Bees fly", "Cats nap", "Dogs run"]);
        for (context, question) in [
            ("Ants dig. They bite. Cats nap.", "Who naps?"),
            ("Ants dig. Bees fly. Cats nap.", "Who comes first?"),
        ] {
            assert!(!(0..20).any(|_| reorder(&mut draft(context, question), &mut rng)));
        }
    }

    #[test]
    fn borrowed_sentences_share_nothing_with_question_or_answer() {
        let donor = Template {
            seed: 1,
            pair: 0,
            question: Text::default(),
            context: Some(Text::cut(
                "Paris hosts many visitors. Rivers carry heavy barges. The capital grows.",
                &[],
            )),
            answer: serde_json::Value::Null,
            slots: vec![],
            answer_words: BTreeSet::new(),
            skeleton: serde_json::Value::Null,
            texts: vec![],
        };
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..10 {
            let mut made = draft("France is large.", "What is the capital?");
            assert!(distract(&mut made, std::slice::from_ref(&donor), &mut rng));
            let text = made.context.unwrap().join();
            assert!(
                text.contains("Rivers carry heavy barges.") && !text.contains("Paris"),
                "{text}"
            );
            assert_eq!(made.seeds, BTreeSet::from([0, 1]));
        }
        let mut made = draft("Rivers carry heavy barges.", "What is the capital?");
        assert!(!distract(&mut made, std::slice::from_ref(&donor), &mut rng));
    }
}
