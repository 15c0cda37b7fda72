//! Names for fields, intents and functions, in many notations.
//!
//! Knows the book's synonyms; knows no task.

use super::book::{Book, Intent};
use super::grammar::title_case;
use super::source::Source;

/// A way of writing names of several words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notation {
    /// `party_size`
    Snake,
    /// `partySize`
    Camel,
    /// `PartySize`
    Pascal,
    /// `party-size`
    Kebab,
    /// `party size`
    Plain,
    /// `Party size`
    Label,
}

impl Notation {
    /// A notation for JSON keys, snake case more often than not.
    pub(crate) fn draw(source: &mut Source) -> Self {
        *source.pick(&[
            &Self::Snake,
            &Self::Snake,
            &Self::Snake,
            &Self::Snake,
            &Self::Snake,
            &Self::Camel,
            &Self::Camel,
            &Self::Kebab,
            &Self::Plain,
            &Self::Pascal,
        ])
    }

    /// Writes a name given in snake case.
    pub(crate) fn write(self, snake: &str) -> String {
        match self {
            Self::Snake => snake.to_string(),
            Self::Kebab => snake.replace('_', "-"),
            Self::Plain => snake.replace('_', " "),
            Self::Label => {
                let mut marks = snake.chars();
                let first = marks.next().map(|mark| mark.to_ascii_uppercase());
                first
                    .into_iter()
                    .chain(marks)
                    .collect::<String>()
                    .replace('_', " ")
            }
            Self::Pascal => snake.split('_').map(title_case).collect(),
            Self::Camel => {
                let pascal = Self::Pascal.write(snake);
                let mut marks = pascal.chars();
                let first = marks.next().map(|mark| mark.to_ascii_lowercase());
                first.into_iter().chain(marks).collect()
            }
        }
    }
}

/// Endings that the held-out family puts to names without a synonym of its own.
pub(crate) const HELD_OUT_ENDINGS: [&str; 4] = ["wording", "mention", "excerpt", "snippet"];

/// A schema name of one field, in snake case.
pub(crate) fn field_name(book: &Book, source: &mut Source, field: usize) -> String {
    let Some(field) = book.fields.get(field) else {
        return String::new();
    };
    if !source.held_out() {
        return source.pick(&field.names).to_string();
    }
    if field.held_names.is_empty() || source.chance(25) {
        return format!("{}_{}", field.key, source.pick(&HELD_OUT_ENDINGS));
    }
    source.pick(&field.held_names).to_string()
}

/// Different names for the fields, in one notation.
pub(crate) fn field_names(book: &Book, source: &mut Source, fields: &[usize]) -> Vec<String> {
    let notation = Notation::draw(source);
    let mut names: Vec<String> = Vec::with_capacity(fields.len());
    for field in fields {
        let mut name = notation.write(&field_name(book, source, *field));
        for _ in 0..6 {
            if !names.contains(&name) {
                break;
            }
            name = notation.write(&field_name(book, source, *field));
        }
        while names.contains(&name) {
            name.push('2');
        }
        names.push(name);
    }
    names
}

/// `PlaylistAdd` -> `playlist_add`.
pub(crate) fn snake(pascal: &str) -> String {
    let mut out = String::new();
    for mark in pascal.chars() {
        if mark.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(mark.to_ascii_lowercase());
    }
    out
}

/// A way of naming intents and functions within one example.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IntentStyle {
    notation: Notation,
    swapped: bool,
    domain: bool,
}

impl IntentStyle {
    /// A random style.
    pub(crate) fn draw(source: &mut Source) -> Self {
        Self {
            notation: Notation::draw(source),
            swapped: source.chance(50),
            domain: source.chance(12),
        }
    }

    /// The name of the intent: its words in either order, the domain maybe
    /// before it.
    pub(crate) fn write(self, intent: &Intent) -> String {
        let mut words: Vec<String> = snake(intent.name).split('_').map(str::to_string).collect();
        if self.swapped {
            words.rotate_right(1);
        }
        let name = self.notation.write(&words.join("_"));
        if self.domain {
            format!("{}.{name}", intent.domain)
        } else {
            name
        }
    }
}
