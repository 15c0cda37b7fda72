//! The corpus from which a small base model learns structured jobs: copying
//! spans into JSON, choosing a label, following a schema, calling a function.
//!
//! Every example is a pure function of (seed, index, family), made from word
//! lists and grammars in `lexicon/`. Knows no tokenizer, no file format of
//! data sets and no training.

mod book;
mod draft;
mod frame;
mod grammar;
mod invent;
mod list;
mod naming;
mod source;
mod tasks;
mod template;
#[cfg(test)]
mod tests;
mod typing;

use book::{Symbol, book};
use draft::Draft;
use source::Source;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Rules for the conversation.
    System,
    /// The question.
    User,
    /// The answer.
    Assistant,
}

impl Role {
    /// The name in the messages format.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "assistant",
        }
    }
}

/// Which side of the vocabulary is used. Held-out domains, field names,
/// wordings, entries of open lexicons and syllables never occur in the other
/// family; closed classes (months, colours, little words) are shared, and the
/// bare utterances of both have the training intents, whose names could not
/// be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// What the model is trained on.
    Train,
    /// What measures whether it learned the skill.
    HeldOut,
}

/// One conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// Messages in order; user and assistant take turns.
    pub messages: Vec<(Role, String)>,
    /// The task's name.
    pub task: &'static str,
    /// Strings of the answers that are copied from the prompt as they stand.
    pub verbatim: Vec<String>,
}

/// Example `index` of the endless corpus `seed`.
pub fn example(seed: u64, index: u64, family: Family) -> Example {
    let mut source = Source::new(seed, index, family);
    let mut draft = Draft::new(book());
    let task = tasks::draw(&mut source);
    (task.write)(&mut draft, &mut source);
    draft.finish(task.name)
}

/// Names and shares (in percent) of the tasks.
pub fn tasks() -> Vec<(&'static str, u32)> {
    tasks::TASKS
        .iter()
        .map(|task| (task.name, task.share))
        .collect()
}

/// Line `index` of the text for training a tokenizer: in turn an example and
/// a line of lexicon entries, so that each entry comes up equally often.
pub fn text(seed: u64, index: u64) -> String {
    if index.is_multiple_of(2) {
        let messages = example(seed, index / 2, Family::Train).messages;
        let lines: Vec<String> = messages.into_iter().map(|(_, text)| text).collect();
        return lines.join("\n");
    }
    let mut source = Source::new(seed, index, Family::Train);
    lexicon_line(&mut source, index / 2)
}

/// Six entries, taken in turn from all lists laid end to end with a stride
/// that mixes the lists.
fn lexicon_line(source: &mut Source, line: u64) -> String {
    const PER_LINE: u64 = 6;
    const STRIDE: u64 = 7919;
    let lists = || {
        book().symbols.iter().filter_map(|symbol| match symbol {
            Symbol::List(list) => Some(&list.all),
            _ => None,
        })
    };
    let total: usize = lists().map(Vec::len).sum();
    let mut entries = Vec::new();
    for at in line * PER_LINE..(line + 1) * PER_LINE {
        let mut at = (at.wrapping_mul(STRIDE) % total.max(1) as u64) as usize;
        for list in lists() {
            if let Some(entry) = list.get(at) {
                entries.push((*entry).to_string());
                break;
            }
            at -= list.len();
        }
    }
    let separator = *source.pick(&[&" ", &", ", &" and ", &" "]);
    let joined = entries.join(separator);
    match source.below(3) {
        0 => joined.to_lowercase(),
        1 => grammar::title_case(&joined),
        _ => joined,
    }
}
