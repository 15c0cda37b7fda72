//! Metrics by name: each is a pure function over one sample, in its own file;
//! here they are given their names and turned into tallies.
//!
//! Does not know intervals, systems or reports.

pub mod agreement;
pub mod call_match;
pub mod exact;
pub mod field;
pub mod label;
pub mod normalize;
pub mod slot;
pub mod tag_labels;
pub mod token_f1;
pub mod validity;

mod tally;

use serde_json::Value;

pub use tally::{Score, Tally, f1_of};

use crate::answer::{Answer, Content};
use crate::rows::Row;
use crate::schema::Validators;
use crate::task::{OutputType, Task};

/// A sample as metrics see it: a row with one system's answer to it.
#[derive(Debug)]
pub struct Sample<'a> {
    /// The row.
    pub row: &'a Row,
    /// The output type that it is judged by.
    pub kind: OutputType,
    /// The target, parsed where the type asks for it.
    pub target: &'a Value,
    /// The answer.
    pub answer: Answer,
    /// How the fields of a JSON answer are compared.
    pub rules: &'a agreement::Rules,
}

/// Everything that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The output equals the target byte for byte.
    ExactRaw,
    /// Equal after normalizing: JSON as values, text as SQuAD does.
    ExactNormalized,
    /// SQuAD's token F1, averaged over samples.
    TokenF1,
    /// Label F1 from pooled counts, the invalid class included.
    LabelMicroF1,
    /// Mean of the declared labels' F1.
    LabelMacroF1,
    /// Mean of the declared labels' F1, weighted by how often each is the target.
    LabelWeightedF1,
    /// Precision over (pointer, value) pairs.
    FieldPrecision,
    /// Recall over (pointer, value) pairs.
    FieldRecall,
    /// F1 over (pointer, value) pairs.
    FieldF1,
    /// The output parses as JSON.
    JsonValid,
    /// The output satisfies the schema.
    SchemaValid,
    /// The calls match the allowed ones.
    CallMatch,
    /// The intent is right.
    IntentAccuracy,
    /// Precision over slot name and value.
    SlotPrecision,
    /// Recall over slot name and value.
    SlotRecall,
    /// F1 over slot name and value.
    SlotF1,
}

const NAMES: [(Metric, &str); 16] = [
    (Metric::ExactRaw, "exact_raw"),
    (Metric::ExactNormalized, "exact_normalized"),
    (Metric::TokenF1, "token_f1"),
    (Metric::LabelMicroF1, "label_micro_f1"),
    (Metric::LabelMacroF1, "label_macro_f1"),
    (Metric::LabelWeightedF1, "label_weighted_f1"),
    (Metric::FieldPrecision, "field_precision"),
    (Metric::FieldRecall, "field_recall"),
    (Metric::FieldF1, "field_f1"),
    (Metric::JsonValid, "json_valid"),
    (Metric::SchemaValid, "schema_valid"),
    (Metric::CallMatch, "call_match"),
    (Metric::IntentAccuracy, "intent_accuracy"),
    (Metric::SlotPrecision, "slot_precision"),
    (Metric::SlotRecall, "slot_recall"),
    (Metric::SlotF1, "slot_f1"),
];

