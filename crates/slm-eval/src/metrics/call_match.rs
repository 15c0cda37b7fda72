//! Tool-call match after the AST check of the Berkeley function-calling
//! leaderboard (Patil et al.), so that figures can be compared.
//!
//! A target is `[{function: {argument: [allowed values...]}}]`. Function names are
//! equal; required arguments are present and unknown ones absent; types are the
//! schema's; strings are compared without case, space and `,./-_*^`; calls match
//! one to one in any order. Does not know how answers are read into calls.

use serde_json::{Map, Value};

use super::Sample;
use super::exact::same_value;
use super::validity::{parameters_of, standard_type};
use crate::answer::Content;
use crate::calls::Call;

/// Whether the sample's calls match the target.
pub fn of_sample(sample: &Sample) -> bool {
    match (&sample.answer.content, sample.target) {
        (Content::Calls(calls), Value::Array(target)) => matches(calls, target, &sample.row.tools),
        _ => false,
    }
}

/// Whether each call can be paired with an allowed one, one to one.
pub fn matches(calls: &[Call], target: &[Value], tools: &[Value]) -> bool {
    if calls.len() != target.len() {
        return false;
    }
    let fits: Vec<Vec<usize>> = target
        .iter()
        .map(|allowed| {
            (0..calls.len())
                .filter(|index| call_fits(&calls[*index], allowed, tools))
                .collect()
        })
        .collect();
    let mut partner = vec![None; calls.len()];
    (0..target.len()).all(|wanted| pair(wanted, &fits, &mut partner, &mut vec![false; calls.len()]))
}

/// One augmenting step of bipartite matching (Kuhn).
fn pair(
    wanted: usize,
    fits: &[Vec<usize>],
    partner: &mut [Option<usize>],
    visited: &mut [bool],
) -> bool {
    for &call in &fits[wanted] {
        if std::mem::replace(&mut visited[call], true) {
            continue;
        }
        let free = match partner[call] {
            None => true,
            Some(other) => pair(other, fits, partner, visited),
        };
        if free {
            partner[call] = Some(wanted);
            return true;
        }
    }
    false
}

fn call_fits(call: &Call, allowed: &Value, tools: &[Value]) -> bool {
    let Some(Value::Object(arguments)) = allowed.get(&call.function) else {
        return false;
    };
    let parameters = parameters_of(tools, &call.function);
    if !tools.is_empty() && parameters.is_none() {
        return false;
    }
    let parameters = parameters.unwrap_or_default();
    let required = parameters.get("required").and_then(Value::as_array);
    let all_required = required
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .all(|name| call.arguments.contains_key(name));
    all_required && arguments_fit(&call.arguments, arguments, &parameters)
}

/// Every argument is known and has an allowed value; every argument that the
/// target has is given or optional.
fn arguments_fit(given: &Map<String, Value>, allowed: &Map<String, Value>, schema: &Value) -> bool {
    let properties = schema.get("properties").and_then(Value::as_object);
    let known = given.iter().all(|(name, value)| {
        let Some(options) = allowed.get(name).and_then(Value::as_array) else {
            return false;
        };
        let property = match properties {
            None => None,
            Some(properties) => match properties.get(name) {
                None => return false,
                found => found,
            },
        };
        value_fits(value, options, property)
    });
    known && nothing_missing(given, allowed)
}

/// An absent argument must be optional: an empty string among its values.
fn nothing_missing(given: &Map<String, Value>, allowed: &Map<String, Value>) -> bool {
    allowed.iter().all(|(name, options)| {
        given.contains_key(name)
            || options
                .as_array()
                .is_some_and(|options| options.iter().any(|option| option == ""))
    })
}

/// The value has the schema's type and equals one of the options.
fn value_fits(value: &Value, options: &[Value], schema: Option<&Value>) -> bool {
    if !type_fits(value, options, schema) {
        return false;
    }
    if names_variable(options, schema) {
        return options.iter().any(|option| same_value(value, option));
    }
    options.iter().any(|option| equals(value, option, schema))
}

/// The type that the schema names, or that of the first allowed value where this
/// differs from the schema (the name of a variable in place of a number).
fn type_fits(value: &Value, options: &[Value], schema: Option<&Value>) -> bool {
    let types = types_of(schema);
    if types.is_empty() || types.iter().any(|name| has_type(value, name)) {
        return true;
    }
    let first = options.iter().find(|option| **option != "");
    names_variable(options, schema) && first.is_some_and(|first| kind(first) == kind(value))
}

