//! `slm model inspect`: a model read whole, checked and described.
//!
//! Does not know how a checkpoint is read.

use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_model::{Checkpoint, Tokenizer};

use super::card::{Card, problems};
use crate::commands::Context;
use crate::failure::Failure;
use crate::terminal::bytes;
use crate::workspace::{Manifest, hash_path};

/// Arguments of `slm model inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    model: String,
}

/// A card, with what takes reading all files.
#[derive(Debug, Serialize)]
struct FullCard {
    #[serde(flatten)]
    card: Card,
    whole: bool,
    tensors: usize,
    sha256: String,
    files: Vec<FileRecord>,
}

/// One file of a model.
#[derive(Debug, Serialize)]
struct FileRecord {
    path: String,
    bytes: u64,
    sha256: String,
    /// Whether it is what its manifest says; nothing where there is no manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
}

impl Inspect {
    /// Reads the model and prints its description.
    pub fn run(self, context: &Context) -> Result<()> {
        let folder = context.workspace.model(&self.model)?;
        let found = problems(&folder);
        if !found.is_empty() {
            return Err(Failure::new(format!(
                "`{}` is not whole: {}",
                folder.display(),
                found.join("; ")
            ))
            .hint("fetch or make the model again; a pull that was cut short goes on where it was")
            .into());
        }
        let name = match Path::new(&self.model).is_dir() {
            true => folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            false => self.model.clone(),
        };
        let card = Card::of(&name, &folder)?;
        Tokenizer::load(&folder)?.check_fits(card.vocabulary)?;
        slm_infer::Model::load(&folder)?;
        let full = FullCard {
            whole: true,
            tensors: Checkpoint::open(&folder)?.tensors().count(),
            sha256: hash_path(&folder)?,
            files: files(&folder)?,
            card,
        };
        for file in full
            .files
            .iter()
            .filter(|file| file.unchanged == Some(false))
        {
            context.terminal.warn(format!(
                "`{}` is not what was made or pulled: its content changed",
                file.path
            ));
        }
        if context.terminal.is_json() {
            return context.terminal.json(&full);
        }
        context.terminal.data(&full.as_text())
    }
}

/// The files at the top of a model's folder, with their checksums.
fn files(folder: &Path) -> Result<Vec<FileRecord>> {
    let manifest = Manifest::read(folder);
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Failure::io("read the folder", folder, &error))?;
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.is_file());
    paths.sort();
    paths
        .into_iter()
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name != crate::workspace::MANIFEST_FILE)
        })
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let sha256 = hash_path(&path)?;
            let known = manifest
                .as_ref()
                .and_then(|manifest| manifest.outputs.iter().find(|output| output.path == name));
            Ok(FileRecord {
                bytes: std::fs::metadata(&path)
                    .map_err(|error| Failure::io("read", &path, &error))?
                    .len(),
                unchanged: known.map(|output| output.sha256 == sha256),
                path: name,
                sha256,
            })
        })
        .collect()
}

impl FullCard {
    fn as_text(&self) -> String {
        let card = &self.card;
        let memory = &card.memory_bytes;
        let size = |count: usize| bytes(count as u64);
        let run = &memory.run;
        let lines = [
            ("name", card.name.clone()),
            ("path", card.path.clone()),
            ("architecture", card.architecture.clone()),
            ("parameters", card.parameters.to_string()),
            ("weights", card.weights.clone()),
            (
                "quantization",
                card.quantization
                    .clone()
                    .unwrap_or_else(|| "none".to_owned()),
            ),
            (
                "licence",
                card.license.clone().unwrap_or_else(|| "unknown".to_owned()),
            ),
            (
                "origin",
                card.origin
                    .clone()
                    .unwrap_or_else(|| "not pulled".to_owned()),
            ),
            ("disk", size(card.disk_bytes)),
            ("layers", card.layers.to_string()),
            ("hidden size", card.hidden_size.to_string()),
            ("vocabulary", card.vocabulary.to_string()),
            ("context", card.context.to_string()),
            ("tensors", self.tensors.to_string()),
            (
                "to run",
                format!(
                    "about {} in f32, {} in bf16, {} in int8, {} in int4; {} more for each 1,024 tokens",
                    size(run.f32),
                    size(run.bf16),
                    size(run.int8),
                    size(run.int4),
                    size(memory.cache_per_1024_tokens)
                ),
            ),
            (
                "to train",
                format!(
                    "about {} with LoRA of rank 16, {} in full, at 2,048 tokens a batch",
                    size(memory.train.lora),
                    size(memory.train.full)
                ),
            ),
            ("sha256", self.sha256.clone()),
        ];
        let mut text: String = lines
            .iter()
            .map(|(label, value)| format!("{label:<13} {value}\n"))
            .collect();
        for file in &self.files {
            text.push_str(&format!(
                "  {}  {:>9}  {}\n",
                file.sha256,
                bytes(file.bytes),
                file.path
            ));
        }
        text
    }
}
