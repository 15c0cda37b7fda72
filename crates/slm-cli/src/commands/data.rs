//! `slm data`: datasets, from making them to looking at them.
//!
//! Does not know how rows are made; that is slm-data's.

mod corpus;
mod generate;
mod import;
mod inspect;
mod split;

use std::path::Path;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Context;

/// Make and look at datasets.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make rows from leaves, with the built-in teacher
    Generate(generate::Generate),
    /// Write rows of the corpus that the base model is pre-trained on
    Corpus(corpus::Corpus),
    /// Divide a dataset so that no test row has a sibling in training
    Split(split::Split),
    /// Turn a local copy of a public set into a dataset
    Import(import::ImportSet),
    /// Show what a dataset holds
    Inspect(inspect::Inspect),
}

impl Data {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        match self.action {
            Action::Generate(command) => command.run(context),
            Action::Corpus(command) => command.run(context),
            Action::Split(command) => command.run(context),
            Action::Import(command) => command.run(context),
            Action::Inspect(command) => command.run(context),
        }
    }
}

/// Prints where a dataset is.
fn say_dataset(context: &Context, folder: &Path) -> Result<()> {
    if context.terminal.is_json() {
        context
            .terminal
            .json(&serde_json::json!({"dataset": folder}))
    } else {
        context.terminal.data(&folder.display().to_string())
    }
}