/// Whether the first allowed value is of another type than the schema's. As in
/// the leaderboard's check, values are then compared as they are.
fn names_variable(options: &[Value], schema: Option<&Value>) -> bool {
    let types = types_of(schema);
    let first = options.iter().find(|option| **option != "");
    !types.is_empty() && first.is_some_and(|first| !types.iter().any(|name| has_type(first, name)))
}

fn types_of(schema: Option<&Value>) -> Vec<&str> {
    let names = match schema.and_then(|schema| schema.get("type")) {
        Some(Value::String(name)) => vec![name.as_str()],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if names.contains(&"any") {
        return Vec::new();
    }
    names.into_iter().map(standard_type).collect()
}

/// An integer passes for a number, not the reverse; a boolean is no number.
fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(number) if number.is_f64() => 2,
        Value::Number(_) => 3,
        Value::String(_) => 4,
        Value::Array(_) => 5,
        Value::Object(_) => 6,
    }
}

/// Equality with one allowed value: strings standardized, lists element by
/// element, objects key by key against the allowed values of each key.
fn equals(value: &Value, allowed: &Value, schema: Option<&Value>) -> bool {
    match (value, allowed) {
        (Value::String(value), Value::String(allowed)) => {
            standardize(value) == standardize(allowed)
        }
        (Value::Number(_), Value::Number(_)) => same_value(value, allowed),
        (Value::Array(items), Value::Array(allowed)) => {
            let schema = schema.and_then(|schema| schema.get("items"));
            items.len() == allowed.len()
                && items
                    .iter()
                    .zip(allowed)
                    .all(|(item, allowed)| element_fits(item, allowed, schema))
        }
        (Value::Object(fields), Value::Object(allowed)) => {
            let schema = schema.cloned().unwrap_or_default();
            object_fits(fields, allowed, &schema)
        }
        _ => value == allowed,
    }
}

fn element_fits(item: &Value, allowed: &Value, schema: Option<&Value>) -> bool {
    type_fits(item, std::slice::from_ref(allowed), schema) && equals(item, allowed, schema)
}

/// A nested object: as arguments, but a key whose allowed values are not a list
/// must have just that value.
fn object_fits(given: &Map<String, Value>, allowed: &Map<String, Value>, schema: &Value) -> bool {
    let listed: Map<String, Value> = allowed
        .iter()
        .map(|(key, options)| match options {
            Value::Array(_) => (key.clone(), options.clone()),
            single => (key.clone(), Value::Array(vec![single.clone()])),
        })
        .collect();
    // Nested properties are often not described; then only the target counts.
    let described = schema.get("properties").and_then(Value::as_object);
    let complete = described.is_some_and(|all| listed.keys().all(|key| all.contains_key(key)));
    let schema = if complete { schema } else { &Value::Null };
    arguments_fit(given, &listed, schema)
}

