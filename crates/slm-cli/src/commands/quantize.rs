//! `slm quantize`: a smaller copy of a model.
//!
//! Does not know the arithmetic.

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::failure::Failure;
use crate::recipe::Width;
use crate::stages;
use crate::workspace::Kind;

/// Arguments of `slm quantize`.
#[derive(Debug, Args)]
pub struct Quantize {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    model: String,
    /// The width of the linear layers
    #[arg(long, value_name = "WIDTH")]
    weights: Width,
    /// Quantize the embedding and the head too, to 8 bits
    #[arg(long)]
    tables: bool,
    /// The new model's name in the workspace [default: MODEL-WIDTH]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Quantize {
    /// Quantizes and prints where the new model is.
    pub fn run(self, context: &Context) -> Result<()> {
        let model = context.workspace.model(&self.model)?;
        let stem = model.file_name().unwrap_or_default().to_string_lossy();
        let name = self
            .name
            .unwrap_or_else(|| format!("{stem}-{}", self.weights.name()));
        let artefact = context.workspace.artefact(Kind::Models, &name);
        if artefact == model {
            return Err(
                Failure::usage("the new model would take the place of its original")
                    .hint("choose another name with `--name`")
                    .into(),
            );
        }
        let _lock = context.workspace.lock(&format!("models-{name}"))?;
        stages::quantize::quantize(context, &model, self.weights, self.tables, artefact.clone())?;
        if context.terminal.is_json() {
            context
                .terminal
                .json(&serde_json::json!({"model": artefact}))
        } else {
            context.terminal.data(&artefact.display().to_string())
        }
    }
}
