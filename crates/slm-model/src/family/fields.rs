//! Typed access to a `config.json`, with errors that name the file and the key.
//!
//! A key that is absent or null takes its default; one of another type is an error.

use std::path::Path;

use serde_json::{Map, Value};

use super::rope::Ropes;
use super::{Biases, Family, Modules};
use crate::config::{LayerAttention, ModelConfig};
use crate::error::{ModelError, Result};
use crate::kernels::gated::Activation;
use crate::rotary::Rope;

/// What a family assumes where its config is silent.
pub(crate) struct Defaults {
    /// Key and value heads; as many as query heads where none.
    pub key_value_heads: Option<usize>,
    /// Width of a head; the hidden size divided by the heads where none.
    pub head_dim: Option<usize>,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Epsilon of RMSNorm.
    pub rms_norm_eps: f64,
    /// Whether the head is the embedding.
    pub tie_word_embeddings: bool,
}

/// Which positions a kind of layer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LayerType {
    /// All before.
    Full,
    /// Those of a window.
    Sliding,
}

/// The JSON object of a config.
pub(crate) struct Fields<'a> {
    /// The file, for messages.
    pub path: &'a Path,
    map: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// The object `value`, read from `path`.
    ///
    /// # Errors
    /// When it is no object.
    pub fn new(value: &'a Value, path: &'a Path) -> Result<Self> {
        let map = value.as_object().ok_or_else(|| {
            ModelError::invalid(
                path,
                "the top level is not an object",
                "this is not a model config",
            )
        })?;
        Ok(Self { path, map })
    }

    /// The value of `key`, unless null.
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Whether `key` is there and null.
    pub fn is_null(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(Value::is_null)
    }

    /// A fault in the file.
    pub fn wrong(&self, problem: impl Into<String>) -> ModelError {
        ModelError::invalid(
            self.path,
            problem,
            "compare with the model's original config.json",
        )
    }

    /// A value that is not supported, with those that are.
    pub fn unsupported(&self, key: &str, value: &Value, supported: &str) -> ModelError {
        ModelError::invalid(
            self.path,
            format!("`{key}: {value}` is not supported"),
            format!("supported: {supported}"),
        )
    }

    fn typed<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| self.wrong(format!("`{key}` is not {what}"))),
        }
    }

    /// A whole number, if given.
    pub fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", |value| {
            value.as_u64().and_then(|n| usize::try_from(n).ok())
        })
    }

    /// A whole number that must be there.
    pub fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?
            .ok_or_else(|| self.wrong(format!("`{key}` is missing")))
    }

    /// A number, if given.
    pub fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    /// A number or its default.
    pub fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        Ok(self.optional_number(key)?.unwrap_or(default))
    }

    /// A positive number, if given.
    pub fn optional_positive(&self, key: &str) -> Result<Option<f64>> {
        match self.optional_number(key)? {
            Some(number) if !(number > 0.0 && number.is_finite()) => {
                Err(self.wrong(format!("`{key}` is {number}, not a positive number")))
            }
            number => Ok(number),
        }
    }

    /// A flag or its default.
    pub fn flag_or(&self, key: &str, default: bool) -> Result<bool> {
        Ok(self
            .typed(key, "true or false", Value::as_bool)?
            .unwrap_or(default))
    }

    /// A text, if given.
    pub fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.typed(key, "a text", Value::as_str)
    }

    /// A list of texts, if given.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<&'a str>>> {
        self.typed(key, "a list of texts", |value| {
            value.as_array()?.iter().map(Value::as_str).collect()
        })
    }

    /// An object, if given.
    pub fn object(&self, key: &str) -> Result<Option<&'a Map<String, Value>>> {
        self.typed(key, "an object", Value::as_object)
    }

    /// One token id or a list of them; none where not given.
    pub fn token_ids(&self, key: &str) -> Result<Vec<u32>> {
        let id = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
        let ids = self.typed(key, "a token id or a list of them", |value| match value {
            Value::Array(list) => list.iter().map(id).collect(),
            one => id(one).map(|id| vec![id]),
        })?;
        Ok(ids.unwrap_or_default())
    }

    /// The activation of the gate.
    pub fn activation(&self, key: &str, default: Activation) -> Result<Activation> {
        match self.text(key)? {
            None => Ok(default),
            Some("silu" | "swish") => Ok(Activation::Silu),
            Some("gelu_pytorch_tanh") => Ok(Activation::GeluTanh),
            Some(other) => Err(self.unsupported(key, &other.into(), "silu, gelu_pytorch_tanh")),
        }
    }

    /// The kind of each layer, if given.
    pub fn layer_types(&self, layers: usize) -> Result<Option<Vec<LayerType>>> {
        let Some(names) = self.texts("layer_types")? else {
            return Ok(None);
        };
        if names.len() != layers {
            return Err(self.wrong(format!(
                "`layer_types` names {} layers, `num_hidden_layers` is {layers}",
                names.len()
            )));
        }
        let kind = |name: &&str| match *name {
            "full_attention" | "attention" => Ok(LayerType::Full),
            "sliding_attention" => Ok(LayerType::Sliding),
            other => Err(ModelError::invalid(
                self.path,
                format!("layer type `{other}` is not supported"),
                "supported: full_attention, sliding_attention",
            )),
        };
        names.iter().map(kind).collect::<Result<_>>().map(Some)
    }

    /// Whether a layer is listed with a sliding window.
    pub fn slides(&self, layers: usize) -> Result<bool> {
        let types = self.layer_types(layers)?.unwrap_or_default();
        Ok(types.contains(&LayerType::Sliding))
    }

    /// The sliding window, which must be there and positive.
    pub fn window(&self, default: Option<usize>) -> Result<usize> {
        let default = default.filter(|_| !self.is_null("sliding_window"));
        match self.optional_size("sliding_window")?.or(default) {
            Some(window) if window > 0 => Ok(window),
            _ => Err(self.wrong("layers with a sliding window need `sliding_window`")),
        }
    }

    /// The sliding window, where a layer has one.
    pub fn window_of(&self, types: &[LayerType]) -> Result<Option<usize>> {
        match types.contains(&LayerType::Sliding) {
            true => self.window(Some(4096)).map(Some),
            false => Ok(None),
        }
    }

    /// The shape that all families have, otherwise as plain as Llama and without rotation.
    ///
    /// # Errors
    /// When a size is missing or absurd.
    pub fn shape(&self, family: Family, defaults: Defaults) -> Result<ModelConfig> {
        let hidden_size = self.size("hidden_size")?;
        let heads = self.size("num_attention_heads")?;
        let layers = self.size("num_hidden_layers")?;
        if heads == 0 || hidden_size == 0 {
            return Err(self.wrong("`hidden_size` and `num_attention_heads` must be positive"));
        }
        let head_dim = self
            .optional_size("head_dim")?
            .or(defaults.head_dim)
            .unwrap_or(hidden_size / heads);
        // Bounded here already, because lists of layers and of frequencies are made next.
        self.check_size("num_hidden_layers", layers)?;
        self.check_size("head_dim", head_dim)?;
        let full = LayerAttention {
            window: None,
            rope: 0,
        };
        Ok(ModelConfig {
            family,
            vocab_size: self.size("vocab_size")?,
            hidden_size,
            intermediate_size: self.optional_size("intermediate_size")?.unwrap_or(0),
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: self
                .optional_size("num_key_value_heads")?
                .or(defaults.key_value_heads)
                .unwrap_or(heads),
            head_dim,
            max_position_embeddings: self
                .optional_size("max_position_embeddings")?
                .unwrap_or(defaults.max_position_embeddings),
            rms_norm_eps: self.number_or("rms_norm_eps", defaults.rms_norm_eps)?,
            tie_word_embeddings: self
                .flag_or("tie_word_embeddings", defaults.tie_word_embeddings)?,
            eos_token_ids: self.token_ids("eos_token_id")?,
            modules: Modules::LLAMA,
            activation: Activation::Silu,
            biases: Biases::default(),
            norm_offset: 0.0,
            embedding_multiplier: 1.0,
            attention_scale: None,
            residual_multiplier: 1.0,
            logits_scaling: 1.0,
            attention_softcap: None,
            logits_softcap: None,
            layers: vec![full; layers],
            ropes: vec![Rope::none()],
            source: self.map.clone(),
        })
    }

    /// Refuses sizes that no model has, before anything is made of them.
    pub fn check_size(&self, key: &str, size: usize) -> Result<()> {
        let most = match key {
            "num_hidden_layers" => 1 << 12,
            "num_attention_heads" | "num_key_value_heads" | "head_dim" => 1 << 14,
            "vocab_size" => 1 << 24,
            "max_position_embeddings" => 1 << 30,
            _ => 1 << 22,
        };
        if size == 0 || size > most {
            return Err(self.wrong(format!("`{key}` is {size}, outside 1..={most}")));
        }
        Ok(())
    }
}

impl ModelConfig {
    /// Gives each layer the window and the rope of its kind.
    pub(crate) fn set_layers(&mut self, types: &[LayerType], window: Option<usize>, ropes: Ropes) {
        let one = ropes.full == ropes.sliding;
        self.layers = types
            .iter()
            .map(|kind| match kind {
                LayerType::Full => LayerAttention {
                    window: None,
                    rope: 0,
                },
                LayerType::Sliding => LayerAttention {
                    window,
                    rope: usize::from(!one),
                },
            })
            .collect();
        self.ropes = match one {
            true => vec![ropes.full],
            false => vec![ropes.full, ropes.sliding],
        };
    }
}
