//! Tool calls: reading an answer into calls.
//!
//! Does not know which calls are right; see `metrics::call_match`.

use serde_json::{Map, Value, json};

/// One call of a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// Its arguments by name.
    pub arguments: Map<String, Value>,
}

/// Reads an output, text or value, into calls. Accepted are a list of
/// `{function: {argument: value}}`, a list of OpenAI `tool_calls` or of their
/// `{"name", "arguments"}`, and a message that carries `tool_calls`.
pub fn read_output(output: &Value) -> Option<Vec<Call>> {
    match output {
        Value::String(text) => {
            let value: Value = serde_json::from_str(text.trim()).ok()?;
            read_value(&value)
        }
        value => read_value(value),
    }
}

/// An answer that a target allows: the first allowed value of each argument; an argument that may
/// be absent and has no value before that is left out.
pub fn example_of(target: &Value) -> Value {
    let first = |allowed: &Value| match allowed.as_array() {
        Some(values) => values.first().filter(|value| **value != "").cloned(),
        None => Some(allowed.clone()),
    };
    let call = |(name, arguments): (&String, &Value)| {
        let arguments: Map<String, Value> = arguments
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(key, allowed)| Some((key.clone(), first(allowed)?)))
            .collect();
        json!({"name": name, "arguments": arguments})
    };
    let calls = target.as_array().into_iter().flatten();
    calls
        .filter_map(Value::as_object)
        .flat_map(|calls| calls.iter().map(call))
        .collect()
}

fn read_value(value: &Value) -> Option<Vec<Call>> {
    match value {
        Value::Array(calls) => calls.iter().map(read_call).collect(),
        Value::Object(message) => match message.get("tool_calls") {
            Some(Value::Array(calls)) => calls.iter().map(read_call).collect(),
            _ => Some(vec![read_named(value)?]),
        },
        _ => None,
    }
}

fn read_call(value: &Value) -> Option<Call> {
    if let Some(function) = value.get("function")
        && let Some(call) = read_named(function)
    {
        return Some(call);
    }
    if let Some(call) = read_named(value) {
        return Some(call);
    }
    let object = value.as_object()?;
    let (function, arguments) = object.iter().next().filter(|_| object.len() == 1)?;
    Some(Call {
        function: function.clone(),
        arguments: arguments.as_object()?.clone(),
    })
}

/// OpenAI's `{"name", "arguments"}`, whose arguments are JSON text or an object.
fn read_named(value: &Value) -> Option<Call> {
    let function = value.get("name")?.as_str()?.to_string();
    let arguments = match value.get("arguments")? {
        Value::String(text) if text.trim().is_empty() => Map::new(),
        Value::String(text) => serde_json::from_str(text).ok()?,
        Value::Object(arguments) => arguments.clone(),
        _ => return None,
    };
    Some(Call {
        function,
        arguments,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_form_reads_to_the_same_call() {
        let plain = json!([{"f": {"x": 1}}]);
        let expected = read_output(&plain).unwrap();
        assert_eq!(expected[0].function, "f");
        assert_eq!(expected[0].arguments["x"], 1);
        for form in [
            json!("[{\"f\": {\"x\": 1}}]"),
            json!([{"name": "f", "arguments": {"x": 1}}]),
            json!([{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]),
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"x\":1}"}}]}),
            json!({"name": "f", "arguments": {"x": 1}}),
        ] {
            assert_eq!(read_output(&form).as_ref(), Some(&expected), "{form}");
        }
    }

    #[test]
    fn what_is_not_a_list_of_calls_is_refused() {
        for form in [
            json!("f(x=1)"),
            json!({"f": {"x": 1}}),
            json!([{"f": 1}]),
            json!([{"f": {}, "g": {}}]),
            json!([{"name": "f", "arguments": "{oops"}]),
            json!(3),
        ] {
            assert_eq!(read_output(&form), None, "{form}");
        }
        assert_eq!(read_output(&json!("[]")), Some(Vec::new()));
    }

    #[test]
    fn a_target_gives_an_answer_that_it_allows() {
        let target = json!([{"f": {"x": [1, 2], "y": ["", "b"]}}, {"g": {}}]);
        assert_eq!(
            example_of(&target),
            json!([{"name": "f", "arguments": {"x": 1}}, {"name": "g", "arguments": {}}])
        );
    }

    #[test]
    fn functions_called_function_or_name_are_calls_too() {
        let calls = read_output(&json!([{"function": {"x": 1}}, {"name": {"y": 2}}])).unwrap();
        assert_eq!(calls[0].function, "function");
        assert_eq!(calls[1].function, "name");
    }
}
