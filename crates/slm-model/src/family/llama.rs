//! Llama: the family that the others are described against.
//!
//! Pre-norm blocks of attention and a gated MLP, rotary positions, one head or the tied embedding.

use std::path::Path;

use serde_json::json;

use super::fields::{Defaults, Fields};
use super::rope::RopeDefaults;
use super::{Biases, Family};
use crate::config::ModelConfig;
use crate::error::Result;

/// Reads a Llama config.
pub(super) fn read(fields: &Fields<'_>) -> Result<ModelConfig> {
    fields.refuse_options_but(&["attention_bias", "mlp_bias"])?;
    let defaults = Defaults {
        key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        rms_norm_eps: 1e-6,
        tie_word_embeddings: false,
    };
    let mut config = fields.shape(Family::Llama, defaults)?;
    let attention = fields.flag_or("attention_bias", false)?;
    config.biases = Biases {
        qkv: attention,
        output: attention,
        mlp: fields.flag_or("mlp_bias", false)?,
    };
    config.activation = fields.activation("hidden_act", config.activation)?;
    config.ropes = vec![fields.ropes(config.head_dim, &RopeDefaults::PLAIN)?.full];
    Ok(config)
}

/// The sizes of a new Llama without biases, its embedding tied.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaShape {
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads; they divide the hidden size.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Epsilon of RMSNorm.
    pub rms_norm_eps: f64,
    /// Tokens that end generation.
    pub eos_token_ids: Vec<u32>,
}

impl LlamaShape {
    /// SmolLM2-135M, as its published config has it.
    pub fn smollm2_135m() -> Self {
        Self {
            vocab_size: 49_152,
            hidden_size: 576,
            intermediate_size: 1536,
            num_hidden_layers: 30,
            num_attention_heads: 9,
            num_key_value_heads: 3,
            max_position_embeddings: 8192,
            rope_theta: 100_000.0,
            rms_norm_eps: 1e-5,
            eos_token_ids: vec![0],
        }
    }

    /// The config of a model of this shape.
    ///
    /// # Errors
    /// When the sizes do not go together.
    pub fn config(&self) -> Result<ModelConfig> {
        let eos = match self.eos_token_ids.as_slice() {
            [one] => json!(one),
            many => json!(many),
        };
        let value = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32",
            "vocab_size": self.vocab_size, "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size, "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads, "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.hidden_size / self.num_attention_heads.max(1),
            "max_position_embeddings": self.max_position_embeddings,
            "rope_theta": self.rope_theta, "rope_scaling": null,
            "rms_norm_eps": self.rms_norm_eps, "tie_word_embeddings": true,
            "hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "eos_token_id": eos,
            "bos_token_id": null, "initializer_range": 0.02, "use_cache": true
        });
        ModelConfig::from_json(&value, Path::new("the new model's shape"))
    }
}
