//! `slm model`: the checkpoints that are there, and what can be done with them.
//!
//! Does not know how a checkpoint is read; that is slm-model's.

mod verify;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand};
use serde::Serialize;
use slm_model::{Checkpoint, ModelConfig, Tokenizer};

use super::Context;
use crate::adapter::check_base;
use crate::failure::Failure;
use crate::stages;
use crate::terminal::bytes;
use crate::workspace::{Kind, hash_path};

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
    /// Read a model whole, check that its parts belong together, and describe it
    Inspect(Inspect),
    /// Compare a checkpoint with what Hugging Face transformers and PEFT compute on it
    Verify(verify::Verify),
    /// Merge an adapter into its base
    Merge(Merge),
}

#[derive(Debug, Args)]
struct Inspect {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    model: String,
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
    /// Merge even an adapter that was trained on another base
    #[arg(long)]
    force: bool,
}

/// What is known about a model.
#[derive(Debug, Serialize)]
struct Card {
    name: String,
    path: String,
    architecture: String,
    weights: String,
    parameters: usize,
    disk_bytes: usize,
    layers: usize,
    hidden_size: usize,
    vocabulary: usize,
    context: usize,
}

/// A card, with what takes reading all files.
#[derive(Debug, Serialize)]
struct FullCard {
    #[serde(flatten)]
    card: Card,
    tensors: usize,
    sha256: String,
}

impl Models {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        match self.action {
            Action::List => list(context),
            Action::Inspect(inspect) => inspect.run(context),
            Action::Verify(verify) => verify.run(context),
            Action::Merge(merge) => merge.run(context),
        }
    }
}

fn list(context: &Context) -> Result<()> {
    let folder = context.workspace.root().join(Kind::Models.folder());
    let mut cards = Vec::new();
    for path in model_folders(&folder) {
        match Card::of(&path) {
            Ok(card) => cards.push(card),
            Err(error) => context.terminal.warn(format!("{error:#}")),
        }
    }
    if context.terminal.is_json() {
        return context.terminal.json(&cards);
    }
    let width = cards.iter().map(|card| card.name.len()).max().unwrap_or(0);
    let lines: String = cards
        .iter()
        .map(|card| {
            format!(
                "{:<width$}  {:>6.1} M parameters  {:>5}  {:>9}\n",
                card.name,
                card.parameters as f64 / 1e6,
                card.weights,
                bytes(card.disk_bytes as u64)
            )
        })
        .collect();
    context.terminal.data(&lines)
}

/// Folders that hold a `config.json`, in the order of their names.
fn model_folders(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("config.json").is_file())
        .collect();
    folders.sort();
    folders
}

impl Card {
    fn of(folder: &Path) -> Result<Self> {
        let config = ModelConfig::load(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        Ok(Self {
            name: folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            path: folder.display().to_string(),
            architecture: config.family.to_string(),
            weights: weights_of(&checkpoint),
            parameters: config.parameters(),
            disk_bytes: checkpoint.stored_bytes(),
            layers: config.num_hidden_layers,
            hidden_size: config.hidden_size,
            vocabulary: config.vocab_size,
            context: config.max_position_embeddings,
        })
    }
}

/// `int8` or `int4` where the linear layers are packed, otherwise their number format.
fn weights_of(checkpoint: &Checkpoint) -> String {
    let packed = checkpoint
        .tensors()
        .find(|(name, _)| name.ends_with("o_proj.weight_packed"));
    if let Some((name, packed)) = packed {
        let scales = name.replace("weight_packed", "weight_scale");
        let groups = checkpoint
            .tensors()
            .find(|(name, _)| *name == scales)
            .map(|(_, shape)| shape.last().copied().unwrap_or(1));
        // A word of 32 bits holds 8 codes of 4 bits, or 4 of 8; a scale stands for 32 codes.
        let words = packed.last().copied().unwrap_or(0);
        return match groups {
            Some(groups) if words > groups * 4 => "int8".to_owned(),
            _ => "int4".to_owned(),
        };
    }
    let dense = checkpoint
        .tensors()
        .map(|(name, _)| name.to_owned())
        .find(|name| name.ends_with("o_proj.weight"));
    match dense.and_then(|name| checkpoint.raw(&name).map(|(_, dtype, _)| dtype)) {
        Some(dtype) => format!("{dtype:?}").to_lowercase(),
        None => "unknown".to_owned(),
    }
}

impl Inspect {
    fn run(self, context: &Context) -> Result<()> {
        let folder = context.workspace.model(&self.model)?;
        let card = Card::of(&folder)?;
        Tokenizer::load(&folder)?.check_fits(card.vocabulary)?;
        slm_infer::Model::load(&folder)?;
        let full = FullCard {
            tensors: Checkpoint::open(&folder)?.tensors().count(),
            sha256: hash_path(&folder)?,
            card,
        };
        if context.terminal.is_json() {
            return context.terminal.json(&full);
        }
        let card = &full.card;
        let lines = [
            ("name", card.name.clone()),
            ("path", card.path.clone()),
            ("architecture", card.architecture.clone()),
            ("parameters", card.parameters.to_string()),
            ("weights", card.weights.clone()),
            ("disk", bytes(card.disk_bytes as u64)),
            ("layers", card.layers.to_string()),
            ("hidden size", card.hidden_size.to_string()),
            ("vocabulary", card.vocabulary.to_string()),
            ("context", card.context.to_string()),
            ("tensors", full.tensors.to_string()),
            ("sha256", full.sha256.clone()),
        ];
        let text: String = lines
            .iter()
            .map(|(label, value)| format!("{label:<13} {value}\n"))
            .collect();
        context.terminal.data(&text)
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
        stages::merge::merge(context, &base, &self.adapter, artefact.clone())?;
        if context.terminal.is_json() {
            context
                .terminal
                .json(&serde_json::json!({"model": artefact}))
        } else {
            context.terminal.data(&artefact.display().to_string())
        }
    }
}
