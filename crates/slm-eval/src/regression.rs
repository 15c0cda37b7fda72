//! Two evaluations of one task: what differed in their set-up first, then what changed.
//!
//! Changes of metrics carry MOVER intervals; where both reports hold their samples, the answers
//! to the same rows are paired, and how far they are right together is taken for how far the
//! metrics go together. Does not know how either was shown.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::report::SampleRow;
use crate::report::embed::same_text;
use crate::results::{Results, SystemResult};
use crate::statistics::mcnemar::Paired;
use crate::statistics::two_estimates;

/// Rows that are listed by name.
const LISTED: usize = 50;

/// What changed from an earlier evaluation to a later one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Regression {
    /// What differed in the set-up, in words; empty when nothing that is known did.
    pub differs: Vec<String>,
    /// Metrics of systems that both have.
    pub changes: Vec<Change>,
    /// Answers of systems that both have, row by row.
    pub answers: Vec<Answers>,
}

/// One metric of one system, before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The system.
    pub system: String,
    /// The metric.
    pub metric: String,
    /// The earlier value.
    pub before: f64,
    /// The later value.
    pub after: f64,
    /// `after` minus `before`.
    pub difference: f64,
    /// Lower end of its 95% interval.
    pub low: f64,
    /// Upper end of its 95% interval.
    pub high: f64,
    /// Whether the interval leaves out 0.
    pub clear: bool,
}

/// One system's answers to the rows that both evaluations have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    /// The system.
    pub system: String,
    /// Rows that both have.
    pub rows: usize,
    /// Rows that were right and are wrong now.
    pub broken: usize,
    /// Rows that were wrong and are right now.
    pub mended: usize,
    /// Two-sided exact McNemar test.
    pub p_value: f64,
    /// The first rows that broke.
    pub broken_ids: Vec<String>,
}

/// Results with the samples that are at hand.
pub type Evaluation<'a> = (&'a Results, &'a [SampleRow]);

/// Compares two evaluations.
pub fn compare(before: Evaluation, after: Evaluation) -> Regression {
    let (old, new) = (before.0, after.0);
    let mut found = Regression {
        differs: setup(old, new),
        ..Regression::default()
    };
    let old_rows: HashMap<&str, &SampleRow> =
        before.1.iter().map(|row| (row.id.as_str(), row)).collect();
    for (index, system) in new.systems.iter().enumerate() {
        let Some(place) = old
            .systems
            .iter()
            .position(|known| known.name == system.name)
        else {
            continue;
        };
        let answers = answers(&system.name, &old_rows, place, after.1, index);
        let together = answers.as_ref().map_or(0.0, |(answers, together)| {
            // Rows that only one side has go with none of the other's.
            let all = (before.1.len() as f64 * after.1.len() as f64).sqrt();
            together * answers.rows as f64 / all
        });
        let was = &old.systems[place];
        found.changes.extend(changes(new, was, system, together));
        found.answers.extend(answers.map(|(answers, _)| answers));
    }
    found
}

/// What differed: task, rows, metrics, means of measuring, then system by system.
fn setup(old: &Results, new: &Results) -> Vec<String> {
    let mut differs = Vec::new();
    if old.task != new.task {
        differs.push(format!("task: `{}`, then `{}`", old.task, new.task));
    }
    if old.samples != new.samples {
        differs.push(format!("samples: {}, then {}", old.samples, new.samples));
    }
    if old.metrics != new.metrics {
        differs.push(format!(
            "metrics: {}, then {}",
            old.metrics.join(" "),
            new.metrics.join(" ")
        ));
    }
    if old.method != new.method {
        differs.push("how intervals were made".to_string());
    }
    differs.extend(entries("", &old.setup, &new.setup));
    for system in &new.systems {
        match old.system(&system.name) {
            None => differs.push(format!("system `{}` is new", system.name)),
            Some(known) => differs.extend(of_system(known, system)),
        }
    }
    let gone = old
        .systems
        .iter()
        .filter(|system| new.system(&system.name).is_none());
    differs.extend(gone.map(|system| format!("system `{}` is gone", system.name)));
    differs
}

fn of_system(old: &SystemResult, new: &SystemResult) -> Vec<String> {
    let mut differs = entries(&format!("`{}`: ", new.name), &old.setup, &new.setup);
    if old.info.size_bytes != new.info.size_bytes {
        let bytes =
            |size: Option<u64>| size.map_or_else(|| "unknown".into(), |size| size.to_string());
        differs.push(format!(
            "`{}`: bytes of weights: {}, then {}",
            new.name,
            bytes(old.info.size_bytes),
            bytes(new.info.size_bytes)
        ));
    }
    differs
}

/// Entries that only one side has are told as well: they are not known to be equal.
fn entries(
    of: &str,
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |value: Option<&String>| match value {
        None => "not recorded".to_string(),
        // A hash says enough by its beginning.
        Some(text) if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            text[..12].into()
        }
        Some(text) => text.clone(),
    };
    keys.into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            format!(
                "{of}{key}: {}, then {}",
                shown(old.get(key)),
                shown(new.get(key))
            )
        })
        .collect()
}

