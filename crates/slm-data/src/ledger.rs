//! The provenance of every row, kept or dropped, one JSON line each.
//!
//! Does not decide what is dropped.

use crate::error::Result;
use crate::flow::{TRACE, Trace};
use crate::jsonl::write_all;
use crate::sample::Sample;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Fate {
    /// The row is in a dataset.
    Kept {
        /// `train`, `validation` or `test`.
        split: String,
    },
    /// The row is in none.
    Dropped {
        /// Why, in words that repeat, so that they can be counted.
        reason: String,
        /// What exactly, such as the schema's complaint.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
}

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The row's id.
    pub id: String,
    /// The leaf it was made for.
    pub leaf: String,
    /// The seed it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Every seed that lent text or values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// Who made it.
    #[serde(default)]
    pub teacher: String,
    /// What was done to the seed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<String>,
    /// How a flow made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

impl Entry {
    /// The entry of a row, from its metadata.
    pub fn of(sample: &Sample, fate: Fate) -> Self {
        let list = |key: &str| {
            sample
                .metadata
                .get(key)
                .and_then(|v| v.as_array())
                .cloned()
                .unwrap_or_default()
        };
        let text = |key: &str| {
            sample
                .metadata
                .get(key)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        Self {
            id: sample.id.clone(),
            leaf: text("leaf"),
            seed: sample.seed(),
            seeds: list("seeds")
                .iter()
                .filter_map(serde_json::Value::as_u64)
                .collect(),
            teacher: text("teacher"),
            operations: list("operations")
                .iter()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect(),
            trace: sample
                .metadata
                .get(TRACE)
                .and_then(|trace| serde_json::from_value(trace.clone()).ok()),
            fate,
        }
    }

    /// The entry of a row that was kept.
    pub fn kept(sample: &Sample, split: &str) -> Self {
        Self::of(
            sample,
            Fate::Kept {
                split: split.to_owned(),
            },
        )
    }

    /// The entry of a row that was dropped.
    pub fn dropped(sample: &Sample, reason: &str, detail: Option<String>) -> Self {
        Self::of(
            sample,
            Fate::Dropped {
                reason: reason.to_owned(),
                detail,
            },
        )
    }
}

/// The number of dropped rows by reason.
pub fn dropped_by_reason(entries: &[Entry]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in entries {
        if let Fate::Dropped { reason, .. } = &entry.fate {
            *counts.entry(reason.clone()).or_default() += 1;
        }
    }
    counts
}

/// Writes the ledger atomically.
///
/// # Errors
/// The file cannot be written.
pub fn write_ledger(path: &Path, entries: &[Entry]) -> Result<usize> {
    write_all(path, entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jsonl::JsonlReader;

    #[test]
    fn entries_round_trip_and_are_counted() {
        let sample = Sample::pair("a", "q", "x")
            .with("leaf", "l")
            .with("seed", 3)
            .with("seeds", vec![3, 5])
            .with("teacher", "grammar")
            .with("operations", vec!["typo"]);
        let entries = vec![
            Entry::kept(&sample, "train"),
            Entry::dropped(&sample, "duplicate", None),
        ];
        assert_eq!(entries[0].seeds, [3, 5]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        write_ledger(&path, &entries).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.contains(r#""outcome":"kept","split":"train""#),
            "{text}"
        );
        let back: Vec<Entry> = JsonlReader::open(&path)
            .unwrap()
            .collect::<Result<_>>()
            .unwrap();
        assert_eq!(back, entries);
        assert_eq!(
            dropped_by_reason(&entries),
            BTreeMap::from([("duplicate".to_owned(), 1)])
        );
    }
}
