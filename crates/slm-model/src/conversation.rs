//! A conversation as chat templates see it: messages and tools as JSON.
//!
//! Does not know templates, tokens or where the messages come from.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// One turn of plain text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// Text.
    pub content: String,
}

impl ChatMessage {
    /// What `role` says.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// Messages with all that they may carry, and the tools on offer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Objects with `role`, `content` and, where they have them, `tool_calls`, `tool_call_id`,
    /// `name`, `reasoning_content`.
    pub messages: Vec<Map<String, Value>>,
    /// OpenAI tool definitions.
    pub tools: Vec<Value>,
    /// Positions of assistant messages that are not to be learned.
    pub not_trained: Vec<usize>,
}

impl Conversation {
    /// The first `count` messages.
    pub fn first(&self, count: usize) -> Self {
        Self {
            messages: self.messages.iter().take(count).cloned().collect(),
            tools: self.tools.clone(),
            not_trained: self.not_trained.clone(),
        }
    }

    /// Who speaks in the message at a position; empty where there is none.
    pub fn role(&self, position: usize) -> &str {
        self.messages
            .get(position)
            .and_then(|message| message.get("role"))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Positions of the assistant's messages.
    pub fn assistant_turns(&self) -> impl Iterator<Item = usize> {
        (0..self.messages.len()).filter(|&position| self.role(position) == "assistant")
    }

    /// Whether a text occurs in a string of the messages or tools.
    pub fn contains(&self, text: &str) -> bool {
        let in_object = |object: &Map<String, Value>| {
            object
                .iter()
                .any(|(key, value)| key.contains(text) || contains(value, text))
        };
        self.messages.iter().any(in_object) || self.tools.iter().any(|tool| contains(tool, text))
    }
}

fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.contains(text),
        Value::Array(items) => items.iter().any(|item| contains(item, text)),
        Value::Object(object) => object
            .iter()
            .any(|(key, value)| key.contains(text) || contains(value, text)),
        _ => false,
    }
}

impl From<&[ChatMessage]> for Conversation {
    fn from(messages: &[ChatMessage]) -> Self {
        let object = |message: &ChatMessage| {
            Map::from_iter([
                ("role".to_owned(), json!(message.role)),
                ("content".to_owned(), json!(message.content)),
            ])
        };
        Self {
            messages: messages.iter().map(object).collect(),
            ..Self::default()
        }
    }
}
