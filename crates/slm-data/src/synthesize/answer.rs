//! Answers as JSON values: read, checked against the leaf's output, walked by
//! JSON pointer, written.
//!
//! Does not know questions, slots or the way rows are made.

use crate::calls::calls;
use crate::error::{DataError, Result};
use jsonschema::Validator;
use serde_json::Value;
use slm_taxonomy::Output;

/// Reads and checks the answers of one leaf.
pub(crate) struct AnswerChecker {
    output: Output,
    schema: Option<Validator>,
    tools: Vec<(String, Value, Validator)>,
}

impl AnswerChecker {
    /// Compiles the leaf's schemas.
    ///
    /// # Errors
    /// A schema of the leaf is itself invalid.
    pub fn new(leaf: &str, output: &Output) -> Result<Self> {
        let compile = |schema: &Value| {
            jsonschema::validator_for(schema).map_err(|e| {
                DataError::settings(
                    format!("the output schema of leaf `{leaf}` is not a JSON Schema: {e}"),
                    "mend `output.schema` (or the tool's `parameters`) in the leaf's `slm.yaml`",
                )
            })
        };
        let schema = match output {
            Output::Json { schema } => Some(compile(schema)?),
            _ => None,
        };
        let mut compiled = Vec::new();
        if let Output::Calls { tools } = output {
            for tool in tools {
                let (name, parameters) = definition(tool);
                compiled.push((name.to_owned(), parameters.clone(), compile(&parameters)?));
            }
        }
        Ok(Self {
            output: output.clone(),
            schema,
            tools: compiled,
        })
    }

    /// Reads an answer as the leaf's output type has it: JSON for `json` and
    /// `calls`, a string otherwise.
    pub fn parse(&self, answer: &str) -> std::result::Result<Value, String> {
        match self.output {
            Output::Json { .. } | Output::Calls { .. } => {
                serde_json::from_str(answer).map_err(|e| format!("the answer is not JSON: {e}"))
            }
            Output::Label { .. } | Output::Text => Ok(Value::String(answer.trim().to_owned())),
        }
    }

    /// As [`Self::parse`], of what a chat model wrote: it often puts JSON into a code fence.
    pub fn parse_written(&self, answer: &str) -> std::result::Result<Value, String> {
        match self.output {
            Output::Json { .. } | Output::Calls { .. } => self.parse(unfenced(answer)),
            Output::Label { .. } | Output::Text => self.parse(answer),
        }
    }

    /// The text of an answer; compact when it is JSON.
    pub fn write(&self, answer: &Value) -> String {
        match (&self.output, answer) {
            (Output::Label { .. } | Output::Text, Value::String(text)) => text.clone(),
            _ => answer.to_string(),
        }
    }

    /// Checks an answer against the schema, the labels or the tools.
    pub fn check(&self, answer: &Value) -> std::result::Result<(), String> {
        match &self.output {
            Output::Json { .. } => self.schema.as_ref().map_or(Ok(()), |v| fits(v, answer)),
            Output::Label { labels } => match answer.as_str() {
                Some(label) if labels.iter().any(|known| known == label) => Ok(()),
                _ => Err(format!(
                    "`{}` is not among the leaf's labels",
                    self.write(answer)
                )),
            },
            Output::Calls { .. } => self.check_calls(answer),
            Output::Text if self.write(answer).is_empty() => Err("the answer is empty".into()),
            Output::Text => Ok(()),
        }
    }

    fn check_calls(&self, answer: &Value) -> std::result::Result<(), String> {
        let calls = calls(answer)
            .ok_or("the answer is not a list of calls `[{\"name\": ..., \"arguments\": {...}}]`")?;
        for (name, arguments) in calls {
            let (_, _, validator) = self
                .tools
                .iter()
                .find(|(known, _, _)| known == name)
                .ok_or_else(|| {
                    format!("the answer calls `{name}`, which is not among the leaf's tools")
                })?;
            fits(validator, &Value::Object(arguments.clone()))
                .map_err(|e| format!("the arguments of `{name}`: {e}"))?;
        }
        Ok(())
    }

