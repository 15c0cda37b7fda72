//! Rows of turns with `from` and `value`, as ShareGPT and the tools after it write them.
//!
//! Does not know chat templates.

use serde_json::{Map, Value, json};

use super::{Format, Row, expected, messages, of_messages, optional, present, tools};
use crate::sample::{Fault, Message, Role, Sample};

pub fn read(row: &Row) -> Result<Sample, Fault> {
    let place = match row.contains_key("conversation") {
        true => "conversation",
        false => "conversations",
    };
    let value = present(row, place, Format::Sharegpt)?;
    let items = value
        .as_array()
        .ok_or_else(|| expected(place, "a list of turns", value))?;
    let mut turns = Vec::with_capacity(items.len() + 1);
    if let Some(system) = optional(row, "system")? {
        turns.push(Message::system(system));
    }
    for (index, item) in items.iter().enumerate() {
        let place = format!("{place}[{index}]");
        // Some sets have the messages' own keys in here.
        match item.get("role") {
            Some(_) => turns.extend(messages::list(&json!([item]), &place)?),
            None => turns.push(turn(item, &place)?),
        }
    }
    Ok(of_messages(turns, tools(row)?))
}

fn turn(item: &Value, place: &str) -> Result<Message, Fault> {
    let text = |key: &str| match item.get(key) {
        Some(Value::String(text)) => Ok(text.as_str()),
        Some(other) => Err(expected(&format!("{place}.{key}"), "text", other)),
        None => Err(Fault::new(
            format!("`{place}` has no `{key}`"),
            "write each turn as `{\"from\": \"human\", \"value\": \"...\"}`",
        )),
    };
    let (from, value) = (text("from")?, text("value")?);
    let role = match from {
        "system" => Role::System,
        "human" | "user" => Role::User,
        "gpt" | "assistant" | "model" | "chatgpt" | "bot" => Role::Assistant,
        "tool" | "observation" | "function_response" | "tool_response" => Role::Tool,
        "function_call" | "tool_call" => return call(value, place),
        other => {
            return Err(Fault::new(
                format!("unknown speaker `{other}` in `{place}`"),
                "speakers are `system`, `human`, `gpt`, `function_call` and `observation`",
            ));
        }
    };
    let mut message = Message::new(role, value);
    if let Some(weight) = item.get("weight").filter(|weight| !weight.is_null()) {
        message.more.insert("weight".to_owned(), weight.clone());
    }
    Ok(message)
}

/// A turn that calls functions: one call or a list of them, as JSON in the text.
fn call(text: &str, place: &str) -> Result<Message, Fault> {
    let calls = match serde_json::from_str(text) {
        Ok(Value::Array(calls)) => calls,
        Ok(call @ Value::Object(_)) => vec![call],
        _ => {
            return Err(Fault::new(
                format!("`{place}.value` is no call of a function"),
                "write `{\"name\": \"...\", \"arguments\": {...}}` as JSON in the text",
            ));
        }
    };
    let wrapped = |call: Value| match call.get("function").is_some() {
        true => call,
        false => json!({"type": "function", "function": call}),
    };
    let calls = Value::Array(calls.into_iter().map(wrapped).collect());
    let calls = messages::tool_calls(&calls, place)?;
    Ok(Message {
        more: Map::from_iter([("tool_calls".to_owned(), calls)]),
        ..Message::assistant("")
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, turns};
    use serde_json::{Value, json};

    #[test]
    fn speakers_become_roles_and_calls_become_calls() {
        let sample = read(json!({
            "system": "s",
            "conversations": [
                {"from": "human", "value": "q"},
                {"from": "function_call", "value": "{\"name\": \"f\", \"arguments\": {\"x\": 1}}"},
                {"from": "observation", "value": "7"},
                {"from": "gpt", "value": "a"},
                {"role": "user", "content": "r"},
                {"from": "gpt", "value": "b", "weight": 0}
            ],
            "tools": "[{\"name\": \"f\"}]"
        }))
        .unwrap();
        assert_eq!(
            turns(&sample),
            [
                "system: s",
                "user: q",
                "assistant: ",
                "tool: 7",
                "assistant: a",
                "user: r",
                "assistant: b"
            ]
        );
        assert_eq!(
            sample.messages[2].more["tool_calls"],
            json!([{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}}])
        );
        assert_eq!(sample.tools, Some(json!([{"name": "f"}])));
        assert!(!sample.messages[6].is_learned());
    }

    #[test]
    fn faults_name_the_turn() {
        let fault = |turn: Value| read(json!({"conversations": [turn]})).unwrap_err().message;
        assert_eq!(
            fault(json!({"from": "narrator", "value": "x"})),
            "unknown speaker `narrator` in `conversations[0]`"
        );
        assert_eq!(
            fault(json!({"from": "human"})),
            "`conversations[0]` has no `value`"
        );
        assert_eq!(
            fault(json!({"from": "human", "value": 3})),
            "`conversations[0].value` is a number, not text"
        );
        assert_eq!(
            fault(json!({"from": "function_call", "value": "f(x)"})),
            "`conversations[0].value` is no call of a function"
        );
    }
}
