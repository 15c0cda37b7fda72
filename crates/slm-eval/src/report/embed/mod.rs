//! The data inside a report: results, samples and reviews, so that the page can
//! filter them and other programs can read them back.
//!
//! Does not know how they are shown.

mod packed;
mod read;
mod rows;

pub(crate) use packed::same_text;
pub use read::{extract, with_reviews};
pub(crate) use rows::sample_rows;

use super::escape::json_for_script;
use crate::results::Results;
use crate::review::{Review, Reviews};
use crate::rows::Row;
use crate::score::System;
use crate::task::Task;

/// The ids of the three script elements.
const RESULTS: &str = "slm-results";
const SAMPLES: &str = "slm-samples";
const REVIEWS: &str = "slm-reviews";

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

/// The script elements of a report that hold its data.
pub(crate) fn elements(results: &Results, task: &Task, rows: &[Row], systems: &[System]) -> String {
    let samples = packed::pack(&sample_rows(task, rows, systems), systems.len());
    [
        (RESULTS, json(results)),
        (SAMPLES, json(&samples)),
        (REVIEWS, "[]".into()),
    ]
    .map(|(id, data)| format!("{}{data}</script>\n", opening(id)))
    .concat()
}

/// Reviews as JSON for a script element.
fn reviews_block(reviews: &Reviews) -> String {
    json(&reviews.all().collect::<Vec<&Review>>())
}

fn json(value: &impl serde::Serialize) -> String {
    // None of the types written here has keys that are not text, so this does not fail.
    json_for_script(&serde_json::to_string(value).unwrap_or_else(|_| "null".into()))
}

fn opening(id: &str) -> String {
    format!("<script type=\"application/json\" id=\"{id}\">")
}
