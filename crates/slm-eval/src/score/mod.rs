//! Scores systems on a task's rows: values, intervals, paired comparisons.
//!
//! Does not know where answers come from, nor how results are shown.

mod beside;
mod compare;
mod confidence;
mod groups;
mod labels;
mod repeats;
mod slices;
mod table;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::answer::{Answer, Cause};
use crate::gate;
use crate::metrics::{self, Metric, Sample, Tally};
use crate::predictions::Predictions;
use crate::results::{
    FieldScore, Ids, Latency, Method, MetricValue, Results, Role, SystemInfo, SystemResult,
};
use crate::robustness;
use crate::rows::Row;
use crate::statistics::{CONFIDENCE, bootstrap, wilson};
use crate::task::{OutputType, Task};

pub use beside::{Beside, price};
pub use table::write_samples;

/// How many ids of each kind results list by name.
const LISTED_IDS: usize = 100;

/// A system with its answers.
#[derive(Debug, Clone, Default)]
pub struct System {
    /// The name in results; unique.
    pub name: String,
    /// Its answers.
    pub predictions: Predictions,
    /// Its answers when it was asked again, once more for each entry.
    pub repeats: Vec<Predictions>,
    /// What else is known about it.
    pub info: SystemInfo,
    /// What shaped its answers: model, settings, where they are from.
    pub setup: BTreeMap<String, String>,
}

/// How to make intervals.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Bootstrap resamples.
    pub resamples: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 42,
            resamples: 1000,
        }
    }
}

/// One system's tallies, with the samples that are right as a whole.
#[derive(Default)]
struct Measured {
    tallies: Vec<Tally>,
    resampled: Vec<Vec<f64>>,
    rights: Vec<Option<bool>>,
    /// Groups of the samples, where there are fewer than samples.
    groups: Option<usize>,
}

/// Scores every system on every metric of the task. Altered copies of rows do not enter the
/// metrics; they are judged beside the rows that they come from.
pub fn score(task: &Task, rows: &[Row], systems: &[System], options: &Options) -> Results {
    let (altered, rows): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.origin.is_some());
    let owned = |rows: Vec<&Row>| rows.into_iter().cloned().collect::<Vec<Row>>();
    let (altered, rows) = (&owned(altered)[..], &owned(rows)[..]);
    let metrics = metrics_of(task, rows);
    let (targets, altered_targets) = (targets(task, rows), targets(task, altered));
    let names: Vec<String> = metrics.iter().map(|metric| metric.name().into()).collect();
    let tags = slices::members(task, rows);
    let mut measured = Vec::new();
    let mut sliced = Vec::new();
    let mut found = Vec::new();
    let mut robustness = Vec::new();
    for system in systems {
        let samples = samples(task, rows, &targets, &system.predictions);
        let one = measure(task, &metrics, &samples);
        sliced.push(slices::of_system(
            task,
            &metrics,
            &one.tallies,
            &samples,
            &tags,
        ));
        let mut described = describe(task, system, &samples, &metrics);
        described.repeats = repeats::of_system(task, rows, &targets, system, &metrics);
        found.push(described);
        let changed = self::samples(task, altered, &altered_targets, &system.predictions);
        robustness.extend(robustness::judge(
            &system.name,
            &system.predictions,
            &samples,
            &changed,
        ));
        measured.push(one);
    }
    let groups = groups::of(rows);
    resample(&mut measured, &groups, options);
    for (system, one) in found.iter_mut().zip(&measured) {
        system.metrics = values(&names, one);
    }
    for (tag, parts) in slices::values_by_tag(&tags, sliced, &groups, options) {
        for (system, part) in found.iter_mut().zip(parts) {
            system.slices.insert(tag.clone(), part);
        }
    }
    let comparisons = compare::pairs(&metrics, systems, &measured);
    let routing = confidence::routing(rows, systems, &measured);
    let mut results = Results {
        task: task.name.clone(),
        description: task.description.clone(),
        samples: rows.len(),
        metrics: names,
        notes: notes(rows, systems, &metrics, &found),
        systems: found,
        comparisons,
        published: task.published.clone(),
        method: Method {
            confidence: CONFIDENCE,
            resamples: options.resamples,
            seed: options.seed,
            groups: groups::fewer(&groups),
        },
        margin: task.margin,
        robustness,
        routing,
        setup: setup(task, rows),
        ..Results::default()
    };
    results.verdict = crate::report::verdict::sentences(&results);
    results.gates = gate::evaluate(&task.gates, &results);
    results
}

/// The task's metrics, or those that suit it where it names none.
fn metrics_of(task: &Task, rows: &[Row]) -> Vec<Metric> {
    match task.metrics.is_empty() {
        true => Metric::defaults(task, rows),
        false => task.metrics.clone(),
    }
}

fn targets(task: &Task, rows: &[Row]) -> Vec<Value> {
    rows.iter()
        .map(|row| row.target_value(row.kind(task)))
        .collect()
}

