//! Label F1 of the samples of one tag, for each of their label fields.
//!
//! Leaves of a mixed task have labels of their own, under fields of their own: what is averaged
//! over all leaves' labels together says nothing of any of them. Does not know intervals.

use serde_json::Value;

use super::{Sample, Score, Tally, label};
use crate::schema::{allowed_at, label_pointers};
use crate::task::{OutputType, Task};

/// Most label fields of a tag that are told apart.
const MOST_FIELDS: usize = 8;

/// The label fields of a tag's samples.
#[derive(Debug, Clone, Default)]
pub struct TagLabels {
    /// Each field's JSON pointer (empty for an answer that is itself a label), with the target
    /// and predicted classes of the tag's samples, in their order.
    pub fields: Vec<(String, Tally)>,
    /// Which of them `label_macro_f1` without a field means, where that is clear.
    pub chosen: Option<usize>,
}

impl TagLabels {
    /// The fields of some of the samples.
    pub fn of(task: &Task, samples: &[Sample], indices: &[usize]) -> Self {
        let own: Vec<&Sample> = indices.iter().map(|&index| &samples[index]).collect();
        let schemas = schemas(task, &own);
        let fields: Vec<(String, Tally)> = pointers(task, &own, &schemas)
            .into_iter()
            .map(|pointer| {
                let classes = classes(task, &own, &schemas, &pointer);
                let field = (!pointer.is_empty()).then_some(pointer.as_str());
                let tally = label::pairs(own.iter().copied(), field, &classes, Score::MacroF1);
                (pointer, tally)
            })
            .filter(|(_, tally)| tally.n() > 0)
            .collect();
        let named = task.label_field.as_deref();
        let chosen = match fields.as_slice() {
            [_] => Some(0),
            fields => fields
                .iter()
                .position(|(pointer, _)| Some(pointer.as_str()) == named),
        };
        Self { fields, chosen }
    }

    /// The tally that a label metric means for this tag, where that is clear.
    pub fn tally(&self, score: Score) -> Option<Tally> {
        let (_, tally) = self.fields.get(self.chosen?)?;
        Some(tally.clone().scored(score))
    }
}

/// The distinct schemas of the samples.
fn schemas<'a>(task: &'a Task, samples: &[&Sample<'a>]) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = Vec::new();
    for sample in samples.iter().filter(|s| s.kind == OutputType::Json) {
        let schema = sample.row.schema.as_ref().or(task.output.schema.as_ref());
        if let Some(schema) = schema
            && !found.contains(&schema)
        {
            found.push(schema);
        }
    }
    found
}

fn pointers(task: &Task, samples: &[&Sample], schemas: &[&Value]) -> Vec<String> {
    let mut found = Vec::new();
    if samples
        .iter()
        .any(|sample| sample.kind == OutputType::Label)
    {
        found.push(String::new());
    }
    let declared = schemas.iter().flat_map(|schema| label_pointers(schema));
    for pointer in task.label_field.clone().into_iter().chain(declared) {
        if !found.contains(&pointer) {
            found.push(pointer);
        }
    }
    found.truncate(MOST_FIELDS);
    found
}

/// The labels that a field may have; where nothing declares any, those of the targets, sorted.
fn classes(task: &Task, samples: &[&Sample], schemas: &[&Value], pointer: &str) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    let declared: Vec<String> = match pointer {
        "" => samples
            .iter()
            .flat_map(|sample| sample.row.declared_labels(task))
            .cloned()
            .collect(),
        pointer => schemas
            .iter()
            .flat_map(|schema| allowed_at(schema, pointer))
            .collect(),
    };
    for label in declared {
        if !classes.contains(&label) {
            classes.push(label);
        }
    }
    if classes.is_empty() {
        let field = (!pointer.is_empty()).then_some(pointer);
        let targets = samples.iter();
        classes.extend(targets.filter_map(|sample| label::target_at(sample, field)));
        classes.sort();
        classes.dedup();
    }
    classes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests_support::{rows, samples};
    use serde_json::json;

    #[test]
    fn each_field_is_scored_over_the_labels_of_its_own_leaf() {
        let task = Task::of_kind("t", OutputType::Json);
        let mut rows = rows(&[
            json!({"kind": "x", "urgent": "no"}),
            json!({"kind": "y", "urgent": "no"}),
        ]);
        for row in &mut rows {
            row.schema = Some(json!({"properties": {
                "kind": {"enum": ["x", "y"]}, "urgent": {"enum": ["yes", "no"]}, "note": {"type": "string"}
            }}));
        }
        let outputs = [json!("{\"kind\":\"x\",\"urgent\":\"no\"}"), json!("oops")];
        let samples = samples(&task, &rows, &outputs);
        let labels = TagLabels::of(&task, &samples, &[0, 1]);
        let found: Vec<(&str, f64)> = labels
            .fields
            .iter()
            .map(|(pointer, tally)| (pointer.as_str(), tally.value().unwrap()))
            .collect();
        // kind: x 1, y 0; urgent: yes 0, which nothing touches, no 2/3 (tp 1, fn 1).
        assert_eq!(found, [("/kind", 0.5), ("/urgent", 1.0 / 3.0)]);
        assert_eq!(labels.chosen, None);
        let mut named = task.clone();
        named.label_field = Some("/urgent".into());
        let labels = TagLabels::of(&named, &samples, &[0]);
        let micro = labels.tally(Score::MicroF1).unwrap();
        assert_eq!(micro.value(), Some(1.0));
    }

    #[test]
    fn an_answer_that_is_a_label_has_the_rows_own_labels() {
        let task = Task::of_kind("t", OutputType::Text);
        let mut rows = rows(&[json!("a"), json!("b")]);
        for row in &mut rows {
            row.output_type = Some(OutputType::Label);
            row.labels = vec!["a".into(), "b".into(), "c".into(), "d".into()];
        }
        let samples = samples(&task, &rows, &[json!("a"), json!("z")]);
        let labels = TagLabels::of(&task, &samples, &[0, 1]);
        assert_eq!(labels.fields[0].0, "");
        assert_eq!(labels.tally(Score::MacroF1).unwrap().value(), Some(0.25));
        assert_eq!(
            samples[1].answer.cause(),
            Some(crate::answer::Cause::InvalidLabel)
        );
    }
}
