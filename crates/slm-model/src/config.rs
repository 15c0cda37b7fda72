//! A decoder's shape, read from a Hugging Face `config.json`.
//!
//! Knows the Llama family. An architecture or option it does not know is refused by name, never
//! run wrong. It does not know weights.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::{ModelError, Result};

/// The shape of a Llama decoder, with Hugging Face's names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
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
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Llama 3's frequency scaling, if any.
    pub rope_scaling: Option<Llama3Scaling>,
    /// Epsilon of RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the output head is the embedding.
    pub tie_word_embeddings: bool,
    /// Tokens that end generation.
    pub eos_token_ids: Vec<u32>,
}

/// Llama 3's scaling of rotary frequencies (`rope_type: llama3`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Llama3Scaling {
    /// Division of the low frequencies.
    pub factor: f64,
    /// Wavelengths longer than `original / low_freq_factor` are divided by `factor`.
    pub low_freq_factor: f64,
    /// Wavelengths shorter than `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Context length before scaling.
    pub original_max_position_embeddings: f64,
}

impl ModelConfig {
    /// Reads `config.json` in `dir`.
    ///
    /// # Errors
    /// When the file is missing, is not JSON, or names an architecture or option not known here.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| ModelError::io("read", &path, e))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            ModelError::invalid(
                &path,
                format!("not valid JSON: {e}"),
                "restore the file from where the model came from",
            )
        })?;
        Self::from_json(&value, &path)
    }

    /// Reads a config from JSON; `path` is for messages.
    ///
    /// # Errors
    /// As [`ModelConfig::load`].
    pub fn from_json(value: &Value, path: &Path) -> Result<Self> {
        let fields = Fields {
            path,
            map: value.as_object().ok_or_else(|| {
                ModelError::invalid(
                    path,
                    "the top level is not an object",
                    "this is not a model config",
                )
            })?,
        };
        fields.check_family()?;
        let heads = fields.size("num_attention_heads")?;
        let hidden = fields.size("hidden_size")?;
        if heads == 0 || hidden == 0 {
            return Err(fields.wrong("`hidden_size` and `num_attention_heads` must be positive"));
        }
        let rope = fields.rope_parameters();
        let config = Self {
            vocab_size: fields.size("vocab_size")?,
            hidden_size: hidden,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers: fields.size("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads: fields
                .optional_size("num_key_value_heads")?
                .unwrap_or(heads),
            head_dim: fields.optional_size("head_dim")?.unwrap_or(hidden / heads),
            max_position_embeddings: fields
                .optional_size("max_position_embeddings")?
                .unwrap_or(2048),
            rope_theta: fields.rope_theta(rope),
            rope_scaling: fields.rope_scaling(rope)?,
            rms_norm_eps: fields.number("rms_norm_eps").unwrap_or(1e-6),
            tie_word_embeddings: fields.flag("tie_word_embeddings"),
            eos_token_ids: fields.token_ids("eos_token_id"),
        };
        config.check(&fields)?;
        Ok(config)
    }

    fn check(&self, fields: &Fields<'_>) -> Result<()> {
        if self.num_key_value_heads == 0
            || !self
                .num_attention_heads
                .is_multiple_of(self.num_key_value_heads)
        {
            return Err(fields.wrong("`num_key_value_heads` must divide `num_attention_heads`"));
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2) {
            return Err(fields.wrong("`head_dim` must be even for rotary embeddings"));
        }
        for (name, size) in [
            ("vocab_size", self.vocab_size),
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_hidden_layers", self.num_hidden_layers),
        ] {
            if size == 0 || size > 1 << 24 {
                return Err(fields.wrong(&format!("`{name}` is {size}, outside 1..={}", 1 << 24)));
            }
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

    /// Number of parameters, the tied head counted once.
    pub fn parameters(&self) -> usize {
        let attention = self.hidden_size * (2 * self.query_width() + 2 * self.key_value_width());
        let block =
            attention + 3 * self.hidden_size * self.intermediate_size + 2 * self.hidden_size;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * block
            + tables * self.vocab_size * self.hidden_size
            + self.hidden_size
    }

    /// Every weight's name and shape `[out, in]` (norms `[width]`), in checkpoint order.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let (q, kv) = (self.query_width(), self.key_value_width());
        let mut out = vec![(
            "model.embed_tokens.weight".to_string(),
            vec![self.vocab_size, d],
        )];
        for layer in 0..self.num_hidden_layers {
            let mut push = |name: &str, shape: Vec<usize>| {
                out.push((format!("model.layers.{layer}.{name}.weight"), shape))
            };
            push("input_layernorm", vec![d]);
            push("self_attn.q_proj", vec![q, d]);
            push("self_attn.k_proj", vec![kv, d]);
            push("self_attn.v_proj", vec![kv, d]);
            push("self_attn.o_proj", vec![d, q]);
            push("post_attention_layernorm", vec![d]);
            push("mlp.gate_proj", vec![f, d]);
            push("mlp.up_proj", vec![f, d]);
            push("mlp.down_proj", vec![d, f]);
        }
        out.push(("model.norm.weight".to_string(), vec![d]));
        if !self.tie_word_embeddings {
            out.push(("lm_head.weight".to_string(), vec![self.vocab_size, d]));
        }
        out
    }

    /// The config as a Hugging Face `config.json` that transformers loads unchanged.
    pub fn to_hugging_face(&self, dtype: &str) -> Value {
        let eos = match self.eos_token_ids.as_slice() {
            [one] => Value::from(*one),
            many => Value::from(many.to_vec()),
        };
        serde_json::json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": dtype,
            "vocab_size": self.vocab_size, "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size, "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads, "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim, "max_position_embeddings": self.max_position_embeddings,
            "rope_theta": self.rope_theta, "rope_scaling": self.rope_scaling.as_ref().map(|s| serde_json::json!({
                "rope_type": "llama3", "factor": s.factor, "low_freq_factor": s.low_freq_factor,
                "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_max_position_embeddings as u64})),
            "rms_norm_eps": self.rms_norm_eps, "tie_word_embeddings": self.tie_word_embeddings,
            "hidden_act": "silu", "attention_bias": false, "mlp_bias": false, "eos_token_id": eos,
            "bos_token_id": null, "initializer_range": 0.02, "use_cache": true
        })
    }

    /// Rotary frequencies, one per pair of a head: `theta^(-2i/head_dim)`, scaled as configured.
    pub fn rotary_frequencies(&self) -> Vec<f64> {
        let half = self.head_dim / 2;
        let plain = (0..half).map(|i| self.rope_theta.powf(-2.0 * i as f64 / self.head_dim as f64));
        plain
            .map(|frequency| {
                self.rope_scaling
                    .as_ref()
                    .map_or(frequency, |s| s.scale(frequency))
            })
            .collect()
    }
}

impl Llama3Scaling {
    /// Scales one frequency as transformers' `_compute_llama3_parameters` does.
    fn scale(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
        let original = self.original_max_position_embeddings;
        if wavelength < original / self.high_freq_factor {
            return frequency;
        }
        if wavelength > original / self.low_freq_factor {
            return frequency / self.factor;
        }
        let smooth = (original / wavelength - self.low_freq_factor)
            / (self.high_freq_factor - self.low_freq_factor);
        (1.0 - smooth) * frequency / self.factor + smooth * frequency
    }
}

/// Typed access to the JSON object, with errors that name the file and the key.
struct Fields<'a> {
    path: &'a Path,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn wrong(&self, problem: &str) -> ModelError {
        ModelError::invalid(
            self.path,
            problem,
            "compare with the model's original config.json",
        )
    }

    fn check_family(&self) -> Result<()> {
        let family = self
            .map
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or("(none)");
        if family != "llama" {
            return Err(ModelError::invalid(
                self.path,
                format!("model_type `{family}` is not supported"),
                "supported: llama",
            ));
        }
        for key in ["attention_bias", "mlp_bias"] {
            if self.flag(key) {
                return Err(ModelError::invalid(
                    self.path,
                    format!("`{key}: true` is not supported"),
                    "use a checkpoint without biases",
                ));
            }
        }
        match self.map.get("hidden_act").and_then(Value::as_str) {
            None | Some("silu") => Ok(()),
            Some(other) => Err(ModelError::invalid(
                self.path,
                format!("hidden_act `{other}` is not supported"),
                "supported: silu",
            )),
        }
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        match self.map.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .map(|n| Some(n as usize))
                .ok_or_else(|| self.wrong(&format!("`{key}` is not a whole number"))),
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?
            .ok_or_else(|| self.wrong(&format!("`{key}` is missing")))
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.map.get(key).and_then(Value::as_f64)
    }

    fn flag(&self, key: &str) -> bool {
        self.map.get(key).and_then(Value::as_bool).unwrap_or(false)
    }

    fn token_ids(&self, key: &str) -> Vec<u32> {
        match self.map.get(key) {
            Some(Value::Array(list)) => list
                .iter()
                .filter_map(Value::as_u64)
                .map(|n| n as u32)
                .collect(),
            Some(value) => value.as_u64().map(|n| n as u32).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Rotary settings: `rope_scaling`, or the newer `rope_parameters`, which nests theta as well.
    fn rope_parameters(&self) -> Option<&'a Map<String, Value>> {
        ["rope_parameters", "rope_scaling"]
            .iter()
            .find_map(|key| self.map.get(*key).and_then(Value::as_object))
    }

    fn rope_theta(&self, rope: Option<&Map<String, Value>>) -> f64 {
        let nested = rope
            .and_then(|map| map.get("rope_theta"))
            .and_then(Value::as_f64);
        nested
            .or_else(|| self.number("rope_theta"))
            .unwrap_or(10_000.0)
    }

    fn rope_scaling(&self, rope: Option<&Map<String, Value>>) -> Result<Option<Llama3Scaling>> {
        let Some(rope) = rope else { return Ok(None) };
        let kind = ["rope_type", "type"]
            .iter()
            .find_map(|key| rope.get(*key).and_then(Value::as_str));
        let get = |key: &str| {
            rope.get(key)
                .and_then(Value::as_f64)
                .ok_or_else(|| self.wrong(&format!("rope scaling lacks `{key}`")))
        };
        match kind {
            None | Some("default") => Ok(None),
            Some("llama3") => Ok(Some(Llama3Scaling {
                factor: get("factor")?,
                low_freq_factor: get("low_freq_factor")?,
                high_freq_factor: get("high_freq_factor")?,
                original_max_position_embeddings: get("original_max_position_embeddings")?,
            })),
            Some(other) => Err(ModelError::invalid(
                self.path,
                format!("rope_type `{other}` is not supported"),
                "supported: default, llama3",
            )),
        }
    }
}
