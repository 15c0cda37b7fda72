//! What `slm.yaml` may add beside a `qna.yaml`: the shape of answers and hints to the
//! grammar teacher. InstructLab ignores the file.
//!
//! These types know nothing of how the file is read or checked.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content of a leaf's `slm.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// The shape of the answers; free text without it.
    pub output: Option<Output>,
    /// Text put before each question, and a newline, when training and evaluating.
    pub instruction: Option<String>,
    /// The JSON pointer of the answer's field that is reported as label F1.
    pub label_field: Option<String>,
    /// How values of the answer may be replaced, by JSON pointer, in the order of the file.
    pub slots: Vec<(String, Slot)>,
    /// Groups of texts any of which may stand for another.
    pub paraphrases: Vec<Vec<String>>,
    /// The parts of a seed's text and what may be done with them.
    pub parts: Option<Parts>,
}

/// The parts of a seed's text, and what changes neither the answer nor the sense of the rest. The
/// text is the context of a grounded seed, else the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// What a part is.
    pub of: PartKind,
    /// A part may stand before its neighbour.
    pub movable: bool,
    /// A part that shows no value of the answer may be left out or come from another seed.
    pub exchangeable: bool,
    /// Fields, by JSON pointer, whose part may be left out: the answer then has null there, or
    /// no such field where the schema forbids null.
    pub optional: Vec<String>,
}

/// What a part of a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartKind {
    /// A line.
    Lines,
    /// A sentence.
    Sentences,
}

/// The shape of a leaf's answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum Output {
    /// A JSON value that fits a JSON Schema.
    Json {
        /// The schema.
        schema: Value,
    },
    /// One of a list of labels.
    Label {
        /// The labels.
        labels: Vec<String>,
    },
    /// Calls of functions.
    Calls {
        /// The functions, as OpenAI tool definitions.
        tools: Vec<Value>,
    },
    /// Free text.
    Text,
}

/// How the grammar teacher may replace one value of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// A pool to choose from.
    Values(Vec<String>),
    /// A pattern: `#` is a digit, `@` an upper-case letter, `?` a lower-case letter.
    Pattern(String),
    /// A kind of value that the teacher can make up.
    Kind(SlotKind),
    /// For each value, the phrases of a text that say it: the teacher swaps phrase and value
    /// together, so that nothing else in the text tells the value.
    Cues(Vec<(String, Vec<String>)>),
}

/// The kinds of value that the grammar teacher can make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotKind {
    /// An amount of money, such as `1,284.50`.
    Amount,
    /// A whole number.
    Integer,
    /// A date, such as `2025-03-14`.
    DateIso,
    /// A time of day, such as `22:15`.
    Time,
    /// A person's name.
    Person,
    /// A company's name.
    Company,
    /// A city's name.
    City,
    /// An email address.
    Email,
    /// A telephone number.
    Phone,
    /// Another id of the same form.
    Id,
}

impl SlotKind {
    /// Every kind with its name in `slm.yaml`.
    pub const ALL: [(&'static str, SlotKind); 10] = [
        ("amount", SlotKind::Amount),
        ("integer", SlotKind::Integer),
        ("date_iso", SlotKind::DateIso),
        ("time", SlotKind::Time),
        ("person", SlotKind::Person),
        ("company", SlotKind::Company),
        ("city", SlotKind::City),
        ("email", SlotKind::Email),
        ("phone", SlotKind::Phone),
        ("id", SlotKind::Id),
    ];

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<SlotKind> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| *kind)
    }
}
