//! Text templates: `[a|b]` chooses, `<a>` is there or not, `{field}` is a
//! slot whose span is recorded, `$symbol` is expanded in place.
//!
//! An alternative may open with `%3 ` (its weight) and with `!` (the held-out
//! family takes only such alternatives, the other never). Knows nothing of
//! intents or tasks.

use std::ops::Range;

use super::book::{Book, Symbol};
use super::invent::invent;
use super::source::Source;

/// One piece of a template.
#[derive(Debug)]
pub(crate) enum Node {
    /// Literal text.
    Text(String),
    /// A symbol of the book, by name until resolved.
    Symbol(usize),
    /// A slot: a field of the book.
    Field(usize),
    /// One of several.
    Choice(Choice),
    /// There in half of the cases.
    Maybe(Vec<Node>),
}

/// Weighted alternatives of both families.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    train: Vec<(u32, Vec<Node>)>,
    held_out: Vec<(u32, Vec<Node>)>,
}

impl Choice {
    /// Adds an alternative to a family's side.
    pub(crate) fn push(&mut self, held_out: bool, weight: u32, nodes: Vec<Node>) {
        let side = if held_out {
            &mut self.held_out
        } else {
            &mut self.train
        };
        let before = side.last().map_or(0, |last| last.0);
        side.push((before + weight, nodes));
    }

    /// Moves all alternatives of `other` behind the own ones.
    pub(crate) fn append(&mut self, other: Choice) {
        for (held_out, side) in [(false, other.train), (true, other.held_out)] {
            let mut before = 0;
            for (upto, nodes) in side {
                self.push(held_out, upto - before, nodes);
                before = upto;
            }
        }
    }

    /// True without any alternative.
    pub(crate) fn is_empty(&self) -> bool {
        self.train.is_empty() && self.held_out.is_empty()
    }

    fn draw(&self, source: &mut Source) -> &[Node] {
        let side = match (source.held_out(), self.held_out.is_empty()) {
            (true, false) => &self.held_out,
            _ => &self.train,
        };
        let total = side.last().map_or(0, |last| last.0);
        let at = source.below(total as usize) as u32;
        let found = side.partition_point(|(upto, _)| *upto <= at);
        side.get(found).map_or(&[], |(_, nodes)| nodes)
    }

    /// Visits every node, nested ones too.
    pub(crate) fn visit(&self, see: &mut dyn FnMut(&Node)) {
        for (_, nodes) in self.train.iter().chain(&self.held_out) {
            visit(nodes, see);
        }
    }
}

fn visit(nodes: &[Node], see: &mut dyn FnMut(&Node)) {
    for node in nodes {
        see(node);
        match node {
            Node::Choice(choice) => choice.visit(see),
            Node::Maybe(inner) => visit(inner, see),
            Node::Text(_) | Node::Symbol(_) | Node::Field(_) => {}
        }
    }
}

/// Text as it grows, with the spans of its slots.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rendering {
    /// The text so far.
    pub(crate) text: String,
    /// Field and byte range of each slot.
    pub(crate) slots: Vec<(usize, Range<usize>)>,
    /// Whether everything is written in lower case.
    pub(crate) lower: bool,
}

impl Rendering {
    /// Appends text: single spaces only, `a` becomes `an` before a vowel.
    pub(crate) fn push(&mut self, piece: &str) {
        let first = piece.chars().next().unwrap_or(' ').to_ascii_lowercase();
        let article = self.text == "a " || self.text.ends_with(" a ");
        if article && "aeiou".contains(first) {
            self.text.insert(self.text.len() - 1, 'n');
        }
        if piece.starts_with(['.', ',', '?', '!', ';', ':']) && self.text.ends_with(' ') {
            self.text.pop();
        }
        for mark in piece.chars() {
            if mark == ' ' && (self.text.is_empty() || self.text.ends_with(' ')) {
                continue;
            }
            if self.lower {
                self.text.extend(mark.to_lowercase());
            } else {
                self.text.push(mark);
            }
        }
    }

    /// The text of slot `at`.
    pub(crate) fn span(&self, at: usize) -> &str {
        self.slots
            .get(at)
            .and_then(|(_, range)| self.text.get(range.clone()))
            .unwrap_or("")
    }