/// What shaped the evaluation as a whole, as far as task and rows say it.
fn setup(task: &Task, rows: &[Row]) -> BTreeMap<String, String> {
    let mut hash = Sha256::new();
    for row in rows {
        for part in [&row.id, &row.question(), &row.target_text()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
    }
    let asked = (
        &task.prompt,
        task.examples
            .iter()
            .map(|row| (row.question(), row.target_text())),
    );
    let asked = (asked.0, asked.1.collect::<Vec<_>>());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let rules = serde_json::to_string(&task.output.fields).unwrap_or_default();
    let mut setup = BTreeMap::from([
        ("rows".to_string(), hex(&hash.finalize())),
        ("version".to_string(), env!("CARGO_PKG_VERSION").to_string()),
    ]);
    if task.prompt.is_some() || !task.examples.is_empty() {
        let text = serde_json::to_string(&asked).unwrap_or_default();
        setup.insert("prompt".into(), hex(&Sha256::digest(text)));
    }
    if task.repeats > 1 {
        setup.insert("repeats".into(), task.repeats.to_string());
    }
    if !task.output.fields.is_empty() {
        setup.insert("field rules".into(), rules);
    }
    if !task.output.labels.is_empty() {
        setup.insert("labels".into(), task.output.labels.join(", "));
    }
    if let Some(schema) = &task.output.schema {
        setup.insert("schema".into(), hex(&Sha256::digest(schema.to_string())));
    }
    setup
}

/// Reads a system's answer to every row, in the order of the rows.
pub fn samples<'a>(
    task: &'a Task,
    rows: &'a [Row],
    targets: &'a [Value],
    predictions: &Predictions,
) -> Vec<Sample<'a>> {
    rows.iter()
        .zip(targets)
        .map(|(row, target)| Sample {
            row,
            kind: row.kind(task),
            target,
            answer: Answer::read(task, row, predictions.get(&row.id)),
            rules: &task.output.fields,
        })
        .collect()
}

fn measure(task: &Task, metrics: &[Metric], samples: &[Sample]) -> Measured {
    Measured {
        tallies: metrics
            .iter()
            .map(|metric| metric.tally(task, samples))
            .collect(),
        resampled: Vec::new(),
        rights: samples
            .iter()
            .map(|sample| Some(metrics::is_right(sample)))
            .collect(),
        groups: None,
    }
}

/// Resamples the tallies of all systems together; proportions need it only where samples come in
/// groups.
fn resample(measured: &mut [Measured], groups: &[usize], options: &Options) {
    let fewer = groups::fewer(groups);
    let needs = |tally: &Tally| fewer.is_some() || !matches!(tally, Tally::Rights(_));
    let needed: Vec<&Tally> = measured
        .iter()
        .flat_map(|one| &one.tallies)
        .filter(|tally| needs(tally))
        .collect();
    let mut values =
        bootstrap::resampled(&needed, groups, options.resamples, options.seed).into_iter();
    for one in measured {
        one.resampled = one
            .tallies
            .iter()
            .map(|tally| match needs(tally) {
                true => values.next().unwrap_or_default(),
                false => Vec::new(),
            })
            .collect();
        one.groups = fewer;
    }
}

/// The value and interval of each metric that applies to any row.
fn values(names: &[String], measured: &Measured) -> BTreeMap<String, MetricValue> {
    let tallies = measured.tallies.iter().zip(&measured.resampled);
    names
        .iter()
        .zip(tallies)
        .filter_map(|(name, (tally, resampled))| {
            let value = tally.value()?;
            let n = tally.n();
            let (low, high) = interval(tally, value, measured.groups, resampled);
            Some((
                name.clone(),
                MetricValue {
                    value,
                    low,
                    high,
                    n,
                },
            ))
        })
        .collect()
}

/// Wilson for proportions of independent samples, the bootstrap for the rest. Where every
/// resample gives the same 0 or 1 the bootstrap says nothing about the next sample; Wilson's
/// interval for all or none of the samples, or of their groups, stands in.
fn interval(tally: &Tally, value: f64, groups: Option<usize>, resampled: &[f64]) -> (f64, f64) {
    let n = tally.n();
    if let (Some(right), None) = (tally.right_count(), groups) {
        return wilson::wilson(right, n);
    }
    let n = groups.map_or(n, |groups| groups.min(n));
    match bootstrap::interval(resampled.iter().copied()) {
        Some((low, high)) if low == high && value == 1.0 => wilson::wilson(n, n),
        Some((low, high)) if low == high && value == 0.0 => wilson::wilson(0, n),
        Some((low, high)) => (low.min(value), high.max(value)),
        None => (value, value),
    }
}

