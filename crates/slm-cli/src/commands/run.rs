//! `slm run` and `slm train`: a recipe, as a whole or up to the trained model.
//!
//! Does not know the stages.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::pipeline::Pipeline;
use crate::recipe::{self, Recipe};

/// Arguments of `slm run` and `slm train`.
#[derive(Debug, Args)]
pub struct Run {
    /// The recipe (YAML)
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// Values to use instead of the recipe's
    #[arg(value_name = "KEY.PATH=VALUE")]
    overrides: Vec<String>,
}

impl Run {
    /// Runs all stages of the recipe.
    pub fn run(self, context: &Context) -> Result<()> {
        let recipe: Recipe = recipe::load(&self.recipe, &self.overrides)?;
        let pipeline = Pipeline::new(context, &recipe)?;
        let _lock = context.workspace.lock(&recipe.name)?;
        pipeline.run()
    }

    /// Runs the stages up to the trained model, and prints where it is.
    pub fn train(self, context: &Context) -> Result<()> {
        let recipe: Recipe = recipe::load(&self.recipe, &self.overrides)?;
        let pipeline = Pipeline::new(context, &recipe)?;
        let _lock = context.workspace.lock(&recipe.name)?;
        let model = pipeline.train_only()?;
        if context.terminal.is_json() {
            context.terminal.json(&serde_json::json!({"model": model}))
        } else {
            context.terminal.data(&model.display().to_string())
        }
    }
}
