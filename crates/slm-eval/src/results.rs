//! What scoring found: the content of `results.json`.
//!
//! Does not know how it is shown.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::cost::Costs;
use crate::error::EvalError;
use crate::gate::GateResult;
use crate::leakage::Leakage;
use crate::regression::Regression;
use crate::robustness::Altered;
use crate::routing::Routing;
use crate::statistics::calibration::Calibration;
use crate::statistics::risk_coverage::Kept;
use crate::task::Published;

/// The results of one task.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Results {
    /// The task's name.
    pub task: String,
    /// The task's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How many samples were judged.
    pub samples: usize,
    /// Names of the metrics in the order of the task, the most telling first.
    pub metrics: Vec<String>,
    /// The systems in the order given.
    pub systems: Vec<SystemResult>,
    /// Every pair of systems on every metric.
    pub comparisons: Vec<Comparison>,
    /// Scores of others.
    #[serde(default)]
    pub published: Vec<Published>,
    /// What a reader must know: no frontier baseline, rows left out, and the like.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The outcome in sentences.
    #[serde(default)]
    pub verdict: Vec<String>,
    /// Thresholds and whether they were met.
    #[serde(default)]
    pub gates: Vec<GateResult>,
    /// How intervals were made.
    #[serde(default)]
    pub method: Method,
    /// The command that made them, to run it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// What shaped the evaluation as a whole: hashes of rows and task, versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub setup: BTreeMap<String, String>,
    /// How much worse than the frontier model the candidate may be and still replace it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// Answers to altered rows beside those to the rows themselves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub robustness: Vec<Altered>,
    /// Each system with confidences before the frontier model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routing: Vec<Routing>,
    /// Whether the test stands in the training data; none when it was not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leakage: Option<Leakage>,
    /// What answers cost; none without a price table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub costs: Option<Costs>,
    /// What changed from an earlier run; none without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
}

/// How intervals and tests were made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Confidence of the intervals.
    pub confidence: f64,
    /// Bootstrap resamples.
    pub resamples: usize,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Groups that the samples come in and that are resampled whole, where there are fewer than
    /// samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<usize>,
}

/// One system's results.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SystemResult {
    /// The system's name.
    pub name: String,
    /// Metric name to value with interval.
    pub metrics: BTreeMap<String, MetricValue>,
    /// Samples that are right as a whole.
    #[serde(default)]
    pub right: usize,
    /// Answers that could not be right, by cause.
    #[serde(default)]
    pub failures: BTreeMap<String, usize>,
    /// JSON field to its counts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldScore>,
    /// Label to its counts; `(invalid)` holds the answers outside the set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, FieldScore>,
    /// Targets and what was answered in their place, the most frequent first; `(invalid)` holds
    /// the answers outside the set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub confusion: Vec<Confused>,
    /// Tag to metric to value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slices: BTreeMap<String, BTreeMap<String, MetricValue>>,
    /// Latency of the answers that recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Latency>,
    /// Answers that recorded their tokens.
    #[serde(default)]
    pub token_answers: usize,
    /// Tokens of prompts, where recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of answers, where recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// What all its answers cost, in the currency of the price table; none where none says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<f64>,
    /// Answers that say what they cost.
    #[serde(default)]
    pub paid_answers: usize,
    /// What several answers to each sample say; none where each was asked once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeats: Option<Repeats>,
    /// How far its confidences can be taken at their word; none without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// What shaped its answers: model, settings, where they are from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub setup: BTreeMap<String, String>,
    /// Ids that did not fit the rows.
    #[serde(default)]
    pub ids: Ids,
    /// What is known about the system beyond its answers.
    #[serde(default)]
    pub info: SystemInfo,
}

/// Several answers to each sample. The system's own metrics are those of the first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// Answers to each sample.
    pub n: usize,
    /// Metric to its values, one for each repeat.
    pub metrics: BTreeMap<String, Repeated>,
    /// Metric to its value where each sample has the answer that was given most often.
    pub majority: BTreeMap<String, f64>,
    /// Share of samples whose answers all say the same.
    pub same: f64,
    /// Share of samples that every answer has right.
    pub always_right: f64,
    /// Share of samples that any answer has right.
    pub ever_right: f64,
}

