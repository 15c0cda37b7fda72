//! Plain copying: repeat a line, look a key up, the word after another.

use crate::corpus::draft::Draft;
use crate::corpus::source::Source;

/// One of the copying games.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    match source.below(5) {
        0 | 1 => repeat(draft, source),
        2 | 3 => look_up(draft, source),
        _ => neighbour(draft, source),
    }
}

fn some_text(draft: &Draft, source: &mut Source) -> String {
    let symbol = *source.pick(&[
        &"open_text",
        &"invented",
        &"id",
        &"title",
        &"email",
        &"phone",
        &"date",
        &"amount",
        &"person",
        &"address",
    ]);
    draft.say(source, symbol)
}

fn repeat(draft: &mut Draft, source: &mut Source) {
    let parts: Vec<String> = (0..1 + source.below(3))
        .map(|_| some_text(draft, source))
        .collect();
    let text = parts.join(*source.pick(&[&" ", &", ", &" / "]));
    let question = draft.word(source, "ask_echo", &[("@T", &text)]);
    draft.copied(&text);
    draft.turn(question, text);
}

/// Pairs of key and value; the key of a value or the value of a key.
fn look_up(draft: &mut Draft, source: &mut Source) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for _ in 0..3 + source.below(4) {
        let key = if source.chance(50) {
            draft.say(source, "pseudo")
        } else {
            draft.say(source, "noun")
        };
        let text = some_text(draft, source);
        if pairs
            .iter()
            .all(|(other, known)| *other != key && *known != text)
        {
            pairs.push((key, text));
        }
    }
    let (joint, end) = *source.pick(&[
        &(": ", "\n"),
        &(" = ", "\n"),
        &(" -> ", "\n"),
        &("=", "; "),
        &(": ", " | "),
    ]);
    let lines: Vec<String> = pairs
        .iter()
        .map(|(key, text)| format!("{key}{joint}{text}"))
        .collect();
    let table = lines.join(end);
    let turns = if source.chance(30) { 2 } else { 1 };
    let backwards = source.chance(25);
    for (turn, at) in source.sample(pairs.len(), turns).into_iter().enumerate() {
        let (key, text) = &pairs[at];
        let (asked, answer) = if backwards { (text, key) } else { (key, text) };
        let question = match (turn, backwards) {
            (0, false) => draft.word(source, "ask_key", &[("@K", asked), ("@T", &table)]),
            (0, true) => format!("{table}\nkey of {asked}?"),
            (_, false) => format!("{asked}?"),
            (_, true) => format!("key of {asked}?"),
        };
        draft.copied(answer);
        draft.turn(question, answer.clone());
    }
}

/// The word after (before) another in a row of different words.
fn neighbour(draft: &mut Draft, source: &mut Source) {
    let mut words: Vec<String> = Vec::new();
    for _ in 0..5 + source.below(5) {
        let symbol = *source.pick(&[&"pseudo", &"noun", &"adj", &"id", &"two_digits"]);
        let word = draft.say(source, symbol);
        if !words.contains(&word) {
            words.push(word);
        }
    }
    let at = source.below(words.len().saturating_sub(1));
    let row = words.join(" ");
    let (Some(left), Some(right)) = (words.get(at), words.get(at + 1)) else {
        return draft.turn(format!("repeat: {row}"), row);
    };
    let (place, known, answer) = if source.chance(70) {
        ("after", left, right)
    } else {
        ("before", right, left)
    };
    draft.copied(answer);
    let question = match source.below(3) {
        0 => format!("{row}\nthe word {place} {known}?"),
        1 => format!("what comes {place} {known} in: {row}"),
        _ => format!("{row}\n{place} {known}:"),
    };
    draft.turn(question, answer.clone());
}
