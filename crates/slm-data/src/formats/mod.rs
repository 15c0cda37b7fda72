//! The formats that rows of training data come in, each turned into a [`Sample`].
//!
//! A file has one format, told by the keys of its first row or named by the caller. Knows rows
//! as JSON; does not know files, templates or tokens.

mod alpaca;
mod messages;
mod prompt_completion;
mod sharegpt;
mod text;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::sample::{Fault, Message, Sample};

/// A row as JSON.
pub(crate) type Row = Map<String, Value>;

/// How rows of training data are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// `{"messages": [{"role", "content"}], "tools"?}`, as OpenAI and InstructLab have it.
    Messages,
    /// `{"conversations": [{"from", "value"}], "system"?, "tools"?}`.
    Sharegpt,
    /// `{"prompt", "completion"}`: texts, which become a user's and an assistant's turn, or lists
    /// of messages. Only the completion is learned.
    PromptCompletion,
    /// `{"prompt", "completion"}`: texts that are joined as they stand, without a chat template.
    RawPromptCompletion,
    /// `{"instruction", "input"?, "output", "system"?, "history"?}`.
    Alpaca,
    /// `{"text"}`: learned from its first word to its last, without a chat template.
    Text,
}

impl Format {
    /// All formats, with their names.
    pub const NAMES: [(Self, &'static str); 6] = [
        (Self::Messages, "messages"),
        (Self::Sharegpt, "sharegpt"),
        (Self::PromptCompletion, "prompt-completion"),
        (Self::RawPromptCompletion, "raw-prompt-completion"),
        (Self::Alpaca, "alpaca"),
        (Self::Text, "text"),
    ];

    /// The name in recipes.
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(format, _)| *format == self)
            .map_or("", |(_, name)| name)
    }

    /// The format that a row's keys tell. A row may carry more than one format's keys (public
    /// sets often add a rendered `text`); the first of these, in this order, is it: messages,
    /// sharegpt, prompt-completion, alpaca, text.
    ///
    /// # Errors
    /// The keys tell none.
    pub fn detect(row: &Row) -> Result<Self, Fault> {
        let has = |key: &str| row.get(key).is_some_and(|value| !value.is_null());
        let keys = [
            (Self::Messages, has("messages")),
            (Self::Sharegpt, has("conversations") || has("conversation")),
            (Self::PromptCompletion, has("prompt") && has("completion")),
            (Self::Alpaca, has("instruction") && has("output")),
            (Self::Text, has("text")),
        ];
        if let Some((format, _)) = keys.into_iter().find(|(_, found)| *found) {
            return Ok(format);
        }
        let keys: Vec<String> = row.keys().take(12).map(|key| format!("`{key}`")).collect();
        let keys = match keys.as_slice() {
            [] => "no keys".to_owned(),
            keys => format!("the keys {}", keys.join(", ")),
        };
        Err(Fault::new(
            format!("the row has {keys}, which tell no format of training data"),
            "write `messages`, `conversations` (sharegpt), `prompt` and `completion`, \
             `instruction` and `output` (alpaca), or `text`",
        ))
    }

    /// The sample of a row; its id is empty where the row has none.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn read(self, row: &Row) -> Result<Sample, Fault> {
        let mut sample = match self {
            Self::Messages => messages::read(row),
            Self::Sharegpt => sharegpt::read(row),
            Self::PromptCompletion => prompt_completion::read(row),
            Self::RawPromptCompletion => prompt_completion::read_raw(row),
            Self::Alpaca => alpaca::read(row),
            Self::Text => text::read(row),
        }?;
        sample.id = id(row)?;
        if let Some(metadata) = row.get("metadata").filter(|value| !value.is_null()) {
            sample.metadata = match parsed(metadata).as_ref() {
                Value::Object(members) => members.clone(),
                _ => return Err(expected("metadata", "an object", metadata)),
            };
        }
        match sample.fault() {
            Some(fault) => Err(fault),
            None => Ok(sample),
        }
    }
}

/// A sample of turns, nothing else known about it.
fn of_messages(messages: Vec<Message>, tools: Option<Value>) -> Sample {
    Sample {
        messages,
        tools,
        ..Sample::pair("", "", "")
    }
}

/// The row's own id: text, or a number as its digits.
fn id(row: &Row) -> Result<String, Fault> {
    match row.get("id") {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(id)) => Ok(id.clone()),
        Some(Value::Number(id)) => Ok(id.to_string()),
        Some(other) => Err(expected("id", "text", other)),
    }
}

/// The tools on offer: a list, or one written as JSON in a text.
fn tools(row: &Row) -> Result<Option<Value>, Fault> {
    let tools = match row.get("tools") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
        Some(value) => parsed(value),
    };
    match tools.as_ref() {
        Value::Array(list) if list.iter().all(Value::is_object) => Ok(Some(tools.into_owned())),
        other => Err(Fault::new(
            format!("`tools` is {}, not a list of tools", kind(other)),
            "write `[{\"type\": \"function\", \"function\": {\"name\", \"description\", \"parameters\"}}]`",
        )),
    }
}