/// One metric over repeats.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Repeated {
    /// Mean of the values.
    pub mean: f64,
    /// Their standard deviation, over n - 1.
    pub deviation: f64,
    /// The value of each repeat.
    pub values: Vec<f64>,
}

/// How often a target was answered by a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confused {
    /// The label that would have been right.
    pub target: String,
    /// The label that was given.
    pub answered: String,
    /// How often.
    pub n: u32,
}

/// What confidences are worth.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Confidence {
    /// Calibration of answers with a confidence.
    pub calibration: Calibration,
    /// Mean risk over all coverages (AURC); none without answers.
    pub risk_area: Option<f64>,
    /// Risk against coverage, from the strictest threshold on, thinned.
    pub risk_coverage: Vec<Kept>,
    /// The largest share that can be answered alone at wanted accuracies; the rest goes to
    /// people.
    pub review: Vec<Review>,
}

/// What is answered alone so that a wanted accuracy holds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// The wanted accuracy of what is answered alone.
    pub accuracy: f64,
    /// What is kept; none where no threshold gives that accuracy.
    pub kept: Option<Kept>,
}

/// A value with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// The value.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Samples that the metric applies to.
    #[serde(default)]
    pub n: usize,
}

/// Counts of one field or label with what follows from them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldScore {
    /// Found and right.
    pub tp: u32,
    /// Given but not wanted, or with another value.
    pub fp: u32,
    /// Wanted but not given, or with another value.
    #[serde(rename = "fn")]
    pub fn_: u32,
    /// tp / (tp + fp)
    pub precision: f64,
    /// tp / (tp + fn)
    pub recall: f64,
    /// 2 tp / (2 tp + fp + fn)
    pub f1: f64,
}

impl FieldScore {
    /// The scores of counts; 0 where there is nothing to divide by.
    pub fn of([tp, fp, fn_]: [u32; 3]) -> Self {
        let ratio = |part: u32, whole: u32| {
            if whole == 0 {
                0.0
            } else {
                f64::from(part) / f64::from(whole)
            }
        };
        Self {
            tp,
            fp,
            fn_,
            precision: ratio(tp, tp + fp),
            recall: ratio(tp, tp + fn_),
            f1: ratio(2 * tp, 2 * tp + fp + fn_),
        }
    }
}

/// Latency of answers, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// Ninth decile.
    pub p90: f64,
    /// Answers that recorded one.
    pub n: usize,
}

/// Ids of a predictions file that did not fit; lists are cut at 100, counts are whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ids {
    /// Rows without an answer.
    pub missing: Vec<String>,
    /// How many of these there are.
    pub missing_count: usize,
    /// Answers to no row.
    pub unknown: Vec<String>,
    /// How many of these there are.
    pub unknown_count: usize,
    /// Second and later answers to a row.
    pub duplicate: Vec<String>,
    /// How many of these there are.
    pub duplicate_count: usize,
}

/// What a system is to the question of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The model that is proposed.
    Candidate,
    /// The model that it was trained from.
    Base,
    /// A smaller form of the candidate.
    Quantized,
    /// A baseline without a language model.
    Baseline,
    /// The large model that the candidate may replace.
    Frontier,
}

/// What is known about a system beyond its answers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// What it is to the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Bytes of its weights on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Number of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Kind of weights: `f32`, `int8`, `int4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// Generated tokens per second, measured by whoever ran the system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Rows that it was not asked, since that might have cost more than allowed or a recording
    /// does not hold them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_asked: Option<usize>,
    /// Anything else a reader must know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Two systems on one metric, over the same samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first system.
    pub a: String,
    /// The second system.
    pub b: String,
    /// The metric.
    pub metric: String,
    /// Value of `a` minus value of `b`.
    pub difference: f64,
    /// Lower end of the difference's 95% interval.
    pub low: f64,
    /// Upper end of the difference's 95% interval.
    pub high: f64,
    /// Two-sided p-value of the paired test.
    pub p_value: f64,
    /// `mcnemar_exact` or `paired_bootstrap`.
    pub test: String,
    /// Samples that both have right; by the metric where it is right or wrong,
    /// otherwise by the answer as a whole.
    pub both_right: usize,
    /// Samples that only `a` has right.
    pub only_a: usize,
    /// Samples that only `b` has right.
    pub only_b: usize,
    /// Samples that both have wrong.
    pub both_wrong: usize,
    /// The p-value after Benjamini-Hochberg over all comparisons.
    #[serde(default)]
    pub p_adjusted: f64,
    /// `better`, `worse` or `no difference shown`, of `a` against `b`.
    #[serde(default)]
    pub verdict: String,
    /// The smallest difference that this sample would probably have shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smallest_shown: Option<f64>,
}

