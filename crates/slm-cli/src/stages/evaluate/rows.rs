//! Held-out rows of a dataset as rows of an evaluation.
//!
//! Does not know who answers them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::Value;
use slm_data::{EvalRow, Format, Sample, to_eval_row};
use slm_eval::{OutputType, Row, Task};
use slm_taxonomy::{Leaf, Output};

use super::Exam;
use crate::failure::Failure;

/// The shapes of answers by leaf; without leaves, the task's.
struct Shapes {
    by_leaf: BTreeMap<String, Output>,
    otherwise: Output,
}

impl Shapes {
    fn of(exam: &Exam, task: &Task) -> Result<Self> {
        let mut by_leaf = BTreeMap::new();
        if let Some(path) = &exam.leaves {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::io("read the leaves", path, &error))?;
            let leaves: Vec<Leaf> = serde_json::from_str(&text)?;
            for leaf in leaves {
                let output = leaf.extension.and_then(|extension| extension.output);
                by_leaf.insert(leaf.name, output.unwrap_or(Output::Text));
            }
        }
        let otherwise = match task.output.kind {
            OutputType::Json => Output::Json {
                schema: task.output.schema.clone().unwrap_or(Value::Bool(true)),
            },
            OutputType::Label => Output::Label {
                labels: task.output.labels.clone(),
            },
            OutputType::Calls => Output::Calls { tools: Vec::new() },
            OutputType::Text => Output::Text,
        };
        Ok(Self { by_leaf, otherwise })
    }

    fn shape(&self, sample: &Sample) -> &Output {
        let leaf = sample.leaf().unwrap_or_default();
        self.by_leaf.get(leaf).unwrap_or(&self.otherwise)
    }

    /// The row, with what its leaf says about the answer.
    fn row(&self, sample: &Sample) -> Result<Value> {
        let output = self.shape(sample);
        let row: EvalRow = to_eval_row(sample, output).map_err(Failure::new)?;
        let mut row = serde_json::to_value(row)?;
        if self.by_leaf.is_empty() {
            return Ok(row);
        }
        let kind = match output {
            Output::Json { schema } => {
                row["schema"] = schema.clone();
                OutputType::Json
            }
            Output::Label { labels } => {
                row["labels"] = labels.clone().into();
                OutputType::Label
            }
            Output::Calls { .. } => OutputType::Calls,
            Output::Text => OutputType::Text,
        };
        row["output_type"] = kind.name().into();
        Ok(row)
    }
}

/// Writes the rows to ask, at most as many as the recipe wants, spread evenly.
///
/// # Errors
/// A file cannot be read, or a row's answer is not of its leaf's type.
pub fn write(exam: &Exam, task: &Task, path: &Path) -> Result<()> {
    let shapes = Shapes::of(exam, task)?;
    let samples = spread(read(&exam.test, exam.format)?, exam.settings.rows);
    let rows = samples
        .iter()
        .map(|sample| shapes.row(sample))
        .collect::<Result<Vec<Value>>>()?;
    slm_data::write_all(path, &rows)?;
    Ok(())
}

/// The training rows, as the nearest-example baseline knows them.
///
/// # Errors
/// As for [`write`].
pub fn training(exam: &Exam, task: &Task) -> Result<Vec<Row>> {
    let shapes = Shapes::of(exam, task)?;
    read(&exam.train, exam.format)?
        .iter()
        .map(|sample| {
            let row = to_eval_row(sample, shapes.shape(sample)).map_err(Failure::new)?;
            let messages = row.messages.unwrap_or_default();
            Ok(Row {
                id: row.id,
                input: messages.last().map(|message| message.content.clone()),
                target: Value::String(sample.answer().unwrap_or_default().to_owned()),
                ..Row::default()
            })
        })
        .collect()
}

/// The samples of several files.
///
/// # Errors
/// A file cannot be read.
pub fn read(files: &[PathBuf], format: Option<Format>) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for file in files {
        samples.extend(slm_data::read_all_as(file, format)?);
    }
    Ok(samples)
}

/// At most `most` of the samples, evenly spread; all of them for 0.
fn spread(samples: Vec<Sample>, most: usize) -> Vec<Sample> {
    let count = samples.len();
    if most == 0 || most >= count {
        return samples;
    }
    let mut kept = Vec::with_capacity(most);
    for (index, sample) in samples.into_iter().enumerate() {
        // Kept where the running share of `most` passes a whole number.
        if (index + 1) * most / count > index * most / count {
            kept.push(sample);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_spread_evenly() {
        let samples: Vec<Sample> = (0..10)
            .map(|n| Sample::pair(format!("{n}"), "q", "a"))
            .collect();
        let ids = |most| -> Vec<String> {
            spread(samples.clone(), most)
                .into_iter()
                .map(|s| s.id)
                .collect()
        };
        assert_eq!(ids(3), ["3", "6", "9"]);
        assert_eq!(ids(0).len(), 10);
        assert_eq!(ids(99).len(), 10);
    }
}
