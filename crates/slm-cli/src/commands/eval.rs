//! `slm eval`: systems on a task, from asking them to judging them.
//!
//! Does not know metrics; those are slm-eval's.

mod ask;
mod beside;
mod compare;
mod gate;
mod report;
mod run;
mod score;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use slm_eval::Results;
use slm_eval::report::{Embedded, extract};

use super::Context;
use crate::failure::Failure;
use crate::stages::evaluate::{REPORT_FILE, RESULTS_FILE};

/// Measure systems, and look at what was measured.
#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask local models a task's rows, and score their answers
    Run(run::RunTask),
    /// Write the rows of a task as they are asked, for systems that are not run here
    Rows(ask::AskedRows),
    /// Score answers that any system gave
    Score(score::Score),
    /// Show what changed between two results
    Compare(compare::Compare),
    /// Show the results in a report, a folder or a `results.json`
    Report(report::Report),
    /// Judge results by gates; a failed gate ends with exit code 100
    Gate(gate::JudgeGates),
}

impl Eval {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        match self.action {
            Action::Run(command) => command.run(context),
            Action::Rows(command) => command.run(context),
            Action::Score(command) => command.run(context),
            Action::Compare(command) => command.run(context),
            Action::Report(command) => command.run(context),
            Action::Gate(command) => command.run(context),
        }
    }
}

/// A system's name with something of it, written `NAME=VALUE`.
#[derive(Clone, Debug)]
pub struct Named {
    /// The system's name in results.
    pub name: String,
    /// A file or a model.
    pub value: String,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected `NAME=VALUE`".to_owned()),
        }
    }
}

/// Names must tell systems apart.
///
/// # Errors
/// A name stands twice.
pub fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Failure::usage(format!("two systems are named `{name}`"))
                .hint("give each system a name of its own: `NAME=VALUE`")
                .into());
        }
    }
    Ok(())
}

/// Results from a `results.json`, a report, or a folder that holds either.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn read_results(path: &Path) -> Result<Results> {
    let file: PathBuf = match path.is_dir() {
        true => path.join(RESULTS_FILE),
        false => path.to_owned(),
    };
    match is_page(&file) {
        true => Ok(read_page(&file)?.results),
        false => Ok(Results::load(&file)?),
    }
}

/// Results with their samples, where a report holds these.
///
/// # Errors
/// There are no results, or they cannot be read.
pub fn read_evaluation(path: &Path) -> Result<Embedded> {
    if is_page(path) {
        return read_page(path);
    }
    let results = read_results(path)?;
    let beside = match path.is_dir() {
        true => path.join(REPORT_FILE),
        false => path.with_file_name(REPORT_FILE),
    };
    let page = match beside.is_file() {
        true => read_page(&beside)?,
        false => Embedded::default(),
    };
    // A report of something else may lie there.
    let samples = match page.results.task == results.task {
        true => page.samples,
        false => Vec::new(),
    };
    Ok(Embedded {
        results,
        samples,
        ..Embedded::default()
    })
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "html")
}

fn read_page(path: &Path) -> Result<Embedded> {
    let page = std::fs::read_to_string(path)
        .map_err(|error| Failure::io("read the report", path, &error))?;
    let found =
        extract(&page).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(found)
}

/// Says where the report is.
fn note_report(context: &Context, folder: &Path) {
    let report = folder.join(REPORT_FILE);
    context
        .terminal
        .note(format!("report: {}", report.display()));
}
