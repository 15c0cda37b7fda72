//! Field precision, recall and F1 over (JSON pointer, value) pairs.
//!
//! Does not know the schema: what is not in the target is a false positive.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sample;
use super::exact::same_value;

/// Every leaf with its JSON pointer. Scalars, null and empty containers are leaves.
pub fn leaves(value: &Value) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    collect(value, String::new(), &mut found);
    found
}

fn collect<'a>(value: &'a Value, pointer: String, found: &mut BTreeMap<String, &'a Value>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (key, field) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                collect(field, format!("{pointer}/{key}"), found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{pointer}/{index}"), found);
            }
        }
        leaf => {
            found.insert(pointer, leaf);
        }
    }
}

/// True positives, false positives and false negatives of one sample. A pair is
/// found when the answer has the same value at the same pointer. Without a
/// usable answer every pair of the target is a false negative.
pub fn counts(sample: &Sample) -> [u32; 3] {
    let mut sums = [0; 3];
    for count in by_field(sample).values() {
        for (sum, part) in sums.iter_mut().zip(count) {
            *sum += part;
        }
    }
    sums
}

/// The counts of one sample by field, positions in lists written as `*`.
pub fn by_field(sample: &Sample) -> BTreeMap<String, [u32; 3]> {
    let target = leaves(sample.target);
    let answer = sample.answer.json().map(leaves).unwrap_or_default();
    let mut counts: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    for (pointer, value) in &target {
        let found = answer
            .get(pointer)
            .is_some_and(|given| same_value(given, value));
        counts
            .entry(field_name(pointer, sample.target))
            .or_default()[if found { 0 } else { 2 }] += 1;
    }
    for (pointer, value) in &answer {
        let wanted = target
            .get(pointer)
            .is_some_and(|wanted| same_value(wanted, value));
        if !wanted {
            let whole = sample.answer.json().unwrap_or(&Value::Null);
            counts.entry(field_name(pointer, whole)).or_default()[1] += 1;
        }
    }
    counts
}

/// The pointer with the positions in lists replaced by `*`.
fn field_name(pointer: &str, whole: &Value) -> String {
    let mut name = String::new();
    let mut place = Some(whole);
    for token in pointer.split('/').skip(1) {
        let in_list = place.is_some_and(Value::is_array);
        name.push('/');
        name.push_str(if in_list { "*" } else { token });
        place = place.and_then(|place| place.pointer(&format!("/{token}")));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use crate::metrics::tests_support::{rows, samples};
    use crate::task::{OutputType, Task};
    use serde_json::json;

    fn count(target: Value, output: Value) -> [u32; 3] {
        let task = Task::of_kind("t", OutputType::Json);
        let rows = rows(&[target]);
        counts(&samples(&task, &rows, &[output])[0])
    }

    #[test]
    fn pairs_are_compared_by_pointer_and_value() {
        let target = json!({"a": 1, "b": {"c": "x", "d": null}, "l": [1, 2]});
        // Right: /a, /b/d, /l/0. Wrong: /b/c. Missing: /l/1. Extra: /e.
        let output = json!("{\"a\":1.0,\"b\":{\"c\":\"y\",\"d\":null},\"l\":[1],\"e\":2}");
        assert_eq!(count(target.clone(), output), [3, 2, 2]);
        assert_eq!(count(target.clone(), json!("no json")), [0, 0, 5]);
        assert_eq!(count(target, json!(null)), [0, 0, 5]);
    }

    #[test]
    fn an_empty_target_still_counts() {
        assert_eq!(count(json!({}), json!("{}")), [1, 0, 0]);
        assert_eq!(count(json!({}), json!("{\"a\":1}")), [0, 1, 1]);
    }

    #[test]
    fn fields_in_lists_and_with_odd_names_are_told_apart() {
        let task = Task::of_kind("t", OutputType::Json);
        let rows = rows(&[json!({"l": [{"q": 1}, {"q": 2}], "a/b": 1})]);
        let output = json!("{\"l\":[{\"q\":1},{\"q\":3}],\"a/b\":1}");
        let counts = by_field(&samples(&task, &rows, &[output])[0]);
        assert_eq!(counts["/l/*/q"], [1, 1, 1]);
        assert_eq!(counts["/a~1b"], [1, 0, 0]);
    }

    #[test]
    fn text_rows_do_not_enter() {
        let task = Task::of_kind("t", OutputType::Json);
        let mut rows = rows(&[json!({"a": 1}), json!("free")]);
        rows[1].output_type = Some(OutputType::Text);
        let samples = samples(&task, &rows, &[json!("{\"a\":1}"), json!("other")]);
        let tally = Metric::FieldF1.tally(&task, &samples);
        assert_eq!((tally.n(), tally.value()), (1, Some(1.0)));
    }
}
