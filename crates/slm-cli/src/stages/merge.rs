//! Base and adapter become one checkpoint.
//!
//! Does not know the arithmetic; that is slm-model's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_model::checkpoint::StoredType;
use slm_model::lora::Adapter;
use slm_model::weights::Weights;
use slm_model::{Checkpoint, ModelConfig};

use crate::commands::Context;
use crate::workspace::{Input, Stage, run_stage};

/// Merges `adapter` into `base` as the model `artefact`, stored as the base is where nothing else
/// is asked for.
///
/// # Errors
/// Base and adapter do not fit, or the artefact cannot be written.
pub fn merge(
    context: &Context,
    base: &Path,
    adapter: &Path,
    stored: Option<StoredType>,
    artefact: PathBuf,
) -> Result<()> {
    let stored = match stored {
        Some(stored) => stored,
        None => Checkpoint::open(base)?.stored_type(),
    };
    let stage = Stage {
        name: "merge",
        version: 1,
        artefact,
        inputs: vec![Input::new("base", base), Input::new("adapter", adapter)],
        settings: json!({"stored": stored.name()}),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let config = ModelConfig::load(base)?;
        let mut merged = Weights::load(base, &config)?;
        merged.unpack();
        merged.merge(&Adapter::load(adapter, &config)?)?;
        merged.save(folder, &config, Some(base), stored)?;
        Ok(())
    })?;
    Ok(())
}

/// Puts the model that a full training run made in its place among the models.
///
/// # Errors
/// The artefact cannot be written.
pub fn adopt(context: &Context, trained: &Path, artefact: PathBuf) -> Result<()> {
    let stage = Stage {
        name: "adopt",
        version: 1,
        artefact,
        inputs: vec![Input::new("trained", trained)],
        settings: json!({}),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let config = ModelConfig::load(trained)?;
        let weights = Weights::load(trained, &config)?;
        let dtype = Checkpoint::open(trained)?.stored_type();
        weights.save(folder, &config, Some(trained), dtype)?;
        Ok(())
    })?;
    Ok(())
}
