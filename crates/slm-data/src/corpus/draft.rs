//! A conversation under construction.
//!
//! Knows messages and copied strings; knows no task.

use serde_json::{Map, Value};

use super::book::Book;
use super::grammar::value;
use super::source::Source;
use super::{Example, Role};

/// Collects messages and the strings copied into answers.
pub(crate) struct Draft {
    /// The book that the tasks draw from.
    pub(crate) book: &'static Book,
    messages: Vec<(Role, String)>,
    verbatim: Vec<String>,
}

impl Draft {
    /// An empty conversation.
    pub(crate) fn new(book: &'static Book) -> Self {
        Self {
            book,
            messages: Vec::new(),
            verbatim: Vec::new(),
        }
    }

    /// Adds rules for the conversation.
    pub(crate) fn system(&mut self, text: String) {
        self.messages.push((Role::System, text));
    }

    /// Adds a question and its answer.
    pub(crate) fn turn(&mut self, question: String, answer: String) {
        self.messages
            .push((Role::User, question.trim().to_string()));
        self.messages.push((Role::Assistant, answer));
    }

    /// Adds a question and its answer as compact JSON.
    pub(crate) fn json_turn(&mut self, question: String, answer: &Value) {
        self.turn(question, answer.to_string());
    }

    /// Notes that the answer copies `text`.
    pub(crate) fn copied(&mut self, text: &str) {
        self.verbatim.push(text.to_string());
    }

    /// An expansion of a symbol of the book.
    pub(crate) fn say(&self, source: &mut Source, symbol: &str) -> String {
        self.book
            .symbol(symbol)
            .map_or_else(String::new, |symbol| value(self.book, source, symbol, 0))
    }

    /// An expansion of a wording with its marks (`@T`, `@F`, ...) replaced.
    pub(crate) fn word(&self, source: &mut Source, symbol: &str, marks: &[(&str, &str)]) -> String {
        fill_marks(&self.say(source, symbol), marks)
    }

    /// The finished example.
    pub(crate) fn finish(self, task: &'static str) -> Example {
        Example {
            messages: self.messages,
            task,
            verbatim: self.verbatim,
        }
    }
}

/// Replaces marks in one pass, so that replaced text is never read again.
fn fill_marks(wording: &str, marks: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(wording.len() + 80);
    let mut rest = wording;
    while let Some(at) = rest.find('@') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((mark, text)) = marks.iter().find(|(mark, _)| rest.starts_with(mark)) {
            out.push_str(text);
            rest = &rest[mark.len()..];
        } else {
            out.push('@');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    out
}

/// An object of pairs, in order.
pub(crate) fn object(pairs: impl IntoIterator<Item = (String, Value)>) -> Value {
    Value::Object(pairs.into_iter().collect::<Map<_, _>>())
}
