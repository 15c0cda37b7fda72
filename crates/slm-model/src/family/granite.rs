//! Granite 3 and 4.1, dense: Llama with a factor on the embedding, on the scores, on both branches
//! of a block, and a divisor of the logits.

use super::fields::{Defaults, Fields};
use super::rope::RopeDefaults;
use super::{Biases, Family};
use crate::config::ModelConfig;
use crate::error::Result;

/// Granite's factors.
pub(super) const FACTORS: [&str; 4] = [
    "embedding_multiplier",
    "attention_multiplier",
    "residual_multiplier",
    "logits_scaling",
];

/// Reads a Granite config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    let [a, b, c, d] = FACTORS;
    fields.refuse_options_but(&["attention_bias", "mlp_bias", a, b, c, d])?;
    let mut config = fields.shape(Family::Granite, defaults())?;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases {
        qkv: attention,
        output: attention,
        mlp: fields.flag_or("mlp_bias", false)?,
    };
    config.activation = fields.activation("hidden_act", config.activation)?;
    config.ropes = vec![fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?.full];
    set_factors(fields, &mut config)?;
    Ok(config)
}

/// What both Granite families assume.
pub(super) fn defaults() -> Defaults {
    Defaults {
        key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: false,
    }
}

/// Reads the factors, each 1 where it is not given.
pub(super) fn set_factors(fields: &Fields<'_>, config: &mut ModelConfig) -> Result<()> {
    let factor = |key: &str| Ok(fields.optional_positive(key)?.unwrap_or(1.0));
    config.embedding_multiplier = factor("embedding_multiplier")?;
    config.attention_scale = Some(factor("attention_multiplier")?);
    config.residual_multiplier = factor("residual_multiplier")?;
    config.logits_scaling = factor("logits_scaling")?;
    Ok(())
}
