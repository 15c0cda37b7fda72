//! Label F1: a label task's own labels, or one field of a JSON answer whose
//! values the schema declares. What is not a declared label is the invalid class.
//!
//! Does not know averages; see `tally`.

use super::{Sample, Score, Tally};
use crate::answer::Content;
use crate::rows::text_of;
use crate::schema::allowed_at;
use crate::task::{OutputType, Task};

/// The declared classes; when nothing declares any, the targets' own, sorted.
pub fn classes(task: &Task, samples: &[Sample]) -> Vec<String> {
    let mut classes = task.output.labels.clone();
    if let Some(pointer) = &task.label_field {
        let own = samples
            .iter()
            .filter_map(|sample| sample.row.schema.as_ref());
        let mut seen: Vec<&serde_json::Value> = Vec::new();
        for schema in task.output.schema.iter().chain(own) {
            if seen.contains(&schema) {
                continue;
            }
            seen.push(schema);
            for label in allowed_at(schema, pointer) {
                if !classes.contains(&label) {
                    classes.push(label);
                }
            }
        }
    }
    if classes.is_empty() {
        classes = samples
            .iter()
            .filter_map(|s| target_label(task, s))
            .collect();
        classes.sort();
        classes.dedup();
    }
    classes
}

/// The label that a right answer has, when the row has one.
pub fn target_label(task: &Task, sample: &Sample) -> Option<String> {
    match (sample.kind, &task.label_field) {
        (OutputType::Label, _) => Some(sample.row.target_text()),
        (OutputType::Json, Some(pointer)) => sample
            .target
            .pointer(pointer)
            .filter(|value| !value.is_object() && !value.is_array())
            .map(text_of),
        _ => None,
    }
}

/// The label that the answer has, when it has one.
pub fn answered_label(task: &Task, sample: &Sample) -> Option<String> {
    match (&sample.answer.content, &task.label_field) {
        (Content::Label(label), _) => Some(label.clone()),
        (Content::Json(value), Some(pointer)) => value.pointer(pointer).map(text_of),
        _ => None,
    }
}

/// Target and predicted class of every sample that has a target label.
pub fn tally(task: &Task, samples: &[Sample], score: Score) -> Tally {
    let classes = classes(task, samples);
    let limit = usize::from(u16::MAX) - 1;
    let index = |label: &str| classes.iter().take(limit).position(|known| known == label);
    let pairs = samples
        .iter()
        .map(|sample| {
            let target = index(&target_label(task, sample)?)?;
            let predicted = answered_label(task, sample).and_then(|label| index(&label));
            Some((target as u16, predicted.unwrap_or(classes.len()) as u16))
        })
        .collect();
    Tally::Labels {
        pairs,
        classes: classes.len(),
        score,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use crate::metrics::tests_support::{rows, samples};
    use serde_json::json;

    #[test]
    fn a_field_of_json_is_scored_over_the_labels_of_the_schema() {
        let mut task = Task::of_kind("t", OutputType::Json);
        task.label_field = Some("/kind".into());
        task.output.schema = Some(json!({"properties": {"kind": {"enum": ["x", "y", "z"]}}}));
        let targets = [
            json!({"kind": "x"}),
            json!({"kind": "y"}),
            json!({"other": 1}),
        ];
        let rows = rows(&targets);
        let outputs = [
            json!("{\"kind\":\"x\"}"),
            json!("{\"kind\":\"q\"}"),
            json!("{}"),
        ];
        let samples = samples(&task, &rows, &outputs);
        let micro = Metric::LabelMicroF1.tally(&task, &samples);
        assert_eq!(micro.n(), 2);
        assert_eq!(micro.value(), Some(0.5));
        // x: 1, y: 0, z: 0 although no target has it.
        let macro_f1 = Metric::LabelMacroF1.tally(&task, &samples);
        assert!((macro_f1.value().unwrap() - 1.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn without_declared_labels_the_targets_declare_them() {
        let task = Task::of_kind("t", OutputType::Label);
        let rows = rows(&[json!("b"), json!("a"), json!("b")]);
        let samples = samples(&task, &rows, &[json!("b"), json!("b"), json!("c")]);
        assert_eq!(classes(&task, &samples), ["a", "b"]);
    }
}
