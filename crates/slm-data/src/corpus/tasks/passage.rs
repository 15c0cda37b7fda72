//! Questions to a short passage, answered by quoting a span of it.

use crate::corpus::book::Book;
use crate::corpus::draft::Draft;
use crate::corpus::frame::{Frame, passage};
use crate::corpus::grammar::Rendering;
use crate::corpus::source::Source;

/// A passage of any of the family's kinds.
pub(crate) fn any(book: &Book, source: &mut Source) -> Frame {
    let kinds: Vec<usize> = (0..book.passages.len())
        .filter(|kind| book.passages[*kind].held_out == source.held_out())
        .collect();
    let kind = kinds.get(source.below(kinds.len())).copied().unwrap_or(0);
    passage(book, source, kind, &book.passages[kind])
}

/// One or two questions to a passage.
pub(crate) fn write(draft: &mut Draft, source: &mut Source) {
    let frame = any(draft.book, source);
    let questions = &draft.book.passages[frame.kind].questions;
    let mut asked: Vec<(usize, &str)> = Vec::new();
    for (at, (field, _)) in questions.iter().enumerate() {
        if let Some(text) = frame.get(*field) {
            asked.push((at, text));
        }
    }
    source.shuffle(&mut asked);
    let turns = if source.chance(25) { 2 } else { 1 };
    for (turn, (at, text)) in asked.into_iter().take(turns).enumerate() {
        let mut words = Rendering {
            lower: source.chance(40),
            ..Rendering::default()
        };
        words.add(draft.book, source, &questions[at].1);
        let mut question = words.text.trim().to_string();
        if source.chance(70) {
            question.push('?');
        }
        let whole = if turn == 0 {
            draft.word(
                source,
                "ask_passage",
                &[("@K", &question), ("@T", &frame.text)],
            )
        } else {
            question
        };
        draft.copied(text);
        draft.turn(whole, text.to_string());
    }
}
