//! Gemma 3, text only: Gemma 2 without bounds on scores, with a norm on every query and key head,
//! five layers with a sliding window to one without, and a rotary base for each kind.

use super::fields::Fields;
use super::gemma2::{OPTIONS, gemma, layer_types, soft_cap};
use super::rope::RopeDefaults;
use super::{Family, Modules};
use crate::config::ModelConfig;
use crate::error::Result;

/// Reads a Gemma 3 config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    let [a, b, c, d, e] = OPTIONS;
    fields.refuse_options_but(&[a, b, c, d, e, "rope_local_base_freq"])?;
    let mut config = gemma(fields, Family::Gemma3, 131_072)?;
    config.modules.head_norms = Modules::HEAD_NORMS;
    config.logits_softcap = soft_cap(fields, "final_logit_softcapping", None)?;
    let defaults = RopeDefaults {
        theta: 1_000_000.0,
        sliding_theta: 10_000.0,
        partial: false,
    };
    let ropes = fields.ropes(config.head_dim, &defaults)?;
    let pattern = match fields.optional_size("sliding_window_pattern")? {
        Some(pattern) => pattern,
        None => fields
            .optional_size("_sliding_window_pattern")?
            .unwrap_or(6),
    };
    if pattern == 0 {
        return Err(fields.wrong("`sliding_window_pattern` is 0"));
    }
    let types = layer_types(fields, config.num_hidden_layers, pattern)?;
    config.set_layers(&types, fields.window_of(&types)?, ropes);
    Ok(config)
}
