//! Options that change a decoder's result, and the values at which they do not.
//!
//! A family reads some of them; every other must be absent or neutral, so that a config from
//! another family, or of a newer one, is refused by name and never run wrong.

use serde_json::Value;

use super::fields::{Fields, LayerType};
use crate::error::{ModelError, Result};

/// A value at which an option does nothing; null always is one.
enum Neutral {
    Null,
    False,
    Number(f64),
    Text(&'static str),
}

use Neutral::{False, Null, Number, Text};

const OPTIONS: [(&str, Neutral); 35] = [
    ("attention_bias", False),
    ("mlp_bias", False),
    ("qkv_bias", False),
    ("use_bias", False),
    ("lm_head_bias", False),
    ("attn_logit_softcapping", Null),
    ("final_logit_softcapping", Null),
    ("query_pre_attn_scalar", Null),
    ("embedding_multiplier", Number(1.0)),
    ("attention_multiplier", Null),
    ("residual_multiplier", Number(1.0)),
    ("logits_scaling", Number(1.0)),
    ("logit_scale", Number(1.0)),
    ("num_local_experts", Number(0.0)),
    ("num_experts", Number(0.0)),
    ("n_routed_experts", Number(0.0)),
    ("use_bidirectional_attention", False),
    ("use_qk_norm", False),
    ("qk_norm", False),
    ("qk_layernorm", False),
    ("sliding_window", Null),
    ("use_sliding_window", False),
    ("attention_chunk_size", Null),
    ("partial_rotary_factor", Number(1.0)),
    ("rope_local_base_freq", Null),
    ("no_rope_layers", Null),
    ("use_mrope", False),
    ("position_embedding_type", Text("rope")),
    ("alibi", False),
    ("use_parallel_residual", False),
    ("parallel_attn", False),
    ("is_encoder_decoder", False),
    ("add_cross_attention", False),
    ("attn_output_gate", False),
    ("layer_types", Null),
];

impl Fields<'_> {
    /// Refuses every option that is set and not among those that the family reads.
    ///
    /// # Errors
    /// Names the option and its value.
    pub fn refuse_options_but(&self, read: &[&str]) -> Result<()> {
        for (key, neutral) in &OPTIONS {
            let Some(value) = self.get(key).filter(|_| !read.contains(key)) else {
                continue;
            };
            let harmless = match neutral {
                Null => *key == "layer_types" && self.is_full_attention(value)?,
                False => value == &Value::Bool(false),
                Number(number) => value.as_f64() == Some(*number),
                Text(text) => value.as_str() == Some(text),
            };
            if !harmless {
                return Err(self.refused(key, value));
            }
        }
        Ok(())
    }

    /// Whether a list of layer types names nothing but full attention.
    fn is_full_attention(&self, value: &Value) -> Result<bool> {
        let layers = value.as_array().map_or(0, Vec::len);
        let types = self.layer_types(layers)?.unwrap_or_default();
        Ok(types.iter().all(|kind| *kind == LayerType::Full))
    }

    fn refused(&self, key: &str, value: &Value) -> ModelError {
        let family = self.get("model_type").and_then(Value::as_str);
        ModelError::invalid(
            self.path,
            format!(
                "`{key}: {value}` is not supported for `{}`",
                family.unwrap_or_default()
            ),
            "the model would compute something else; use a checkpoint without this option",
        )
    }
}
