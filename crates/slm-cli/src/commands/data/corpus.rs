//! `slm data corpus`: rows of the project's own corpus, to look at or to measure a base model on.
//!
//! Does not know what the corpus says.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;
use slm_data::corpus::{self, Example, Family};
use slm_data::{Message, Role, Sample};

use super::say_dataset;
use crate::commands::Context;
use crate::stages::import::TEST_FILE;
use crate::workspace::{Kind, Stage, run_stage};

/// Arguments of `slm data corpus`.
#[derive(Debug, Args)]
pub struct Corpus {
    /// The dataset's name in the workspace
    #[arg(long, value_name = "NAME", default_value = "nano-skills")]
    name: String,
    /// How many rows
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    rows: u64,
    /// Schemas, names and wordings: those that pre-training sees, or those it never sees
    #[arg(long, value_enum, default_value_t = Side::HeldOut)]
    family: Side,
    /// Seeds the rows; the pre-training recipe's seed gives its own
    #[arg(long, value_name = "NUMBER", default_value_t = 1001)]
    seed: u64,
}

/// A side of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Side {
    /// What pre-training sees.
    Train,
    /// What it never sees.
    HeldOut,
}

impl Corpus {
    /// Writes the rows and prints where they are.
    pub fn run(self, context: &Context) -> Result<()> {
        let artefact = context.workspace.artefact(Kind::Datasets, &self.name);
        let _lock = context.workspace.lock(&format!("datasets-{}", self.name))?;
        let (name, family) = match self.family {
            Side::Train => ("train", Family::Train),
            Side::HeldOut => ("held-out", Family::HeldOut),
        };
        let stage = Stage {
            name: "corpus",
            version: 1,
            artefact: artefact.clone(),
            inputs: Vec::new(),
            settings: json!({"rows": self.rows, "family": name, "seed": self.seed}),
            resumable: false,
        };
        run_stage(&context.terminal, &stage, |folder| {
            let rows = (0..self.rows).map(|index| {
                let id = format!("corpus-{name}-{}-{index}", self.seed);
                sample(id, corpus::example(self.seed, index, family))
            });
            let rows: Vec<Sample> = rows.collect();
            slm_data::write_all(&folder.join(TEST_FILE), &rows)?;
            Ok(())
        })?;
        say_dataset(context, &artefact)
    }
}

/// An example as a dataset row, its task as the leaf.
fn sample(id: String, example: Example) -> Sample {
    let role = |role: corpus::Role| match role {
        corpus::Role::System => Role::System,
        corpus::Role::User => Role::User,
        corpus::Role::Assistant => Role::Assistant,
    };
    let mut sample = Sample::pair(&id, "", "").with("leaf", format!("corpus/{}", example.task));
    sample.messages = example
        .messages
        .into_iter()
        .map(|(from, content)| Message::new(role(from), content))
        .collect();
    sample
}
