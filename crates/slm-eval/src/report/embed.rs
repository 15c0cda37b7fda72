//! The data inside a report: results and samples as JSON, so that the page can
//! filter them and other programs can read them back.
//!
//! Does not know how they are shown.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::escape::json_for_script;
use crate::answer::Answer;
use crate::error::EvalError;
use crate::metrics::{self, Sample};
use crate::results::Results;
use crate::review::{Review, Reviews};
use crate::rows::Row;
use crate::score::System;
use crate::task::Task;

/// Bytes that all texts of the samples together may take before they are cut.
const TEXT_BUDGET: usize = 44_000_000;

/// The id of the block of reviews.
const REVIEWS: &str = "slm-reviews";

/// Lengths tried in turn until the budget holds.
const CUTS: [usize; 16] = [
    usize::MAX,
    50_000,
    10_000,
    5_000,
    2_000,
    1_000,
    700,
    500,
    400,
    300,
    250,
    200,
    150,
    100,
    70,
    40,
];

/// What the remark on a cut text takes.
const REMARK: usize = 22;

/// One sample as reports carry it.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRow {
    /// The row's id.
    pub id: String,
    /// The question as it stood in the row.
    pub question: String,
    /// The target as text.
    pub target: String,
    /// The row's tags.
    pub tags: Vec<String>,
    /// One answer for each system of the report.
    pub answers: Vec<SampleAnswer>,
}

/// One system's answer as reports carry it.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleAnswer {
    /// Whether it is right as a whole.
    pub right: bool,
    /// Why it cannot be right, when that is so; empty otherwise.
    pub cause: String,
    /// The output as it came.
    pub output: String,
    /// Its latency, where recorded.
    pub latency_ms: Option<f64>,
    /// How sure the system was, where recorded.
    pub confidence: Option<f64>,
}

/// What a report holds.
#[derive(Debug, Clone, Default)]
pub struct Embedded {
    /// The results.
    pub results: Results,
    /// The samples; empty when the report carries none.
    pub samples: Vec<SampleRow>,
    /// What reviewers said about samples.
    pub reviews: Reviews,
}

#[derive(Serialize, Deserialize)]
struct Rows {
    /// Characters after which texts were cut; null when none were.
    cut: Option<usize>,
    /// The samples.
    rows: Vec<Packed>,
    /// Each sample's confidences by system; none at all where no system has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    confidences: Vec<Vec<Option<f64>>>,
}

/// `[id, question, target, tags, answers, latencies]`. An answer is 1 (right and
/// equal to the target) or `[right, cause, output]`; latencies are in
/// milliseconds, null where unknown, none at all where no system has any.
type Packed = (
    String,
    String,
    String,
    Vec<String>,
    Vec<Value>,
    Vec<Option<f64>>,
);

/// Samples as a report of them would give them back.
pub(crate) fn sample_rows(task: &Task, rows: &[Row], systems: &[System]) -> Vec<SampleRow> {
    let cut = cut_for(rows, systems);
    let sample = |row: &Row| {
        let target = row.target_value(row.kind(task));
        let text = row.target_text();
        let target_text = shortened(&text, cut);
        let answers = systems.iter().map(|system| {
            let packed = answer(task, row, &target, &text, system, cut);
            let prediction = system.predictions.get(&row.id);
            SampleAnswer {
                latency_ms: prediction.and_then(|prediction| prediction.latency_ms),
                confidence: prediction.and_then(|prediction| prediction.confidence),
                ..read_answer(&packed, &target_text)
            }
        });
        SampleRow {
            id: row.id.clone(),
            question: shortened(&row.question(), cut),
            tags: row.tags.clone(),
            answers: answers.collect(),
            target: target_text.clone(),
        }
    };
    rows.iter().map(sample).collect()
}