impl Results {
    /// The system of that name.
    pub fn system(&self, name: &str) -> Option<&SystemResult> {
        self.systems.iter().find(|system| system.name == name)
    }

    /// The comparison of two systems on a metric, turned so that `a` is first.
    pub fn comparison(&self, a: &str, b: &str, metric: &str) -> Option<Comparison> {
        let of = |x: &str, y: &str| {
            self.comparisons
                .iter()
                .find(|c| c.metric == metric && c.a == x && c.b == y)
        };
        of(a, b)
            .cloned()
            .or_else(|| of(b, a).map(Comparison::turned))
    }

    /// Reads `results.json`.
    ///
    /// # Errors
    /// A file that cannot be read or has another form.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
        serde_json::from_str(&text).map_err(|error| {
            EvalError::invalid(
                format!(
                    "{}:{}:{}: these are no evaluation results: {error}",
                    path.display(),
                    error.line(),
                    error.column()
                ),
                "give a `results.json` that `slm eval` wrote, whole",
            )
        })
    }

    /// Writes `results.json` through a temporary file in the same folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), EvalError> {
        let mut text = serde_json::to_string_pretty(self).map_err(|error| {
            EvalError::invalid(error.to_string(), "report this: results must be JSON")
        })?;
        text.push('\n');
        write_atomically(path, text.as_bytes())
    }
}

impl Comparison {
    /// The same comparison seen from the other side.
    pub fn turned(&self) -> Self {
        let verdict = match self.verdict.as_str() {
            "better" => "worse",
            "worse" => "better",
            other => other,
        };
        Self {
            a: self.b.clone(),
            b: self.a.clone(),
            difference: -self.difference,
            low: -self.high,
            high: -self.low,
            only_a: self.only_b,
            only_b: self.only_a,
            verdict: verdict.to_string(),
            ..self.clone()
        }
    }
}

/// Writes a file whole or not at all: a temporary file beside it, then a rename, both on the
/// disk when it returns.
///
/// # Errors
/// When the folder cannot be written.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), EvalError> {
    slm_files::write(path, bytes).map_err(|source| EvalError::writing(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_turns_around() {
        let comparison = Comparison {
            a: "x".into(),
            b: "y".into(),
            metric: "m".into(),
            difference: 0.2,
            low: 0.1,
            high: 0.3,
            p_value: 0.01,
            test: "mcnemar_exact".into(),
            both_right: 1,
            only_a: 2,
            only_b: 3,
            both_wrong: 4,
            p_adjusted: 0.02,
            verdict: "better".into(),
            smallest_shown: None,
        };
        let turned = comparison.turned();
        assert_eq!(
            (turned.a.as_str(), turned.low, turned.high),
            ("y", -0.3, -0.1)
        );
        assert_eq!((turned.only_a, turned.only_b), (3, 2));
        assert_eq!(turned.verdict, "worse");
        assert_eq!(turned.turned(), comparison);
    }

    #[test]
    fn results_survive_writing_and_a_cut_file_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let results = Results {
            task: "t".into(),
            ..Results::default()
        };
        results.save(&path).unwrap();
        assert_eq!(Results::load(&path).unwrap().task, "t");
        std::fs::write(&path, "{\"task\": \"t\", ").unwrap();
        let error = Results::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("results.json:1:") && error.contains("hint:"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none").join("results.json");
        let error = Results::default().save(&path).unwrap_err().to_string();
        assert!(error.contains("writing failed"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
