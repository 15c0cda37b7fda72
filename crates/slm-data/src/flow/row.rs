//! A row on its way through a flow: its columns, where it came from, what was asked about it.
//!
//! Does not know blocks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A row in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Unique in the run: that of the row it began as, and which of its children it is.
    pub id: String,
    /// The leaf.
    pub leaf: String,
    /// Its values by name.
    pub columns: Map<String, Value>,
    /// The seed example that it came from, by its index in the leaf.
    pub seed: Option<u64>,
    /// What is known of its making.
    pub trace: Trace,
}

impl Row {
    /// The text of a column; JSON where it holds no text. Empty when there is none.
    pub fn text(&self, column: &str) -> String {
        match self.columns.get(column) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        }
    }
}

/// How a row was made by a flow, for the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The flow's name and the beginning of its hash.
    pub flow: String,
    /// The piece of a document that it is about: `path#start-end`, in bytes of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk: Option<String>,
    /// How often the row's seed and chunk had been used before.
    pub round: u32,
    /// What the teacher was asked, block by block.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<Call>,
    /// What the judges said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgments: Vec<Judgment>,
    /// The block that dropped the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_by: Option<String>,
    /// What a dropped row held.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub columns: Map<String, Value>,
}

/// One question to the teacher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The block that asked.
    pub block: String,
    /// The beginning of the prompt's hash.
    pub prompt: String,
    /// The address of the answer: the hash of all that shapes it.
    pub key: String,
    /// How it was asked.
    pub settings: Value,
}

/// What a judge said of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgment {
    /// The judge.
    pub block: String,
    /// Its words.
    pub text: String,
    /// What was read from them; none when they cannot be parsed.
    pub verdict: Option<Value>,
    /// Whether nobody measured how far it agrees with people.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncalibrated: bool,
}