    /// Whether the value at a pointer comes from a closed list: an enum, a
    /// constant, a label or a function's name.
    pub fn is_closed(&self, pointer: &str, answer: &Value) -> bool {
        match &self.output {
            Output::Text => false,
            Output::Label { .. } => true,
            Output::Json { schema } => has_enum(schema, schema, &segments(pointer), 0),
            Output::Calls { .. } => match call_argument(pointer, answer) {
                None => true,
                Some((function, argument)) => self.tools.iter().any(|(name, parameters, _)| {
                    *name == function && has_enum(parameters, parameters, &segments(&argument), 0)
                }),
            },
        }
    }
}

fn fits(validator: &Validator, value: &Value) -> std::result::Result<(), String> {
    validator.validate(value).map_err(|e| {
        let place = e.instance_path().to_string();
        let place = if place.is_empty() {
            "/".to_owned()
        } else {
            place
        };
        format!("the answer does not fit the schema at `{place}`: {e}")
    })
}

/// A tool's name and the schema of its arguments, from an OpenAI definition.
fn definition(tool: &Value) -> (&str, Value) {
    let function = tool.get("function").unwrap_or(tool);
    let name = function
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let parameters = function.get("parameters").cloned();
    (
        name,
        parameters.unwrap_or_else(|| serde_json::json!({"type": "object"})),
    )
}

/// For a pointer into a list of calls: the function and the pointer within its
/// arguments. `None` when it points at something else, such as the name.
pub(crate) fn call_argument(pointer: &str, answer: &Value) -> Option<(String, String)> {
    let path = segments(pointer);
    let (item, rest) = match answer {
        Value::Array(items) => (
            items.get(path.first()?.parse::<usize>().ok()?)?,
            path.get(1..)?,
        ),
        _ => (answer, path.as_slice()),
    };
    let (key, argument) = rest.split_first().filter(|(_, a)| !a.is_empty())?;
    let named = item.get("name").is_some() && item.get("arguments").is_some();
    let function = match named {
        true if key == "arguments" => item.get("name")?.as_str()?.to_owned(),
        true => return None,
        false => key.clone(),
    };
    Some((
        function,
        argument
            .iter()
            .fold(String::new(), |p, s| p + "/" + &escape(s)),
    ))
}

