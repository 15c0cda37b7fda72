//! Other words for the same thing: the leaf's paraphrases, contractions,
//! greetings and thanks, and frames around a question.
//!
//! Does not touch slots and does not know typing errors.

use super::phrases::{LetterPairs, Phrases};
use super::text::{Text, find_caseless, on_word_borders};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::sync::LazyLock;

/// Pairs that mean the same everywhere.
const CONTRACTIONS: [(&str, &str); 20] = [
    ("I am", "I'm"),
    ("I have", "I've"),
    ("I would like", "I'd like"),
    ("I will", "I'll"),
    ("do not", "don't"),
    ("does not", "doesn't"),
    ("did not", "didn't"),
    ("cannot", "can't"),
    ("is not", "isn't"),
    ("are not", "aren't"),
    ("was not", "wasn't"),
    ("have not", "haven't"),
    ("has not", "hasn't"),
    ("will not", "won't"),
    ("could not", "couldn't"),
    ("would not", "wouldn't"),
    ("it is", "it's"),
    ("that is", "that's"),
    ("we are", "we're"),
    ("what is", "what's"),
];

const GREETINGS: [&str; 12] = [
    "Hi, ",
    "Hello, ",
    "Hey, ",
    "Hi there, ",
    "Hello there, ",
    "Good morning, ",
    "Good afternoon, ",
    "Good day, ",
    "Dear team, ",
    "Hello! ",
    "Hi! ",
    "Hey there! ",
];

const THANKS: [&str; 12] = [
    " Thanks!",
    " Thanks.",
    " Thank you.",
    " Thank you!",
    " Thanks in advance.",
    " Many thanks.",
    " Cheers.",
    " Thanks a lot.",
    " Thank you very much.",
    " Best regards.",
    " Kind regards.",
    " Much appreciated.",
];

/// Frames for a question; `{}` is the question with a small first letter.
const FRAMES: [&str; 16] = [
    "Please answer: {}",
    "A question: {}",
    "Quick question: {}",
    "One question: {}",
    "My question is: {}",
    "Here is my question: {}",
    "I would like to know: {}",
    "I wonder: {}",
    "Please tell me: {}",
    "Tell me: {}",
    "Can you answer this? {}",
    "Could you help with this? {}",
    "{} Please answer briefly.",
    "{} Please be precise.",
    "{} I need a short answer.",
    "Question: {}",
];

/// Frames that point at the text the question comes with.
const GROUNDED_FRAMES: [&str; 8] = [
    "According to the text: {}",
    "Based on the text: {}",
    "Going by the text below: {}",
    "From the text: {}",
    "Using only the text below: {}",
    "{} Use the text below.",
    "{} Answer from the text.",
    "Read the text, then answer: {}",
];

