//! The dataset row: a conversation, or a plain text, with its provenance; written in
//! InstructLab's messages format.
//!
//! Does not know files (see `jsonl`), other formats (see `formats`), chat templates or tokens.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The model; only these turns are trained on.
    Assistant,
    /// The result of a call.
    Tool,
}

impl Role {
    /// The name in the messages format.
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said; empty where the turn only calls functions.
    #[serde(default)]
    pub content: String,
    /// What else the message carries: `tool_calls`, `tool_call_id`, `name`,
    /// `reasoning_content`, and `weight` (0 for a turn that is not to be learned).
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Message {
    /// What `role` says.
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            more: Map::new(),
        }
    }

    /// A turn of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// A turn of the assistant.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// The system prompt.
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// Whether the turn is the assistant's and to be learned.
    pub fn is_learned(&self) -> bool {
        let left_out = |weight: &Value| weight.as_f64() == Some(0.0);
        self.role == Role::Assistant && !self.more.get("weight").is_some_and(left_out)
    }

    /// The message as chat templates are given it: a turn that only calls functions has the
    /// content null, and what is meant for training is left out.
    pub fn to_template(&self) -> Map<String, Value> {
        let content = match self.content.is_empty() && self.more.contains_key("tool_calls") {
            true => Value::Null,
            false => self.content.as_str().into(),
        };
        let mut object = Map::from_iter([
            ("role".to_owned(), self.role.name().into()),
            ("content".to_owned(), content),
        ]);
        let more = self.more.iter().filter(|(key, _)| *key != "weight");
        object.extend(more.map(|(key, value)| (key.clone(), value.clone())));
        object
    }
}

/// A text that is no conversation and needs no chat template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Plain {
    /// Two texts that are joined, of which the second is learned.
    Pair {
        /// What is given.
        prompt: String,
        /// What is learned.
        completion: String,
    },
    /// One text, all of it learned.
    Text {
        /// What is learned.
        text: String,
    },
}

impl Plain {
    /// What is learned.
    pub fn learned(&self) -> &str {
        match self {
            Self::Pair { completion, .. } => completion,
            Self::Text { text } => text,
        }
    }
}

/// One row of a dataset.
///
/// `metadata` is open: `leaf`, `seed` (index of the seed example) and `teacher`
/// are written by this crate, anything else is kept as it came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Unique in the dataset; filled from the line number when a file has none.
    #[serde(default)]
    pub id: String,
    /// The turns, oldest first; none in a row of plain text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// The plain text, in a row that is no conversation.
    #[serde(default, flatten, skip_serializing_if = "Option::is_none")]
    pub plain: Option<Plain>,
    /// Where the row came from.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// OpenAI tool definitions offered in this conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Value>,
    /// InstructLab's switch for training on every turn; kept, not acted upon here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmask: Option<bool>,
}

/// What makes a row unusable for training, with the way to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub hint: String,
}

impl Sample {
    /// A question and its answer.
    pub fn pair(
        id: impl Into<String>,
        question: impl Into<String>,
        answer: impl Into<String>,
    ) -> Self {
        Self {
            id: id.into(),
            messages: vec![Message::user(question), Message::assistant(answer)],
            plain: None,
            metadata: Map::new(),
            tools: None,
            unmask: None,
        }
    }

