//! Rows of messages with roles, as OpenAI, Hugging Face and InstructLab write them.
//!
//! Does not know chat templates.

use serde_json::{Map, Value};

use super::{Format, Row, expected, kind, of_messages, parsed, present, tools};
use crate::sample::{Fault, Message, Role, Sample};

pub fn read(row: &Row) -> Result<Sample, Fault> {
    let found = present(row, "messages", Format::Messages)?;
    let mut sample = of_messages(list(found, "messages")?, tools(row)?);
    sample.unmask = match row.get("unmask") {
        None | Some(Value::Null) => None,
        Some(Value::Bool(unmask)) => Some(*unmask),
        Some(other) => return Err(expected("unmask", "true or false", other)),
    };
    Ok(sample)
}

/// A list of messages that stands at `place` of a row.
pub fn list(value: &Value, place: &str) -> Result<Vec<Message>, Fault> {
    let items = value
        .as_array()
        .ok_or_else(|| expected(place, "a list of messages", value))?;
    items
        .iter()
        .enumerate()
        .map(|(index, item)| message(item, &format!("{place}[{index}]")))
        .collect()
}

fn message(item: &Value, place: &str) -> Result<Message, Fault> {
    let object = item
        .as_object()
        .ok_or_else(|| expected(place, "a message", item))?;
    let role = role(object, place)?;
    let mut more = object.clone();
    more.retain(|key, value| key != "role" && key != "content" && !value.is_null());
    if let Some(calls) = more.get_mut("tool_calls") {
        *calls = tool_calls(calls, &format!("{place}.tool_calls"))?;
        if calls.as_array().is_some_and(Vec::is_empty) {
            more.remove("tool_calls");
        }
    }
    if let Some(weight) = more.get("weight")
        && !matches!(weight.as_f64(), Some(0.0 | 1.0))
    {
        return Err(Fault::new(
            format!("`{place}.weight` is neither 0 nor 1"),
            "write 0 for a turn that is not to be learned, 1 or nothing for one that is",
        ));
    }
    let content = content(object.get("content"), &format!("{place}.content"))?;
    if content.is_none() && !more.contains_key("tool_calls") {
        return Err(Fault::new(
            format!("`{place}` has no `content`"),
            "write its text as `content`, or drop the row",
        ));
    }
    Ok(Message {
        role,
        content: content.unwrap_or_default(),
        more,
    })
}

fn role(object: &Map<String, Value>, place: &str) -> Result<Role, Fault> {
    let hint = "roles are `system`, `user`, `assistant` and `tool`; turns with `from` and `value` \
                belong under `conversations` (sharegpt)";
    let name = match object.get("role") {
        Some(Value::String(name)) => name,
        None => return Err(Fault::new(format!("`{place}` has no `role`"), hint)),
        Some(other) => return Err(expected(&format!("{place}.role"), "text", other)),
    };
    match name.as_str() {
        "system" | "developer" => Ok(Role::System),
        "user" => Ok(Role::User),
        "assistant" => Ok(Role::Assistant),
        "tool" | "function" => Ok(Role::Tool),
        other => Err(Fault::new(
            format!("unknown role `{other}` in `{place}`"),
            hint,
        )),
    }
}

/// The text of a message, which may come in parts.
fn content(value: Option<&Value>, place: &str) -> Result<Option<String>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| match part {
                Value::String(text) => Ok(text.as_str()),
                part => part["text"].as_str().ok_or_else(|| {
                    Fault::new(
                        format!(
                            "`{place}` has a part of type `{}`, not text",
                            part["type"].as_str().unwrap_or("unknown")
                        ),
                        "models here read text only; drop the row, or describe the part in words",
                    )
                }),
            })
            .collect::<Result<String, Fault>>()
            .map(Some),
        Some(other) => Err(expected(place, "text", other)),
    }
}