/// The strings and numbers of a value with their JSON pointers, in order.
pub(crate) fn scalars(value: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, pointer: String, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Array(items) => {
            for (n, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{n}"), found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                collect(member, format!("{pointer}/{}", escape(key)), found);
            }
        }
        Value::String(_) | Value::Number(_) => found.push((pointer, value)),
        Value::Null | Value::Bool(_) => {}
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn segments(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|s| s.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// The pointer with `*` for every index of a list, so that all items of a list
/// count as one field.
pub(crate) fn field_of(pointer: &str) -> String {
    pointer
        .split('/')
        .map(|s| {
            if !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()) {
                "*"
            } else {
                s
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

/// Bounds the walk through `$ref`s that go round in circles.
const MAX_SCHEMA_DEPTH: usize = 64;

fn has_enum(root: &Value, schema: &Value, path: &[String], depth: usize) -> bool {
    if depth > MAX_SCHEMA_DEPTH {
        return false;
    }
    let deeper = |schema: &Value, path: &[String]| has_enum(root, schema, path, depth + 1);
    let target = schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|r| root.pointer(r.strip_prefix('#')?));
    if target.is_some_and(|t| deeper(t, path)) {
        return true;
    }
    let branches = ["anyOf", "oneOf", "allOf"]
        .iter()
        .filter_map(|k| schema.get(k)?.as_array())
        .flatten();
    if branches.into_iter().any(|branch| deeper(branch, path)) {
        return true;
    }
    let Some((key, rest)) = path.split_first() else {
        return schema.get("enum").is_some() || schema.get("const").is_some();
    };
    let inner = |name: &str| schema.get(name).is_some_and(|s| deeper(s, rest));
    match schema.get("properties").and_then(|p| p.get(key)) {
        Some(property) => deeper(property, rest),
        None => inner("items") || inner("additionalProperties"),
    }
}

/// A text without the code fence around it, if there is one.
pub(crate) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let inside = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"));
    match inside {
        Some(inside) => {
            let inside = inside.trim();
            inside.strip_suffix("```").unwrap_or(inside).trim()
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn json_checker() -> AnswerChecker {
        let schema = json!({
            "type": "object", "required": ["kind"], "additionalProperties": false,
            "properties": {
                "kind": {"enum": ["a", "b"]},
                "items": {"type": "array", "items": {"$ref": "#/$defs/item"}},
                "maybe": {"anyOf": [{"type": "null"}, {"enum": ["x"]}]},
                "free": {"type": "string"}
            },
            "$defs": {"item": {"type": "object", "properties": {"unit": {"const": "kg"}, "name": {"type": "string"}}}}
        });
        AnswerChecker::new("l", &Output::Json { schema }).unwrap()
    }

    #[test]
    fn closed_fields_are_seen_through_refs_and_branches() {
        let checker = json_checker();
        let closed = |p: &str| checker.is_closed(p, &Value::Null);
        assert!(closed("/kind") && closed("/maybe") && closed("/items/3/unit"));
        assert!(!closed("/free") && !closed("/items/0/name") && !closed("/unknown"));
    }

    #[test]
    fn written_json_may_stand_in_a_fence_and_written_text_keeps_it() {
        let fenced = "```json\n{\"kind\": \"a\"}\n```";
        let written = json_checker().parse_written(fenced);
        assert_eq!(written, Ok(json!({"kind": "a"})));
        assert!(json_checker().parse(fenced).is_err());
        let text = AnswerChecker::new("l", &Output::Text).unwrap();
        assert_eq!(text.parse_written(fenced), Ok(json!(fenced)));
        assert_eq!(unfenced("```\nx\n```"), "x");
        assert_eq!(unfenced(" y "), "y");
    }

    #[test]
    fn faults_say_where() {
        let checker = json_checker();
        assert!(checker.parse("{").unwrap_err().contains("not JSON"));
        let message = checker.check(&json!({"kind": "c"})).unwrap_err();
        assert!(message.contains("at `/kind`"), "{message}");
        assert_eq!(checker.check(&json!({"kind": "a"})), Ok(()));
    }

    #[test]
    fn calls_are_checked_by_tool() {
        let tools = vec![
            json!({"type": "function", "function": {"name": "f", "parameters":
            {"type": "object", "properties": {"unit": {"enum": ["c"]}, "city": {"type": "string"}}, "required": ["city"]}}}),
        ];
        let checker = AnswerChecker::new("l", &Output::Calls { tools }).unwrap();
        let good = json!([{"name": "f", "arguments": {"city": "Rome", "unit": "c"}}]);
        assert_eq!(checker.check(&good), Ok(()));
        assert!(
            checker
                .check(&json!([{"name": "g", "arguments": {}}]))
                .unwrap_err()
                .contains("`g`")
        );
        assert!(
            checker
                .check(&json!([{"name": "f", "arguments": {}}]))
                .unwrap_err()
                .contains("city")
        );
        assert!(
            checker.is_closed("/0/name", &good) && checker.is_closed("/0/arguments/unit", &good)
        );
        assert!(!checker.is_closed("/0/arguments/city", &good));
    }

    #[test]
    fn pointers_are_escaped_and_generalized() {
        let value = json!({"a/b": [{"c": 1}, {"c": "x"}], "n": null, "t": true});
        let found: Vec<String> = scalars(&value).into_iter().map(|(p, _)| p).collect();
        assert_eq!(found, ["/a~1b/0/c", "/a~1b/1/c"]);
        assert!(found.iter().all(|p| value.pointer(p).is_some()));
        assert_eq!(field_of("/a~1b/10/c"), "/a~1b/*/c");
    }

    #[test]
    fn an_invalid_schema_is_an_error() {
        let output = Output::Json {
            schema: json!({"type": 3}),
        };
        let message = AnswerChecker::new("l", &output).err().unwrap().to_string();
        assert!(
            message.contains("leaf `l`") && message.contains("hint:"),
            "{message}"
        );
    }
}
