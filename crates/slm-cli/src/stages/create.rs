//! A model from nothing: its tokenizer, trained on the project's own corpus.
//!
//! The weights begin with the training run. Does not know what the corpus says.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use slm_data::corpus;
use slm_model::{LlamaShape, ModelConfig, Tokenizer, tokenizer_training};

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::Create;
use crate::workspace::{Stage, run_stage};

/// Trains the tokenizer into `artefact`.
///
/// # Errors
/// Training fails, or the artefact cannot be written.
pub fn tokenizer(context: &Context, create: &Create, seed: u64, artefact: PathBuf) -> Result<()> {
    let stage = Stage {
        name: "tokenizer",
        version: 1,
        artefact,
        inputs: Vec::new(),
        settings: json!({
            "vocabulary": create.vocabulary,
            "texts": create.tokenizer_texts,
            "seed": seed,
        }),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let texts = (0..create.tokenizer_texts).map(|index| corpus::text(seed, index));
        Ok(tokenizer_training::train(folder, create.vocabulary, texts)?)
    })?;
    Ok(())
}

/// The shape that the recipe asks for.
///
/// # Errors
/// The heads do not divide the width.
pub fn config(create: &Create, tokenizer: &Tokenizer) -> Result<ModelConfig> {
    let heads = create.num_attention_heads;
    if heads == 0 || !create.hidden_size.is_multiple_of(heads) {
        return Err(Failure::new(format!(
            "`create.hidden_size` {} is not a multiple of `create.num_attention_heads` {heads}",
            create.hidden_size
        ))
        .hint("choose a width that the heads divide")
        .into());
    }
    let shape = LlamaShape {
        vocab_size: create.vocabulary,
        hidden_size: create.hidden_size,
        intermediate_size: create.intermediate_size,
        num_hidden_layers: create.num_hidden_layers,
        num_attention_heads: heads,
        num_key_value_heads: create.num_key_value_heads,
        max_position_embeddings: create.max_position_embeddings,
        rope_theta: create.rope_theta,
        rms_norm_eps: 1e-6,
        eos_token_ids: tokenizer.eos_token().into_iter().collect(),
    };
    Ok(shape.config()?)
}