/// What a text holds as JSON (null where it holds none), as tables write values that have no
/// type of their own; any other value as it is.
fn parsed(value: &Value) -> Cow<'_, Value> {
    match value {
        Value::String(text) => Cow::Owned(serde_json::from_str(text).unwrap_or(Value::Null)),
        value => Cow::Borrowed(value),
    }
}

/// A value that must be there.
fn present<'a>(row: &'a Row, key: &str, format: Format) -> Result<&'a Value, Fault> {
    row.get(key).filter(|value| !value.is_null()).ok_or_else(|| {
        Fault::new(
            format!(
                "the row has no `{key}`, as rows of the format {} have",
                format.name()
            ),
            "add it, or drop the row; a file has one format, told by its first row or by `data.format`",
        )
    })
}

/// A text that must be there.
fn required<'a>(row: &'a Row, key: &str, format: Format) -> Result<&'a str, Fault> {
    match present(row, key, format)? {
        Value::String(text) => Ok(text),
        other => Err(expected(key, "text", other)),
    }
}

/// A text that may be missing; an empty one is none.
fn optional<'a>(row: &'a Row, key: &str) -> Result<Option<&'a str>, Fault> {
    match row.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(other) => Err(expected(key, "text", other)),
    }
}

/// A value of another type than it must be.
fn expected(place: &str, what: &str, found: &Value) -> Fault {
    Fault::new(
        format!("`{place}` is {}, not {what}", kind(found)),
        format!("write {what} there, or drop the row"),
    )
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(super) fn read(row: Value) -> Result<Sample, Fault> {
        let row = row.as_object().unwrap();
        Format::detect(row)?.read(row)
    }

    /// The turns, shortly: `role: content`.
    pub(super) fn turns(sample: &Sample) -> Vec<String> {
        sample
            .messages
            .iter()
            .map(|message| format!("{}: {}", message.role.name(), message.content))
            .collect()
    }

    #[test]
    fn formats_are_told_by_their_keys_the_richest_first() {
        let cases = [
            (
                json!({"messages": [], "text": "x", "prompt": "p"}),
                Format::Messages,
            ),
            (json!({"conversations": []}), Format::Sharegpt),
            (
                json!({"prompt": "p", "completion": "c"}),
                Format::PromptCompletion,
            ),
            (
                json!({"instruction": "i", "output": "o", "text": "t"}),
                Format::Alpaca,
            ),
            (json!({"text": "t", "messages": null}), Format::Text),
        ];
        for (row, format) in cases {
            assert_eq!(
                Format::detect(row.as_object().unwrap()),
                Ok(format),
                "{row}"
            );
        }
        let fault = read(json!({"question": "q", "answer": "a"})).unwrap_err();
        assert_eq!(
            fault.message,
            "the row has the keys `question`, `answer`, which tell no format of training data"
        );
    }

    #[test]
    fn names_are_those_of_recipes() {
        for (format, name) in Format::NAMES {
            assert_eq!(serde_json::to_value(format).unwrap(), name);
            assert_eq!(format.name(), name);
        }
    }

    #[test]
    fn tools_may_be_written_as_text() {
        let row = |tools: Value| json!({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}], "tools": tools});
        let tool = json!([{"type": "function", "function": {"name": "f"}}]);
        assert_eq!(read(row(tool.clone())).unwrap().tools, Some(tool.clone()));
        assert_eq!(
            read(row(tool.to_string().into())).unwrap().tools,
            Some(tool)
        );
        assert_eq!(read(row("".into())).unwrap().tools, None);
        assert!(
            read(row("f(x)".into()))
                .unwrap_err()
                .message
                .contains("`tools` is null")
        );
        assert!(
            read(row(json!({"a": 1})))
                .unwrap_err()
                .message
                .contains("`tools` is an object")
        );
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-z{}\\[\\]\" ]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop_oneof![
                "[a-z]{1,4}",
                Just("role".to_owned()),
                Just("content".to_owned()),
                Just("from".to_owned()),
                Just("value".to_owned()),
                Just("tool_calls".to_owned()),
                Just("function".to_owned()),
                Just("arguments".to_owned()),
            ];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_row_makes_a_reader_panic(values in prop::collection::vec(json_value(), 8), format in 0..6_usize) {
            let keys = ["messages", "conversations", "prompt", "completion", "instruction", "output", "tools", "history"];
            let row: Row = keys.iter().map(|key| (*key).to_owned()).zip(values).collect();
            let (format, _) = Format::NAMES[format];
            if let Ok(sample) = format.read(&row) {
                prop_assert!(sample.fault().is_none());
            }
        }
    }
}
