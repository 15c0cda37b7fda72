//! `slm tui`: a report, runs or a dataset, in the terminal.
//!
//! Does not know views; those are slm-tui's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::failure::Failure;
use crate::stages::evaluate::REPORT_FILE;
use crate::workspace::Kind;

/// Arguments of `slm tui`.
#[derive(Debug, Args)]
pub struct Tui {
    /// A report, a `results.json`, a dataset (JSONL, or its folder) or runs' folders
    /// [default: the newest report]
    paths: Vec<PathBuf>,
}

impl Tui {
    /// Shows it until the user quits.
    pub fn run(self, context: &Context) -> Result<()> {
        let paths = match self.paths.is_empty() {
            true => vec![newest_report(context)?],
            false => self.paths,
        };
        Ok(slm_tui::open(&paths)?)
    }
}

fn newest_report(context: &Context) -> Result<PathBuf> {
    let folder = context.workspace.root().join(Kind::Evals.folder());
    let reports = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join(REPORT_FILE)));
    let newest = reports
        .filter_map(|path| Some((std::fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max();
    newest.map(|(_, path)| path).ok_or_else(|| {
        Failure::new(format!("there is no report in `{}`", folder.display()))
            .hint("run a recipe that evaluates, or give the path of a report or a run")
            .into()
    })
}
