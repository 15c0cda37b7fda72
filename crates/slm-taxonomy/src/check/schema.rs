//! A light JSON Schema check, enough to tell an author that an answer does not fit.
//!
//! It covers `type`, `enum`, `const`, `required`, `properties`, `additionalProperties`,
//! `items`, the bounds on length, count and value, `anyOf`, `oneOf`, `allOf` and local
//! `$ref`. What it does not know it lets pass; constrained decoding and scoring use a full
//! validator.

use super::fields::excerpt;
use crate::suggest::nearest;
use serde_json::{Map, Value};

/// How deep references and nesting are followed.
pub(super) const MAX_DEPTH: usize = 64;
/// How many sub-schemas are visited for one value, so that alternatives that refer to
/// themselves cannot multiply without end.
const MAX_VISITS: usize = 20_000;

/// A value that does not fit, by JSON pointer.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Misfit {
    pub pointer: String,
    pub message: String,
}

/// How a JSON value does not fit a schema; empty when it does.
pub(super) fn misfits(schema: &Value, value: &Value) -> Vec<Misfit> {
    let mut check = Check {
        root: schema,
        visits: 0,
        found: Vec::new(),
    };
    check.value(schema, value, "", 0);
    check.found
}

/// The sub-schema of the field that a JSON pointer names, if the schema has it.
pub(crate) fn field<'s>(root: &'s Value, pointer: &str) -> Option<&'s Value> {
    let steps: Vec<String> = pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect();
    find(root, root, &steps, 0, &mut 0)
}

struct Check<'s> {
    root: &'s Value,
    visits: usize,
    found: Vec<Misfit>,
}

impl<'s> Check<'s> {
    fn value(&mut self, schema: &'s Value, value: &Value, at: &str, depth: usize) {
        let Some(rules) = schema.as_object() else {
            if schema == &Value::Bool(false) {
                self.misfit(at, "no value is allowed here".into());
            }
            return;
        };
        self.visits += 1;
        if depth > MAX_DEPTH || self.visits > MAX_VISITS {
            return;
        }
        if let Some(target) = rules.get("$ref").and_then(|r| resolve(self.root, r)) {
            self.value(target, value, at, depth + 1);
        }
        if !self.is_of_type(rules, value, at) {
            return;
        }
        self.allowed_values(rules, value, at);
        self.alternatives(rules, value, at, depth);
        match value {
            Value::Object(fields) => self.object(rules, fields, at, depth),
            Value::Array(items) => self.array(rules, items, at, depth),
            Value::String(text) => self.bounds(rules, text.chars().count() as f64, at, LENGTH),
            Value::Number(number) => {
                self.bounds(rules, number.as_f64().unwrap_or(0.0), at, RANGE);
            }
            _ => {}
        }
    }

    fn is_of_type(&mut self, rules: &Map<String, Value>, value: &Value, at: &str) -> bool {
        let wanted: Vec<&str> = match rules.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        if wanted.iter().any(|name| has_type(value, name)) {
            return true;
        }
        let message = format!(
            "must be of type {}, but is {}",
            wanted.join(" or "),
            type_of(value)
        );
        self.misfit(at, message);
        false
    }

    fn allowed_values(&mut self, rules: &Map<String, Value>, value: &Value, at: &str) {
        let allowed: &[Value] = match (rules.get("enum"), rules.get("const")) {
            (Some(Value::Array(allowed)), _) => allowed,
            (_, Some(only)) => std::slice::from_ref(only),
            _ => return,
        };
        if allowed.contains(value) {
            return;
        }
        let texts: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
        let said = value.as_str().and_then(|text| nearest(text, texts));
        let end = match said {
            Some(near) => format!("; did you mean `{near}`?"),
            None => {
                let shown: Vec<String> = allowed.iter().take(8).map(Value::to_string).collect();
                format!("; allowed are {}", excerpt(&shown.join(", ")))
            }
        };
        self.misfit(
            at,
            format!("must not be {}{end}", excerpt(&value.to_string())),
        );
    }

    fn alternatives(
        &mut self,
        rules: &'s Map<String, Value>,
        value: &Value,
        at: &str,
        depth: usize,
    ) {
        if let Some(all) = rules.get("allOf").and_then(Value::as_array) {
            for schema in all {
                self.value(schema, value, at, depth + 1);
            }
        }
        for keyword in ["anyOf", "oneOf"] {
            let Some(schemas) = rules.get(keyword).and_then(Value::as_array) else {
                continue;
            };
            let fits = schemas.iter().any(|schema| {
                let mut trial = Check {
                    root: self.root,
                    visits: self.visits,
                    found: Vec::new(),
                };
                trial.value(schema, value, at, depth + 1);
                self.visits = trial.visits;
                trial.found.is_empty()
            });
            if !fits {
                self.misfit(at, format!("fits none of the schemas under `{keyword}`"));
            }
        }
    }

    fn object(
        &mut self,
        rules: &'s Map<String, Value>,
        fields: &Map<String, Value>,
        at: &str,
        depth: usize,
    ) {
        let properties = rules.get("properties").and_then(Value::as_object);
        for name in required(rules) {
            if !fields.contains_key(name) {
                self.misfit(at, format!("lacks the required field `{name}`"));
            }
        }
        for (name, value) in fields {
            let pointer = format!("{at}/{}", escape(name));
            match (
                properties.and_then(|p| p.get(name)),
                rules.get("additionalProperties"),
            ) {
                (Some(schema), _) => self.value(schema, value, &pointer, depth + 1),
                (None, Some(Value::Bool(false))) if !rules.contains_key("patternProperties") => {
                    let known = properties
                        .into_iter()
                        .flat_map(|p| p.keys().map(String::as_str));
                    let end = match nearest(name, known) {
                        Some(near) => format!("; did you mean `{near}`?"),
                        None => String::new(),
                    };
                    self.misfit(
                        &pointer,
                        format!("is a field that the schema does not have{end}"),
                    );
                }
                (None, Some(schema)) => self.value(schema, value, &pointer, depth + 1),
                (None, None) => {}
            }
        }
    }

