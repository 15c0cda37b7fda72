//! JSON Schema, Draft 2020-12: compiling once, checking many answers.
//!
//! Does not know answers or metrics.

use std::collections::HashMap;

use jsonschema::Validator;
use serde_json::Value;

/// Compiles a schema.
pub(crate) fn compile(schema: &Value) -> Result<Validator, String> {
    jsonschema::draft202012::options()
        .build(schema)
        .map_err(|error| {
            let at = error.instance_path().to_string();
            if at.is_empty() {
                error.to_string()
            } else {
                format!("{error} (at `{at}`)")
            }
        })
}

/// What of `text` does not satisfy `schema`: the first fault with its place, or that it is no
/// JSON; nothing for a valid answer.
pub fn fault(schema: &Value, text: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return Some(format!("it is no JSON: {error}")),
    };
    let validator = match compile(schema) {
        Ok(validator) => validator,
        Err(error) => return Some(format!("the schema is invalid: {error}")),
    };
    let error = validator.validate(&value).err()?;
    Some(format!("{error} (at `{}`)", error.instance_path()))
}

/// Validators by the text of their schema, so that each is compiled once.
#[derive(Default)]
pub(crate) struct Validators {
    compiled: HashMap<String, Option<Validator>>,
}

impl Validators {
    /// Whether `value` satisfies `schema`; no value satisfies an invalid schema.
    pub(crate) fn accepts(&mut self, schema: &Value, value: &Value) -> bool {
        self.compiled
            .entry(schema.to_string())
            .or_insert_with(|| compile(schema).ok())
            .as_ref()
            .is_some_and(|validator| validator.is_valid(value))
    }
}

/// The values that a schema allows at a JSON pointer of its instances: from
/// `enum`, `const`, or `anyOf`/`oneOf` of these, through `$ref` within the schema.
pub(crate) fn allowed_at(schema: &Value, pointer: &str) -> Vec<String> {
    let mut place = resolve(schema, schema);
    for token in pointer.split('/').skip(1) {
        let key = token.replace("~1", "/").replace("~0", "~");
        let step = match place.get("properties").and_then(|all| all.get(&key)) {
            Some(property) => Some(property),
            None if key.parse::<usize>().is_ok() => place.get("items"),
            None => None,
        };
        match step {
            Some(next) => place = resolve(schema, next),
            None => return Vec::new(),
        }
    }
    let mut labels = Vec::new();
    collect(schema, place, &mut labels, 0);
    labels
}

/// JSON pointers of the fields, outside of lists, for which a schema declares at least two
/// allowed texts, in the schema's order.
pub(crate) fn label_pointers(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(schema, schema, String::new(), &mut found, 0);
    found
}

fn walk(root: &Value, place: &Value, pointer: String, found: &mut Vec<String>, depth: usize) {
    let properties = place.get("properties").and_then(Value::as_object);
    for (key, property) in properties.into_iter().flatten() {
        let property = resolve(root, property);
        let key = key.replace('~', "~0").replace('/', "~1");
        let pointer = format!("{pointer}/{key}");
        let mut labels = Vec::new();
        collect(root, property, &mut labels, 0);
        if labels.len() >= 2 && holds_text(root, property, 0) {
            found.push(pointer);
        } else if depth < 4 {
            walk(root, property, pointer, found, depth + 1);
        }
    }
}

/// Whether one of the allowed values is a text: numbers and truths are no labels.
fn holds_text(root: &Value, place: &Value, depth: usize) -> bool {
    let values = place.get("enum").and_then(Value::as_array);
    let own = values.into_iter().flatten().chain(place.get("const"));
    own.into_iter().any(Value::is_string)
        || depth < 8
            && ["anyOf", "oneOf"].iter().any(|key| {
                let branches = place.get(key).and_then(Value::as_array);
                branches
                    .into_iter()
                    .flatten()
                    .any(|branch| holds_text(root, resolve(root, branch), depth + 1))
            })
}

fn collect(root: &Value, place: &Value, labels: &mut Vec<String>, depth: usize) {
    let mut add = |value: &Value| {
        let text = crate::rows::text_of(value);
        if !value.is_null() && !labels.contains(&text) {
            labels.push(text);
        }
    };
    if let Some(Value::Array(values)) = place.get("enum") {
        values.iter().for_each(&mut add);
    }
    if let Some(value) = place.get("const") {
        add(value);
    }
    if depth < 8 {
        for key in ["anyOf", "oneOf"] {
            let branches = place.get(key).and_then(Value::as_array);
            for branch in branches.into_iter().flatten() {
                collect(root, resolve(root, branch), labels, depth + 1);
            }
        }
    }
}

/// Follows `$ref` pointers within the schema, a bounded number of times.
fn resolve<'a>(root: &'a Value, mut place: &'a Value) -> &'a Value {
    for _ in 0..8 {
        let target = place
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|reference| reference.strip_prefix('#'))
            .and_then(|pointer| root.pointer(pointer));
        match target {
            Some(found) => place = found,
            None => break,
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_invalid_schema_does_not_compile() {
        assert!(compile(&json!({"type": "objekt"})).is_err());
        assert!(compile(&json!({"type": "object"})).is_ok());
    }

    #[test]
    fn allowed_values_are_found_through_references_and_unions() {
        let schema = json!({
            "properties": {
                "a": {"enum": ["x", "y"]},
                "b": {"$ref": "#/$defs/b"},
                "c": {"type": "array", "items": {"const": "q"}}
            },
            "$defs": {"b": {"anyOf": [{"const": "m"}, {"enum": ["n"]}, {"type": "null"}]}}
        });
        assert_eq!(allowed_at(&schema, "/a"), ["x", "y"]);
        assert_eq!(allowed_at(&schema, "/b"), ["m", "n"]);
        assert_eq!(allowed_at(&schema, "/c/0"), ["q"]);
        assert!(allowed_at(&schema, "/none").is_empty());
    }

    #[test]
    fn label_fields_are_those_with_declared_texts() {
        let schema = json!({"properties": {
            "kind": {"enum": ["a", "b", null]},
            "n": {"enum": [1, 2]},
            "only": {"const": "x"},
            "inner": {"properties": {"a/b": {"$ref": "#/$defs/p"}}},
            "list": {"type": "array", "items": {"enum": ["a", "b"]}}
        }, "$defs": {"p": {"anyOf": [{"enum": ["l", "h"]}, {"type": "null"}]}}});
        assert_eq!(label_pointers(&schema), ["/kind", "/inner/a~1b"]);
        assert!(label_pointers(&json!(true)).is_empty());
    }

    #[test]
    fn faults_have_their_place() {
        let schema = json!({"properties": {"a": {"type": "integer"}}});
        assert_eq!(fault(&schema, "{\"a\":1}"), None);
        let found = fault(&schema, "{\"a\":\"x\"}").unwrap();
        assert!(found.ends_with("(at `/a`)"), "{found}");
        assert!(fault(&schema, "{").unwrap().starts_with("it is no JSON"));
    }

    #[test]
    fn validators_judge_values() {
        let schema = json!({"type": "object", "required": ["a"]});
        let mut validators = Validators::default();
        assert!(validators.accepts(&schema, &json!({"a": 1})));
        assert!(!validators.accepts(&schema, &json!({})));
    }
}
