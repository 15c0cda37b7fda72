//! `slm eval report`: results once more, as a table, Markdown or JSON.
//!
//! Does not score anything.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::read_results;
use crate::commands::Context;
use crate::results::show_results;

/// Arguments of `slm eval report`.
#[derive(Debug, Args)]
pub struct Report {
    /// A report, a folder that holds one, or a `results.json`
    path: PathBuf,
    /// As Markdown, for a pull request
    #[arg(long)]
    markdown: bool,
}

impl Report {
    /// Shows the results.
    pub fn run(self, context: &Context) -> Result<()> {
        let results = read_results(&self.path)?;
        if self.markdown {
            return context.terminal.data(&slm_eval::report::markdown(&results));
        }
        show_results(context, &results)
    }
}