    /// Expands one of the alternatives at the end of the text; a slot that is
    /// there already takes the whole piece back and answers false.
    pub(crate) fn add(&mut self, book: &Book, source: &mut Source, choice: &Choice) -> bool {
        let (text, slots) = (self.text.len(), self.slots.len());
        let nodes = choice.draw(source);
        self.expand(book, source, nodes);
        let (old, new) = self.slots.split_at(slots);
        let repeated = new
            .iter()
            .any(|(field, _)| old.iter().any(|(other, _)| other == field));
        if repeated {
            self.text.truncate(text);
            self.slots.truncate(slots);
        }
        !repeated
    }

    fn expand(&mut self, book: &Book, source: &mut Source, nodes: &[Node]) {
        for node in nodes {
            match node {
                Node::Text(text) => self.push(text),
                Node::Choice(choice) => {
                    let nodes = choice.draw(source);
                    self.expand(book, source, nodes);
                }
                Node::Maybe(inner) if source.chance(50) => self.expand(book, source, inner),
                Node::Maybe(_) => {}
                Node::Symbol(symbol) => {
                    let text = value(book, source, *symbol, 0);
                    self.push(&text);
                }
                Node::Field(field) => {
                    let text = field_value(book, source, *field);
                    self.slot(*field, &text);
                }
            }
        }
    }

    /// Appends a slot's value and records its span.
    pub(crate) fn slot(&mut self, field: usize, text: &str) {
        self.push("");
        let first = text.chars().next().unwrap_or(' ');
        if "aeiouAEIOU".contains(first) && (self.text == "a " || self.text.ends_with(" a ")) {
            self.text.insert(self.text.len() - 1, 'n');
        }
        let start = self.text.len();
        self.push(text);
        self.slots.push((field, start..self.text.len()));
    }
}

/// A value for a field; fields of an open class are sometimes invented.
pub(crate) fn field_value(book: &Book, source: &mut Source, field: usize) -> String {
    let Some(field) = book.fields.get(field) else {
        return String::new();
    };
    let symbol = match book.invented {
        Some(invented) if field.open && source.chance(22) => invented,
        _ => field.symbol,
    };
    value(book, source, symbol, 0)
}

/// Expands a symbol; `depth` guards against a grammar that calls itself.
pub(crate) fn value(book: &Book, source: &mut Source, symbol: usize, depth: usize) -> String {
    match book.symbols.get(symbol) {
        Some(Symbol::List(list)) => source.pick(list.side(source.family)).to_string(),
        Some(Symbol::Invention(kind)) => invent(source, *kind),
        Some(Symbol::Rule { choice, title }) if depth < 10 => {
            let mut out = Rendering::default();
            let nodes = choice.draw(source);
            write(book, source, nodes, &mut out, depth + 1);
            let text = out.text.trim().to_string();
            if *title && source.chance(85) {
                title_case(&text)
            } else {
                text
            }
        }
        _ => String::new(),
    }
}

fn write(book: &Book, source: &mut Source, nodes: &[Node], out: &mut Rendering, depth: usize) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push(text),
            Node::Symbol(symbol) => {
                let text = value(book, source, *symbol, depth);
                out.push(&text);
            }
            Node::Choice(choice) => {
                let nodes = choice.draw(source);
                write(book, source, nodes, out, depth);
            }
            Node::Maybe(inner) if source.chance(50) => write(book, source, inner, out, depth),
            Node::Maybe(_) | Node::Field(_) => {}
        }
    }
}

/// `the silent harbor of tin` -> `The Silent Harbor of Tin`.
pub(crate) fn title_case(text: &str) -> String {
    let small = [
        "of", "the", "a", "an", "and", "in", "on", "to", "for", "at", "with", "from",
    ];
    let mut out = String::with_capacity(text.len());
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 {
            out.push(' ');
        }
        let mut marks = word.chars();
        match marks.next() {
            Some(first) if at == 0 || !small.contains(&word) => {
                out.extend(first.to_uppercase());
                out.push_str(marks.as_str());
            }
            _ => out.push_str(word),
        }
    }
    out
}
