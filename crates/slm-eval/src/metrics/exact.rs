//! Exact match: byte for byte, and after normalizing.
//!
//! Does not know partial credit.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sample;
use super::normalize::normalize;
use crate::answer::Content;
use crate::calls::Call;

/// The output is the target's text, byte for byte.
pub fn raw(sample: &Sample) -> bool {
    sample.answer.cause().is_none() && sample.answer.raw == sample.row.target_text()
}

/// The output means the target: JSON compared as values (neither white space nor
/// the order of keys matters, and 1 equals 1.0), labels after trimming, text
/// after SQuAD's normalizing. Fields with rules of their own are compared by these. For calls, the answer is one of the allowed sets.
pub fn normalized(sample: &Sample) -> bool {
    match &sample.answer.content {
        Content::Nothing(_) => false,
        Content::Json(value) if sample.rules.is_empty() => same_value(value, sample.target),
        Content::Json(_) => {
            let [_, fp, fn_] = super::field::counts(sample);
            fp == 0 && fn_ == 0
        }
        Content::Label(label) => *label == sample.row.target_text(),
        Content::Text(text) => normalize(text) == normalize(&sample.row.target_text()),
        Content::Calls(calls) => same_calls(calls, sample.target),
    }
}

/// Equality of JSON values in which numbers are compared by their amount.
pub fn same_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (a.is_f64() != b.is_f64() && a.as_f64() == b.as_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let b: BTreeMap<&String, &Value> = b.iter().collect();
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| same_value(value, other)))
        }
        _ => left == right,
    }
}

/// The calls in their order, every argument equal to one of its allowed values
/// and no required one absent: `call_match` without its leniency.
fn same_calls(calls: &[Call], target: &Value) -> bool {
    let Some(allowed) = target.as_array().filter(|all| all.len() == calls.len()) else {
        return false;
    };
    calls.iter().zip(allowed).all(|(call, allowed)| {
        let Some(Value::Object(arguments)) = allowed.get(&call.function) else {
            return false;
        };
        let present = call.arguments.iter().all(|(name, value)| {
            let options = arguments.get(name).and_then(Value::as_array);
            options.is_some_and(|options| options.iter().any(|option| same_value(value, option)))
        });
        let complete = arguments.iter().all(|(name, options)| {
            call.arguments.contains_key(name)
                || options
                    .as_array()
                    .is_some_and(|all| all.iter().any(|o| o == ""))
        });
        present && complete
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use crate::metrics::tests_support::rights;
    use crate::task::OutputType;
    use serde_json::json;

    #[test]
    fn raw_wants_every_byte() {
        let target = json!({"a": 1, "b": "x"});
        let outputs = [
            json!("{\"a\":1,\"b\":\"x\"}"),
            json!("{\"b\":\"x\",\"a\":1}"),
            json!("{\"a\": 1, \"b\": \"x\"}"),
        ];
        let raw = rights(Metric::ExactRaw, OutputType::Json, &target, &outputs);
        assert_eq!(raw, [true, false, false]);
        let normalized = rights(Metric::ExactNormalized, OutputType::Json, &target, &outputs);
        assert_eq!(normalized, [true, true, true]);
    }

    #[test]
    fn text_is_normalized_as_squad_does() {
        let outputs = [json!("the  Eiffel tower!"), json!("Eiffel"), json!(null)];
        let target = json!("Eiffel Tower");
        let got = rights(Metric::ExactNormalized, OutputType::Text, &target, &outputs);
        assert_eq!(got, [true, false, false]);
    }

    #[test]
    fn values_compare_by_amount_and_type() {
        assert!(same_value(&json!(1), &json!(1.0)));
        assert!(!same_value(&json!(1), &json!("1")));
        assert!(!same_value(&json!(1), &json!(true)));
        assert!(!same_value(&json!([1, 2]), &json!([2, 1])));
        assert!(!same_value(&json!({"a": null}), &json!({})));
    }

    #[test]
    fn calls_are_compared_without_leniency() {
        let target = json!([{"f": {"x": ["New York"], "y": [1, ""]}}]);
        let outputs = [
            json!([{"f": {"x": "New York"}}]),
            json!([{"f": {"x": "new york"}}]),
            json!([{"f": {"y": 1}}]),
        ];
        let got = rights(
            Metric::ExactNormalized,
            OutputType::Calls,
            &target,
            &outputs,
        );
        assert_eq!(got, [true, false, false]);
    }
}