impl Metric {
    /// The metric of that name.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(metric, _)| *metric)
    }

    /// Every name.
    pub fn names() -> Vec<&'static str> {
        NAMES.iter().map(|(_, name)| *name).collect()
    }

    /// The name in tasks and results.
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(metric, _)| *metric == self)
            .map_or("", |(_, name)| name)
    }

    /// What a label metric makes of its counts; none for other metrics.
    pub fn label_score(self) -> Option<Score> {
        match self {
            Self::LabelMicroF1 => Some(Score::MicroF1),
            Self::LabelMacroF1 => Some(Score::MacroF1),
            Self::LabelWeightedF1 => Some(Score::WeightedF1),
            _ => None,
        }
    }

    /// What is measured when a task does not say: for each output type among the
    /// rows its own, the most telling first.
    pub fn defaults(task: &Task, rows: &[Row]) -> Vec<Self> {
        let mut metrics = Vec::new();
        let mut add = |more: &[Self]| {
            for metric in more {
                if !metrics.contains(metric) {
                    metrics.push(*metric);
                }
            }
        };
        let mut kinds: Vec<OutputType> = rows.iter().map(|row| row.kind(task)).collect();
        kinds.sort_by_key(|kind| (*kind != task.output.kind, *kind));
        kinds.dedup();
        let labels = [
            Self::LabelMacroF1,
            Self::LabelMicroF1,
            Self::LabelWeightedF1,
        ];
        let schema = task.output.schema.is_some() || rows.iter().any(|row| row.schema.is_some());
        for kind in kinds {
            match kind {
                OutputType::Label => add(&labels),
                OutputType::Json => {
                    add(&[Self::FieldF1]);
                    if task.label_field.is_some() {
                        add(&labels);
                    }
                    add(&[Self::FieldPrecision, Self::FieldRecall, Self::JsonValid]);
                    if schema {
                        add(&[Self::SchemaValid]);
                    }
                }
                OutputType::Calls => add(&[Self::CallMatch, Self::JsonValid]),
                OutputType::Text => add(&[Self::TokenF1]),
            }
        }
        add(&[Self::ExactNormalized]);
        if rows.iter().any(|row| row.kind(task) != OutputType::Calls) {
            add(&[Self::ExactRaw]);
        }
        metrics
    }

    /// Whether it says anything of a row.
    pub fn suits(self, task: &Task, row: &Row) -> bool {
        let kind = row.kind(task);
        match self {
            Self::ExactRaw => kind != OutputType::Calls,
            Self::ExactNormalized | Self::TokenF1 => true,
            Self::LabelMicroF1 | Self::LabelMacroF1 | Self::LabelWeightedF1 => {
                kind == OutputType::Label
                    || (kind == OutputType::Json && task.label_field.is_some())
            }
            Self::JsonValid => matches!(kind, OutputType::Json | OutputType::Calls),
            Self::SchemaValid => match kind {
                OutputType::Json => validity::schema_of(task, row).is_some(),
                OutputType::Calls => !row.tools.is_empty(),
                OutputType::Label | OutputType::Text => false,
            },
            Self::CallMatch => kind == OutputType::Calls,
            Self::FieldPrecision
            | Self::FieldRecall
            | Self::FieldF1
            | Self::IntentAccuracy
            | Self::SlotPrecision
            | Self::SlotRecall
            | Self::SlotF1 => kind == OutputType::Json,
        }
    }

    /// Measures every sample.
    pub fn tally(self, task: &Task, samples: &[Sample]) -> Tally {
        let json = |sample: &Sample| sample.kind == OutputType::Json;
        match self {
            Self::ExactRaw => Tally::rights(
                samples,
                // A call's target lists allowed values; no output equals that.
                |sample| sample.kind != OutputType::Calls,
                exact::raw,
            ),
            Self::ExactNormalized => Tally::rights(samples, |_| true, exact::normalized),
            Self::TokenF1 => Tally::means(samples, |_| true, token_f1::of_sample),
            Self::LabelMicroF1 => label::tally(task, samples, Score::MicroF1),
            Self::LabelMacroF1 => label::tally(task, samples, Score::MacroF1),
            Self::LabelWeightedF1 => label::tally(task, samples, Score::WeightedF1),
            Self::FieldPrecision => Tally::overlaps(samples, Score::Precision, json, field::counts),
            Self::FieldRecall => Tally::overlaps(samples, Score::Recall, json, field::counts),
            Self::FieldF1 => Tally::overlaps(samples, Score::MicroF1, json, field::counts),
            Self::JsonValid => Tally::rights(
                samples,
                |sample| matches!(sample.kind, OutputType::Json | OutputType::Calls),
                validity::json,
            ),
            Self::SchemaValid => schema_valid(task, samples),
            Self::CallMatch => Tally::rights(
                samples,
                |sample| sample.kind == OutputType::Calls,
                call_match::of_sample,
            ),
            Self::IntentAccuracy => Tally::rights(
                samples,
                |sample| json(sample) && sample.target.pointer(&task.intent_field).is_some(),
                |sample| slot::intent_is_right(sample, &task.intent_field),
            ),
            Self::SlotPrecision => slots(task, samples, Score::Precision),
            Self::SlotRecall => slots(task, samples, Score::Recall),
            Self::SlotF1 => slots(task, samples, Score::MicroF1),
        }
    }
}

