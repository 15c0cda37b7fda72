//! What an answer says, or why it says nothing.
//!
//! An answer that is missing, cut off, refused or unparsable has a cause and is
//! wrong under every metric. Does not know metrics.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calls::{self, Call};
use crate::predictions::Prediction;
use crate::rows::{Row, text_of};
use crate::task::{OutputType, Task};

/// Why an answer cannot be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// No answer to this row, or a null one.
    Missing,
    /// The system reported an error.
    Error,
    /// The answer hit the token limit.
    CutOff,
    /// The system declined.
    Refused,
    /// Nothing but white space.
    Empty,
    /// Not JSON, or not a list of calls, where that was asked.
    Unparsable,
    /// Not one of the declared labels.
    InvalidLabel,
}

impl Cause {
    /// Every cause, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Error,
        Self::CutOff,
        Self::Refused,
        Self::Empty,
        Self::Unparsable,
        Self::InvalidLabel,
    ];

    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Error => "error",
            Self::CutOff => "cut_off",
            Self::Refused => "refused",
            Self::Empty => "empty",
            Self::Unparsable => "unparsable",
            Self::InvalidLabel => "invalid_label",
        }
    }
}

/// The content of an answer, read as its row's output type asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Nothing that could be right.
    Nothing(Cause),
    /// A declared label.
    Label(String),
    /// A JSON value.
    Json(Value),
    /// Tool calls.
    Calls(Vec<Call>),
    /// Free text.
    Text(String),
}

/// One answer, read.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The output as it came; empty when there is none.
    pub raw: String,
    /// What it says.
    pub content: Content,
}

impl Answer {
    /// Why this answer cannot be right, when that is so.
    pub fn cause(&self) -> Option<Cause> {
        match self.content {
            Content::Nothing(cause) => Some(cause),
            _ => None,
        }
    }

    /// The JSON value, when there is one.
    pub fn json(&self) -> Option<&Value> {
        match &self.content {
            Content::Json(value) => Some(value),
            _ => None,
        }
    }

    /// Reads the answer to a row.
    pub fn read(task: &Task, row: &Row, prediction: Option<&Prediction>) -> Self {
        let nothing = |raw: String, cause| Self {
            raw,
            content: Content::Nothing(cause),
        };
        let Some(prediction) = prediction else {
            return nothing(String::new(), Cause::Missing);
        };
        let raw = match &prediction.output {
            Value::Null => String::new(),
            output => text_of(output),
        };
        if let Some(cause) = outer_cause(prediction) {
            return nothing(raw, cause);
        }
        let kind = row.kind(task);
        if raw.trim().is_empty() && !row.target_text().trim().is_empty() {
            return nothing(raw, Cause::Empty);
        }
        let content = match kind {
            OutputType::Text => Content::Text(raw.clone()),
            OutputType::Label => read_label(row.declared_labels(task), &raw),
            OutputType::Json => match &prediction.output {
                Value::String(text) => serde_json::from_str(text)
                    .map_or(Content::Nothing(Cause::Unparsable), Content::Json),
                value => Content::Json(value.clone()),
            },
            OutputType::Calls => calls::read_output(&prediction.output)
                .map_or(Content::Nothing(Cause::Unparsable), Content::Calls),
        };
        Self { raw, content }
    }
}

/// A cause that stands before any reading of the text.
fn outer_cause(prediction: &Prediction) -> Option<Cause> {
    if prediction.error.is_some() {
        return Some(Cause::Error);
    }
    let by_reason = match prediction.finish_reason.as_deref() {
        Some("length" | "max_tokens" | "max_output_tokens" | "MAX_TOKENS") => Some(Cause::CutOff),
        Some("content_filter" | "refusal" | "safety" | "SAFETY") => Some(Cause::Refused),
        _ => None,
    };
    by_reason.or_else(|| prediction.output.is_null().then_some(Cause::Missing))
}

/// White space around a label is forgiven, nothing else.
fn read_label(declared: &[String], raw: &str) -> Content {
    let label = raw.trim();
    if declared.is_empty() || declared.iter().any(|known| known == label) {
        Content::Label(label.to_string())
    } else {
        Content::Nothing(Cause::InvalidLabel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(kind: OutputType, prediction: Option<Prediction>) -> Answer {
        let mut task = Task::of_kind("t", kind);
        task.output.labels = vec!["yes".into(), "no".into()];
        let row = Row {
            id: "a".into(),
            target: json!("yes"),
            ..Row::default()
        };
        Answer::read(&task, &row, prediction.as_ref())
    }

    fn cause(kind: OutputType, edit: impl FnOnce(&mut Prediction)) -> Option<Cause> {
        let mut prediction = Prediction::text("a", "yes");
        edit(&mut prediction);
        read(kind, Some(prediction)).cause()
    }

    #[test]
    fn every_cause_is_found() {
        use OutputType::{Calls, Json, Label, Text};
        assert_eq!(read(Text, None).cause(), Some(Cause::Missing));
        assert_eq!(
            cause(Text, |p| p.output = Value::Null),
            Some(Cause::Missing)
        );
        assert_eq!(
            cause(Text, |p| p.error = Some("x".into())),
            Some(Cause::Error)
        );
        let reason = |reason: &str| cause(Text, |p| p.finish_reason = Some(reason.into()));
        assert_eq!(reason("length"), Some(Cause::CutOff));
        assert_eq!(reason("content_filter"), Some(Cause::Refused));
        assert_eq!(reason("stop"), None);
        assert_eq!(cause(Text, |p| p.output = json!(" \n")), Some(Cause::Empty));
        assert_eq!(cause(Json, |_| ()), Some(Cause::Unparsable));
        assert_eq!(
            cause(Calls, |p| p.output = json!("{}")),
            Some(Cause::Unparsable)
        );
        assert_eq!(
            cause(Label, |p| p.output = json!("maybe")),
            Some(Cause::InvalidLabel)
        );
        assert_eq!(cause(Label, |p| p.output = json!(" no\n")), None);
    }

    #[test]
    fn a_json_value_counts_as_parsed() {
        let mut prediction = Prediction::text("a", "");
        prediction.output = json!({"k": 1});
        let answer = read(OutputType::Json, Some(prediction));
        assert_eq!(answer.json(), Some(&json!({"k": 1})));
        assert_eq!(answer.raw, "{\"k\":1}");
    }
}
