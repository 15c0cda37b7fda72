//! Reads a chat completion.
//!
//! Does not know how it came.

use serde_json::Value;
use slm_data::teacher::ChatAnswer;

/// The answer in a response's body; nothing where that is no chat completion.
pub fn read(text: &str, latency_ms: f64) -> Option<ChatAnswer> {
    let body: Value = serde_json::from_str(text).ok()?;
    let choice = body.get("choices")?.get(0)?;
    let message = choice.get("message")?;
    let calls = message
        .get("tool_calls")
        .filter(|calls| calls.as_array().is_some_and(|calls| !calls.is_empty()));
    let refusal = message
        .get("refusal")
        .and_then(Value::as_str)
        .filter(|refusal| !refusal.is_empty());
    let text = match (calls, message.get("content").and_then(content), refusal) {
        (Some(calls), _, _) => calls.to_string(),
        (None, Some(content), None) => content,
        (None, content, Some(refusal)) => content
            .filter(|content| !content.is_empty())
            .unwrap_or_else(|| refusal.to_owned()),
        (None, None, None) => String::new(),
    };
    let count = |name: &str| body.get("usage")?.get(name)?.as_u64();
    Some(ChatAnswer {
        text,
        latency_ms: Some(latency_ms),
        input_tokens: count("prompt_tokens"),
        output_tokens: count("completion_tokens"),
        finish_reason: refusal
            .map(|_| "refusal")
            .or_else(|| choice.get("finish_reason").and_then(Value::as_str))
            .map(str::to_owned),
        without: Vec::new(),
    })
}

/// A message's text, which may come in parts.
fn content(content: &Value) -> Option<String> {
    match content {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => Some(
            parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tool_calls_come_back_as_json() {
        let body = r#"{"choices":[{"message":{"content":null,"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{}"}}]}}]}"#;
        let answer = read(body, 1.0).unwrap();
        assert!(answer.text.contains(r#""name":"f""#));
        assert_eq!(answer.input_tokens, None);
    }

    #[test]
    fn refusals_and_parts_are_known() {
        let body = r#"{"choices":[{"message":{"content":null,"refusal":"I will not"},"finish_reason":"stop"}]}"#;
        let answer = read(body, 1.0).unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason.as_deref()),
            ("I will not", Some("refusal"))
        );
        let body = r#"{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}],"refusal":null},"finish_reason":"stop"}]}"#;
        let answer = read(body, 1.0).unwrap();
        assert_eq!(
            (answer.text.as_str(), answer.finish_reason.as_deref()),
            ("ab", Some("stop"))
        );
    }

    #[test]
    fn an_error_is_no_answer() {
        assert_eq!(read(r#"{"error":{"message":"busy"}}"#, 1.0), None);
        assert_eq!(read(r#"{"choices":[]}"#, 1.0), None);
    }
}
