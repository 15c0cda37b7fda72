//! Phi-3 and Phi-4: Llama with query, key and value in one projection, gate and up in another; a
//! part of each head turns on some, and long variants have two sets of frequencies.

use super::Family;
use super::fields::{Defaults, Fields, LayerType};
use super::rope::RopeDefaults;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::rotary::RopeScaling;

/// Reads a Phi-3 config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    fields.refuse_options_but(&["sliding_window", "partial_rotary_factor"])?;
    let defaults = Defaults {
        key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 4096,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: false,
    };
    let mut config = fields.shape(Family::Phi3, defaults)?;
    config.modules.qkv = &["self_attn.qkv_proj"];
    config.modules.gate_up = &["mlp.gate_up_proj"];
    config.activation = fields.activation("hidden_act", config.activation)?;
    let partial = RopeDefaults {
        partial: true,
        ..RopeDefaults::PLAIN
    };
    let ropes = fields.ropes(config.head_dim, &partial)?;
    if !matches!(
        ropes.full.scaling,
        RopeScaling::Default | RopeScaling::LongRope(_)
    ) {
        return Err(fields.wrong("`phi3` knows the rope types default and longrope only"));
    }
    let window = match fields.get("sliding_window") {
        None => None,
        Some(_) => Some(fields.window(None)?),
    };
    let kind = if window.is_some() {
        LayerType::Sliding
    } else {
        LayerType::Full
    };
    config.set_layers(&vec![kind; config.num_hidden_layers], window, ropes);
    Ok(config)
}
