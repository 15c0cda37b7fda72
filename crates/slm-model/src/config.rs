//! A decoder's general description, read from a Hugging Face `config.json` of any known family.
//!
//! Knows shapes, factors and names; not how a family writes its config (that is `family`), not
//! weights.

use std::path::Path;

use serde_json::{Map, Value};

use crate::error::Result;
use crate::family::{Biases, Family, Fields, Modules};
use crate::json_file::read_json;
use crate::kernels::gated::Activation;
use crate::rotary::Rope;

/// What a decoder is, with Hugging Face's names where it has them.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelConfig {
    /// The family that the config is of.
    pub family: Family,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of one head.
    pub head_dim: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Epsilon of RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Tokens that end generation.
    pub eos_token_ids: Vec<u32>,
    /// Where a block's layers are.
    pub modules: Modules,
    /// Activation of the MLP's gate.
    pub activation: Activation,
    /// Linear layers that have a bias.
    pub biases: Biases,
    /// Added to every norm's weight: Gemma's norms multiply by `1 + w`.
    pub norm_offset: f64,
    /// Factor on the embedding's rows.
    pub embedding_multiplier: f64,
    /// Factor on the scores; `1 / sqrt(head_dim)` where none.
    pub attention_scale: Option<f64>,
    /// Factor on what attention and MLP add to the residual stream.
    pub residual_multiplier: f64,
    /// Divisor of the logits.
    pub logits_scaling: f64,
    /// Bound of the scores: `cap tanh(score / cap)`.
    pub attention_softcap: Option<f64>,
    /// Bound of the logits.
    pub logits_softcap: Option<f64>,
    /// What each layer's attention sees.
    pub layers: Vec<LayerAttention>,
    /// The rotary embeddings that layers refer to.
    pub ropes: Vec<Rope>,
    /// The JSON that this was read from, which is what is written back.
    pub(crate) source: Map<String, Value>,
}

/// What one layer's attention sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerAttention {
    /// Most positions seen, the token's own included; all before it where none.
    pub window: Option<usize>,
    /// Index of its rotary embedding in [`ModelConfig::ropes`].
    pub rope: usize,
}

/// A linear layer of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinearShape {
    /// Its path in the block, such as `self_attn.q_proj`.
    pub module: &'static str,
    /// Outputs.
    pub outputs: usize,
    /// Inputs.
    pub inputs: usize,
    /// Whether it has a bias.
    pub bias: bool,
}

