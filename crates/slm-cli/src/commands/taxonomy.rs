//! `slm taxonomy`: the leaves, and what is wrong with them.
//!
//! Does not know the format; that is slm-taxonomy's.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use slm_taxonomy::{Options, Report};

use super::Context;
use crate::failure::Failure;

/// Look after the leaves.
#[derive(Debug, Args)]
pub struct Taxonomy {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Find every fault of every leaf, with its place and what to do
    Check(Check),
    /// Show the leaves as a tree
    Tree(Tree),
    /// Say what a fault's code means
    Explain(Explain),
}

#[derive(Debug, Args)]
struct Check {
    /// Leaves (`qna.yaml`) or folders that hold them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Count the documented word limits as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Args)]
struct Tree {
    /// Leaves (`qna.yaml`) or folders that hold them
    #[arg(required = true, value_name = "PATH")]
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
        match self.action {
            Action::Check(check) => check.run(context),
            Action::Tree(tree) => tree.run(context),
            Action::Explain(explain) => explain.run(context),
        }
    }
}

impl Check {
    fn run(self, context: &Context) -> Result<()> {
        let strict = self.strict;
        let report = slm_taxonomy::check(&self.paths, Options { strict });
        if context.terminal.is_json() {
            context.terminal.json(&report)?;
        } else {
            context.terminal.data(&slm_taxonomy::render(&report))?;
        }
        // The report has said what is wrong.
        match report.errors() {
            0 => Ok(()),
            _ => Err(Failure::said_already().into()),
        }
    }
}

impl Tree {
    fn run(self, context: &Context) -> Result<()> {
        let report = slm_taxonomy::check(&self.paths, Options::default());
        nothing_there(&report)?;
        if context.terminal.is_json() {
            context.terminal.json(&report.leaves)
        } else {
            context.terminal.data(&slm_taxonomy::tree(&report))
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

/// Faults of the paths themselves are errors even where the leaves' are not asked for.
fn nothing_there(report: &Report) -> Result<()> {
    match report.diagnostics.first() {
        Some(fault) if report.leaves.is_empty() => Err(Failure::new(fault.message.clone())
            .hint(fault.hint.clone())
            .into()),
        _ => Ok(()),
    }
}
