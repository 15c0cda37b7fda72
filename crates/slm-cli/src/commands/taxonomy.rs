//! `slm taxonomy`: the leaves, what is wrong with them, and how to mend and make them.
//!
//! Does not know the format; that is slm-taxonomy's.

mod answers;
mod check;
mod diff;
mod fix;
mod new;
mod repositories;
mod seeds;
mod watch;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use slm_taxonomy::{Options, Report};

use super::Context;
use crate::failure::Failure;
use crate::terminal::Format;

/// Look after the leaves.
#[derive(Debug, Args)]
pub struct Taxonomy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Find every fault of every leaf, with its place and what to do
    Check(check::Check),
    /// Mend white space, quoting, the order of keys and version 2 skills
    Fix(fix::Fix),
    /// Ask for a new leaf's content and write its files
    New(Box<new::New>),
    /// List the leaves that differ from a git base, and check them
    Diff(diff::Diff),
    /// Show the leaves as a tree
    Tree(Paths),
    /// Show what the leaves cover
    Stats(Paths),
    /// Check again whenever a file is saved
    Watch(watch::Watch),
    /// Say what a fault's code means
    Explain(Explain),
}

/// Where the leaves are.
#[derive(Debug, Args)]
struct Paths {
    /// Leaves (`qna.yaml`) or folders that hold them
    #[arg(default_value = "taxonomy", value_name = "PATH")]
    paths: Vec<PathBuf>,
}

#[derive(Debug, Args)]
struct Explain {
    /// A code such as `SLM-T010`
    code: String,
}

impl Taxonomy {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        let reports = matches!(
            self.action,
            Action::Check(_) | Action::Diff(_) | Action::Watch(_)
        );
        if !reports {
            context.terminal.refuse_reports()?;
        }
        match self.action {
            Action::Check(check) => check.run(context),
            Action::Fix(fix) => fix.run(context),
            Action::New(new) => new.run(context),
            Action::Diff(diff) => diff.run(context),
            Action::Tree(paths) => paths.tree(context),
            Action::Stats(paths) => paths.stats(context),
            Action::Watch(watch) => watch.run(context),
            Action::Explain(explain) => explain.run(context),
        }
    }
}

impl Paths {
    fn tree(self, context: &Context) -> Result<()> {
        let report = self.read()?;
        if context.terminal.is_json() {
            context.terminal.json(&report.leaves)
        } else {
            context.terminal.data(&slm_taxonomy::tree(&report))
        }
    }

    fn stats(self, context: &Context) -> Result<()> {
        let stats = slm_taxonomy::stats(&self.read()?);
        if context.terminal.is_json() {
            context.terminal.json(&stats)
        } else {
            context.terminal.data(&stats.text())
        }
    }

    /// The leaves; faults of the paths themselves are errors even where the leaves' are not
    /// asked for.
    fn read(&self) -> Result<Report> {
        let report = slm_taxonomy::check(&self.paths, Options::default());
        match report.diagnostics.first() {
            Some(fault) if report.leaves.is_empty() => Err(Failure::new(fault.message.clone())
                .hint(fault.hint.clone())
                .into()),
            _ => Ok(report),
        }
    }
}

impl Explain {
    fn run(self, context: &Context) -> Result<()> {
        let text = slm_taxonomy::explain(&self.code).ok_or_else(|| {
            Failure::usage(format!("there is no code `{}`", self.code))
                .hint("codes look like `SLM-T010`; `slm taxonomy check` prints one with each fault")
        })?;
        context.terminal.data(&text)
    }
}

/// Prints a report in the format asked for; its errors end the process with exit code 1.
fn show(report: &Report, context: &Context) -> Result<()> {
    print(report, context)?;
    match report.errors() {
        0 => Ok(()),
        // The report has said what is wrong.
        _ => Err(Failure::said_already().into()),
    }
}

fn print(report: &Report, context: &Context) -> Result<()> {
    let terminal = &context.terminal;
    match terminal.format() {
        Format::Text => terminal.data(&slm_taxonomy::render(report)),
        Format::Json => terminal.json(report),
        Format::Sarif => terminal.json(&slm_taxonomy::sarif(report)),
        Format::Github => terminal.data(&slm_taxonomy::annotations(report)),
    }
}