impl ModelConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// When the file is missing, is not JSON, or names an architecture or option not known here.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        Self::from_json(&read_json(&path)?, &path)
    }

    /// Reads a config from JSON; `path` is for messages.
    ///
    /// # Errors
    /// As [`ModelConfig::load`].
    pub fn from_json(value: &Value, path: &Path) -> Result<Self> {
        Family::read(value, path)
    }

    /// Refuses sizes that do not go together or that no model has.
    pub(crate) fn check(&self, fields: &Fields<'_>) -> Result<()> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
            ("num_attention_heads", self.num_attention_heads),
            ("num_key_value_heads", self.num_key_value_heads),
            ("head_dim", self.head_dim),
            ("max_position_embeddings", self.max_position_embeddings),
        ];
        for (name, size) in sizes {
            fields.check_size(name, size)?;
        }
        fields.check_size("num_attention_heads * head_dim", self.query_width())?;
        if !self
            .num_attention_heads
            .is_multiple_of(self.num_key_value_heads)
        {
            return Err(fields.wrong("`num_key_value_heads` must divide `num_attention_heads`"));
        }
        let factors = [
            Some(self.embedding_multiplier),
            Some(self.score_scale().into()),
            Some(self.residual_multiplier),
            Some(self.logits_scaling),
            self.attention_softcap,
            self.logits_softcap,
        ];
        let usable = |factor: &f64| (*factor as f32).is_normal() && *factor > 0.0;
        if let Some(factor) = factors.iter().flatten().find(|factor| !usable(factor)) {
            return Err(fields.wrong(format!("the factor {factor} is no usable number")));
        }
        if !(self.rms_norm_eps >= 0.0 && self.rms_norm_eps.is_finite()) {
            return Err(fields.wrong("`rms_norm_eps` is not a small positive number"));
        }
        Ok(())
    }

    /// Width of all query heads.
    pub fn query_width(&self) -> usize {
        self.num_attention_heads * self.head_dim
    }

    /// Width of all key (or value) heads.
    pub fn key_value_width(&self) -> usize {
        self.num_key_value_heads * self.head_dim
    }

    /// Factor on the scores.
    pub fn score_scale(&self) -> f32 {
        match self.attention_scale {
            None => 1.0 / (self.head_dim as f32).sqrt(),
            Some(scale) => scale as f32,
        }
    }

    /// The linear layers of a block, in checkpoint order.
    pub fn linears(&self) -> Vec<LinearShape> {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.query_width(), self.key_value_width());
        let (modules, biases) = (&self.modules, self.biases);
        let linear = |module, outputs, inputs, bias| LinearShape {
            module,
            outputs,
            inputs,
            bias,
        };
        let mut out = match *modules.qkv {
            [joined] => vec![linear(joined, q + 2 * kv, d, biases.qkv)],
            _ => {
                let widths = modules.qkv.iter().zip([q, kv, kv]);
                widths
                    .map(|(module, width)| linear(module, width, d, biases.qkv))
                    .collect()
            }
        };
        out.push(linear(modules.output, d, q, biases.output));
        let width = 2 * f / modules.gate_up.len();
        let gates = modules.gate_up.iter();
        out.extend(gates.map(|module| linear(module, width, d, biases.mlp)));
        out.push(linear(modules.down, d, f, biases.mlp));
        out
    }

    /// Names of a block's linear layers as `target_modules` gives them, such as `q_proj`: what
    /// `all-linear` stands for.
    pub fn target_modules(&self) -> Vec<String> {
        let name = |linear: &LinearShape| linear.module.rsplit('.').next().unwrap_or_default();
        let linears = self.linears();
        linears
            .iter()
            .map(|linear| name(linear).to_string())
            .collect()
    }

    /// Number of parameters, the tied head counted once.
    pub fn parameters(&self) -> usize {
        let count = |(_, shape): &(String, Vec<usize>)| shape.iter().product::<usize>();
        self.tensors().iter().map(count).sum()
    }

    /// Every weight's name and shape `[out, in]` (norms and biases `[width]`), in checkpoint order.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let d = self.hidden_size;
        let mut out = vec![(
            "model.embed_tokens.weight".to_string(),
            vec![self.vocab_size, d],
        )];
        for layer in 0..self.num_hidden_layers {
            let block = self.block_tensors().into_iter();
            out.extend(block.map(|(name, shape)| (format!("model.layers.{layer}.{name}"), shape)));
        }
        out.push(("model.norm.weight".to_string(), vec![d]));
        if !self.tie_word_embeddings {
            out.push(("lm_head.weight".to_string(), vec![self.vocab_size, d]));
        }
        out
    }

    /// Name and shape of a block's weights, in checkpoint order.
    fn block_tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (d, modules) = (self.hidden_size, &self.modules);
        let norm = |name: &str, width| (format!("{name}.weight"), vec![width]);
        let mut out = vec![norm(modules.attention_norm, d)];
        for linear in self.linears() {
            let module = linear.module;
            if modules.gate_up.first() == Some(&module) {
                let names = modules.head_norms.iter().flatten();
                out.extend(names.map(|name| norm(name, self.head_dim)));
                out.extend(modules.attention_output_norm.map(|name| norm(name, d)));
                out.push(norm(modules.mlp_norm, d));
            }
            out.push((
                format!("{module}.weight"),
                vec![linear.outputs, linear.inputs],
            ));
            if linear.bias {
                out.push((format!("{module}.bias"), vec![linear.outputs]));
            }
        }
        out.extend(modules.mlp_output_norm.map(|name| norm(name, d)));
        out
    }

    /// The JSON that this was read from.
    pub fn json(&self) -> Value {
        Value::Object(self.source.clone())
    }

    /// The config as a Hugging Face `config.json` that transformers loads unchanged: the one that
    /// was read, with the number format of the weights and without a quantization.
    pub fn to_hugging_face(&self, dtype: &str) -> Value {
        let mut map = self.source.clone();
        map.shift_remove("quantization_config");
        let keys = ["dtype", "torch_dtype"];
        let known = keys.iter().any(|key| map.contains_key(*key));
        for key in keys {
            if map.contains_key(key) || (!known && key == "torch_dtype") {
                map.insert(key.to_string(), dtype.into());
            }
        }
        Value::Object(map)
    }
}