/// The two data blocks of a report: results and samples, ready for a script element.
pub(crate) fn blocks(
    results: &Results,
    task: &Task,
    rows: &[Row],
    systems: &[System],
) -> (String, String) {
    let cut = cut_for(rows, systems);
    let targets: Vec<Value> = rows
        .iter()
        .map(|row| row.target_value(row.kind(task)))
        .collect();
    let confidences: Vec<Vec<Option<f64>>> =
        rows.iter().map(|row| confidences(row, systems)).collect();
    let embedded = Rows {
        confidences: match confidences.iter().flatten().any(Option::is_some) {
            true => confidences,
            false => Vec::new(),
        },
        cut: (cut < usize::MAX).then_some(cut),
        rows: rows
            .iter()
            .zip(&targets)
            .map(|(row, target)| {
                let target_text = row.target_text();
                let answers = systems
                    .iter()
                    .map(|system| answer(task, row, target, &target_text, system, cut))
                    .collect();
                (
                    row.id.clone(),
                    shortened(&row.question(), cut),
                    shortened(&target_text, cut),
                    row.tags.clone(),
                    answers,
                    latencies(row, systems),
                )
            })
            .collect(),
    };
    let text = |value: Result<String, serde_json::Error>| {
        // Neither type has keys that are not text, so this does not fail.
        json_for_script(&value.unwrap_or_else(|_| "null".into()))
    };
    (
        text(serde_json::to_string(results)),
        text(serde_json::to_string(&embedded)),
    )
}

fn answer(
    task: &Task,
    row: &Row,
    target: &Value,
    target_text: &str,
    system: &System,
    cut: usize,
) -> Value {
    let prediction = system.predictions.get(&row.id);
    let sample = Sample {
        row,
        kind: row.kind(task),
        target,
        answer: Answer::read(task, row, prediction),
        rules: &task.output.fields,
    };
    let right = metrics::is_right(&sample);
    if right && sample.answer.raw == target_text {
        return json!(1);
    }
    let mut output = shortened(&sample.answer.raw, cut);
    if let Some(error) = prediction.and_then(|prediction| prediction.error.as_deref()) {
        output = format!("{output}[error] {}", shortened(error, cut));
    }
    let cause = sample.answer.cause().map_or("", crate::answer::Cause::name);
    json!([u8::from(right), cause, output])
}

/// The latency of each system's answer, in steps of a thousandth below 1 ms and
/// of a tenth above.
fn latencies(row: &Row, systems: &[System]) -> Vec<Option<f64>> {
    let latency = |system: &System| {
        let latency = system.predictions.get(&row.id)?.latency_ms?;
        let step = if latency < 1.0 { 1000.0 } else { 10.0 };
        Some((latency * step).round() / step)
    };
    let latencies: Vec<Option<f64>> = systems.iter().map(latency).collect();
    if latencies.iter().all(Option::is_none) {
        return Vec::new();
    }
    latencies
}

/// How sure each system was of its answer, in steps of a thousandth.
fn confidences(row: &Row, systems: &[System]) -> Vec<Option<f64>> {
    let confidence = |system: &System| system.predictions.get(&row.id)?.confidence;
    let rounded = |confidence: f64| (confidence * 1000.0).round() / 1000.0;
    systems
        .iter()
        .map(|system| confidence(system).map(rounded))
        .collect()
}

/// The longest cut under which all texts stay within the budget. An output that is the target
/// itself is not written again.
fn cut_for(rows: &[Row], systems: &[System]) -> usize {
    let lengths = |row: &Row| -> Vec<usize> {
        let target = row.target_text();
        let outputs = systems.iter().map(|system| {
            let output = system.predictions.get(&row.id).map(|answer| &answer.output);
            let length = |text: &str| if text == target { 0 } else { text.len() };
            output.map_or(0, |output| {
                output
                    .as_str()
                    .map_or_else(|| length(&output.to_string()), length)
            })
        });
        [row.question().len(), target.len()]
            .into_iter()
            .chain(outputs)
            .collect()
    };
    let lengths: Vec<usize> = rows.iter().flat_map(lengths).collect();
    let written = |length: usize, cut: usize| match length > cut {
        true => cut + REMARK,
        false => length,
    };
    CUTS.into_iter()
        .find(|cut| {
            lengths
                .iter()
                .map(|length| written(*length, *cut))
                .sum::<usize>()
                <= TEXT_BUDGET
        })
        .unwrap_or(CUTS[CUTS.len() - 1])
}

/// The text, or its beginning with a remark on how much is left out.
fn shortened(text: &str, cut: usize) -> String {
    if text.len() <= cut {
        return text.to_string();
    }
    match text.char_indices().nth(cut) {
        None => text.to_string(),
        Some((at, _)) => format!("{}\u{2026} [{} more bytes]", &text[..at], text.len() - at),
    }
}

