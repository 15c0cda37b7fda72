//! `slm eval compare`: two evaluations, what differed in their making first.
//!
//! Does not know how intervals are made; that is slm-eval's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_eval::regression::{self, Regression};
use slm_eval::report::visible;

use crate::commands::Context;
use crate::results::read_evaluation;

/// Arguments of `slm eval compare`.
#[derive(Debug, Args)]
pub struct Compare {
    /// The earlier results
    before: PathBuf,
    /// The later results
    after: PathBuf,
}

impl Compare {
    /// Shows what changed.
    pub fn run(self, context: &Context) -> Result<()> {
        let (before, after) = (
            read_evaluation(&self.before)?,
            read_evaluation(&self.after)?,
        );
        let found = regression::compare(
            (&before.results, &before.samples),
            (&after.results, &after.samples),
        );
        if context.terminal.is_json() {
            return context.terminal.json(&found);
        }
        context.terminal.data(&as_text(&found))
    }
}

fn as_text(found: &Regression) -> String {
    let mut text = String::new();
    for difference in &found.differs {
        text.push_str(&format!("differs: {}\n", visible(difference)));
    }
    let width =
        |of: fn(&regression::Change) -> usize| found.changes.iter().map(of).max().unwrap_or(0);
    let (systems, metrics) = (width(|c| c.system.len()), width(|c| c.metric.len()));
    for change in &found.changes {
        let mark = match (change.clear, change.difference > 0.0) {
            (false, _) => "",
            (true, true) => "  better",
            (true, false) => "  worse",
        };
        text.push_str(&format!(
            "{:<systems$}  {:<metrics$}  {:.4}  {:.4}  {:+.4}  {:+.4} to {:+.4}{mark}\n",
            change.system,
            change.metric,
            change.before,
            change.after,
            change.difference,
            change.low,
            change.high
        ));
    }
    for answers in &found.answers {
        text.push_str(&format!(
            "{:<systems$}  on the {} same rows {} broken, {} mended (exact McNemar p = {:.4})\n",
            answers.system, answers.rows, answers.broken, answers.mended, answers.p_value
        ));
    }
    text
}
