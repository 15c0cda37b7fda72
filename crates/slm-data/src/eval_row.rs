//! Rows of an evaluation: a prompt and its target, without the answer.
//!
//! Does not know metrics, nor how a target is compared with an answer.

use crate::calls::{from_target, to_target};
use crate::sample::{Message, Role, Sample};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use slm_taxonomy::Output;

/// One row of an evaluation's data: a prompt, as `input` or as `messages`, and
/// what is expected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvalRow {
    /// Unique in the evaluation.
    pub id: String,
    /// The prompt when it is one user turn without a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The prompt as a conversation that waits for the assistant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<Vec<Message>>,
    /// An object for JSON, a string for labels and text, a list for calls.
    pub target: Value,
    /// Slices that the row counts for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The seed example that the row was made from: its rows are right or wrong together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// OpenAI tool definitions offered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
}

/// The evaluation row of a sample: its conversation without the last assistant
/// turn, which becomes the target. JSON answers are parsed; calls become
/// `[{function: {argument: [allowed values]}}]`. The leaf is the tag.
///
/// # Errors
/// The sample has no answer, or one that is not of the leaf's output type.
pub fn to_eval_row(sample: &Sample, output: &Output) -> Result<EvalRow, String> {
    let last = sample
        .messages
        .iter()
        .rposition(|m| m.role == Role::Assistant);
    let last = last.ok_or_else(|| {
        format!(
            "row `{}` has no assistant turn to make a target of",
            sample.id
        )
    })?;
    let answer = sample.messages[last].content.as_str();
    Ok(EvalRow {
        id: sample.id.clone(),
        input: None,
        messages: Some(sample.messages[..last].to_vec()),
        target: target(answer, output).map_err(|fault| format!("row `{}`: {fault}", sample.id))?,
        tags: sample
            .leaf()
            .map(|leaf| vec![leaf.to_owned()])
            .unwrap_or_default(),
        group: sample
            .leaf()
            .zip(sample.seed())
            .map(|(leaf, seed)| format!("{leaf} seed {seed}")),
        tools: sample.tools.clone(),
    })
}

fn target(answer: &str, output: &Output) -> Result<Value, String> {
    let parse = || {
        serde_json::from_str::<Value>(answer).map_err(|e| format!("the answer is not JSON: {e}"))
    };
    match output {
        Output::Json { .. } => parse(),
        Output::Calls { .. } => {
            to_target(&parse()?).ok_or_else(|| "the answer is not a list of calls".to_owned())
        }
        Output::Label { .. } | Output::Text => Ok(Value::String(answer.trim().to_owned())),
    }
}

impl EvalRow {
    /// The row as a sample whose answer meets the target.
    pub fn to_sample(&self) -> Sample {
        let mut messages = match (&self.messages, &self.input) {
            (Some(messages), _) => messages.clone(),
            (None, input) => vec![Message::user(input.clone().unwrap_or_default())],
        };
        let answer = match &self.target {
            Value::String(text) => text.clone(),
            Value::Array(_) if self.tools.is_some() => {
                from_target(&self.target).unwrap_or_default().to_string()
            }
            other => other.to_string(),
        };
        messages.push(Message::assistant(answer));
        let mut metadata = Map::new();
        if let Some(leaf) = self.tags.first() {
            metadata.insert("leaf".into(), leaf.as_str().into());
        }
        Sample {
            id: self.id.clone(),
            messages,
            plain: None,
            metadata,
            tools: self.tools.clone(),
            unmask: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_text_round_trip() {
        let sample = Sample::pair("a", "q", r#"{"b":1,"a":"x"}"#).with("leaf", "l");
        let row = to_eval_row(&sample, &Output::Json { schema: json!({}) }).unwrap();
        assert_eq!(
            serde_json::to_string(&row).unwrap(),
            r#"{"id":"a","messages":[{"role":"user","content":"q"}],"target":{"b":1,"a":"x"},"tags":["l"]}"#
        );
        assert_eq!(row.to_sample(), sample);
        let row = to_eval_row(&Sample::pair("a", "q", " yes "), &Output::Text).unwrap();
        assert_eq!(row.target, json!("yes"));
    }

    #[test]
    fn calls_become_allowed_values_and_back() {
        let mut sample = Sample::pair("a", "q", r#"[{"name":"f","arguments":{"x":1}}]"#);
        sample.tools = Some(json!([]));
        let row = to_eval_row(&sample, &Output::Calls { tools: vec![] }).unwrap();
        assert_eq!(row.target, json!([{"f": {"x": [1]}}]));
        assert_eq!(row.to_sample(), sample);
    }

    #[test]
    fn input_is_read_as_a_user_turn() {
        let row: EvalRow = serde_json::from_str(r#"{"id":"a","input":"q","target":"x"}"#).unwrap();
        assert_eq!(row.to_sample(), Sample::pair("a", "q", "x"));
    }

    #[test]
    fn answers_of_another_type_are_errors() {
        let sample = Sample::pair("a", "q", "not json");
        assert!(
            to_eval_row(&sample, &Output::Json { schema: json!({}) })
                .unwrap_err()
                .contains("row `a`")
        );
        assert!(to_eval_row(&sample, &Output::Calls { tools: vec![] }).is_err());
    }
}
