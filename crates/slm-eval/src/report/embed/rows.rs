//! Samples as reports carry them, from rows and the systems' answers.

use rayon::prelude::*;

use super::{SampleAnswer, SampleRow};
use crate::answer::{Answer, Cause};
use crate::metrics::{self, Sample};
use crate::rows::Row;
use crate::score::System;
use crate::task::Task;

/// Each row with every system's answer, in the order of the rows.
pub(crate) fn sample_rows(task: &Task, rows: &[Row], systems: &[System]) -> Vec<SampleRow> {
    let sample = |row: &Row| {
        let target = row.target_value(row.kind(task));
        let answer = |system: &System| {
            let prediction = system.predictions.get(&row.id);
            let sample = Sample {
                row,
                kind: row.kind(task),
                target: &target,
                answer: Answer::read(task, row, prediction),
                rules: &task.output.fields,
            };
            let right = metrics::is_right(&sample);
            let error = prediction.and_then(|prediction| prediction.error.as_deref());
            SampleAnswer {
                right,
                cause: match right {
                    true => String::new(),
                    false => sample.answer.cause().map_or("", Cause::name).into(),
                },
                latency_ms: prediction.and_then(|prediction| prediction.latency_ms),
                confidence: prediction.and_then(|prediction| prediction.confidence),
                output: match error {
                    Some(error) => format!("{}[error] {error}", sample.answer.raw),
                    None => sample.answer.raw,
                },
            }
        };
        SampleRow {
            id: row.id.clone(),
            question: row.question(),
            target: row.target_text(),
            tags: row.tags.clone(),
            answers: systems.iter().map(answer).collect(),
        }
    };
    rows.par_iter().map(sample).collect()
}
