//! Qwen2 and Qwen2.5: Llama with biases on queries, keys and values, and a sliding window in the
//! upper layers of a few.

use super::fields::{Defaults, Fields, LayerType};
use super::rope::RopeDefaults;
use super::{Biases, Family};
use crate::config::ModelConfig;
use crate::error::Result;

/// Options of Qwen's sliding window.
pub(super) const WINDOW_OPTIONS: [&str; 3] =
    ["sliding_window", "use_sliding_window", "layer_types"];

/// Reads a Qwen2 config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    fields.refuse_options_but(&WINDOW_OPTIONS)?;
    let defaults = Defaults {
        key_value_heads: Some(32),
        head_dim: None,
        max_position_embeddings: 32_768,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: false,
    };
    let mut config = fields.shape(Family::Qwen2, defaults)?;
    config.biases = Biases {
        qkv: true,
        ..Biases::default()
    };
    config.activation = fields.activation("hidden_act", config.activation)?;
    let ropes = fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?;
    let types = layer_types(fields, config.num_hidden_layers)?;
    config.set_layers(&types, window(fields, &types)?, ropes);
    Ok(config)
}

/// The kind of each layer: as listed, or sliding from `max_window_layers` on where that is used.
pub(super) fn layer_types(fields: &Fields<'_>, layers: usize) -> Result<Vec<LayerType>> {
    if let Some(types) = fields.layer_types(layers)? {
        return Ok(types);
    }
    let slides = fields.flag_or("use_sliding_window", false)?;
    let first = fields.optional_size("max_window_layers")?.unwrap_or(28);
    let kind = |layer| match slides && layer >= first {
        true => LayerType::Sliding,
        false => LayerType::Full,
    };
    Ok((0..layers).map(kind).collect())
}

/// The window, where a layer has one.
pub(super) fn window(fields: &Fields<'_>, types: &[LayerType]) -> Result<Option<usize>> {
    if types.contains(&LayerType::Sliding) && !fields.flag_or("use_sliding_window", false)? {
        return Err(fields.wrong("`layer_types` has sliding layers, `use_sliding_window` is false"));
    }
    fields.window_of(types)
}
