//! What in an output schema no answer can satisfy, or no validator can understand.
//!
//! It looks only at the schema; answers are held against it elsewhere.

use super::fields::excerpt;
use super::schema::{MAX_DEPTH, Misfit, escape, required, resolve, type_of};
use crate::suggest::nearest;
use serde_json::{Map, Value};

const TYPES: [&str; 7] = [
    "object", "array", "string", "integer", "number", "boolean", "null",
];

/// The contradictions of a schema, by JSON pointer into it.
pub(super) fn contradictions(schema: &Value) -> Vec<Misfit> {
    let mut search = Search {
        root: schema,
        found: Vec::new(),
    };
    search.schema(schema, "", 0);
    search.found
}

struct Search<'s> {
    root: &'s Value,
    found: Vec<Misfit>,
}

impl Search<'_> {
    fn schema(&mut self, schema: &Value, at: &str, depth: usize) {
        let Some(rules) = schema.as_object().filter(|_| depth <= MAX_DEPTH) else {
            return;
        };
        self.types(rules, at);
        self.values(rules, at);
        self.fields(rules, at);
        let properties = rules.get("properties").and_then(Value::as_object);
        for (name, property) in properties.into_iter().flatten() {
            let at = format!("{at}/properties/{}", escape(name));
            self.schema(property, &at, depth + 1);
        }
        if let Some(items) = rules.get("items") {
            self.schema(items, &format!("{at}/items"), depth + 1);
        }
        for keyword in ["anyOf", "oneOf", "allOf"] {
            let schemas = rules.get(keyword).and_then(Value::as_array);
            for (index, schema) in schemas.into_iter().flatten().enumerate() {
                self.schema(schema, &format!("{at}/{keyword}/{index}"), depth + 1);
            }
        }
    }

    fn types(&mut self, rules: &Map<String, Value>, at: &str) {
        let names = match rules.get("type") {
            Some(Value::Array(names)) => names.as_slice(),
            Some(name) => std::slice::from_ref(name),
            None => &[],
        };
        for name in names {
            let Some(name) = name.as_str() else {
                self.report(at, format!("`type` is {}, not a name", type_of(name)));
                continue;
            };
            if !TYPES.contains(&name) {
                let near = match nearest(name, TYPES) {
                    Some(near) => format!("; did you mean `{near}`?"),
                    None => String::new(),
                };
                self.report(at, format!("`{}` is not a type{near}", excerpt(name)));
            }
        }
    }

    fn values(&mut self, rules: &Map<String, Value>, at: &str) {
        let has_none = |allowed: &Value| allowed.as_array().is_none_or(Vec::is_empty);
        if rules.get("enum").is_some_and(has_none) {
            let message = "`enum` is not a list with at least one value";
            self.report(at, message.to_string());
        }
        let reference = rules.get("$ref");
        if let Some(reference) = reference.filter(|r| resolve(self.root, r).is_none()) {
            let message = format!("`$ref` to {reference} leads nowhere in this schema");
            self.report(at, message);
        }
    }

    fn fields(&mut self, rules: &Map<String, Value>, at: &str) {
        if rules.get("additionalProperties") != Some(&Value::Bool(false)) {
            return;
        }
        let properties = rules.get("properties").and_then(Value::as_object);
        for name in required(rules) {
            if !properties.is_some_and(|p| p.contains_key(name)) {
                let message = format!("`{name}` is required, but not among the `properties`");
                self.report(at, message);
            }
        }
    }

    fn report(&mut self, at: &str, message: String) {
        self.found.push(Misfit {
            pointer: at.to_string(),
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(schema: Value) -> Vec<String> {
        let found = contradictions(&schema);
        found
            .iter()
            .map(|m| format!("{} {}", m.pointer, m.message))
            .collect()
    }

    #[test]
    fn contradictions_are_found_at_every_level() {
        let schema = json!({
            "type": "objekt",
            "properties": {"a": {"enum": []}, "c": {"type": ["string", 3]}},
            "required": ["a", "b"],
            "additionalProperties": false,
            "anyOf": [{"$ref": "#/$defs/none"}],
        });
        assert_eq!(
            found(schema),
            [
                " `objekt` is not a type; did you mean `object`?",
                " `b` is required, but not among the `properties`",
                "/properties/a `enum` is not a list with at least one value",
                "/properties/c `type` is integer, not a name",
                "/anyOf/0 `$ref` to \"#/$defs/none\" leads nowhere in this schema",
            ]
        );
    }

    #[test]
    fn a_sound_schema_has_none() {
        let schema = json!({"type": ["object", "null"], "properties": {"a": {"enum": [1]}}, "required": ["a"]});
        assert_eq!(found(schema), [""; 0]);
    }
}
