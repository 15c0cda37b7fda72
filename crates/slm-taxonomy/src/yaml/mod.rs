//! YAML with places: one tree in which each key and value knows its line and column.
//!
//! Scalars keep their text and the type that the file's reader would give them. The tree
//! knows nothing of taxonomies.

mod fault;
mod locate;
mod merge;
mod parse;
mod recover;
mod resolve;
mod syntax_hint;
#[cfg(test)]
mod tests;
mod write;

pub use fault::{Fault, FaultKind};
pub use parse::{Limits, Parsed};
pub use recover::parse;
pub(crate) use recover::{parse_strictly, single_quoted, split_value};
pub use resolve::Flavor;
pub(crate) use write::value as text_value;

use crate::source::Span;
use serde_json::{Map, Number, Value as Json};

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value stands.
    pub span: Span,
    /// The value.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values, in the order of the file.
    Mapping(Vec<Entry>),
}

/// A single value: its text and the type it resolves to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, after unquoting and folding.
    pub text: String,
    /// The type.
    pub kind: ScalarKind,
}

/// The type of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    /// Nothing: empty, `~` or `null`.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Integer,
    /// A number with a fraction or an exponent.
    Float,
    /// A date, with or without time.
    Timestamp,
    /// Text.
    String,
}

/// One key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key's text.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The text, when the node is a scalar that resolves to text.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(Scalar {
                text,
                kind: ScalarKind::String,
            }) => Some(text),
            _ => None,
        }
    }

    /// The entries, when the node is a mapping.
    pub fn as_mapping(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Mapping(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, when the node is a list.
    pub fn as_sequence(&self) -> Option<&[Node]> {
        match &self.value {
            Value::Sequence(items) => Some(items),
            _ => None,
        }
    }

    /// The scalar, when the node is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The value of a mapping's key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entries = self.as_mapping()?;
        entries.iter().find(|e| e.key == key).map(|e| &e.value)
    }

    /// The value's type in words, with its article.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => scalar.kind.name(),
        }
    }

    /// The value as JSON. Numbers that JSON cannot hold, and dates, become their text.
    pub fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar(scalar) => scalar.to_json(),
            Value::Sequence(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Mapping(entries) => {
                let pairs = entries.iter().map(|e| (e.key.clone(), e.value.to_json()));
                Json::Object(Map::from_iter(pairs))
            }
        }
    }
}

impl ScalarKind {
    fn name(self) -> &'static str {
        match self {
            ScalarKind::Null => "nothing",
            ScalarKind::Bool(_) => "a boolean",
            ScalarKind::Integer => "an integer",
            ScalarKind::Float => "a decimal number",
            ScalarKind::Timestamp => "a date",
            ScalarKind::String => "text",
        }
    }
}

impl Scalar {
    fn to_json(&self) -> Json {
        match self.kind {
            ScalarKind::Null => Json::Null,
            ScalarKind::Bool(value) => Json::Bool(value),
            ScalarKind::Integer => match self.text.trim_start_matches('+').parse::<i64>() {
                Ok(value) => Json::from(value),
                Err(_) => Json::String(self.text.clone()),
            },
            ScalarKind::Float => match self.text.parse().ok().and_then(Number::from_f64) {
                Some(value) => Json::Number(value),
                None => Json::String(self.text.clone()),
            },
            ScalarKind::Timestamp | ScalarKind::String => Json::String(self.text.clone()),
        }
    }
}
