//! The model families: each one's file reads its `config.json` into the general description of a
//! decoder, names its layers, and refuses what would change the result.
//!
//! Knows configs and names; not weights, tensors or files.

mod fields;
mod gemma2;
mod gemma3;
mod granite;
mod granite_hybrid;
mod llama;
mod mistral;
mod options;
mod phi3;
mod qwen2;
mod qwen3;
mod rope;

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
pub(crate) use fields::Fields;
pub use llama::LlamaShape;

/// A family of decoders, by Hugging Face's `model_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Llama 2 and 3, SmolLM2 and others of their shape.
    Llama,
    /// Qwen2 and Qwen2.5.
    Qwen2,
    /// Qwen3, dense.
    Qwen3,
    /// Mistral.
    Mistral,
    /// Granite 3 and 4.1, dense.
    Granite,
    /// Granite 4.0 with attention in every layer and no experts.
    GraniteMoeHybrid,
    /// Phi-3 and Phi-4.
    Phi3,
    /// Gemma 2.
    Gemma2,
    /// Gemma 3, text only.
    Gemma3,
}

impl Family {
    /// Every family there is.
    pub const ALL: [Self; 9] = [
        Self::Llama,
        Self::Qwen2,
        Self::Qwen3,
        Self::Mistral,
        Self::Granite,
        Self::GraniteMoeHybrid,
        Self::Phi3,
        Self::Gemma2,
        Self::Gemma3,
    ];

    /// `model_type` in `config.json`.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
            Self::Mistral => "mistral",
            Self::Granite => "granite",
            Self::GraniteMoeHybrid => "granitemoehybrid",
            Self::Phi3 => "phi3",
            Self::Gemma2 => "gemma2",
            Self::Gemma3 => "gemma3_text",
        }
    }

    /// The class among `architectures` in `config.json`.
    pub fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Granite => "GraniteForCausalLM",
            Self::GraniteMoeHybrid => "GraniteMoeHybridForCausalLM",
            Self::Phi3 => "Phi3ForCausalLM",
            Self::Gemma2 => "Gemma2ForCausalLM",
            Self::Gemma3 => "Gemma3ForCausalLM",
        }
    }

    /// Reads a config of any family; `path` is for messages.
    ///
    /// # Errors
    /// When the family, an option or a value is not known, each by name.
    pub(crate) fn read(value: &Value, path: &Path) -> Result<ModelConfig> {
        let fields = Fields::new(value, path)?;
        let family = Self::of(&fields)?;
        let config = match family {
            Self::Llama => llama::read(&fields),
            Self::Qwen2 => qwen2::read(&fields),
            Self::Qwen3 => qwen3::read(&fields),
            Self::Mistral => mistral::read(&fields),
            Self::Granite => granite::read(&fields),
            Self::GraniteMoeHybrid => granite_hybrid::read(&fields),
            Self::Phi3 => phi3::read(&fields),
            Self::Gemma2 => gemma2::read(&fields),
            Self::Gemma3 => gemma3::read(&fields),
        }?;
        config.check(&fields)?;
        Ok(config)
    }

    fn of(fields: &Fields<'_>) -> Result<Self> {
        let model_type = fields.text("model_type")?.unwrap_or("(none)");
        let known = Self::ALL.iter().find(|f| f.model_type() == model_type);
        let Some(family) = known else {
            let all: Vec<&str> = Self::ALL.iter().map(|f| f.model_type()).collect();
            return Err(ModelError::invalid(
                fields.path,
                format!("model_type `{model_type}` is not supported"),
                format!("supported: {}", all.join(", ")),
            ));
        };
        let architectures = fields.texts("architectures")?.unwrap_or_default();
        if !architectures.is_empty() && !architectures.contains(&family.architecture()) {
            return Err(ModelError::invalid(
                fields.path,
                format!("architecture `{}` is not supported", architectures[0]),
                format!("supported for `{family}`: {}", family.architecture()),
            ));
        }
        Ok(*family)
    }
}

impl fmt::Display for Family {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.model_type())
    }
}

/// Where the layers of a block are, by their path in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modules {
    /// The query, key and value projections, or the one that holds all three.
    pub qkv: &'static [&'static str],
    /// The projection behind attention.
    pub output: &'static str,
    /// The gate and up projections, or the one that holds both.
    pub gate_up: &'static [&'static str],
    /// The projection that ends the MLP.
    pub down: &'static str,
    /// Norm before attention.
    pub attention_norm: &'static str,
    /// Norm behind attention, if any.
    pub attention_output_norm: Option<&'static str>,
    /// Norm before the MLP.
    pub mlp_norm: &'static str,
    /// Norm behind the MLP, if any.
    pub mlp_output_norm: Option<&'static str>,
    /// Norms of each query and each key head, if any.
    pub head_norms: Option<[&'static str; 2]>,
}

impl Modules {
    /// The names that Llama gave them, and most others kept.
    pub const LLAMA: Self = Self {
        qkv: &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        output: "self_attn.o_proj",
        gate_up: &["mlp.gate_proj", "mlp.up_proj"],
        down: "mlp.down_proj",
        attention_norm: "input_layernorm",
        attention_output_norm: None,
        mlp_norm: "post_attention_layernorm",
        mlp_output_norm: None,
        head_norms: None,
    };

    /// The names of Gemma's norms.
    pub(crate) const GEMMA: Self = Self {
        attention_output_norm: Some("post_attention_layernorm"),
        mlp_norm: "pre_feedforward_layernorm",
        mlp_output_norm: Some("post_feedforward_layernorm"),
        ..Self::LLAMA
    };

    /// The names of the norms of query and key heads.
    pub(crate) const HEAD_NORMS: Option<[&'static str; 2]> =
        Some(["self_attn.q_norm", "self_attn.k_norm"]);
}

/// Which linear layers have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Biases {
    /// Query, key and value projections.
    pub qkv: bool,
    /// The projection behind attention.
    pub output: bool,
    /// The MLP's projections.
    pub mlp: bool,
}

#[cfg(test)]
mod tests;