/// Reads results and samples back from a report's HTML.
///
/// # Errors
/// A file that is no report, or one that was cut off.
pub fn extract(html: &str) -> Result<Embedded, EvalError> {
    let results = serde_json::from_str(block(html, "slm-results")?).map_err(|error| {
        EvalError::invalid(
            format!("the report's results cannot be read: {error}"),
            "the file was made by another version; make it again with `slm eval report`",
        )
    })?;
    let rows: Rows = serde_json::from_str(block(html, "slm-samples")?).map_err(|error| {
        EvalError::invalid(
            format!("the report's samples cannot be read: {error}"),
            "the file was made by another version; make it again with `slm eval report`",
        )
    })?;
    let confidences = rows.confidences;
    let of_row = |row: usize, system: usize| *confidences.get(row)?.get(system)?;
    let samples = rows
        .rows
        .into_iter()
        .enumerate()
        .map(
            |(row, (id, question, target, tags, answers, latencies))| SampleRow {
                answers: answers
                    .iter()
                    .enumerate()
                    .map(|(system, one)| SampleAnswer {
                        latency_ms: latencies.get(system).copied().flatten(),
                        confidence: of_row(row, system),
                        ..read_answer(one, &target)
                    })
                    .collect(),
                id,
                question,
                target,
                tags,
            },
        )
        .collect();
    // Reports of earlier versions have no reviews.
    let reviews = match html.contains(&opening(REVIEWS)) {
        true => read_reviews(block(html, REVIEWS)?)?,
        false => Reviews::default(),
    };
    Ok(Embedded {
        results,
        samples,
        reviews,
    })
}

fn read_reviews(json: &str) -> Result<Reviews, EvalError> {
    let reviews: Vec<Review> = serde_json::from_str(json).map_err(|error| {
        EvalError::invalid(
            format!("the report's reviews cannot be read: {error}"),
            "the file was made by another version; make it again with `slm eval report`",
        )
    })?;
    let mut known = Reviews::default();
    reviews.into_iter().for_each(|review| known.put(review));
    Ok(known)
}

/// The report with these reviews in place of those that it holds.
///
/// # Errors
/// A file that is no report, was cut off, or is of a version without reviews.
pub fn with_reviews(html: &str, reviews: &Reviews) -> Result<String, EvalError> {
    let old = block(html, REVIEWS)?;
    let start = old.as_ptr() as usize - html.as_ptr() as usize;
    Ok(format!(
        "{}{}{}",
        &html[..start],
        reviews_block(reviews),
        &html[start + old.len()..]
    ))
}

/// Reviews as JSON for a script element.
pub(crate) fn reviews_block(reviews: &Reviews) -> String {
    let all: Vec<&Review> = reviews.all().collect();
    // Reviews have no keys that are not text, so this does not fail.
    json_for_script(&serde_json::to_string(&all).unwrap_or_else(|_| "[]".into()))
}

fn opening(id: &str) -> String {
    format!("<script type=\"application/json\" id=\"{id}\">")
}

fn read_answer(value: &Value, target: &str) -> SampleAnswer {
    if value.is_number() {
        return SampleAnswer {
            right: true,
            cause: String::new(),
            output: target.to_string(),
            latency_ms: None,
            confidence: None,
        };
    }
    let text = |index: usize| value.get(index).and_then(Value::as_str);
    SampleAnswer {
        right: value.get(0) == Some(&json!(1)),
        cause: text(1).unwrap_or_default().to_string(),
        output: text(2).unwrap_or(target).to_string(),
        latency_ms: None,
        confidence: None,
    }
}

fn block<'a>(html: &'a str, id: &str) -> Result<&'a str, EvalError> {
    let opening = opening(id);
    let Some(start) = html.find(&opening).map(|at| at + opening.len()) else {
        return Err(EvalError::invalid(
            "this file holds no evaluation results",
            "give a report.html that `slm eval` wrote, or its results.json",
        ));
    };
    let Some(length) = html[start..].find("</script>") else {
        return Err(EvalError::invalid(
            "the report is cut off: its data does not end",
            "copy it again, or make it again with `slm eval report`",
        ));
    };
    Ok(&html[start..start + length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_characters_and_say_so() {
        assert_eq!(shortened("short", 10), "short");
        assert_eq!(shortened("äöüß", 2), "äö\u{2026} [4 more bytes]");
    }

    #[test]
    fn what_is_no_report_or_half_of_one_is_told() {
        let error = extract("<html></html>").unwrap_err().to_string();
        assert!(error.contains("no evaluation results"), "{error}");
        let half = "<script type=\"application/json\" id=\"slm-results\">{\"task\":";
        let error = extract(half).unwrap_err().to_string();
        assert!(error.contains("cut off"), "{error}");
    }
}
