//! Field precision, recall and F1 over (JSON pointer, value) pairs.
//!
//! Scalars, null and empty containers are values; fields may have rules of agreement. Does not
//! know the schema: what is not in the target is a false positive.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Sample;
use super::agreement::{Compare, Rule, Rules};
use super::exact::same_value;

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

/// The counts of one sample by field, positions in lists written as `*`. A list that the rules
/// take as unordered is one field: its items are paired one to one, wherever they stand.
pub fn by_field(sample: &Sample) -> BTreeMap<String, [u32; 3]> {
    let target = grouped(sample.target, sample.rules);
    let answer = sample
        .answer
        .json()
        .map(|value| grouped(value, sample.rules))
        .unwrap_or_default();
    let mut counts: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    for (place, wanted) in &target {
        let given = answer.get(place);
        let alike = given.is_some_and(|given| given.unordered == wanted.unordered);
        let given = given.map_or(&[][..], |given| &given.values);
        let rule = sample.rules.of(&wanted.field);
        let found = if alike {
            paired(given, &wanted.values, rule)
        } else {
            0
        };
        let count = counts.entry(wanted.field.clone()).or_default();
        count[0] += found;
        count[1] += given.len() as u32 - found;
        count[2] += wanted.values.len() as u32 - found;
    }
    for (place, given) in &answer {
        if !target.contains_key(place) {
            counts.entry(given.field.clone()).or_default()[1] += given.values.len() as u32;
        }
    }
    counts
}

/// The values at one place: one, or the items of an unordered list.
struct Group<'a> {
    field: String,
    unordered: bool,
    values: Vec<&'a Value>,
}

fn grouped<'a>(value: &'a Value, rules: &Rules) -> BTreeMap<String, Group<'a>> {
    let mut found = BTreeMap::new();
    group(value, String::new(), String::new(), rules, &mut found);
    found
}

/// Adds the values under a pointer, whose field is the pointer with `*` for positions.
fn group<'a>(
    value: &'a Value,
    pointer: String,
    field: String,
    rules: &Rules,
    found: &mut BTreeMap<String, Group<'a>>,
) {
    match value {
        Value::Array(items) if !items.is_empty() && rules.of(&field).is_unordered() => {
            let mut values: Vec<&Value> = Vec::new();
            for item in items {
                let repeated = rules.of(&field).compare == Compare::Set
                    && values.iter().any(|known| same_value(known, item));
                if !repeated {
                    values.push(item);
                }
            }
            let unordered = true;
            found.insert(
                pointer,
                Group {
                    field,
                    unordered,
                    values,
                },
            );
        }
        Value::Object(fields) if !fields.is_empty() => {
            for (key, inner) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                let (pointer, field) = (format!("{pointer}/{key}"), format!("{field}/{key}"));
                group(inner, pointer, field, rules, found);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for (index, item) in items.iter().enumerate() {
                let (pointer, field) = (format!("{pointer}/{index}"), format!("{field}/*"));
                group(item, pointer, field, rules, found);
            }
        }
        leaf => {
            let values = vec![leaf];
            let unordered = false;
            found.insert(
                pointer,
                Group {
                    field,
                    unordered,
                    values,
                },
            );
        }
    }
}

/// How many wanted values find a given one of their own. Agreement of list items is equality,
/// so taking the first that fits pairs as many as can be.
fn paired(given: &[&Value], wanted: &[&Value], rule: &Rule) -> u32 {
    let mut free: Vec<&&Value> = given.iter().collect();
    let mut found = 0;
    for value in wanted {
        if let Some(at) = free.iter().position(|other| rule.agrees(other, value)) {
            free.swap_remove(at);
            found += 1;
        }
    }
    found
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
    fn rules_decide_field_by_field() {
        let rule = |compare| Rule {
            compare,
            absolute: 0.0,
            ..Rule::default()
        };
        let mut task = Task::of_kind("t", OutputType::Json);
        let money = Rule {
            absolute: 0.01,
            ..rule(Compare::Number)
        };
        for (field, rule) in [
            ("/total", money),
            ("/tags", rule(Compare::Set)),
            ("/ids", rule(Compare::Bag)),
            ("/lines/*/name", rule(Compare::Normalized)),
        ] {
            task.output.fields.0.insert(field.into(), rule);
        }
        let rows = rows(&[
            json!({"total": 3.5, "tags": ["a", "b", "a"], "ids": [1, 1, 2], "lines": [{"name": "The Box"}]}),
        ]);
        let right = json!({"lines": [{"name": "box"}], "ids": [2, 1, 1], "tags": ["b", "a"], "total": 3.51});
        // tags: a found, c added, b missing. ids: 1 and 2 found, one 1 missing.
        let wrong =
            json!({"lines": [{"name": "box"}], "ids": [2, 1], "tags": ["c", "a"], "total": 3.6});
        let all = samples(&task, &rows, &[right]);
        assert_eq!(counts(&all[0]), [1 + 2 + 3 + 1, 0, 0]);
        assert!(crate::metrics::is_right(&all[0]));
        let all = samples(&task, &rows, &[wrong]);
        let by_field = by_field(&all[0]);
        assert_eq!(by_field["/total"], [0, 1, 1]);
        assert_eq!(by_field["/tags"], [1, 1, 1]);
        assert_eq!(by_field["/ids"], [2, 0, 1]);
        assert_eq!(by_field["/lines/*/name"], [1, 0, 0]);
        assert!(!crate::metrics::is_right(&all[0]));
        // A single value is not the list of it.
        let scalar =
            json!({"lines": [{"name": "box"}], "ids": 2, "tags": ["b", "a"], "total": 3.5});
        assert_eq!(
            super::by_field(&samples(&task, &rows, &[scalar])[0])["/ids"],
            [0, 1, 3]
        );
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
