//! `slm model`: the checkpoints that are there, and what can be done with them.
//!
//! Does not know how a checkpoint is read; that is slm-model's.

mod card;
mod gguf;
mod inspect;
mod list;
mod pull;
mod verify;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use slm_model::checkpoint::StoredType;

use super::Context;
use crate::adapter::check_base;
use crate::failure::Failure;
use crate::stages;
use crate::workspace::Kind;

/// Look after checkpoints.
#[derive(Debug, Args)]
pub struct Models {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the models of the workspace
    List,
    /// Fetch a model from a hub (`HF_ENDPOINT`, with the token of `HF_TOKEN`)
    Pull(pull::Pull),
    /// Read a model whole, check that its parts belong together, and describe it
    Inspect(inspect::Inspect),
    /// Compare a checkpoint with what Hugging Face transformers and PEFT compute on it
    Verify(verify::Verify),
    /// Merge an adapter into its base
    Merge(Merge),
    /// Write a model for llama.cpp, as a GGUF file
    Export(gguf::Export),
    /// Make a model of a GGUF file
    Import(gguf::Import),
}

#[derive(Debug, Args)]
struct Merge {
    /// The base: a name in the workspace, or a folder in Hugging Face layout
    base: String,
    /// The adapter's folder, as PEFT writes it
    adapter: PathBuf,
    /// The new model's name in the workspace
    #[arg(long, value_name = "NAME")]
    name: String,
    /// How the weights are stored: f32, f16 or bf16 [default: as the base's are]
    #[arg(long, value_name = "TYPE", value_parser = stored_type)]
    dtype: Option<StoredType>,
    /// Merge even an adapter that was trained on another base
    #[arg(long)]
    force: bool,
}

/// A number format by its name on the command line.
fn stored_type(name: &str) -> Result<StoredType, String> {
    let mut known = StoredType::NAMES.into_iter();
    let found = known.find(|(_, known)| *known == name);
    found
        .map(|(stored, _)| stored)
        .ok_or_else(|| "use f32, f16 or bf16".to_owned())
}

impl Models {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        match self.action {
            Action::List => list::run(context),
            Action::Pull(pull) => pull.run(context),
            Action::Inspect(inspect) => inspect.run(context),
            Action::Verify(verify) => verify.run(context),
            Action::Merge(merge) => merge.run(context),
            Action::Export(export) => export.run(context),
            Action::Import(import) => import.run(context),
        }
    }
}

impl Merge {
    fn run(self, context: &Context) -> Result<()> {
        let base = context.workspace.model(&self.base)?;
        let artefact = context.workspace.artefact(Kind::Models, &self.name);
        if !self.adapter.is_dir() {
            return Err(
                Failure::new(format!("there is no adapter `{}`", self.adapter.display()))
                    .hint("give the folder that holds `adapter_config.json`")
                    .into(),
            );
        }
        check_base(context, &self.adapter, &base, self.force)?;
        let _lock = context.workspace.lock(&format!("models-{}", self.name))?;
        let stored = self.dtype;
        stages::merge::merge(context, &base, &self.adapter, stored, artefact.clone())?;
        if context.terminal.is_json() {
            context
                .terminal
                .json(&serde_json::json!({"model": artefact}))
        } else {
            context.terminal.data(&artefact.display().to_string())
        }
    }
}
