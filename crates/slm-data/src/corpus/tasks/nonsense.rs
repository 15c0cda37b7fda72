//! Schemas whose names mean nothing: pseudo-words defined in the prompt by the
//! marker word before (or after) the value, so that only reading helps.

use serde_json::Value;

use crate::corpus::draft::{Draft, object};
use crate::corpus::invent::pseudo_word;
use crate::corpus::source::Source;

/// Where a value stands with regard to its marker.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    After,
    Before,
}

struct Slot {
    name: String,
    marker: String,
    text: String,
}

/// Two to four markers with values in a row; the prompt tells which is which.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let side = if source.chance(75) {
        Side::After
    } else {
        Side::Before
    };
    let count = 2 + source.below(3);
    let (mut slots, sentence) = clear(draft, source, count, side);
    source.shuffle(&mut slots);
    let asked = if source.chance(30) {
        1 + source.below(count)
    } else {
        count
    };
    slots.truncate(asked);
    let rules = rules(source, &slots, side);
    let question = match source.below(3) {
        0 => format!("{rules}\n{sentence}"),
        1 => format!("{sentence}\n{rules}"),
        _ => draft.word(source, "ask_fields", &[("@F", &rules), ("@T", &sentence)]),
    };
    slots.iter().for_each(|slot| draft.copied(&slot.text));
    let answer = object(
        slots
            .into_iter()
            .map(|slot| (slot.name, Value::from(slot.text))),
    );
    draft.json_turn(question, &answer);
}

/// Slots and their sentence in which each marker stands once only, as far as
/// twenty attempts find such.
fn clear(draft: &Draft, source: &mut Source, count: usize, side: Side) -> (Vec<Slot>, String) {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let mut slots: Vec<Slot> = Vec::new();
        for _ in 0..count {
            slots.push(slot(draft, source, &slots));
        }
        let said = sentence(draft, source, &slots, side);
        let words: Vec<&str> = said.split([' ', ',', ';', '"']).collect();
        let once = |slot: &Slot| {
            words
                .iter()
                .filter(|word| word.eq_ignore_ascii_case(&slot.marker))
                .count()
                == 1
        };
        if attempts == 20 || slots.iter().all(once) {
            return (slots, said);
        }
    }
}

fn slot(draft: &Draft, source: &mut Source, others: &[Slot]) -> Slot {
    let fresh = |word: &str| {
        others
            .iter()
            .all(|other| other.name != word && other.marker != word)
    };
    let mut name = pseudo_word(source);
    while !fresh(&name) {
        name = pseudo_word(source);
    }
    let mut marker = marker(draft, source);
    while !fresh(&marker) || marker == name {
        marker = pseudo_word(source);
    }
    let text = draft.say(source, "open_text");
    let text = if source.chance(50) {
        text.to_lowercase()
    } else {
        text
    };
    Slot {
        name,
        marker,
        text: text.replace('"', ""),
    }
}

/// A little word, any word, or a pseudo-word.
fn marker(draft: &Draft, source: &mut Source) -> String {
    match source.below(4) {
        0 => draft.say(source, "marker_word"),
        1 => draft.say(source, "verb"),
        2 => pseudo_word(source),
        _ => draft.say(source, "noun"),
    }
}

fn sentence(draft: &Draft, source: &mut Source, slots: &[Slot], side: Side) -> String {
    let joint = *source.pick(&[&" ", &" ", &", ", &" and ", &"; "]);
    let quoted = source.chance(10);
    let parts: Vec<String> = slots
        .iter()
        .map(|slot| {
            let text = if quoted {
                format!("\"{}\"", slot.text)
            } else {
                slot.text.clone()
            };
            match side {
                Side::After => format!("{} {text}", slot.marker),
                Side::Before => format!("{text} {}", slot.marker),
            }
        })
        .collect();
    let mut sentence = parts.join(joint);
    if side == Side::After && source.chance(40) {
        sentence = format!(
            "{} the {} {sentence}",
            draft.say(source, "verb"),
            draft.say(source, "noun")
        );
    }
    sentence
}

fn rules(source: &mut Source, slots: &[Slot], side: Side) -> String {
    let style = source.below(4);
    let parts: Vec<String> = slots
        .iter()
        .map(|Slot { name, marker, .. }| match (style, side) {
            (0, Side::After) => format!("{name}: after \"{marker}\""),
            (0, Side::Before) => format!("{name}: before \"{marker}\""),
            (1, Side::After) => format!("{name} = {marker} _"),
            (1, Side::Before) => format!("{name} = _ {marker}"),
            (2, Side::After) => format!("{name} follows {marker}"),
            (2, Side::Before) => format!("{name} precedes {marker}"),
            (_, Side::After) => format!("{name} (the words after {marker})"),
            (_, Side::Before) => format!("{name} (the words before {marker})"),
        })
        .collect();
    parts.join(if style == 1 { ", " } else { "; " })
}
