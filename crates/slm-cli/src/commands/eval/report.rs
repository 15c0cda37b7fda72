//! `slm eval report`: results once more, as a table, Markdown or JSON.
//!
//! Does not score anything.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use slm_eval::cost::Prices;
use slm_eval::report::{extract, with_reviews};
use slm_eval::review::Reviews;

use crate::commands::Context;
use crate::failure::Failure;
use crate::results::{read_results, show_results};
use crate::stages::evaluate::REPORT_FILE;
use crate::workspace::write_atomically;

/// Arguments of `slm eval report`.
#[derive(Debug, Args)]
pub struct Report {
    /// A report, a folder that holds one, or a `results.json`
    path: PathBuf,
    /// As Markdown, for a pull request
    #[arg(long)]
    markdown: bool,
    /// A price table (YAML), to reckon costs, break-even and payback
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// A file of reviewers' verdicts to merge into the report's HTML; may be given several times
    #[arg(long, value_name = "REVIEWS")]
    merge: Vec<PathBuf>,
}

impl Report {
    /// Shows the results.
    pub fn run(self, context: &Context) -> Result<()> {
        if !self.merge.is_empty() {
            merge(context, &self.path, &self.merge)?;
        }
        let mut results = read_results(&self.path)?;
        if let Some(prices) = &self.prices {
            slm_eval::score::price(&mut results, &Prices::load(prices)?);
        }
        if self.markdown {
            return context.terminal.data(&slm_eval::report::markdown(&results));
        }
        show_results(context, &results)
    }
}

/// Adds reviews to those that the report holds, and tells where reviewers disagree.
fn merge(context: &Context, path: &Path, files: &[PathBuf]) -> Result<()> {
    let page = match path.is_dir() {
        true => path.join(REPORT_FILE),
        false => path.to_owned(),
    };
    let html = std::fs::read_to_string(&page)
        .map_err(|error| Failure::io("read the report", &page, &error))?;
    let told = |error| Failure::new(format!("{}: {error}", page.display()));
    let mut reviews = extract(&html).map_err(told)?.reviews;
    for file in files {
        reviews.merge(Reviews::load(file)?);
    }
    let html = with_reviews(&html, &reviews).map_err(told)?;
    write_atomically(&page, html.as_bytes())?;
    for id in reviews.conflicts() {
        context.terminal.warn(format!(
            "reviewers disagree on `{id}`; both verdicts are kept"
        ));
    }
    context.terminal.note(format!(
        "{} reviews in {}",
        reviews.all().count(),
        page.display()
    ));
    Ok(())
}