/// Calls with their arguments as objects: OpenAI writes those as JSON in a text, which chat
/// templates would write a second time.
pub fn tool_calls(value: &Value, place: &str) -> Result<Value, Fault> {
    let value = &*parsed(value);
    let calls = value
        .as_array()
        .ok_or_else(|| expected(place, "a list of calls", value))?;
    let call = |(index, call): (usize, &Value)| {
        let place = format!("{place}[{index}]");
        let mut call = call.clone();
        // The function may stand alone.
        let function = match call.get("function").is_some() {
            true => &mut call["function"],
            false => &mut call,
        };
        if !function.get("name").is_some_and(Value::is_string) {
            return Err(Fault::new(
                format!("`{place}` has no function's name"),
                "write `{\"type\": \"function\", \"function\": {\"name\": \"...\", \"arguments\": {...}}}`",
            ));
        }
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => Value::Object(Map::new()),
            Some(Value::String(text)) if text.trim().is_empty() => Value::Object(Map::new()),
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or(Value::Null),
            Some(other) => other.clone(),
        };
        if !arguments.is_object() {
            return Err(Fault::new(
                format!(
                    "the arguments of `{place}` are {}, not an object",
                    kind(&arguments)
                ),
                "write them as an object, or as JSON of one in a text",
            ));
        }
        function["arguments"] = arguments;
        Ok(call)
    };
    let calls = calls.iter().enumerate().map(call);
    Ok(Value::Array(calls.collect::<Result<_, Fault>>()?))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{read, turns};
    use serde_json::{Value, json};

    fn row(messages: Value) -> Value {
        json!({ "messages": messages })
    }

    #[test]
    fn text_may_come_in_parts_and_calls_need_none() {
        let sample = read(row(json!([
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "n"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": [1]}"}}
            ]},
            {"role": "tool", "content": "7", "tool_call_id": "1"},
            {"role": "assistant", "content": "seven", "reasoning_content": "hm", "refusal": null}
        ])))
        .unwrap();
        assert_eq!(
            turns(&sample),
            [
                "system: s",
                "user: ab",
                "assistant: ",
                "tool: 7",
                "assistant: seven"
            ]
        );
        assert_eq!(sample.messages[1].more["name"], "n");
        assert_eq!(
            sample.messages[2].more["tool_calls"][0]["function"]["arguments"],
            json!({"x": [1]})
        );
        assert_eq!(sample.messages[4].more.len(), 1);
    }

    #[test]
    fn faults_name_the_message() {
        let fault = |messages: Value| read(row(messages)).unwrap_err();
        let cases = [
            (
                json!([{"role": "human", "content": "q"}]),
                "unknown role `human` in `messages[0]`",
            ),
            (json!([{"role": "user"}]), "`messages[0]` has no `content`"),
            (json!([{"content": "q"}]), "`messages[0]` has no `role`"),
            (json!(["q"]), "`messages[0]` is text, not a message"),
            (json!("q"), "`messages` is text, not a list of messages"),
            (
                json!([{"role": "user", "content": [{"type": "image_url"}]}]),
                "`messages[0].content` has a part of type `image_url`, not text",
            ),
            (
                json!([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "x=1"}}]}]),
                "the arguments of `messages[0].tool_calls[0]` are null, not an object",
            ),
            (
                json!([{"role": "assistant", "content": "a", "weight": 0.5}]),
                "`messages[0].weight` is neither 0 nor 1",
            ),
            (
                json!([{"role": "user", "content": "q"}]),
                "the row has no assistant text, so there is nothing to train on",
            ),
            (
                json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": " "}]),
                "an assistant turn of the row has no text",
            ),
            (json!([]), "the row has no messages"),
        ];
        for (messages, expected) in cases {
            assert_eq!(fault(messages).message, expected);
        }
    }

    #[test]
    fn a_row_of_which_no_turn_is_to_be_learned_is_a_fault() {
        let fault = read(row(json!([
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "a", "weight": 0}
        ])));
        assert!(fault.unwrap_err().message.contains("weight 0"));
    }
}
