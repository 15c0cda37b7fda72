//! A decoder of any known family on burn tensors, over packed rows.
//!
//! Knows its blocks, their weights and their adapters; not loss, batches or optimizers.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use crate::block::{Block, norm, scaled};
use crate::builder::Builder;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::kernels::attention::Heads;
use crate::linear::{Parameter, ParameterMut};
use crate::lora::{Adapter, LoraConfig, LoraPair};
use crate::ops::{AttentionContext, DecoderBackend, Packing, soft_cap};
use crate::rotary_tables::RotaryTables;
use crate::weights::Weights;

/// A decoder.
#[derive(Debug, Clone)]
pub struct Decoder<B: DecoderBackend> {
    /// Its description.
    pub config: ModelConfig,
    embed: Parameter<B, 2>,
    blocks: Vec<Block<B>>,
    norm: Parameter<B, 1>,
    head: Option<Parameter<B, 2>>,
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

    /// Attaches an adapter.
    ///
    /// # Errors
    /// When it adapts a layer that is not there.
    pub fn attach(&mut self, adapter: &Adapter) -> Result<()> {
        let device = self.embed.value.device();
        let (rank, scale) = (adapter.config.rank, adapter.config.scale());
        let mut left: Vec<&LoraPair> = adapter.pairs.iter().collect();
        for linear in self.blocks.iter_mut().flat_map(Block::linears_mut) {
            let module = linear.weight.name.trim_end_matches(".weight").to_string();
            let Some(at) = left.iter().position(|pair| pair.module == module) else {
                continue;
            };
            let pair = left.swap_remove(at);
            let make = |which: &str, values: &[f32], shape: [usize; 2]| Parameter {
                name: format!("{module}.lora_{which}"),
                value: Tensor::from_data(TensorData::new(values.to_vec(), shape), &device),
            };
            linear.lora = Some((
                make("A", &pair.a, [rank, pair.inputs]),
                make("B", &pair.b, [pair.outputs, rank]),
                scale,
            ));
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
        let values = |p: &Parameter<B, 2>| {
            p.value
                .clone()
                .into_data()
                .convert::<f32>()
                .into_vec::<f32>()
                .unwrap_or_default()
        };
        let mut pairs = Vec::new();
        for linear in self.blocks.iter().flat_map(Block::linears) {
            let Some((a, b, _)) = &linear.lora else {
                continue;
            };
            let [outputs, inputs] = linear.weight.value.dims();
            pairs.push(LoraPair {
                module: linear.weight.name.trim_end_matches(".weight").to_string(),
                inputs,
                outputs,
                a: values(a),
                b: values(b),
            });
        }
        Adapter {
            config: config.clone(),
            pairs,
        }
    }

    /// Hidden rows, ready for the head: after the last norm, divided by the logits' divisor.
    ///
    /// # Shapes
    /// `tokens` [m], packed as `packing` says; result [m, hidden].
    pub fn hidden(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        let config = &self.config;
        let contexts = self.contexts(packing);
        let x = B::embed(self.embed.value.clone(), tokens);
        let mut x = scaled(x, config.embedding_multiplier);
        for (block, context) in self.blocks.iter().zip(&contexts) {
            x = block.forward(x, config, context);
        }
        let x = norm(x, &self.norm, config);
        scaled(x, 1.0 / config.logits_scaling)
    }

    /// What each block's attention needs besides its input.
    fn contexts(&self, packing: &Arc<Packing>) -> Vec<AttentionContext> {
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

    /// The output head, the embedding where tied: [vocabulary, hidden].
    pub fn head(&self) -> Tensor<B, 2> {
        self.head.as_ref().unwrap_or(&self.embed).value.clone()
    }

    /// Logits of every row, for checks and small inputs.
    ///
    /// # Shapes
    /// `tokens` [m]; result [m, vocabulary].
    pub fn logits(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        let logits = B::linear_rows(self.hidden(tokens, packing), self.head());
        soft_cap(logits, self.config.logits_softcap)
    }

    /// Longest sequence that the model is made for.
    pub fn context_length(&self) -> usize {
        self.config.max_position_embeddings
    }

    /// The base's parameters, in checkpoint order.
    pub fn base_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let mut out = vec![ParameterMut::Matrix(&mut self.embed)];
        let blocks = self.blocks.iter_mut();
        out.extend(blocks.flat_map(Block::base_parameters_mut));
        out.push(ParameterMut::Vector(&mut self.norm));
        out.extend(self.head.as_mut().map(ParameterMut::Matrix));
        out
    }

    /// The adapter's parameters, `A` then `B` of each adapted layer.
    pub fn adapter_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let pairs = self
            .blocks
            .iter_mut()
            .flat_map(Block::linears_mut)
            .filter_map(|l| l.lora.as_mut());
        pairs
            .flat_map(|(a, b, _)| [ParameterMut::Matrix(a), ParameterMut::Matrix(b)])
            .collect()
    }
}
