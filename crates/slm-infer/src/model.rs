//! A Llama decoder ready for inference: its shape and its packed weights.

use std::path::Path;

use slm_model::ModelConfig;
use slm_model::quant::Linear;

use crate::error::Result;
use crate::load::{Files, WeightSource};

/// A decoder with weights in the kernels' layouts.
pub struct Model {
    pub(crate) config: ModelConfig,
    pub(crate) embedding: Linear,
    pub(crate) layers: Vec<Layer>,
    pub(crate) norm: Vec<f32>,
    /// None when the embedding is the head.
    pub(crate) head: Option<Linear>,
    pub(crate) frequencies: Vec<f64>,
}

/// One block.
pub(crate) struct Layer {
    pub input_norm: Vec<f32>,
    /// Query, key and value projections, joined.
    pub qkv: Linear,
    pub output: Linear,
    pub mlp_norm: Vec<f32>,
    /// Gate and up projections, joined.
    pub gate_up: Linear,
    pub down: Linear,
}

impl Model {
    /// Loads the checkpoint in `dir`: floats (f32, f16, bfloat16) or quantized.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the model is of a kind that is not known.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::load_adapted(dir, None)
    }

    /// Loads the checkpoint in `dir` and merges the PEFT adapter in `adapter`, if any. Adapted
    /// layers are held in f32, also where the checkpoint is narrower.
    ///
    /// # Errors
    /// As [`Model::load`], and when the adapter does not fit the model.
    pub fn load_adapted(dir: &Path, adapter: Option<&Path>) -> Result<Self> {
        let config = ModelConfig::load(dir)?;
        let mut files = Files::open(dir, &config, adapter)?;
        Self::build(config, &mut files)
    }

    /// Builds a model from weights of any source.
    ///
    /// # Errors
    /// When the source lacks a weight.
    pub fn build(config: ModelConfig, source: &mut dyn WeightSource) -> Result<Self> {
        let (d, f) = (config.hidden_size, config.intermediate_size);
        let (q, kv) = (config.query_width(), config.key_value_width());
        let mut join = |names: &[(String, usize)], columns: usize| -> Result<Linear> {
            let parts = names
                .iter()
                .map(|(name, rows)| source.matrix(name, *rows, columns));
            Ok(Linear::new(parts.collect::<Result<Vec<_>>>()?))
        };
        let embedding = join(&[("model.embed_tokens".into(), config.vocab_size)], d)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(join(&[("lm_head".into(), config.vocab_size)], d)?),
        };
        let mut linears = Vec::with_capacity(config.num_hidden_layers);
        for layer in 0..config.num_hidden_layers {
            let name = |part: &str| format!("model.layers.{layer}.{part}");
            let attention = |part: &str| name(&format!("self_attn.{part}_proj"));
            linears.push((
                join(
                    &[
                        (attention("q"), q),
                        (attention("k"), kv),
                        (attention("v"), kv),
                    ],
                    d,
                )?,
                join(&[(attention("o"), d)], q)?,
                join(&[(name("mlp.gate_proj"), f), (name("mlp.up_proj"), f)], d)?,
                join(&[(name("mlp.down_proj"), d)], f)?,
            ));
        }
        let mut layers = Vec::with_capacity(linears.len());
        for (i, (qkv, output, gate_up, down)) in linears.into_iter().enumerate() {
            let input_norm = source.vector(&format!("model.layers.{i}.input_layernorm"), d)?;
            let mlp_norm =
                source.vector(&format!("model.layers.{i}.post_attention_layernorm"), d)?;
            layers.push(Layer {
                input_norm,
                qkv,
                output,
                mlp_norm,
                gate_up,
                down,
            });
        }
        let norm = source.vector("model.norm", d)?;
        let frequencies = config.rotary_frequencies();
        Ok(Self {
            config,
            embedding,
            layers,
            norm,
            head,
            frequencies,
        })
    }

    /// The model's shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Bytes of the weights in memory.
    pub fn weight_bytes(&self) -> usize {
        let layers = self.layers.iter().map(|layer| {
            layer.qkv.bytes() + layer.output.bytes() + layer.gate_up.bytes() + layer.down.bytes()
        });
        let head = self.head.as_ref().map_or(0, Linear::bytes);
        self.embedding.bytes() + head + layers.sum::<usize>()
    }
}
