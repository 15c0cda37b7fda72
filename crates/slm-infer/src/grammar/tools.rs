//! Tool calls as a schema: one of several functions, with arguments by its parameters.
//!
//! Does not know how a model's template writes calls, nor types that JSON Schema does not have.

use serde_json::{Map, Value, json};

/// How a call is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallForm {
    /// One `{"name": FUNCTION, "arguments": {...}}`.
    Named,
    /// A list of `{FUNCTION: {...}}`.
    List,
}

/// The schema of calls of `tools`, OpenAI's tool definitions; nothing without any.
pub fn calls_schema(tools: &[Value], form: CallForm) -> Option<Value> {
    let calls: Vec<Value> = tools
        .iter()
        .map(|tool| tool.get("function").unwrap_or(tool))
        .filter_map(|tool| Some((tool.get("name")?.as_str()?, tool.get("parameters"))))
        .enumerate()
        .map(|(number, (name, parameters))| call(number, name, parameters, form))
        .collect();
    if calls.is_empty() {
        return None;
    }
    Some(match form {
        CallForm::Named => json!({"anyOf": calls}),
        CallForm::List => json!({"type": "array", "minItems": 1, "items": {"anyOf": calls}}),
    })
}

fn call(number: usize, name: &str, parameters: Option<&Value>, form: CallForm) -> Value {
    let (base, key) = match form {
        CallForm::Named => ("", "arguments"),
        CallForm::List => ("/items", name),
    };
    let key_in_pointer = super::reference::escape(key);
    let place = format!("#{base}/anyOf/{number}/properties/{key_in_pointer}");
    let mut arguments = match parameters {
        Some(parameters) => rebased(parameters, &place),
        None => json!({"properties": {}, "additionalProperties": false}),
    };
    if let Some(fields) = arguments.as_object_mut() {
        fields.insert("type".into(), "object".into());
    }
    let mut properties = Map::new();
    if form == CallForm::Named {
        properties.insert("name".into(), json!({"const": name}));
    }
    properties.insert(key.into(), arguments);
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "additionalProperties": false,
        "properties": properties})
}

/// The parameters' schema with its references led to where it stands now.
fn rebased(value: &Value, place: &str) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match (key.as_str(), value.as_str()) {
                ("$ref", Some(target)) => {
                    let target = target.strip_prefix('#').unwrap_or(target);
                    (key.clone(), format!("{place}{target}").into())
                }
                _ => (key.clone(), rebased(value, place)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(|item| rebased(item, place)).collect(),
        other => other.clone(),
    }
}
