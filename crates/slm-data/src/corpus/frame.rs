//! Utterances and passages as they are said, with the spans of their slots.
//!
//! Knows the book's intents and passages, not what is asked about them.

use super::book::{Book, Intent, Passage};
use super::grammar::{Choice, Rendering, value};
use super::source::Source;

/// A text with its slots in order of appearance.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// Number of the intent (or passage).
    pub(crate) kind: usize,
    /// What is said.
    pub(crate) text: String,
    /// Fields and their values, verbatim from the text.
    pub(crate) slots: Vec<(usize, String)>,
}

impl Frame {
    fn new(kind: usize, rendering: Rendering) -> Self {
        let mut order: Vec<usize> = (0..rendering.slots.len()).collect();
        order.sort_by_key(|at| rendering.slots[*at].1.start);
        let slots = order
            .into_iter()
            .map(|at| (rendering.slots[at].0, rendering.span(at).trim().to_string()))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        Self {
            kind,
            text: rendering.text.trim().to_string(),
            slots,
        }
    }

    /// The value of a field.
    pub(crate) fn get(&self, field: usize) -> Option<&str> {
        self.slots
            .iter()
            .find(|(other, _)| *other == field)
            .map(|(_, text)| text.as_str())
    }
}

/// An utterance of one of the family's intents.
pub(crate) fn any_utterance(book: &Book, source: &mut Source) -> Frame {
    let kind = book.draw_intent(source, source.family);
    utterance(book, source, kind)
}

/// An utterance of the intent, mostly in lower case as speech is written.
pub(crate) fn utterance(book: &Book, source: &mut Source, kind: usize) -> Frame {
    let Some(intent) = book.intents.get(kind) else {
        return Frame {
            kind,
            text: String::new(),
            slots: Vec::new(),
        };
    };
    let mut said = Rendering {
        lower: source.chance(55),
        ..Rendering::default()
    };
    let mut tails: Vec<usize> = (0..intent.tails.len()).collect();
    source.shuffle(&mut tails);
    let wanted = *source.pick(&[&0usize, &0, &1, &1, &1, &2, &2, &3]);
    let front = source
        .chance(18)
        .then(|| front_tail(book, source, intent, &mut said))
        .flatten();
    if front.is_some() && source.chance(40) {
        said.text = said.text.trim_end().to_string() + ",";
    }
    said.push(" ");
    core(book, source, intent, &mut said);
    let mut placed = 0;
    for at in tails.into_iter().filter(|at| Some(*at) != front) {
        if placed == wanted {
            break;
        }
        said.push(" ");
        placed += usize::from(said.add(book, source, &intent.tails[at]));
    }
    finish(book, source, &mut said, intent.commands.is_empty());
    Frame::new(kind, said)
}

fn front_tail(
    book: &Book,
    source: &mut Source,
    intent: &Intent,
    said: &mut Rendering,
) -> Option<usize> {
    let at = *intent.movable.get(source.below(intent.movable.len()))?;
    said.add(book, source, &intent.tails[at]);
    Some(at)
}

/// The beginning proper: a command (maybe with an opener) or a statement. A
/// core whose slots are there already is drawn again.
fn core(book: &Book, source: &mut Source, intent: &Intent, said: &mut Rendering) {
    for _ in 0..8 {
        let spoken = source.chance(65);
        let command = intent.statements.is_empty() || (spoken && !intent.commands.is_empty());
        let length = said.text.len();
        if command && source.chance(22) {
            phrase(book, source, "opener", said);
        }
        let choice: &Choice = if command {
            &intent.commands
        } else {
            &intent.statements
        };
        if said.add(book, source, choice) {
            return;
        }
        said.text.truncate(length);
    }
}

fn phrase(book: &Book, source: &mut Source, symbol: &str, said: &mut Rendering) {
    if let Some(symbol) = book.symbol(symbol) {
        let text = value(book, source, symbol, 0);
        said.push(&text);
        said.push(" ");
    }
}

/// Closing words and punctuation, or none.
fn finish(book: &Book, source: &mut Source, said: &mut Rendering, question: bool) {
    if source.chance(7) {
        said.push(" ");
        phrase(book, source, "closer", said);
    }
    said.text.truncate(said.text.trim_end().len());
    if !said.lower && source.chance(60) {
        capitalise(&mut said.text);
        if !said.text.ends_with(['.', '!', '?']) && source.chance(60) {
            said.text.push(if question { '?' } else { '.' });
        }
    } else if source.chance(8) {
        said.text.push('.');
    }
}

/// Puts the first letter in upper case where that keeps the byte length.
fn capitalise(text: &mut String) {
    if let Some(first) = text.get(..1).map(str::to_ascii_uppercase) {
        text.replace_range(..1, &first);
    }
}

/// A passage of the kind: its sentences in order, some left out.
pub(crate) fn passage(book: &Book, source: &mut Source, kind: usize, passage: &Passage) -> Frame {
    let mut said = Rendering::default();
    let limit = 2 + source.below(3);
    let mut left = passage.sentences.len();
    for sentence in &passage.sentences {
        let needed = left > limit && source.chance(35);
        left -= 1;
        if needed && !said.text.is_empty() {
            continue;
        }
        said.push(" ");
        said.add(book, source, sentence);
    }
    Frame::new(kind, said)
}
