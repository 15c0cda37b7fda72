//! `slm data`: datasets, from making them to looking at them.
//!
//! Does not know how rows are made; that is slm-data's.

mod calibrate;
mod chunk;
mod convert;
mod corpus;
mod explain;
mod flows;
mod generate;
mod import;
mod inspect;
mod mix;
mod overlap;
mod review;
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
    /// Make rows from leaves, with the built-in teacher or by a flow
    Generate(Box<generate::Generate>),
    /// List, print or check flows
    Flows(flows::Flows),
    /// Show a document in the chunks that flows are given
    Chunk(chunk::ChunkDocument),
    /// Measure a flow's judges against rows that people labelled
    Calibrate(Box<calibrate::Calibrate>),
    /// Show how a row was made, and why it was kept or dropped
    Explain(explain::Explain),
    /// Write rows out for people to judge, and read their verdicts back
    Review(review::ReviewRows),
    /// Write a dataset in another form: JSONL to Parquet, Parquet to JSONL
    Convert(convert::Convert),
    /// Mix datasets by count or share, no row twice
    Mix(mix::Mix),
    /// Fail where training rows are in an evaluation
    Overlap(overlap::Overlap),
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
            Action::Flows(command) => command.run(context),
            Action::Chunk(command) => command.run(context),
            Action::Calibrate(command) => command.run(context),
            Action::Explain(command) => command.run(context),
            Action::Review(command) => command.run(context),
            Action::Convert(command) => command.run(context),
            Action::Mix(command) => command.run(context),
            Action::Overlap(command) => command.run(context),
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