/// Swaps members of the leaf's paraphrase groups found in free text, each with
/// probability `rate`. True when something changed.
pub(crate) fn swap_paraphrases(
    text: &mut Text,
    groups: &[Phrases],
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> bool {
    let mut changed = false;
    for piece in text.free_mut() {
        let mut pairs = LetterPairs::of_text(piece);
        for group in groups.iter().filter(|g| g.len() > 1) {
            if swap_group(piece, &pairs, group, rate, rng) {
                changed = true;
                pairs = LetterPairs::of_text(piece);
            }
        }
    }
    changed
}

fn swap_group(
    piece: &mut String,
    pairs: &LetterPairs,
    group: &Phrases,
    rate: f64,
    rng: &mut ChaCha8Rng,
) -> bool {
    let mut changed = false;
    for (range, n) in group.places(piece, pairs).into_iter().rev() {
        let other = (n + rng.random_range(1..group.len())) % group.len();
        if rng.random_bool(rate) && group.get(other) != group.get(n) {
            let written = like_case(group.get(other), &piece[range.clone()]);
            piece.replace_range(range, &written);
            changed = true;
        }
    }
    changed
}

/// `text` beginning with a capital where `model` does.
pub(crate) fn like_case(text: &str, model: &str) -> String {
    let capital = model.starts_with(char::is_uppercase);
    let mut rest = text.chars();
    match rest.next() {
        Some(first) if capital => first.to_uppercase().chain(rest).collect(),
        _ => text.to_owned(),
    }
}

/// What is replaced by what, in both directions, with the letter pairs of the former.
static SWAPS: LazyLock<Vec<[(&str, &str, LetterPairs); 2]>> = LazyLock::new(|| {
    let swap = |from, to| (from, to, LetterPairs::of_phrase(from));
    let both = |(long, short)| [swap(long, short), swap(short, long)];
    CONTRACTIONS.map(both).into()
});

/// Contracts or expands up to one pair.
pub(crate) fn swap_contraction(text: &mut Text, rng: &mut ChaCha8Rng) -> bool {
    let start = rng.random_range(0..SWAPS.len());
    let mut pieces: Vec<(&mut String, LetterPairs)> = text
        .free_mut()
        .map(|piece| {
            let pairs = LetterPairs::of_text(piece);
            (piece, pairs)
        })
        .collect();
    for n in 0..SWAPS.len() {
        for (from, to, needed) in &SWAPS[(start + n) % SWAPS.len()] {
            for (piece, pairs) in &mut pieces {
                let place = pairs.may_hold(needed).then(|| find_caseless(piece, from));
                let mut places = place.into_iter().flatten();
                if let Some(range) = places.find(|r| on_word_borders(piece, r)) {
                    let written = like_case(to, &piece[range.clone()]);
                    piece.replace_range(range, &written);
                    return true;
                }
            }
        }
    }
    false
}

/// Puts a greeting in front, unless there is one.
pub(crate) fn greet(text: &mut Text, rng: &mut ChaCha8Rng) -> bool {
    let start = text.join().to_lowercase();
    let greeted = ["hi", "hello", "hey", "good ", "dear"]
        .iter()
        .any(|g| start.starts_with(g));
    if greeted {
        return false;
    }
    let greeting = GREETINGS[rng.random_range(0..GREETINGS.len())];
    if greeting.ends_with(", ") && rng.random_bool(0.7) {
        text.lower_first();
    }
    text.prepend(greeting);
    true
}

/// Puts thanks at the end, unless there are some.
pub(crate) fn thank(text: &mut Text, rng: &mut ChaCha8Rng) -> bool {
    let whole = text.join();
    let lower = whole.to_lowercase();
    if ["thank", "regards", "cheers", "appreciate"]
        .iter()
        .any(|t| lower.contains(t))
    {
        return false;
    }
    if !whole.trim_end().ends_with(['.', '!', '?', ':']) {
        text.append(".");
    }
    text.append(THANKS[rng.random_range(0..THANKS.len())]);
    true
}

/// Puts a frame around a question.
pub(crate) fn frame(text: &mut Text, grounded: bool, rng: &mut ChaCha8Rng) -> bool {
    let from_text = grounded && rng.random_bool(0.4);
    let frame = match from_text {
        true => GROUNDED_FRAMES[rng.random_range(0..GROUNDED_FRAMES.len())],
        false => FRAMES[rng.random_range(0..FRAMES.len())],
    };
    let Some((before, after)) = frame.split_once("{}") else {
        return false;
    };
    if before.ends_with(": ") && rng.random_bool(0.6) {
        text.lower_first();
    }
    text.prepend(before);
    text.append(after);
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn rng() -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(1)
    }

    #[test]
    fn paraphrases_keep_capitals_words_and_slots() {
        let groups = vec![Phrases::new(["please", "kindly"])];
        let mut text = Text::cut("Please do; pleased, please.", &[(20..26, 0)]);
        assert!(swap_paraphrases(&mut text, &groups, 1.0, &mut rng()));
        assert_eq!(text.join(), "Kindly do; pleased, please.");
    }

    #[test]
    fn the_longest_paraphrase_wins() {
        let groups = vec![Phrases::new(["order", "work order"])];
        let mut text = Text::cut("my work order", &[]);
        assert!(swap_paraphrases(&mut text, &groups, 1.0, &mut rng()));
        assert_eq!(text.join(), "my order");
    }

    #[test]
    fn contractions_go_both_ways() {
        let mut text = Text::cut("I am here", &[]);
        assert!(swap_contraction(&mut text, &mut rng()));
        assert_eq!(text.join(), "I'm here");
        assert!(swap_contraction(&mut text, &mut rng()));
        assert_eq!(text.join(), "I am here");
        assert!(!swap_contraction(&mut Text::cut("Iamb", &[]), &mut rng()));
    }

    #[test]
    fn courtesy_comes_once() {
        let mut text = Text::cut("Where is it", &[]);
        assert!(greet(&mut text, &mut rng()) && thank(&mut text, &mut rng()));
        assert!(!greet(&mut text, &mut rng()) && !thank(&mut text, &mut rng()));
        assert!(text.join().contains("here is it. "), "{}", text.join());
    }

    #[test]
    fn frames_hold_the_question() {
        let mut rng = rng();
        for _ in 0..50 {
            let mut text = Text::cut("What is X?", &[]);
            assert!(frame(&mut text, true, &mut rng));
            assert!(text.join().to_lowercase().contains("what is x?"));
        }
        assert!(
            FRAMES
                .iter()
                .chain(&GROUNDED_FRAMES)
                .all(|f| f.matches("{}").count() == 1)
        );
    }
}
