//! A decoder of any known family on burn tensors, over packed rows.
//!
//! Knows its blocks, their weights and their adapters; not loss, batches or optimizers.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::tensor::Tensor;

use crate::block::{Block, norm, scaled};
use crate::builder::Builder;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::head::Head;
use crate::kernels::attention::Heads;
use crate::linear::{Linear, Matrix, Parameter, ParameterMut};
use crate::lora::{Adapter, LoraConfig, LoraPair};
use crate::ops::{AttentionContext, DecoderBackend, Packing};
use crate::rotary_tables::RotaryTables;
use crate::weights::Weights;

/// A decoder.
#[derive(Debug, Clone)]
pub struct Decoder<B: DecoderBackend> {
    /// Its description.
    pub config: ModelConfig,
    embed: Matrix<B>,
    blocks: Vec<Block<B>>,
    norm: Parameter<B, 1>,
    head: Option<Matrix<B>>,
    tables: Arc<RotaryTables>,
}

impl<B: DecoderBackend> Decoder<B> {
    /// Puts weights on a device.
    ///
    /// # Errors
    /// When a weight is missing.
    pub fn new(config: &ModelConfig, mut weights: Weights, device: &B::Device) -> Result<Self> {
        let mut build = Builder::<B> {
            weights: &mut weights,
            config,
            device,
        };
        let embed = build.matrix("model.embed_tokens", config.vocab_size, config.hidden_size)?;
        let blocks = (0..config.num_hidden_layers)
            .map(|i| build.block(i))
            .collect::<Result<_>>()?;
        let norm = build.norm("model.norm", config.hidden_size)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(build.matrix("lm_head", config.vocab_size, config.hidden_size)?),
        };
        Ok(Self {
            config: config.clone(),
            embed,
            blocks,
            norm,
            head,
            tables: Arc::new(RotaryTables::new(&config.ropes)),
        })
    }

    /// Holds and multiplies the base's matrices in the backend's narrow format, if it has one;
    /// norms, biases and adapters stay in f32. For a base that does not learn.
    pub fn narrow(&mut self) {
        self.embed.narrow();
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            linear.weight.narrow();
        }
        self.head.iter_mut().for_each(Matrix::narrow);
    }

    /// Attaches an adapter.
    ///
    /// # Errors
    /// When it adapts a layer that is not there.
    pub fn attach(&mut self, adapter: &Adapter) -> Result<()> {
        let device = self.norm.value.device();
        let mut left: Vec<&LoraPair> = adapter.pairs.iter().collect();
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            let module = linear.weight.module();
            if let Some(at) = left.iter().position(|pair| pair.module == module) {
                linear.attach(left.swap_remove(at), &adapter.config, &device);
            }
        }
        match left.first() {
            None => Ok(()),
            Some(pair) => Err(ModelError::setting(
                format!("the adapter's layer `{}` is not in the model", pair.module),
                "use the adapter with the base it was trained on",
            )),
        }
    }

    /// The adapter's present values, if one is attached.
    pub fn adapter(&self, config: &LoraConfig) -> Adapter {
        let linears = self.blocks.iter().flat_map(Block::linears);
        Adapter {
            config: config.clone(),
            pairs: linears.filter_map(Linear::pair).collect(),
            source: None,
        }
    }

    /// Takes the adapter off.
    pub fn detach(&mut self) {
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            linear.adapter = None;
        }
    }

    /// Hidden rows, ready for the head: after the last norm, divided by the logits' divisor.
    ///
    /// # Shapes
    /// `tokens` [m], packed as `packing` says; result [m, hidden].
    pub fn hidden(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        let contexts = self.contexts(packing);
        let mut x = self.embed(tokens);
        for (block, context) in contexts.iter().enumerate() {
            x = self.block(block, x, context);
        }
        self.finish(x)
    }

    /// What each block's attention needs besides its input.
    pub fn contexts(&self, packing: &Arc<Packing>) -> Vec<AttentionContext> {
        let config = &self.config;
        let rotations = self.tables.rotations(packing);
        let context = |layer: &crate::config::LayerAttention| AttentionContext {
            packing: packing.clone(),
            heads: Heads {
                query: config.num_attention_heads,
                key_value: config.num_key_value_heads,
                width: config.head_dim,
                scale: config.score_scale(),
                softcap: config.attention_softcap.map(|cap| cap as f32),
                window: layer.window,
            },
            rotation: rotations[layer.rope].clone(),
        };
        config.layers.iter().map(context).collect()
    }

    /// The first step of [`Decoder::hidden`]: rows of the residual stream before the first block.
    pub fn embed(&self, tokens: &[u32]) -> Tensor<B, 2> {
        let rows = self.embed.embed(tokens, &self.norm.value.device());
        scaled(rows, self.config.embedding_multiplier)
    }

    /// The step of [`Decoder::hidden`] through one block.
    pub fn block(&self, index: usize, x: Tensor<B, 2>, context: &AttentionContext) -> Tensor<B, 2> {
        self.blocks[index].forward(x, &self.config, context)
    }

    /// The last step of [`Decoder::hidden`]: the norm behind the last block, and the logits'
    /// divisor.
    pub fn finish(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let x = norm(x, &self.norm, &self.config);
        scaled(x, 1.0 / self.config.logits_scaling)
    }

    /// The output head, the embedding where tied: [vocabulary, hidden].
    pub fn head(&self) -> Head<B> {
        Head {
            matrix: self.head.as_ref().unwrap_or(&self.embed).clone(),
            softcap: self.config.logits_softcap,
        }
    }

    /// Logits of every row, for checks and small inputs.
    ///
    /// # Shapes
    /// `tokens` [m]; result [m, vocabulary].
    pub fn logits(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        self.head().logits(self.hidden(tokens, packing))
    }

    /// Longest sequence that the model is made for.
    pub fn context_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// The base's parameters that may learn, in checkpoint order.
    pub fn base_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let mut out: Vec<_> = self.embed.parameter_mut().into_iter().collect();
        let blocks = self.blocks.iter_mut();
        out.extend(blocks.flat_map(Block::base_parameters_mut));
        out.push(ParameterMut::Vector(&mut self.norm));
        out.extend(self.head.as_mut().and_then(Matrix::parameter_mut));
        out
    }

    /// The adapter's parameters, `A`, `B` and magnitudes of each adapted layer.
    pub fn adapter_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let linears = self.blocks.iter_mut().flat_map(Block::linears_mut);
        linears.flat_map(Linear::adapter_parameters_mut).collect()
    }
}

impl<B: DecoderBackend> Decoder<Autodiff<B>> {
    /// The decoder without a graph; it shares the values.
    pub fn inner(&self) -> Decoder<B> {
        Decoder {
            config: self.config.clone(),
            embed: self.embed.inner(),
            blocks: self.blocks.iter().map(Block::inner).collect(),
            norm: self.norm.inner(),
            head: self.head.as_ref().map(Matrix::inner),
            tables: self.tables.clone(),
        }
    }
}