fn slots(task: &Task, samples: &[Sample], score: Score) -> Tally {
    Tally::overlaps(
        samples,
        score,
        |sample| sample.kind == OutputType::Json,
        |sample| slot::counts(sample, &task.intent_field, &task.slots_field),
    )
}

fn schema_valid(task: &Task, samples: &[Sample]) -> Tally {
    let mut validators = Validators::default();
    let schema = |row| validity::schema_of(task, row);
    let values = samples
        .iter()
        .map(|sample| {
            let asked = match sample.kind {
                OutputType::Json => schema(sample.row).is_some(),
                OutputType::Calls => !sample.row.tools.is_empty(),
                OutputType::Label | OutputType::Text => false,
            };
            asked.then(|| match &sample.answer.content {
                Content::Json(value) => {
                    schema(sample.row).is_some_and(|schema| validators.accepts(schema, value))
                }
                Content::Calls(calls) => {
                    validity::calls_fit(&sample.row.tools, calls, &mut validators)
                }
                _ => false,
            })
        })
        .collect();
    Tally::Rights(values)
}

/// Whether a sample is right as a whole: the calls match, or the answer equals
/// the target after normalizing. This is what filters and win/loss tables mean.
pub fn is_right(sample: &Sample) -> bool {
    match sample.kind {
        OutputType::Calls => call_match::of_sample(sample),
        _ => exact::normalized(sample),
    }
}

#[cfg(test)]
pub(crate) mod tests_support {
    //! Rows and samples for the metrics' own tests.

    use super::*;
    use crate::predictions::Prediction;

    /// One row for each target, with ids `0`, `1`, ...
    pub fn rows(targets: &[Value]) -> Vec<Row> {
        targets
            .iter()
            .enumerate()
            .map(|(index, target)| Row {
                id: index.to_string(),
                input: Some(format!("question {index}")),
                target: target.clone(),
                line: index + 1,
                ..Row::default()
            })
            .collect()
    }

    /// The rows with one output each.
    pub fn samples<'a>(task: &'a Task, rows: &'a [Row], outputs: &[Value]) -> Vec<Sample<'a>> {
        let answer = |row: &'a Row, output: &Value| {
            let prediction = Prediction {
                id: row.id.clone(),
                output: output.clone(),
                ..Prediction::default()
            };
            Sample {
                row,
                kind: row.kind(task),
                target: &row.target,
                answer: Answer::read(task, row, Some(&prediction)),
                rules: &task.output.fields,
            }
        };
        rows.iter()
            .zip(outputs)
            .map(|(row, output)| answer(row, output))
            .collect()
    }

    /// Right and wrong of several outputs for the same target.
    pub fn rights(
        metric: Metric,
        kind: OutputType,
        target: &Value,
        outputs: &[Value],
    ) -> Vec<bool> {
        let task = Task::of_kind("t", kind);
        let rows = rows(&vec![target.clone(); outputs.len()]);
        match metric.tally(&task, &samples(&task, &rows, outputs)) {
            Tally::Rights(values) => values.into_iter().flatten().collect(),
            other => panic!("{other:?} is no tally of right and wrong"),
        }
    }
}
