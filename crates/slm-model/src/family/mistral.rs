//! Mistral: Llama with a sliding window in every layer, or in none.

use super::Family;
use super::fields::{Defaults, Fields, LayerType};
use super::rope::RopeDefaults;
use crate::config::ModelConfig;
use crate::error::Result;

/// Reads a Mistral config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    fields.refuse_options_but(&["sliding_window"])?;
    let defaults = Defaults {
        key_value_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: false,
    };
    let mut config = fields.shape(Family::Mistral, defaults)?;
    config.activation = fields.activation("hidden_act", config.activation)?;
    let ropes = fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?;
    // Absent means the class's default of 4096; none is written as null.
    let window = match fields.is_null("sliding_window") {
        true => None,
        false => Some(fields.window(Some(4096))?),
    };
    let kind = if window.is_some() {
        LayerType::Sliding
    } else {
        LayerType::Full
    };
    config.set_layers(&vec![kind; config.num_hidden_layers], window, ropes);
    Ok(config)
}