    /// The same row with one more entry in its metadata.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.metadata.insert(key.to_owned(), value.into());
        self
    }

    /// The leaf that this row belongs to, if it says so.
    pub fn leaf(&self) -> Option<&str> {
        self.metadata.get("leaf").and_then(Value::as_str)
    }

    /// The index of the seed example that this row was made from.
    pub fn seed(&self) -> Option<u64> {
        self.metadata.get("seed").and_then(Value::as_u64)
    }

    /// The last user turn.
    pub fn question(&self) -> Option<&str> {
        self.last_of(Role::User)
    }

    /// The last assistant turn: what the model should say.
    pub fn answer(&self) -> Option<&str> {
        self.last_of(Role::Assistant)
    }

    fn last_of(&self, role: Role) -> Option<&str> {
        self.messages
            .iter()
            .rev()
            .find(|m| m.role == role)
            .map(|m| m.content.as_str())
    }

    /// The first fault that makes this row unusable for training.
    pub fn fault(&self) -> Option<Fault> {
        if let Some(plain) = &self.plain {
            return plain
                .learned()
                .trim()
                .is_empty()
                .then(|| Fault::new("the row's text is empty", "fill it, or drop the row"));
        }
        if self.messages.is_empty() {
            return Some(Fault::new(
                "the row has no messages",
                "give `messages` at least one user and one assistant turn",
            ));
        }
        let mut assistant = self
            .messages
            .iter()
            .filter(|m| m.role == Role::Assistant)
            .peekable();
        if assistant.peek().is_none() {
            return Some(Fault::new(
                "the row has no assistant text, so there is nothing to train on",
                "add `{\"role\": \"assistant\", \"content\": \"...\"}` as the last message, or drop the row",
            ));
        }
        let is_empty =
            |m: &&Message| m.content.trim().is_empty() && !m.more.contains_key("tool_calls");
        if assistant.any(|m| is_empty(&m)) {
            return Some(Fault::new(
                "an assistant turn of the row has no text",
                "fill its `content`, or drop the row",
            ));
        }
        if !self.messages.iter().any(Message::is_learned) {
            return Some(Fault::new(
                "every assistant turn of the row has weight 0, so there is nothing to train on",
                "give at least one of them weight 1, or drop the row",
            ));
        }
        None
    }
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: hint.into(),
        }
    }
}

/// SHA-256 (hex) over the rows in order; the same rows give the same hash
/// wherever and whenever they were written.
pub fn content_hash(samples: &[Sample]) -> String {
    let mut hasher = Sha256::new();
    for sample in samples {
        // Serializing a `Sample` cannot fail: all its keys are strings.
        hasher.update(serde_json::to_vec(sample).unwrap_or_default());
        hasher.update(b"\n");
    }
    hex(&hasher.finalize())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_assistant_text_is_a_fault() {
        let mut sample = Sample::pair("a", "q", "  ");
        assert!(sample.fault().unwrap().message.contains("no text"));
        sample.messages.pop();
        assert!(
            sample
                .fault()
                .unwrap()
                .message
                .contains("no assistant text")
        );
        sample.messages.clear();
        assert!(sample.fault().unwrap().message.contains("no messages"));
        assert_eq!(Sample::pair("a", "q", "x").fault(), None);
    }

    #[test]
    fn serializes_as_instructlab_writes_it() {
        let sample = Sample::pair("a", "q", "x")
            .with("leaf", "l")
            .with("seed", 3);
        assert_eq!(
            serde_json::to_string(&sample).unwrap(),
            r#"{"id":"a","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"x"}],"metadata":{"leaf":"l","seed":3}}"#
        );
        assert_eq!(sample.seed(), Some(3));
        assert_eq!(sample.leaf(), Some("l"));
    }

    #[test]
    fn a_call_needs_no_text_and_templates_get_null_for_it() {
        let mut sample = Sample::pair("a", "q", "");
        let more = &mut sample.messages[1].more;
        more.insert("tool_calls".into(), serde_json::json!([]));
        more.insert("weight".into(), 1.into());
        assert_eq!(sample.fault(), None);
        assert_eq!(
            Value::Object(sample.messages[1].to_template()),
            serde_json::json!({"role": "assistant", "content": null, "tool_calls": []})
        );
        let text = serde_json::to_string(&sample).unwrap();
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
    }

    #[test]
    fn the_hash_sees_content_and_order() {
        let (a, b) = (Sample::pair("a", "q", "x"), Sample::pair("b", "q", "x"));
        let both = content_hash(&[a.clone(), b.clone()]);
        assert_eq!(both.len(), 64);
        assert_eq!(both, content_hash(&[a.clone(), b.clone()]));
        assert_ne!(both, content_hash(&[b, a]));
    }
}
