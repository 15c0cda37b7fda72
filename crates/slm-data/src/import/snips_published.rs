//! The Snips engine's published slot scores, from the `Snips_metrics_full.json`
//! that lies beside each intent's data.
//!
//! Does not know our own scores; a report draws both.

use super::snips::INTENTS;
use crate::error::{DataError, Place, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One slot's published scores.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PublishedSlotScore {
    /// The intent.
    pub intent: String,
    /// The slot as published; `snips/datetime` is the data's `timeRange`.
    pub slot: String,
    /// Precision, from 0 to 1.
    pub precision: f64,
    /// Recall, from 0 to 1.
    pub recall: f64,
    /// How often the slot occurred in the 100 queries that were measured on.
    pub occurrences: usize,
}

#[derive(Deserialize)]
struct Metrics {
    intents: BTreeMap<String, IntentMetrics>,
}

#[derive(Deserialize)]
struct IntentMetrics {
    slots: BTreeMap<String, SlotMetrics>,
}

/// `precision` and `recall` map a number of training queries to one score per
/// run; `rate` counts the slot's occurrences.
#[derive(Deserialize)]
struct SlotMetrics {
    precision: BTreeMap<String, Vec<f64>>,
    recall: BTreeMap<String, Vec<f64>>,
    rate: usize,
}

/// Reads the published scores of all intents, in order of intent and slot: those
/// of the largest training set, averaged over runs.
///
/// # Errors
/// A file is missing or does not have the published shape.
pub fn snips_published(folder: &Path) -> Result<Vec<PublishedSlotScore>> {
    let mut scores = Vec::new();
    for intent in INTENTS {
        scores.extend(read_intent(
            &folder.join(intent).join("Snips_metrics_full.json"),
            intent,
        )?);
    }
    Ok(scores)
}

fn read_intent(path: &Path, intent: &str) -> Result<Vec<PublishedSlotScore>> {
    let text = std::fs::read_to_string(path).map_err(|e| DataError::io(path, "read", e))?;
    let shape = format!(
        "expected `{{\"intents\": {{\"{intent}\": {{\"slots\": {{NAME: {{\"precision\", \"recall\", \"rate\"}}}}}}}}}}`"
    );
    let metrics: Metrics = serde_json::from_str(&text).map_err(|e| {
        DataError::content(
            Place::at(path, e.line(), e.column()),
            format!("not a Snips metrics file: {e}"),
            shape.clone(),
        )
    })?;
    let slots = metrics
        .intents
        .get(intent)
        .map(|i| &i.slots)
        .ok_or_else(|| {
            DataError::content(
                Place::file(path),
                format!("the file has no intent `{intent}`"),
                shape.clone(),
            )
        })?;
    let score = |(slot, m): (&String, &SlotMetrics)| {
        let missing = || {
            DataError::content(
                Place::file(path),
                format!("slot `{slot}` has no scores"),
                shape.clone(),
            )
        };
        Ok(PublishedSlotScore {
            intent: intent.to_owned(),
            slot: slot.clone(),
            precision: of_largest(&m.precision).ok_or_else(missing)?,
            recall: of_largest(&m.recall).ok_or_else(missing)?,
            occurrences: m.rate,
        })
    };
    slots.iter().map(score).collect()
}

fn of_largest(by_size: &BTreeMap<String, Vec<f64>>) -> Option<f64> {
    let sized = by_size
        .iter()
        .filter_map(|(size, runs)| Some((size.parse::<usize>().ok()?, runs)));
    let (_, runs) = sized.max_by_key(|(size, _)| *size)?;
    (!runs.is_empty()).then(|| runs.iter().sum::<f64>() / runs.len() as f64)
}

/// One F1 for several slots: of precision and recall, each weighted by how often
/// the slot occurs. `None` without occurrences.
pub fn weighted_f1<'a>(scores: impl IntoIterator<Item = &'a PublishedSlotScore>) -> Option<f64> {
    let (mut precision, mut recall, mut total) = (0.0, 0.0, 0.0);
    for score in scores {
        let weight = score.occurrences as f64;
        precision += weight * score.precision;
        recall += weight * score.recall;
        total += weight;
    }
    (precision + recall > 0.0).then(|| 2.0 * precision * recall / (precision + recall) / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(slots: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for intent in INTENTS {
            std::fs::create_dir(folder.path().join(intent)).unwrap();
            let text = format!(
                "{{\"training_sizes\": [70, 900], \"intents\": {{\"{intent}\": {{\"slots\": {slots}}}}}}}"
            );
            std::fs::write(
                folder.path().join(intent).join("Snips_metrics_full.json"),
                text,
            )
            .unwrap();
        }
        folder
    }

    #[test]
    fn the_largest_training_set_counts() {
        let folder = fixture(
            r#"{"b": {"recall": {"900": [0.5, 0.7], "70": [0.1]}, "rate": 3, "precision": {"900": [1.0], "70": [0.0]}},
                "a": {"recall": {"900": [1.0]}, "rate": 1, "precision": {"900": [1.0]}}}"#,
        );
        let scores = snips_published(folder.path()).unwrap();
        assert_eq!(scores.len(), 14);
        assert_eq!(
            (scores[0].intent.as_str(), scores[0].slot.as_str()),
            ("AddToPlaylist", "a")
        );
        assert_eq!((scores[1].precision, scores[1].occurrences), (1.0, 3));
        assert!((scores[1].recall - 0.6).abs() < 1e-12);
        // Precision 1, recall (3 * 0.6 + 1) / 4 = 0.7: F1 = 1.4 / 1.7.
        assert!((weighted_f1(&scores[..2]).unwrap() - 1.4 / 1.7).abs() < 1e-12);
        assert_eq!(weighted_f1(&[]), None);
    }

    #[test]
    fn faults_name_the_file() {
        let folder = fixture(r#"{"a": {"recall": {}, "rate": 1, "precision": {}}}"#);
        let message = snips_published(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("AddToPlaylist/Snips_metrics_full.json: slot `a` has no scores"),
            "{message}"
        );
        std::fs::write(
            folder.path().join("AddToPlaylist/Snips_metrics_full.json"),
            "[]",
        )
        .unwrap();
        assert!(
            snips_published(folder.path())
                .unwrap_err()
                .to_string()
                .contains("hint: expected")
        );
    }

    #[test]
    fn published_means() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/snips");
        if !folder.is_dir() {
            println!("skipped: no copy of SNIPS at {}", folder.display());
            return;
        }
        let scores = snips_published(&folder).unwrap();
        let by_intent: Vec<f64> = INTENTS
            .iter()
            .map(|intent| weighted_f1(scores.iter().filter(|s| s.intent == *intent)).unwrap())
            .collect();
        let rounded: Vec<i64> = by_intent
            .iter()
            .map(|f1| (f1 * 1000.0).round() as i64)
            .collect();
        assert_eq!(rounded, [934, 937, 947, 886, 981, 942, 962]);
    }
}
