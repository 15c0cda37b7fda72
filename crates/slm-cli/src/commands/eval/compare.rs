//! `slm eval compare`: two results, what differed in their making first.
//!
//! The systems' answers are not at hand here, so differences carry no test; scoring both
//! sides' answers together (`slm eval score`) gives one.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_eval::Results;

use super::read_results;
use crate::commands::Context;

/// Arguments of `slm eval compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The earlier results
    before: PathBuf,
    /// The later results
    after: PathBuf,
}

#[derive(Debug, Serialize)]
struct Comparison {
    differs: Vec<String>,
    changes: Vec<Change>,
}

/// One metric of one system, before and after.
#[derive(Debug, Serialize)]
struct Change {
    system: String,
    metric: String,
    before: f64,
    after: f64,
    difference: f64,
    /// Whether the 95% intervals leave each other.
    clear: bool,
}

impl Compare {
    /// Shows what changed.
    pub fn run(self, context: &Context) -> Result<()> {
        let comparison = compare(&read_results(&self.before)?, &read_results(&self.after)?);
        if context.terminal.is_json() {
            return context.terminal.json(&comparison);
        }
        context.terminal.data(&as_text(&comparison))
    }
}

fn compare(before: &Results, after: &Results) -> Comparison {
    let mut differs = Vec::new();
    if before.task != after.task {
        differs.push(format!("task: `{}`, then `{}`", before.task, after.task));
    }
    if before.samples != after.samples {
        differs.push(format!(
            "samples: {}, then {}",
            before.samples, after.samples
        ));
    }
    if before.method != after.method {
        differs.push("how intervals were made".to_owned());
    }
    let mut changes = Vec::new();
    for system in &after.systems {
        let Some(old) = before.system(&system.name) else {
            differs.push(format!("system `{}` is new", system.name));
            continue;
        };
        if old.info.size_bytes != system.info.size_bytes {
            differs.push(format!("size of `{}`", system.name));
        }
        for metric in &after.metrics {
            let (Some(b), Some(a)) = (old.metrics.get(metric), system.metrics.get(metric)) else {
                continue;
            };
            changes.push(Change {
                system: system.name.clone(),
                metric: metric.clone(),
                before: b.value,
                after: a.value,
                difference: a.value - b.value,
                clear: a.low > b.high || a.high < b.low,
            });
        }
    }
    let gone = before
        .systems
        .iter()
        .filter(|s| after.system(&s.name).is_none());
    differs.extend(gone.map(|system| format!("system `{}` is gone", system.name)));
    Comparison { differs, changes }
}

fn as_text(comparison: &Comparison) -> String {
    let mut text = String::new();
    for difference in &comparison.differs {
        text.push_str(&format!("differs: {difference}\n"));
    }
    let width = |of: fn(&Change) -> usize| comparison.changes.iter().map(of).max().unwrap_or(0);
    let (systems, metrics) = (width(|c| c.system.len()), width(|c| c.metric.len()));
    for change in &comparison.changes {
        let mark = if change.clear {
            "  intervals apart"
        } else {
            ""
        };
        text.push_str(&format!(
            "{:<systems$}  {:<metrics$}  {:.4}  {:.4}  {:+.4}{mark}\n",
            change.system, change.metric, change.before, change.after, change.difference
        ));
    }
    text
}
