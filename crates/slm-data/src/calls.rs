//! Function calls as answers: `[{"name": ..., "arguments": {...}}]`, and as
//! targets of an evaluation: `[{function: {argument: [allowed values]}}]`.
//!
//! Does not know how calls are scored or executed.

use serde_json::{Map, Value};

/// One call: the function's name and its arguments.
pub(crate) type Call<'a> = (&'a str, &'a Map<String, Value>);

/// The calls of an answer; one call may stand without the list. `None` when the
/// value has another shape. Read are `{"name", "arguments"}` and
/// `{function: {...}}`.
pub(crate) fn calls(answer: &Value) -> Option<Vec<Call<'_>>> {
    match answer {
        Value::Array(items) => items.iter().map(call).collect(),
        Value::Object(_) => Some(vec![call(answer)?]),
        _ => None,
    }
}

fn call(item: &Value) -> Option<Call<'_>> {
    let object = item.as_object()?;
    if let (Some(name), Some(arguments)) = (object.get("name"), object.get("arguments")) {
        return Some((name.as_str()?, arguments.as_object()?));
    }
    let (name, arguments) = object.iter().next().filter(|_| object.len() == 1)?;
    Some((name, arguments.as_object()?))
}

/// The target that an evaluation compares an answer's calls with: each argument
/// allows the one value that the answer has.
pub(crate) fn to_target(answer: &Value) -> Option<Value> {
    let targets = calls(answer)?.into_iter().map(|(name, arguments)| {
        let allowed: Map<String, Value> = arguments
            .iter()
            .map(|(key, value)| (key.clone(), Value::Array(vec![value.clone()])))
            .collect();
        Value::Object(Map::from_iter([(name.to_owned(), Value::Object(allowed))]))
    });
    Some(Value::Array(targets.collect()))
}

/// The answer that satisfies a target: the first allowed value of each
/// argument; an argument that may be absent (`""` allowed first) is left out.
pub(crate) fn from_target(target: &Value) -> Option<Value> {
    let answers = calls(target)?.into_iter().map(|(name, allowed)| {
        let arguments: Map<String, Value> = allowed
            .iter()
            .filter_map(|(key, values)| {
                let first = values.as_array()?.first()?;
                (first != "").then(|| (key.clone(), first.clone()))
            })
            .collect();
        Value::Object(Map::from_iter([
            ("name".to_owned(), name.into()),
            ("arguments".to_owned(), arguments.into()),
        ]))
    });
    Some(Value::Array(answers.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_and_targets_round_trip() {
        let answer = json!([{"name": "f", "arguments": {"a": 1, "b": ["x"]}}]);
        let target = to_target(&answer).unwrap();
        assert_eq!(target, json!([{"f": {"a": [1], "b": [["x"]]}}]));
        assert_eq!(from_target(&target).unwrap(), answer);
    }

    #[test]
    fn other_shapes_are_refused() {
        for wrong in [
            json!(3),
            json!([1]),
            json!([{"a": {}, "b": {}}]),
            json!([{"name": "f", "arguments": "{}"}]),
        ] {
            assert!(calls(&wrong).is_none(), "{wrong}");
        }
        assert_eq!(calls(&json!({"f": {}})).unwrap()[0].0, "f");
    }
}
