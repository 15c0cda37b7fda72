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
    fn validators_judge_values() {
        let schema = json!({"type": "object", "required": ["a"]});
        let mut validators = Validators::default();
        assert!(validators.accepts(&schema, &json!({"a": 1})));
        assert!(!validators.accepts(&schema, &json!({})));
    }
}
