//! Every sample with every system's answer and values, as a Parquet file.
//!
//! One row for each pair of sample and system. Does not know the report.

use std::path::Path;

use serde_json::{Value, json};
use slm_table::{Row as TableRow, TableError, TableWriter};

use super::{System, metrics_of, samples, targets};
use crate::error::EvalError;
use crate::metrics::{self, Sample, Tally};
use crate::predictions::Prediction;
use crate::rows::{Row, text_of};
use crate::task::Task;

/// Writes `id`, `system`, `input`, `target`, `output`, `right`, `cause`, what is known of the
/// answer (`latency_ms`, `input_tokens`, `output_tokens`, `cost`, `confidence`, `finish_reason`, `error`),
/// the sample's `tags`, and a column for each metric; cells of metrics that do not apply are
/// null. Altered copies of rows are left out, as they are of the metrics.
///
/// # Errors
/// There are no rows or no systems, or the file cannot be written.
pub fn write_samples(
    path: &Path,
    task: &Task,
    rows: &[Row],
    systems: &[System],
) -> Result<(), EvalError> {
    let rows = rows.iter().filter(|row| row.origin.is_none());
    let rows: Vec<Row> = rows.cloned().collect();
    let metrics = metrics_of(task, &rows);
    let targets = targets(task, &rows);
    let refuse = |error| refused(path, error);
    let mut writer = TableWriter::create(path).map_err(refuse)?;
    for system in systems {
        let samples = samples(task, &rows, &targets, &system.predictions);
        let tallies: Vec<(&str, Tally)> = metrics
            .iter()
            .map(|metric| (metric.name(), metric.tally(task, &samples)))
            .collect();
        for (index, sample) in samples.iter().enumerate() {
            let prediction = system.predictions.get(&sample.row.id);
            let mut row = described(&system.name, sample, prediction);
            let values = tallies
                .iter()
                .map(|(name, tally)| ((*name).to_owned(), json!(tally.of_sample(index))));
            row.extend(values);
            writer.write(&row).map_err(refuse)?;
        }
    }
    writer.finish().map(drop).map_err(refuse)
}

fn described(system: &str, sample: &Sample, prediction: Option<&Prediction>) -> TableRow {
    let row = sample.row;
    let known = |of: fn(&Prediction) -> Value| prediction.map_or(Value::Null, of);
    let cells = [
        ("id", json!(row.id)),
        ("system", json!(system)),
        ("input", json!(row.question())),
        ("target", json!(row.target_text())),
        (
            "output",
            known(|answer| match &answer.output {
                Value::Null => Value::Null,
                output => text_of(output).into(),
            }),
        ),
        ("right", json!(metrics::is_right(sample))),
        (
            "cause",
            json!(sample.answer.cause().map(|cause| cause.name())),
        ),
        ("latency_ms", known(|answer| json!(answer.latency_ms))),
        ("input_tokens", known(|answer| json!(answer.input_tokens))),
        ("output_tokens", known(|answer| json!(answer.output_tokens))),
        ("cost", known(|answer| json!(answer.cost))),
        ("confidence", known(|answer| json!(answer.confidence))),
        ("finish_reason", known(|answer| json!(answer.finish_reason))),
        ("error", known(|answer| json!(answer.error))),
        ("tags", json!(row.tags)),
    ];
    cells
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn refused(path: &Path, error: TableError) -> EvalError {
    match error {
        TableError::Io { source, .. } => EvalError::writing(path, source),
        TableError::Content { message, hint, .. } => {
            EvalError::invalid(format!("{}: {message}", path.display()), hint)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predictions::Predictions;
    use slm_table::TableReader;

    #[test]
    fn every_sample_stands_with_its_answer_and_values() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("rows.jsonl");
        std::fs::write(
            &data,
            "{\"id\":\"a\",\"input\":\"q\",\"target\":\"yes\"}\n{\"id\":\"b\",\"input\":\"r\",\"target\":\"no\"}\n",
        )
        .unwrap();
        let text = "name: t\ndata: rows.jsonl\noutput: {type: label, labels: [yes, no]}\nmetrics: [exact_raw, label_macro_f1]\n";
        // YAML reads a bare `yes` as a truth value.
        let text = text.replace("yes, no", "'yes', 'no'");
        let task = Task::parse(&folder.path().join("task.yaml"), &text).unwrap();
        let rows = crate::rows::load(&data, &task).unwrap();
        let answer = Prediction {
            latency_ms: Some(12.5),
            output_tokens: Some(3),
            ..Prediction::text("a", "yes")
        };
        let system = |name: &str, answers: Vec<Prediction>| System {
            name: name.to_owned(),
            predictions: Predictions::new(answers, &rows),
            ..System::default()
        };
        let systems = [
            system("one", vec![answer, Prediction::text("b", "maybe")]),
            system("two", vec![]),
        ];
        let path = folder.path().join("samples.parquet");
        write_samples(&path, &task, &rows, &systems).unwrap();
        let reader = TableReader::open(&path).unwrap();
        let found: Vec<Value> = reader.map(|row| Value::Object(row.unwrap())).collect();
        assert_eq!(
            found[0],
            json!({"id": "a", "system": "one", "input": "q", "target": "yes", "output": "yes",
                   "right": true, "latency_ms": 12.5, "output_tokens": 3, "tags": [],
                   "exact_raw": 1.0, "label_macro_f1": 1.0})
        );
        assert_eq!(found[1]["cause"], "invalid_label");
        assert_eq!(found[1]["label_macro_f1"], 0.0);
        assert_eq!(found[3]["cause"], "missing");
        assert_eq!((found.len(), found[3].get("output")), (4, None));
        assert!(write_samples(&path, &task, &rows, &[]).is_err());
    }
}
