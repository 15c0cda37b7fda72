//! `slm eval`: systems on a task, from asking them to judging them.
//!
//! Does not know metrics; those are slm-eval's.

mod ask;
mod baselines;
mod beside;
mod compare;
mod gate;
mod report;
mod rival;
mod run;
mod score;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Context;
use crate::failure::Failure;
use crate::stages::evaluate::REPORT_FILE;

/// Measure systems, and look at what was measured.
#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Ask local models and a frontier model a task's rows, and score their answers
    Run(Box<run::RunTask>),
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

/// Says where the report is.
fn note_report(context: &Context, folder: &Path) {
    let report = folder.join(REPORT_FILE);
    context
        .terminal
        .note(format!("report: {}", report.display()));
}
