//! `slm model export` and `slm model import`: GGUF, the file of llama.cpp.
//!
//! Does not know the format.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_model::gguf::{self, BlockType};

use crate::commands::Context;
use crate::failure::Failure;
use crate::workspace::{Kind, create_folder};

/// How numbers are packed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Packing {
    /// 32-bit floats.
    F32,
    /// Half precision.
    F16,
    /// 8 bits in blocks of 32.
    #[value(name = "q8_0")]
    Q8,
    /// 4 bits in blocks of 32, the embedding and the head in 8.
    #[value(name = "q4_0")]
    Q4,
}

/// Arguments of `slm model export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    model: String,
    /// How matrices are packed
    #[arg(long, value_name = "TYPE")]
    gguf: Packing,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// llama.cpp's name of the way in which the tokenizer cuts texts, where it is not known
    #[arg(long, value_name = "NAME")]
    pre: Option<String>,
}

/// Arguments of `slm model import`.
#[derive(Debug, Args)]
pub struct Import {
    /// A GGUF file
    file: PathBuf,
    /// The new model's name in the workspace
    #[arg(long, value_name = "NAME")]
    name: String,
}

impl Export {
    /// Writes the file.
    pub fn run(self, context: &Context) -> Result<()> {
        let model = context.workspace.model(&self.model)?;
        let kind = match self.gguf {
            Packing::F32 => BlockType::F32,
            Packing::F16 => BlockType::F16,
            Packing::Q8 => BlockType::Q8_0,
            Packing::Q4 => BlockType::Q4_0,
        };
        let report = gguf::export(&model, &self.out, kind, self.pre.as_deref())?;
        if !report.half_precision.is_empty() {
            context.terminal.warn(format!(
                "{} matrices whose rows do not fill blocks of 32 are in half precision",
                report.half_precision.len()
            ));
        }
        if !report.exact_tokenizer {
            context.terminal.warn(format!(
                "llama.cpp has no name for the way in which this tokenizer cuts texts; `{}` is written, under which some texts become other tokens",
                report.pre
            ));
        }
        if let Some(context_length) = report.context {
            context.terminal.warn(format!(
                "llama.cpp has no sliding window for this kind of model: the file's context is {context_length} tokens, within which the answers are the same"
            ));
        }
        if context.terminal.is_json() {
            return context.terminal.json(&report);
        }
        context.terminal.data(&self.out.display().to_string())
    }
}

impl Import {
    /// Makes the model.
    pub fn run(self, context: &Context) -> Result<()> {
        let artefact = context.workspace.artefact(Kind::Models, &self.name);
        if artefact.exists() {
            return Err(
                Failure::usage(format!("there is a model `{}` already", self.name))
                    .hint("choose another name with `--name`")
                    .into(),
            );
        }
        let _lock = context.workspace.lock(&format!("models-{}", self.name))?;
        if let Some(folder) = artefact.parent() {
            create_folder(folder)?;
        }
        gguf::import(&self.file, &artefact)?;
        if context.terminal.is_json() {
            return context
                .terminal
                .json(&serde_json::json!({"model": artefact}));
        }
        context.terminal.data(&artefact.display().to_string())
    }
}
