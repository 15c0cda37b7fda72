//! A bare utterance, answered with intent and slots under the global names.
//!
//! There is no instruction: this is the shape of fine-tuning on utterances
//! that are annotated with intents and slots.

use serde_json::{Value, json};

use crate::corpus::Family;
use crate::corpus::book::Book;
use crate::corpus::draft::{Draft, object};
use crate::corpus::frame::{Frame, utterance};
use crate::corpus::source::Source;

/// The held-out family keeps the training intents here (their names could not
/// be guessed) and changes values and wordings.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let turns = if source.chance(8) { 2 } else { 1 };
    for _ in 0..turns {
        let kind = draft.book.draw_intent(source, Family::Train);
        let frame = utterance(draft.book, source, kind);
        let answer = global_answer(draft.book, &frame);
        frame.slots.iter().for_each(|(_, text)| draft.copied(text));
        draft.json_turn(frame.text, &answer);
    }
}

/// `{"intent": .., "slots": {..}}`, slots in order of appearance.
fn global_answer(book: &Book, frame: &Frame) -> Value {
    let name = book
        .intents
        .get(frame.kind)
        .map_or("", |intent| intent.name);
    let slots = frame.slots.iter().filter_map(|(field, text)| {
        Some((
            book.fields.get(*field)?.key.to_string(),
            Value::from(text.as_str()),
        ))
    });
    json!({ "intent": name, "slots": object(slots) })
}
