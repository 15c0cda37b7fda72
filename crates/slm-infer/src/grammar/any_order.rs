//! Properties in any order, where the grammar compiler can say so.
//!
//! The compiler writes `properties` in the schema's order, and models answer in the order that they
//! were taught: one that says the city before the artist would have to leave out the artist. Names
//! given by patterns may come in any order, so an object none of whose properties must be there gets
//! patterns instead, each of one name. Such a name may come twice; readers of JSON take the last.
//! Does not know tokens.

use serde_json::{Map, Value};

use super::escaped;
use super::schema::{MAPS, ONE};

/// Keywords that count or combine properties, beside which they keep their order.
const ORDERED: [&str; 8] = [
    "required",
    "patternProperties",
    "minProperties",
    "maxProperties",
    "allOf",
    "anyOf",
    "oneOf",
    "$ref",
];

/// The same answers, with the order of properties left open where none is required and no others may
/// come. Alternatives are left as they are, because the compiler compares them.
pub fn in_any_order(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else {
        return schema.clone();
    };
    let mut out = Map::new();
    for (keyword, value) in fields {
        let inside = match (keyword.as_str(), value) {
            (keyword, Value::Object(map)) if MAPS.contains(&keyword) || keyword == "$defs" => {
                let each = map.iter();
                each.map(|(name, schema)| (name.clone(), in_any_order(schema)))
                    .collect()
            }
            (keyword, value) if ONE.contains(&keyword) => in_any_order(value),
            ("prefixItems", Value::Array(items)) => items.iter().map(in_any_order).collect(),
            _ => value.clone(),
        };
        out.insert(keyword.clone(), inside);
    }
    let required = |value: &Value| value.as_array().is_none_or(|names| !names.is_empty());
    let ordered = ORDERED.iter().any(|keyword| match *keyword {
        "required" => fields.get("required").is_some_and(required),
        keyword => fields.contains_key(keyword),
    });
    let closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
    if ordered || !closed {
        return out.into();
    }
    if let Some(Value::Object(properties)) = out.remove("properties") {
        let each = properties.into_iter();
        let patterns = each.map(|(name, schema)| (format!("^{}$", escaped(&name)), schema));
        out.insert(
            "patternProperties".into(),
            Value::Object(patterns.collect()),
        );
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_closed_objects_without_required_names_change() {
        let text = json!({"type": "string"});
        let open = json!({"type": "object", "properties": {"a": text}});
        assert_eq!(in_any_order(&open), open);
        let required = json!({"type": "object", "properties": {"a": text}, "required": ["a"],
            "additionalProperties": false});
        assert_eq!(in_any_order(&required), required);
        let inner = json!({"type": "object", "properties": {"a.b": text, "enum": text},
            "additionalProperties": false});
        let outer = |inner| {
            json!({"type": "object", "properties": {"properties": inner, "b": true},
            "required": ["properties"], "$defs": {"r0": {"type": "array", "items": inner}}})
        };
        let patterns = json!({"type": "object", "additionalProperties": false,
            "patternProperties": {"^a\\.b$": text, "^enum$": text}});
        assert_eq!(in_any_order(&outer(inner)), outer(patterns));
        let kept = json!({"anyOf": [{"type": "object", "properties": {"a": text},
            "additionalProperties": false}, text]});
        assert_eq!(in_any_order(&kept), kept);
    }
}
