//! Each label's counts, and which labels are taken for which.
//!
//! Does not know averages; those are the metrics'.

use std::collections::BTreeMap;

use super::scored;
use crate::metrics::{self, Metric, Sample, Tally};
use crate::results::{Confused, FieldScore};
use crate::task::Task;

/// The name under which answers outside the declared labels are counted.
const INVALID: &str = "(invalid)";
/// Cells of a confusion matrix that results keep.
const MOST_CELLS: usize = 2000;

/// Counts of each label, where a label metric is asked for.
pub(super) fn scores(
    task: &Task,
    samples: &[Sample],
    metrics: &[Metric],
) -> BTreeMap<String, FieldScore> {
    if !metrics.iter().any(|metric| metric.label_score().is_some()) {
        return BTreeMap::new();
    }
    let Some((names, pairs)) = pairs(task, samples) else {
        return BTreeMap::new();
    };
    let mut counts = vec![[0; 3]; names.len()];
    for (target, answered) in pairs {
        if target == answered {
            counts[target][0] += 1;
        } else {
            counts[answered][1] += 1;
            counts[target][2] += 1;
        }
    }
    scored(names.into_iter().zip(counts).collect())
}

/// How often each target was answered by each label, the most frequent first.
pub(super) fn confusion(task: &Task, samples: &[Sample]) -> Vec<Confused> {
    let Some((names, pairs)) = pairs(task, samples) else {
        return Vec::new();
    };
    let mut counts: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    for pair in pairs {
        *counts.entry(pair).or_default() += 1;
    }
    let mut cells: Vec<Confused> = counts
        .into_iter()
        .map(|((target, answered), n)| Confused {
            target: names[target].clone(),
            answered: names[answered].clone(),
            n,
        })
        .collect();
    cells.sort_by_key(|cell| std::cmp::Reverse(cell.n));
    cells.truncate(MOST_CELLS);
    cells
}

/// The classes with the invalid one last, and target and answered class of every sample that
/// has a label; none where the task has no labels.
fn pairs(task: &Task, samples: &[Sample]) -> Option<(Vec<String>, Vec<(usize, usize)>)> {
    let Tally::Labels { pairs, .. } = Metric::LabelMicroF1.tally(task, samples) else {
        return None;
    };
    let pairs: Vec<(usize, usize)> = pairs
        .into_iter()
        .flatten()
        .map(|(target, answered)| (usize::from(target), usize::from(answered)))
        .collect();
    if pairs.is_empty() {
        return None;
    }
    let mut names = metrics::label::classes(task, samples);
    names.push(INVALID.to_string());
    Some((names, pairs))
}
