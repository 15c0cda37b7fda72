//! Types that a schema may give to a field: plain text, an integer, one of
//! listed values.
//!
//! Knows values and word lists; knows no task.

use serde_json::{Value, json};

use super::book::{Book, Symbol};
use super::source::Source;

/// Numbers written as words, by value.
pub(crate) const NUMBERS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// The type of a field in one example.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typing {
    /// The text as it stands.
    Text,
    /// A JSON integer, from digits or a number word.
    Integer(i64),
    /// One of these texts, which stands in the prompt as it is.
    OneOf(Vec<String>),
}

impl Typing {
    /// A type that fits the value, plain text more often than not.
    pub(crate) fn draw(book: &Book, source: &mut Source, field: usize, text: &str) -> Self {
        if let Some(number) = integer(text) {
            return if source.chance(65) {
                Self::Integer(number)
            } else {
                Self::Text
            };
        }
        match alternatives(book, source, field, text) {
            Some(listed) if source.chance(35) => Self::OneOf(listed),
            _ => Self::Text,
        }
    }

    /// The value as the answer has it.
    pub(crate) fn value(&self, text: &str) -> Value {
        match self {
            Self::Integer(number) => Value::from(*number),
            Self::Text | Self::OneOf(_) => Value::from(text),
        }
    }

    /// The JSON schema of the field.
    pub(crate) fn schema(&self) -> Value {
        match self {
            Self::Text => json!({ "type": "string" }),
            Self::Integer(_) => json!({ "type": "integer" }),
            Self::OneOf(listed) => json!({ "enum": listed }),
        }
    }

    /// The type as signatures write it.
    pub(crate) fn short(&self) -> String {
        match self {
            Self::Text => "str".to_string(),
            Self::Integer(_) => "int".to_string(),
            Self::OneOf(listed) => listed.join("|"),
        }
    }
}

/// The integer that digits (without leading zeros) or a number word mean.
pub(crate) fn integer(text: &str) -> Option<i64> {
    if let Some(at) = NUMBERS.iter().position(|word| *word == text) {
        return i64::try_from(at).ok();
    }
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = text == "0" || !text.starts_with('0');
    (digits && plain && !text.is_empty() && text.len() < 6)
        .then(|| text.parse().ok())
        .flatten()
}

/// The text among others of its list, when its field takes values of a short list.
fn alternatives(book: &Book, source: &mut Source, field: usize, text: &str) -> Option<Vec<String>> {
    let symbol = book.symbols.get(book.fields.get(field)?.symbol)?;
    let Symbol::List(list) = symbol else {
        return None;
    };
    let entries = list.side(source.family);
    let written = |entry: &str| {
        if entry.to_lowercase() == text {
            text.to_string()
        } else {
            entry.to_string()
        }
    };
    if list.all.len() > 60 || !entries.iter().any(|entry| written(entry) == text) {
        return None;
    }
    let lower = text.to_lowercase() == text;
    let mut listed = vec![text.to_string()];
    let count = 2 + source.below(3);
    for at in source.sample(entries.len(), count) {
        let entry = if lower {
            entries[at].to_lowercase()
        } else {
            entries[at].to_string()
        };
        if !listed.contains(&entry) {
            listed.push(entry);
        }
    }
    source.shuffle(&mut listed);
    Some(listed)
}

#[cfg(test)]
mod tests {
    use super::integer;

    #[test]
    fn digits_and_words_are_integers_and_ids_are_not() {
        assert_eq!(integer("12"), Some(12));
        assert_eq!(integer("twelve"), Some(12));
        assert_eq!(integer("0"), Some(0));
        assert_eq!(integer("007"), None);
        assert_eq!(integer("1234567"), None);
        assert_eq!(integer("3 pm"), None);
        assert_eq!(integer(""), None);
    }
}
