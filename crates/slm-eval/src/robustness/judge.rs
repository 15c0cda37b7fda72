//! What altering rows does to a system's answers, paired with its answers to the rows themselves.
//!
//! Does not know how rows were altered.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::Kind;
use crate::metrics::{Sample, is_right};
use crate::predictions::Predictions;
use crate::statistics::mcnemar::Paired;

/// One system under one kind of change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Altered {
    /// The system.
    pub system: String,
    /// The kind of change.
    pub kind: Kind,
    /// Rows that were altered.
    pub n: usize,
    /// Share of them answered right as they stood in the data.
    pub before: f64,
    /// Share of them answered right when altered.
    pub after: f64,
    /// Lower end of the 95% interval of `after` minus `before`.
    pub low: f64,
    /// Upper end of it.
    pub high: f64,
    /// Two-sided exact McNemar test.
    pub p_value: f64,
    /// Rows that were right and are wrong when altered.
    pub broken: usize,
    /// Rows that were wrong and are right when altered.
    pub mended: usize,
}

/// Judges one system. A system that was never asked an altered row has no entry: answers from
/// elsewhere may not cover them.
pub fn judge(
    system: &str,
    predictions: &Predictions,
    rows: &[Sample],
    altered: &[Sample],
) -> Vec<Altered> {
    let asked = altered
        .iter()
        .any(|sample| predictions.get(&sample.row.id).is_some());
    if !asked {
        return Vec::new();
    }
    let before: HashMap<&str, bool> = rows
        .iter()
        .map(|sample| (sample.row.id.as_str(), is_right(sample)))
        .collect();
    Kind::ALL
        .into_iter()
        .filter_map(|kind| {
            let (after, before): (Vec<Option<bool>>, Vec<Option<bool>>) = altered
                .iter()
                .filter_map(|sample| {
                    let origin = sample
                        .row
                        .origin
                        .as_ref()
                        .filter(|origin| origin.kind == kind)?;
                    let before = before.get(origin.id.as_str())?;
                    Some((Some(is_right(sample)), Some(*before)))
                })
                .unzip();
            (!after.is_empty()).then(|| compared(system, kind, &Paired::count(&after, &before)))
        })
        .collect()
}

fn compared(system: &str, kind: Kind, paired: &Paired) -> Altered {
    let n = paired.total();
    let (low, high) = paired.interval();
    Altered {
        system: system.to_string(),
        kind,
        n,
        before: (paired.both_right + paired.only_b) as f64 / n as f64,
        after: (paired.both_right + paired.only_a) as f64 / n as f64,
        low,
        high,
        p_value: paired.p_value(),
        broken: paired.only_b,
        mended: paired.only_a,
    }
}
