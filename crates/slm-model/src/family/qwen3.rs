//! Qwen3, dense: Llama with a norm on every query and key head before rotation, and heads whose
//! width is set apart from the hidden size.

use super::fields::{Defaults, Fields};
use super::rope::RopeDefaults;
use super::{Biases, Family, Modules, qwen2};
use crate::config::ModelConfig;
use crate::error::Result;

/// Reads a Qwen3 config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    let [a, b, c] = qwen2::WINDOW_OPTIONS;
    fields.refuse_options_but(&["attention_bias", a, b, c])?;
    let defaults = Defaults {
        key_value_heads: Some(32),
        head_dim: Some(128),
        max_position_embeddings: 32_768,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: false,
    };
    let mut config = fields.shape(Family::Qwen3, defaults)?;
    config.modules.head_norms = Modules::HEAD_NORMS;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases {
        qkv: attention,
        output: attention,
        mlp: false,
    };
    config.activation = fields.activation("hidden_act", config.activation)?;
    let ropes = fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?;
    let types = qwen2::layer_types(fields, config.num_hidden_layers)?;
    config.set_layers(&types, qwen2::window(fields, &types)?, ropes);
    Ok(config)
}