    fn array(&mut self, rules: &'s Map<String, Value>, items: &[Value], at: &str, depth: usize) {
        self.bounds(rules, items.len() as f64, at, COUNT);
        if let Some(schema) = rules.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(schema, item, &format!("{at}/{index}"), depth + 1);
            }
        }
    }

    fn bounds(&mut self, rules: &Map<String, Value>, measure: f64, at: &str, names: [&str; 3]) {
        let [low, high, what] = names;
        let bound = |key: &str| rules.get(key).and_then(Value::as_f64);
        if let Some(low) = bound(low).filter(|low| measure < *low) {
            self.misfit(
                at,
                format!("must have a {what} of at least {low}, but has {measure}"),
            );
        }
        if let Some(high) = bound(high).filter(|high| measure > *high) {
            self.misfit(
                at,
                format!("must have a {what} of at most {high}, but has {measure}"),
            );
        }
    }

    fn misfit(&mut self, at: &str, message: String) {
        self.found.push(Misfit {
            pointer: at.to_string(),
            message,
        });
    }
}

const LENGTH: [&str; 3] = ["minLength", "maxLength", "length"];
const RANGE: [&str; 3] = ["minimum", "maximum", "value"];
const COUNT: [&str; 3] = ["minItems", "maxItems", "count of items"];

/// The fields that a schema requires.
pub(super) fn required(rules: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let names = rules.get("required").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(Value::as_str)
}

/// The sub-schema that a local `$ref` names.
pub(super) fn resolve<'s>(root: &'s Value, reference: &Value) -> Option<&'s Value> {
    root.pointer(reference.as_str()?.strip_prefix('#')?)
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
        }
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    }
}

/// The JSON type of a value.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Object(_) => "object",
        Value::Array(_) => "array",
        Value::String(_) => "string",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::Bool(_) => "boolean",
        Value::Null => "null",
    }
}

/// A field's name as a step of a JSON pointer.
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn find<'s>(
    root: &'s Value,
    schema: &'s Value,
    steps: &[String],
    depth: usize,
    visits: &mut usize,
) -> Option<&'s Value> {
    *visits += 1;
    if depth > MAX_DEPTH || *visits > MAX_VISITS {
        return None;
    }
    let target = schema.get("$ref").and_then(|r| resolve(root, r));
    if let Some(found) = target.and_then(|target| find(root, target, steps, depth + 1, visits)) {
        return Some(found);
    }
    let Some((step, rest)) = steps.split_first() else {
        return Some(schema);
    };
    let property = schema.get("properties").and_then(|p| p.get(step));
    let item = match step.parse::<usize>() {
        Ok(_) => schema.get("items"),
        Err(_) => None,
    };
    if let Some(next) = property.or(item) {
        return find(root, next, rest, depth + 1, visits);
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let schemas = schema.get(keyword).and_then(Value::as_array);
        for schema in schemas.into_iter().flatten() {
            if let Some(found) = find(root, schema, steps, depth + 1, visits) {
                return Some(found);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Value {
        json!({
            "type": "object",
            "properties": {
                "category": {"enum": ["billing", "delivery"]},
                "count": {"type": "integer", "minimum": 1},
                "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}, "maxItems": 2},
                "note": {"type": ["string", "null"]},
            },
            "required": ["category"],
            "additionalProperties": false,
            "$defs": {"tag": {"type": "string", "minLength": 1}},
        })
    }

    fn said(value: Value) -> Vec<String> {
        let found = misfits(&schema(), &value);
        found
            .iter()
            .map(|m| format!("{} {}", m.pointer, m.message))
            .collect()
    }

    #[test]
    fn values_that_fit_have_no_misfit() {
        assert_eq!(said(json!({"category": "billing"})), [""; 0]);
        let full = json!({"category": "delivery", "count": 2, "tags": ["a"], "note": null});
        assert_eq!(said(full), [""; 0]);
    }

    #[test]
    fn every_misfit_is_named_with_its_pointer() {
        let value = json!({"category": "biling", "count": 0, "tags": ["", 3, "x"], "nota": 1});
        assert_eq!(
            said(value),
            [
                "/category must not be \"biling\"; did you mean `billing`?",
                "/count must have a value of at least 1, but has 0",
                "/tags must have a count of items of at most 2, but has 3",
                "/tags/0 must have a length of at least 1, but has 0",
                "/tags/1 must be of type string, but is integer",
                "/nota is a field that the schema does not have; did you mean `note`?",
            ]
        );
        assert_eq!(said(json!([])), [" must be of type object, but is array"]);
        assert_eq!(said(json!({})), [" lacks the required field `category`"]);
    }

    #[test]
    fn fields_are_found_through_references_and_items() {
        let schema = schema();
        assert!(field(&schema, "/category").is_some());
        assert_eq!(
            field(&schema, "/tags/0").and_then(|s| s.get("type")),
            Some(&json!("string"))
        );
        assert!(field(&schema, "/price").is_none());
        assert!(field(&schema, "").is_some());
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"$ref": "#", "properties": {"a": {"$ref": "#"}}});
        assert_eq!(misfits(&schema, &json!({"a": {"a": {}}})), []);
        assert_eq!(field(&schema, "/b"), None);
        let doubling = json!({"anyOf": [{"$ref": "#"}, {"$ref": "#"}], "type": "string"});
        assert!(!misfits(&doubling, &json!(1)).is_empty());
        assert_eq!(field(&doubling, "/b"), None);
    }
}