/// Lower case, without space and `,./-_*^`; single quotes as double ones.
fn standardize(text: &str) -> String {
    text.chars()
        .filter(|character| !" ,./-_*^".contains(*character))
        .flat_map(char::to_lowercase)
        .map(|character| if character == '\'' { '"' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tools() -> Vec<Value> {
        vec![
            json!({"type": "function", "function": {"name": "book", "parameters": {
                "type": "dict",
                "properties": {
                    "city": {"type": "string"},
                    "guests": {"type": "integer"},
                    "price": {"type": "float"},
                    "vip": {"type": "boolean"},
                    "tags": {"type": "array", "items": {"type": "string"}},
                    "where": {"type": "dict", "properties": {"street": {"type": "string"}, "number": {"type": "integer"}}}
                },
                "required": ["city"]}}}),
            json!({"name": "cancel", "parameters": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}}),
        ]
    }

    fn fits(target: Value, output: Value) -> bool {
        let calls = crate::calls::read_output(&output).expect("calls");
        matches(&calls, target.as_array().unwrap(), &tools())
    }

    fn one(arguments: Value, output: Value) -> bool {
        fits(json!([{"book": arguments}]), json!([{"book": output}]))
    }

    #[test]
    fn strings_are_standardized_and_optional_arguments_may_be_absent() {
        let target = json!({"city": ["New York", "NYC"], "guests": [2, ""]});
        assert!(one(
            target.clone(),
            json!({"city": "new-york", "guests": 2})
        ));
        assert!(one(target.clone(), json!({"city": "n.y.c."})));
        assert!(!one(target.clone(), json!({"city": "Boston"})));
        assert!(!one(target.clone(), json!({"city": "NYC", "guests": 3})));
        assert!(!one(target.clone(), json!({"guests": 2})));
        assert!(!one(target, json!({"city": "NYC", "vip": true})));
    }

    #[test]
    fn an_argument_without_empty_string_must_be_given_even_if_not_required() {
        assert!(!one(
            json!({"city": ["a"], "guests": [2]}),
            json!({"city": "a"})
        ));
    }

    #[test]
    fn types_are_strict_but_an_integer_is_a_number() {
        let with = |value: Value, allowed: Value, given: Value| {
            let name = value.as_str().unwrap();
            one(
                json!({"city": ["a"], name: [allowed]}),
                json!({"city": "a", name: given}),
            )
        };
        assert!(with(json!("price"), json!(5.0), json!(5)));
        assert!(with(json!("price"), json!(5), json!(5.0)));
        assert!(!with(json!("guests"), json!(5), json!(5.0)));
        assert!(!with(json!("guests"), json!(1), json!(true)));
        assert!(!with(json!("vip"), json!(true), json!(1)));
        assert!(!with(json!("price"), json!(5), json!("5")));
        assert!(with(json!("vip"), json!(false), json!(false)));
    }

    #[test]
    fn a_value_may_have_the_type_of_the_first_allowed_one() {
        let target = json!({"city": ["a"], "guests": ["n"]});
        assert!(one(target.clone(), json!({"city": "a", "guests": "n"})));
        assert!(!one(target.clone(), json!({"city": "a", "guests": "N"})));
        assert!(!one(target, json!({"city": "a", "guests": 1})));
    }

    #[test]
    fn lists_and_objects_go_element_by_element() {
        let target = json!({"city": ["a"], "tags": [["Quiet Room", "sea"]]});
        assert!(one(
            target.clone(),
            json!({"city": "a", "tags": ["quiet room", "SEA"]})
        ));
        assert!(!one(
            target.clone(),
            json!({"city": "a", "tags": ["sea", "quiet room"]})
        ));
        assert!(!one(
            target.clone(),
            json!({"city": "a", "tags": ["quiet room"]})
        ));
        assert!(!one(
            target,
            json!({"city": "a", "tags": ["quiet room", 3]})
        ));
        let target = json!({"city": ["a"], "where": [{"street": ["Elm St.", "Elm Street"], "number": [3, ""]}]});
        assert!(one(
            target.clone(),
            json!({"city": "a", "where": {"street": "elm street"}})
        ));
        assert!(one(
            target.clone(),
            json!({"city": "a", "where": {"street": "Elm st", "number": 3}})
        ));
        assert!(!one(
            target.clone(),
            json!({"city": "a", "where": {"number": 3}})
        ));
        assert!(!one(
            target,
            json!({"city": "a", "where": {"street": "elm st", "zip": 1}})
        ));
    }

    #[test]
    fn parallel_calls_match_in_any_order_one_to_one() {
        let target =
            json!([{"cancel": {"id": [1, 2]}}, {"cancel": {"id": [1]}}, {"book": {"city": ["a"]}}]);
        let good = json!([{"book": {"city": "A"}}, {"cancel": {"id": 1}}, {"cancel": {"id": 2}}]);
        assert!(fits(target.clone(), good));
        let twice = json!([{"book": {"city": "A"}}, {"cancel": {"id": 2}}, {"cancel": {"id": 2}}]);
        assert!(!fits(target.clone(), twice));
        assert!(!fits(target, json!([{"book": {"city": "a"}}])));
        assert!(fits(json!([]), json!([])));
        assert!(!fits(json!([]), json!([{"cancel": {"id": 1}}])));
    }

    #[test]
    fn names_must_be_equal_and_known() {
        assert!(!fits(
            json!([{"cancel": {"id": [1]}}]),
            json!([{"Cancel": {"id": 1}}])
        ));
        assert!(!fits(
            json!([{"gone": {"id": [1]}}]),
            json!([{"gone": {"id": 1}}])
        ));
    }

    #[test]
    fn without_tools_the_target_alone_decides() {
        let calls = crate::calls::read_output(&json!([{"f": {"x": 1}}])).unwrap();
        assert!(matches(&calls, &[json!({"f": {"x": [1]}})], &[]));
        assert!(!matches(&calls, &[json!({"f": {"x": ["1"]}})], &[]));
    }
}