fn changes(new: &Results, old: &SystemResult, system: &SystemResult, together: f64) -> Vec<Change> {
    new.metrics
        .iter()
        .filter_map(|metric| {
            let (b, a) = (old.metrics.get(metric)?, system.metrics.get(metric)?);
            let (difference, low, high) = two_estimates::difference(
                (a.value, a.low, a.high),
                (b.value, b.low, b.high),
                together,
            );
            Some(Change {
                system: system.name.clone(),
                metric: metric.clone(),
                before: b.value,
                after: a.value,
                difference,
                low,
                high,
                clear: low > 0.0 || high < 0.0,
            })
        })
        .collect()
}

fn answers(
    system: &str,
    old: &HashMap<&str, &SampleRow>,
    place: usize,
    new: &[SampleRow],
    index: usize,
) -> Option<(Answers, f64)> {
    let (mut after, mut before, mut broken_ids) = (Vec::new(), Vec::new(), Vec::new());
    for row in new {
        // A row whose target changed is not the same row.
        let same = old
            .get(row.id.as_str())
            .filter(|known| same_text(&known.target, &row.target));
        let Some(known) = same.and_then(|row| row.answers.get(place)) else {
            continue;
        };
        let now = row.answers.get(index)?.right;
        after.push(Some(now));
        before.push(Some(known.right));
        if known.right && !now && broken_ids.len() < LISTED {
            broken_ids.push(row.id.clone());
        }
    }
    let paired = Paired::count(&after, &before);
    let answers = Answers {
        system: system.to_string(),
        rows: paired.total(),
        broken: paired.only_b,
        mended: paired.only_a,
        p_value: paired.p_value(),
        broken_ids,
    };
    (paired.total() > 0).then(|| (answers, paired.correlation()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Embedded, SampleAnswer};
    use crate::results::MetricValue;

    fn embedded(value: f64, model: &str, rights: &[bool]) -> Embedded {
        let system = SystemResult {
            name: "s".into(),
            metrics: [(
                "m".to_string(),
                MetricValue {
                    value,
                    low: value - 0.03,
                    high: value + 0.04,
                    n: 9,
                },
            )]
            .into(),
            setup: [("model".to_string(), model.to_string())].into(),
            ..SystemResult::default()
        };
        let row = |(index, right): (usize, &bool)| SampleRow {
            id: index.to_string(),
            question: String::new(),
            target: String::new(),
            tags: vec![],
            answers: vec![SampleAnswer {
                right: *right,
                cause: String::new(),
                output: String::new(),
                latency_ms: None,
                confidence: None,
            }],
        };
        Embedded {
            results: Results {
                task: "t".into(),
                metrics: vec!["m".into()],
                systems: vec![system],
                ..Results::default()
            },
            samples: rights.iter().enumerate().map(row).collect(),
            ..Embedded::default()
        }
    }

    fn compared(before: &Embedded, after: &Embedded) -> Regression {
        compare(
            (&before.results, &before.samples),
            (&after.results, &after.samples),
        )
    }

    #[test]
    fn set_up_metrics_and_answers_are_compared() {
        let before = embedded(0.8, "one", &[true, true, false, true]);
        let after = embedded(0.85, "two", &[true, false, true, false]);
        let found = compared(&before, &after);
        assert_eq!(found.differs, ["`s`: model: one, then two"]);
        // d = 0.05; φ = (1 · 0 − 1 · 2) / sqrt(12); below sqrt(0.03² + 0.04² − 2 φ 0.03 · 0.04),
        // above the same.
        let change = &found.changes[0];
        let width = (0.0025_f64 + 2.0 * 2.0 / 12_f64.sqrt() * 0.0012).sqrt();
        assert!((change.difference - 0.05).abs() < 1e-9);
        assert!((change.low - (0.05 - width)).abs() < 1e-9);
        assert!((change.high - (0.05 + width)).abs() < 1e-9);
        let answers = &found.answers[0];
        assert_eq!((answers.rows, answers.broken, answers.mended), (4, 2, 1));
        assert_eq!(answers.broken_ids, ["1", "3"]);
        assert_eq!(answers.p_value, 1.0);
    }

    #[test]
    fn the_same_twice_differs_in_nothing() {
        let one = embedded(0.8, "one", &[true]);
        let found = compared(&one, &one);
        assert!(found.differs.is_empty());
        assert!(!found.changes[0].clear);
        let change = &found.changes[0];
        // The ends of its interval lie 0.03 and 0.04 away, and all is right together.
        assert!((change.low + 0.01).abs() < 1e-9 && (change.high - 0.01).abs() < 1e-9);
        assert_eq!(
            (found.answers[0].broken, found.answers[0].p_value),
            (0, 1.0)
        );
    }

    #[test]
    fn systems_that_came_and_went_are_told() {
        let (one, mut other) = (embedded(0.8, "one", &[]), embedded(0.8, "one", &[]));
        other.results.systems[0].name = "z".into();
        assert_eq!(
            compared(&one, &other).differs,
            ["system `z` is new", "system `s` is gone"]
        );
    }
}
