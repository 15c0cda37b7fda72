//! What several answers to each sample say: how far figures vary, and what a majority would give.
//!
//! Does not know how answers were drawn.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{System, samples};
use crate::answer::{Answer, Content};
use crate::metrics::{self, Metric, Sample};
use crate::predictions::{Prediction, Predictions};
use crate::results::{Repeated, Repeats};
use crate::rows::Row;
use crate::task::Task;

/// The figures of a system that answered every row several times; none where it did so once.
pub(super) fn of_system(
    task: &Task,
    rows: &[Row],
    targets: &[Value],
    system: &System,
    metrics: &[Metric],
) -> Option<Repeats> {
    if system.repeats.is_empty() {
        return None;
    }
    let all: Vec<&Predictions> = std::iter::once(&system.predictions)
        .chain(&system.repeats)
        .collect();
    let read: Vec<Vec<Sample>> = all
        .iter()
        .map(|predictions| samples(task, rows, targets, predictions))
        .collect();
    let majority = Predictions::new(majority(rows, &all, &read), rows);
    let majority = samples(task, rows, targets, &majority);
    let mut found = Repeats {
        n: all.len(),
        ..Repeats::default()
    };
    for metric in metrics {
        let values = read.iter().filter_map(|s| metric.tally(task, s).value());
        let values: Vec<f64> = values.collect();
        if values.len() != all.len() {
            continue;
        }
        let name = metric.name().to_string();
        if let Some(value) = metric.tally(task, &majority).value() {
            found.majority.insert(name.clone(), value);
        }
        found.metrics.insert(name, Repeated::of(values));
    }
    let n = rows.len().max(1) as f64;
    let share =
        |holds: &dyn Fn(usize) -> bool| (0..rows.len()).filter(|i| holds(*i)).count() as f64 / n;
    let right = |repeat: &Vec<Sample>, row: usize| metrics::is_right(&repeat[row]);
    found.same = share(&|row| {
        let first = saying(&read[0][row].answer);
        read.iter()
            .all(|repeat| saying(&repeat[row].answer) == first)
    });
    found.always_right = share(&|row| read.iter().all(|repeat| right(repeat, row)));
    found.ever_right = share(&|row| read.iter().any(|repeat| right(repeat, row)));
    Some(found)
}

/// Of each row the answer that was given most often; of equally frequent ones the earliest.
fn majority(rows: &[Row], all: &[&Predictions], read: &[Vec<Sample>]) -> Vec<Prediction> {
    let mut chosen = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
        for (repeat, samples) in read.iter().enumerate() {
            let entry = counts
                .entry(saying(&samples[index].answer))
                .or_insert((0, repeat));
            entry.0 += 1;
        }
        let best = counts
            .into_values()
            .max_by_key(|(count, first)| (*count, std::cmp::Reverse(*first)));
        chosen.extend(best.and_then(|(_, repeat)| all[repeat].get(&row.id).cloned()));
    }
    chosen
}

/// What an answer says, equal where two say the same.
fn saying(answer: &Answer) -> String {
    match &answer.content {
        Content::Nothing(cause) => format!("no answer: {}", cause.name()),
        Content::Label(label) => format!("label: {label}"),
        Content::Json(value) => format!("json: {}", sorted(value)),
        Content::Calls(calls) => {
            let mut said: Vec<String> = calls
                .iter()
                .map(|call| {
                    let arguments = sorted(&Value::Object(call.arguments.clone()));
                    format!("{} {arguments}", call.function)
                })
                .collect();
            said.sort();
            format!("calls: {}", said.join("\n"))
        }
        Content::Text(text) => format!("text: {}", text.trim()),
    }
}

/// A value with the keys of its objects in order.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, Value> = fields
                .iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            fields
                .into_iter()
                .map(|(key, value)| (key.clone(), value))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

impl Repeated {
    /// Mean and sample standard deviation (n - 1) of values.
    pub fn of(values: Vec<f64>) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n.max(1.0);
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            deviation: match values.len() {
                0 | 1 => 0.0,
                _ => (squares / (n - 1.0)).sqrt(),
            },
            values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{Options, score};
    use crate::task::OutputType;
    use serde_json::json;

    #[test]
    fn spread_majority_and_sameness_by_hand() {
        let task = Task::of_kind("t", OutputType::Json);
        let rows: Vec<Row> = (0..2)
            .map(|id| Row {
                id: id.to_string(),
                target: json!({"a": id, "b": 1}),
                ..Row::default()
            })
            .collect();
        let answers = |first: &str, second: &str| {
            let answers = [Prediction::text("0", first), Prediction::text("1", second)];
            Predictions::new(answers, &rows)
        };
        // Row 0: wrong, right, right (in another order of keys); row 1: right, cut short, right.
        let mut system = System {
            name: "s".into(),
            predictions: answers("{}", r#"{"a": 1, "b": 1}"#),
            repeats: vec![
                answers(r#"{"a": 0, "b": 1}"#, "{"),
                answers(r#"{"b": 1, "a": 0}"#, r#"{"b":1,"a":1}"#),
            ],
            ..System::default()
        };
        let results = score(&task, &rows, &[system.clone()], &Options::default());
        let found = results.systems[0].repeats.as_ref().unwrap();
        assert_eq!(found.n, 3);
        let exact = &found.metrics["exact_normalized"];
        assert_eq!(exact.values, [0.5, 0.5, 1.0]);
        assert!((exact.mean - 2.0 / 3.0).abs() < 1e-12);
        // Variance (2 · (1/6)² + (1/3)²) / 2 = 1/12.
        assert!((exact.deviation - (1.0f64 / 12.0).sqrt()).abs() < 1e-12);
        assert_eq!(found.majority["exact_normalized"], 1.0);
        assert_eq!(
            (found.same, found.always_right, found.ever_right),
            (0.0, 0.0, 1.0)
        );
        // The headline stays that of one answer a sample.
        assert_eq!(results.systems[0].metrics["exact_normalized"].value, 0.5);
        system.repeats.clear();
        let results = score(&task, &rows, &[system], &Options::default());
        assert!(results.systems[0].repeats.is_none());
    }
}
