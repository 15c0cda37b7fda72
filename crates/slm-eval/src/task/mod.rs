//! A task: what is asked, what form answers take and how they are judged.
//!
//! Does not know who answers, nor the rows themselves.

mod load;

pub use load::MOST_REPEATS;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::gate::Gate;
use crate::metrics::Metric;
use crate::metrics::agreement::Rules;
use crate::robustness::Robustness;
use crate::rows::Row;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputType {
    /// One of a declared set of labels.
    Label,
    /// A JSON value, usually an object under a schema.
    Json,
    /// A list of tool calls.
    Calls,
    /// Free text.
    #[default]
    Text,
}

impl OutputType {
    /// Every type, in the order of the documentation.
    pub const NAMES: [&'static str; 4] = ["label", "json", "calls", "text"];

    /// The type of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "label" => Some(Self::Label),
            "json" => Some(Self::Json),
            "calls" => Some(Self::Calls),
            "text" => Some(Self::Text),
            _ => None,
        }
    }

    /// The name as a task writes it.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// The form of the answers, with what narrows it.
#[derive(Debug, Clone, Default)]
pub struct Output {
    /// The type of a row that does not override it.
    pub kind: OutputType,
    /// The declared labels of a label task.
    pub labels: Vec<String>,
    /// JSON Schema (Draft 2020-12) of a JSON task.
    pub schema: Option<Value>,
    /// How the values of JSON fields are compared, where not exactly.
    pub fields: Rules,
}

/// What rows may be grouped by, beside their tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceBy {
    /// The length of the question, in thirds of the rows.
    Length,
    /// The row's `language`.
    Language,
    /// The form of the answer, where rows differ in it.
    Output,
}

impl SliceBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Length, Self::Language, Self::Output];
}

/// Scores that others published, drawn beside ours.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Whose scores they are.
    pub name: String,
    /// Metric name to value.
    #[serde(deserialize_with = "crate::task::load::metric_values")]
    pub metrics: BTreeMap<String, f64>,
    /// Tag to metric to value, for scores that were published by part.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slices: BTreeMap<String, BTreeMap<String, f64>>,
    /// Where they were published.
    pub source: String,
    /// How their measuring differs from ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A task, checked.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// The name that results carry.
    pub name: String,
    /// One sentence for the report.
    pub description: Option<String>,
    /// The rows' file, resolved against the task file's folder.
    pub data: PathBuf,
    /// The form of the answers.
    pub output: Output,
    /// What is measured; empty means the defaults for the output types at hand.
    pub metrics: Vec<Metric>,
    /// A Jinja template that makes the prompt of a row.
    pub prompt: Option<String>,
    /// JSON pointer of the field whose label F1 is reported.
    pub label_field: Option<String>,
    /// JSON pointer of the intent.
    pub intent_field: String,
    /// JSON pointer of the slots.
    pub slots_field: String,
    /// Worked examples that stand before each question, as rows of the same form.
    pub examples: Vec<Row>,
    /// Only rows of this split are asked, where rows name theirs.
    pub split: Option<String>,
    /// How often each row is asked.
    pub repeats: u32,
    /// 0 for the likeliest answer; above it answers are drawn, and repeats differ.
    pub temperature: f64,
    /// What rows are grouped by beside their tags.
    pub slices: Vec<SliceBy>,
    /// Altered copies of rows that are asked as well.
    pub robustness: Option<Robustness>,
    /// How much worse than the frontier model the candidate may be and still replace it.
    pub margin: Option<f64>,
    /// Thresholds.
    pub gates: Vec<Gate>,
    /// Reference scores.
    pub published: Vec<Published>,
}

impl Task {
    /// A task with a name and an output type, everything else at its default.
    pub fn of_kind(name: &str, kind: OutputType) -> Self {
        Self {
            name: name.to_string(),
            output: Output {
                kind,
                ..Output::default()
            },
            intent_field: "/intent".into(),
            slots_field: "/slots".into(),
            slices: SliceBy::ALL.to_vec(),
            repeats: 1,
            ..Self::default()
        }
    }
}