/// Everything about a system but its metrics.
fn describe(task: &Task, system: &System, samples: &[Sample], metrics: &[Metric]) -> SystemResult {
    let mut failures: BTreeMap<String, usize> = Cause::ALL
        .iter()
        .map(|cause| (cause.name().to_string(), 0))
        .collect();
    for cause in samples.iter().filter_map(|sample| sample.answer.cause()) {
        *failures.entry(cause.name().to_string()).or_default() += 1;
    }
    let answers = samples
        .iter()
        .filter_map(|sample| system.predictions.get(&sample.row.id));
    let token_answers = answers
        .clone()
        .filter(|answer| answer.output_tokens.is_some());
    let tokens = |of: fn(&crate::predictions::Prediction) -> Option<u64>| {
        answers.clone().filter_map(of).fold(None, |sum, more| {
            Some(sum.unwrap_or(0_u64).saturating_add(more))
        })
    };
    let (paid, paid_answers) = paid(system);
    SystemResult {
        name: system.name.clone(),
        right: samples.iter().filter(|s| metrics::is_right(s)).count(),
        failures,
        fields: fields(samples),
        labels: labels::scores(task, samples, metrics),
        confusion: labels::confusion(task, samples),
        confidence: confidence::of_system(samples, &system.predictions),
        token_answers: token_answers.count(),
        latency_ms: latency(answers.clone().filter_map(|answer| answer.latency_ms)),
        input_tokens: tokens(|answer| answer.input_tokens),
        output_tokens: tokens(|answer| answer.output_tokens),
        paid,
        paid_answers,
        ids: ids(&system.predictions),
        info: system.info.clone(),
        setup: system.setup.clone(),
        ..SystemResult::default()
    }
}

/// What all answers cost, repeats included, where they say it, and how many do.
fn paid(system: &System) -> (Option<f64>, usize) {
    std::iter::once(&system.predictions)
        .chain(&system.repeats)
        .flat_map(Predictions::iter)
        .filter_map(|answer| answer.cost)
        .fold((None, 0), |(sum, count), cost| {
            (Some(sum.unwrap_or(0.0) + cost), count + 1)
        })
}

fn latency(latencies: impl Iterator<Item = f64>) -> Option<Latency> {
    let mut sorted: Vec<f64> = latencies.filter(|latency| latency.is_finite()).collect();
    sorted.sort_by(f64::total_cmp);
    (!sorted.is_empty()).then(|| Latency {
        p50: bootstrap::quantile(&sorted, 0.5),
        p90: bootstrap::quantile(&sorted, 0.9),
        n: sorted.len(),
    })
}

fn ids(predictions: &Predictions) -> Ids {
    let cut = |ids: &[String]| ids.iter().take(LISTED_IDS).cloned().collect();
    Ids {
        missing: cut(&predictions.missing),
        missing_count: predictions.missing.len(),
        unknown: cut(&predictions.unknown),
        unknown_count: predictions.unknown.len(),
        duplicate: cut(&predictions.duplicate),
        duplicate_count: predictions.duplicate.len(),
    }
}

fn fields(samples: &[Sample]) -> BTreeMap<String, FieldScore> {
    let mut sums: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    for sample in samples.iter().filter(|s| s.kind == OutputType::Json) {
        for (field, counts) in metrics::field::by_field(sample) {
            let sum = sums.entry(field).or_default();
            sum.iter_mut()
                .zip(counts)
                .for_each(|(sum, part)| *sum += part);
        }
    }
    scored(sums)
}

fn scored(sums: BTreeMap<String, [u32; 3]>) -> BTreeMap<String, FieldScore> {
    sums.into_iter()
        .map(|(name, counts)| (name, FieldScore::of(counts)))
        .collect()
}

/// How far a system's figures vary over its repeats, by the first metric.
fn repeated(system: &SystemResult, metrics: &[Metric]) -> Option<String> {
    let repeats = system.repeats.as_ref()?;
    let metric = metrics.first()?.name();
    let values = repeats.metrics.get(metric)?;
    Some(format!(
        "{}: asked {} times; {metric} {:.3} on average with standard deviation {:.3}, {:.3} by \
         majority; {:.1}% of samples answered alike each time, {:.1}% right each time, {:.1}% right \
         at least once",
        system.name,
        repeats.n,
        values.mean,
        values.deviation,
        repeats.majority.get(metric).copied().unwrap_or_default(),
        100.0 * repeats.same,
        100.0 * repeats.always_right,
        100.0 * repeats.ever_right
    ))
}

fn notes(
    rows: &[Row],
    systems: &[System],
    metrics: &[Metric],
    found: &[SystemResult],
) -> Vec<String> {
    let mut notes = Vec::new();
    if !systems.iter().any(|s| s.info.role == Some(Role::Frontier)) {
        notes.push("no frontier baseline configured".to_string());
    }
    for system in systems {
        if let Some(remark) = system.predictions.remark() {
            notes.push(format!("{}: {remark}", system.name));
        }
    }
    for (system, described) in systems.iter().zip(found) {
        if let Some(count) = system.info.not_asked.filter(|count| *count > 0) {
            let (name, all) = (&system.name, rows.len());
            notes.push(format!(
                "{name}: {count} of {all} samples were not asked; they count as wrong"
            ));
        }
        notes.extend(repeated(described, metrics));
    }
    if let Some(first) = found.first() {
        for metric in metrics {
            match first.metrics.get(metric.name()) {
                Some(value) if value.n < rows.len() => notes.push(format!(
                    "{} applies to {} of {} samples",
                    metric.name(),
                    value.n,
                    rows.len()
                )),
                Some(_) => {}
                None => notes.push(format!("{} applies to no sample", metric.name())),
            }
        }
    }
    notes
}

#[cfg(test)]
mod tests;
