//! Intent accuracy and slot F1, the measures of spoken-language understanding.
//!
//! A slot is a name with a value; an answer with the wrong intent has only wrong
//! slots. Does not know where in the JSON intent and slots stand: the task says.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sample;
use super::exact::same_value;
use crate::rows::text_of;

/// The answer has the target's intent.
pub fn intent_is_right(sample: &Sample, intent_field: &str) -> bool {
    let answer = sample
        .answer
        .json()
        .and_then(|json| json.pointer(intent_field));
    match (answer, sample.target.pointer(intent_field)) {
        (Some(given), Some(wanted)) => same_value(given, wanted),
        _ => false,
    }
}

/// True positives, false positives and false negatives over (name, value) pairs,
/// counted as a multiset. When the target has an intent and the answer another
/// (or none), every slot of the answer is a false positive and every slot of the
/// target a false negative.
pub fn counts(sample: &Sample, intent_field: &str, slots_field: &str) -> [u32; 3] {
    let wanted = slots(sample.target.pointer(slots_field));
    let given = slots(
        sample
            .answer
            .json()
            .and_then(|json| json.pointer(slots_field)),
    );
    let total = |slots: &BTreeMap<_, u32>| slots.values().sum::<u32>();
    let intent =
        sample.target.pointer(intent_field).is_none() || intent_is_right(sample, intent_field);
    let common = if intent {
        let shared = |(pair, count): (&(String, String), &u32)| {
            given.get(pair).copied().unwrap_or(0).min(*count)
        };
        wanted.iter().map(shared).sum()
    } else {
        0
    };
    [common, total(&given) - common, total(&wanted) - common]
}

/// The slots as a multiset. They may be an object of values or lists of values,
/// or a list of `{"name", "value"}` (also `slot`/`entity` and `text`). A null
/// value is no slot.
fn slots(value: Option<&Value>) -> BTreeMap<(String, String), u32> {
    let mut found = BTreeMap::new();
    let mut add = |name: &str, value: &Value| {
        if !value.is_null() {
            // As JSON text, so that "5" and 5 differ.
            *found
                .entry((name.to_string(), value.to_string()))
                .or_default() += 1;
        }
    };
    match value {
        Some(Value::Object(fields)) => {
            for (name, value) in fields {
                match value {
                    Value::Array(values) => values.iter().for_each(|value| add(name, value)),
                    value => add(name, value),
                }
            }
        }
        Some(Value::Array(items)) => {
            for item in items {
                let part = |keys: &[&str]| keys.iter().find_map(|key| item.get(*key));
                if let Some(name) = part(&["name", "slot", "entity"]) {
                    let value = part(&["value", "text"]).unwrap_or(&Value::Null);
                    add(&text_of(name), value);
                }
            }
        }
        _ => {}
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests_support::{rows, samples};
    use crate::task::{OutputType, Task};
    use serde_json::json;

    fn count(target: Value, output: Value) -> [u32; 3] {
        let task = Task::of_kind("t", OutputType::Json);
        let rows = rows(&[target]);
        let samples = samples(&task, &rows, &[output]);
        counts(&samples[0], "/intent", "/slots")
    }

    #[test]
    fn slots_count_by_name_and_value() {
        let target = json!({"intent": "i", "slots": {"a": "x", "b": ["y", "z"], "c": null}});
        let same = json!({"intent": "i", "slots": {"b": ["z", "y"], "a": "x"}});
        assert_eq!(count(target.clone(), same), [3, 0, 0]);
        let other = json!({"intent": "i", "slots": {"a": "X", "b": "y"}});
        assert_eq!(count(target.clone(), other), [1, 1, 2]);
        let listed = json!({"intent": "i", "slots": [{"name": "a", "value": "x"}]});
        assert_eq!(count(target, listed), [1, 0, 2]);
    }

    #[test]
    fn a_wrong_intent_makes_every_slot_wrong() {
        let target = json!({"intent": "i", "slots": {"a": "x", "b": "y"}});
        let wrong = json!({"intent": "j", "slots": {"a": "x"}});
        assert_eq!(count(target.clone(), wrong), [0, 1, 2]);
        let none = json!({"slots": {"a": "x"}});
        assert_eq!(count(target.clone(), none), [0, 1, 2]);
        assert_eq!(count(target, json!("{cut")), [0, 0, 2]);
    }

    #[test]
    fn the_same_slot_twice_counts_twice() {
        let target = json!({"intent": "i", "slots": {"a": ["x", "x"]}});
        let once = json!({"intent": "i", "slots": {"a": "x"}});
        assert_eq!(count(target, once), [1, 0, 1]);
    }
}
