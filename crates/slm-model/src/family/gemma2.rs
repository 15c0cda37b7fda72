//! Gemma 2: norms that multiply by one plus their weight, also behind attention and MLP; a scaled
//! embedding; bounds on scores and logits by tanh; a sliding window in every other layer.

use super::fields::{Defaults, Fields, LayerType};
use super::rope::RopeDefaults;
use super::{Biases, Family, Modules};
use crate::config::ModelConfig;
use crate::error::Result;
use crate::kernels::gated::Activation;

/// Options that both Gemma families read.
pub(super) const OPTIONS: [&str; 5] = [
    "attention_bias",
    "query_pre_attn_scalar",
    "final_logit_softcapping",
    "sliding_window",
    "layer_types",
];

/// Reads a Gemma 2 config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    let [a, b, c, d, e] = OPTIONS;
    fields.refuse_options_but(&[a, b, c, d, e, "attn_logit_softcapping"])?;
    let mut config = gemma(fields, Family::Gemma2, 8192)?;
    config.attention_softcap = soft_cap(fields, "attn_logit_softcapping", Some(50.0))?;
    config.logits_softcap = soft_cap(fields, "final_logit_softcapping", Some(30.0))?;
    let ropes = fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?;
    let types = layer_types(fields, config.num_hidden_layers, 2)?;
    config.set_layers(&types, fields.window_of(&types)?, ropes);
    Ok(config)
}

/// What both Gemma families have in common.
pub(super) fn gemma(fields: &Fields<'_>, family: Family, context: usize) -> Result<ModelConfig> {
    let defaults = Defaults {
        key_value_heads: Some(4),
        head_dim: Some(256),
        max_position_embeddings: context,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: true,
    };
    let mut config = fields.shape(family, defaults)?;
    config.modules = Modules::GEMMA;
    config.norm_offset = 1.0;
    config.activation = fields.activation("hidden_activation", Activation::GeluTanh)?;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases {
        qkv: attention,
        output: attention,
        mlp: false,
    };
    config.embedding_multiplier = (config.hidden_size as f64).sqrt();
    let scalar = fields
        .optional_positive("query_pre_attn_scalar")?
        .unwrap_or(256.0);
    config.attention_scale = Some(scalar.powf(-0.5));
    Ok(config)
}

/// The kind of each layer: as listed, or full attention in every `pattern`-th.
pub(super) fn layer_types(
    fields: &Fields<'_>,
    layers: usize,
    pattern: usize,
) -> Result<Vec<LayerType>> {
    if let Some(types) = fields.layer_types(layers)? {
        return Ok(types);
    }
    let kind = |layer: usize| match (layer + 1).is_multiple_of(pattern) {
        true => LayerType::Full,
        false => LayerType::Sliding,
    };
    Ok((0..layers).map(kind).collect())
}

/// A bound: the default where the key is absent, none where it is null.
pub(super) fn soft_cap(
    fields: &Fields<'_>,
    key: &str,
    default: Option<f64>,
) -> Result<Option<f64>> {
    match fields.is_null(key) {
        true => Ok(None),
        false => Ok(fields.optional_positive(key)?.or(default)),
    }
}
