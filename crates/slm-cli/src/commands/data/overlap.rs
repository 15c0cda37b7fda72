//! `slm data overlap`: a gate on training rows that are in an evaluation.
//!
//! Does not know how texts are compared; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::commands::Context;
use crate::failure::Failure;
use crate::stages::overlap::read_eval;

/// Arguments of `slm data overlap`.
#[derive(Debug, Args)]
pub struct Overlap {
    /// A dataset to train on (JSONL or Parquet)
    train: PathBuf,
    /// Rows of an evaluation (JSONL or Parquet with `input` or `messages`, and `target`), or a dataset
    #[arg(long = "eval", required = true, value_name = "FILE")]
    evals: Vec<PathBuf>,
    /// The share of an evaluation's rows that may share a run of 8 words with training, or be
    /// nearly equal to a training row
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    at_most: f64,
}

impl Overlap {
    /// Compares, and fails with exit code 100 where too much is shared.
    pub fn run(self, context: &Context) -> Result<()> {
        let train = slm_data::read_all(&self.train)?;
        let mut failed = Vec::new();
        let mut reports = Vec::new();
        for path in &self.evals {
            let rows = read_eval(path)?;
            let report = slm_data::leakage(&train, &rows);
            let shared =
                report.shared_8_grams.max(report.near_duplicates) as f64 / rows.len().max(1) as f64;
            if shared > self.at_most {
                failed.push(format!("`{}` {:.1}%", path.display(), 100.0 * shared));
            }
            reports.push((path, report));
        }
        if context.terminal.is_json() {
            let value = |(path, report): &(&PathBuf, _)| serde_json::json!({"eval": path, "report": report});
            context
                .terminal
                .json(&reports.iter().map(value).collect::<Vec<_>>())?;
        } else {
            for (path, report) in &reports {
                context
                    .terminal
                    .data(format!("{}: {report}", path.display()).trim_end())?;
            }
        }
        match failed.is_empty() {
            true => Ok(()),
            false => Err(Failure::gate(format!("training rows are in the evaluation: {}", failed.join(", ")))
                .hint("leave those rows out of training, or raise `--at-most` if the overlap is known to be harmless")
                .into()),
        }
    }
}
