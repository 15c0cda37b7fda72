//! Label F1: a label task's own labels, or one field of a JSON answer whose
//! values the schema declares. What is not a declared label is the invalid class.
//!
//! Does not know averages; see `tally`.

use std::collections::HashMap;

use super::{Sample, Score, Tally};
use crate::answer::Content;
use crate::rows::text_of;
use crate::schema::allowed_at;
use crate::task::{OutputType, Task};

/// The declared classes; when nothing declares any, the targets' own, sorted.
pub fn classes(task: &Task, samples: &[Sample]) -> Vec<String> {
    let mut classes = task.output.labels.clone();
    for label in samples.iter().flat_map(|sample| &sample.row.labels) {
        if !classes.contains(label) {
            classes.push(label.clone());
        }
    }
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
    match sample.kind {
        OutputType::Label => target_at(sample, None),
        _ => target_at(sample, Some(task.label_field.as_deref()?)),
    }
}

/// The label that a right answer has under a JSON pointer, or as a whole.
pub fn target_at(sample: &Sample, pointer: Option<&str>) -> Option<String> {
    match (sample.kind, pointer) {
        (OutputType::Label, None) => Some(sample.row.target_text()),
        (OutputType::Json, Some(pointer)) => sample
            .target
            .pointer(pointer)
            .filter(|value| !value.is_object() && !value.is_array())
            .map(text_of),
        _ => None,
    }
}

/// The label that the answer has under a JSON pointer, or as a whole.
pub fn answered_at(sample: &Sample, pointer: Option<&str>) -> Option<String> {
    match (&sample.answer.content, pointer) {
        (Content::Label(label), None) => Some(label.clone()),
        (Content::Json(value), Some(pointer)) => value.pointer(pointer).map(text_of),
        _ => None,
    }
}

/// Target and predicted class of every sample that has a target label: a label task's own, or
/// the one under the task's label field.
pub fn tally(task: &Task, samples: &[Sample], score: Score) -> Tally {
    let classes = classes(task, samples);
    let index = index_of(&classes);
    let pairs = samples
        .iter()
        .map(|sample| {
            let field = match sample.kind {
                OutputType::Label => None,
                _ => Some(task.label_field.as_deref()?),
            };
            pair(sample, field, &index, classes.len())
        })
        .collect();
    Tally::Labels {
        pairs,
        classes: classes.len(),
        score,
    }
}

/// Target and predicted class, among given ones, of every sample that has a target label under
/// a JSON pointer, or as a whole.
pub fn pairs<'a>(
    samples: impl Iterator<Item = &'a Sample<'a>>,
    pointer: Option<&str>,
    classes: &[String],
    score: Score,
) -> Tally {
    let index = index_of(classes);
    Tally::Labels {
        pairs: samples
            .map(|sample| pair(sample, pointer, &index, classes.len()))
            .collect(),
        classes: classes.len(),
        score,
    }
}

fn index_of(classes: &[String]) -> HashMap<&str, usize> {
    let limit = usize::from(u16::MAX) - 1;
    let numbered = classes.iter().take(limit).enumerate();
    numbered
        .map(|(index, label)| (label.as_str(), index))
        .collect()
}

fn pair(
    sample: &Sample,
    pointer: Option<&str>,
    index: &HashMap<&str, usize>,
    invalid: usize,
) -> Option<(u16, u16)> {
    let target = index.get(target_at(sample, pointer)?.as_str())?;
    let answered = answered_at(sample, pointer);
    let predicted = answered.and_then(|label| index.get(label.as_str()).copied());
    Some((*target as u16, predicted.unwrap_or(invalid) as u16))
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
