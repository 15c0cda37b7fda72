//! The Llama decoder on burn tensors, over packed rows.
//!
//! Knows its layers, their weights and their adapters; not loss, batches or optimizers. Blocks
//! are pre-norm: attention, then a SwiGLU MLP, each added to the residual stream.

use std::sync::Arc;

use burn::tensor::{Tensor, TensorData};

use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::kernels::attention::Heads;
use crate::kernels::rope::Table;
use crate::linear::{Linear, Parameter, ParameterMut};
use crate::lora::{Adapter, LoraConfig, LoraPair};
use crate::ops::{AttentionContext, DecoderBackend, Packing};
use crate::weights::Weights;

/// One block.
#[derive(Debug, Clone)]
pub struct Block<B: DecoderBackend> {
    input_norm: Parameter<B, 1>,
    q: Linear<B>,
    k: Linear<B>,
    v: Linear<B>,
    o: Linear<B>,
    post_norm: Parameter<B, 1>,
    gate: Linear<B>,
    up: Linear<B>,
    down: Linear<B>,
}

impl<B: DecoderBackend> Block<B> {
    fn forward(&self, x: Tensor<B, 2>, epsilon: f64, context: &AttentionContext) -> Tensor<B, 2> {
        let n = B::rms_norm(x.clone(), self.input_norm.value.clone(), epsilon);
        let (q, k, v) = (
            self.q.forward(n.clone()),
            self.k.forward(n.clone()),
            self.v.forward(n),
        );
        let x = x + self.o.forward(B::packed_attention(q, k, v, context));
        let n = B::rms_norm(x.clone(), self.post_norm.value.clone(), epsilon);
        let h = B::swiglu(self.gate.forward(n.clone()), self.up.forward(n));
        x + self.down.forward(h)
    }

    fn linears_mut(&mut self) -> [&mut Linear<B>; 7] {
        [
            &mut self.q,
            &mut self.k,
            &mut self.v,
            &mut self.o,
            &mut self.gate,
            &mut self.up,
            &mut self.down,
        ]
    }
}

/// A decoder.
#[derive(Debug, Clone)]
pub struct Decoder<B: DecoderBackend> {
    /// Its shape.
    pub config: ModelConfig,
    embed: Parameter<B, 2>,
    blocks: Vec<Block<B>>,
    norm: Parameter<B, 1>,
    head: Option<Parameter<B, 2>>,
    rope: Arc<Table>,
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
        let norm = build.vector("model.norm", config.hidden_size)?;
        let head = match config.tie_word_embeddings {
            true => None,
            false => Some(build.matrix("lm_head", config.vocab_size, config.hidden_size)?),
        };
        let rope = Arc::new(Table::new(
            &config.rotary_frequencies(),
            config.max_position_embeddings,
        ));
        Ok(Self {
            config: config.clone(),
            embed,
            blocks,
            norm,
            head,
            rope,
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
        for block in &self.blocks {
            for linear in [
                &block.q,
                &block.k,
                &block.v,
                &block.o,
                &block.gate,
                &block.up,
                &block.down,
            ] {
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
        }
        Adapter {
            config: config.clone(),
            pairs,
        }
    }

    /// Hidden rows after the last norm.
    ///
    /// # Shapes
    /// `tokens` [m], packed as `packing` says; result [m, hidden].
    pub fn hidden(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        let context = AttentionContext {
            packing: packing.clone(),
            heads: self.heads(),
            rope: self.rope.clone(),
        };
        let mut x = B::embed(self.embed.value.clone(), tokens);
        for block in &self.blocks {
            x = block.forward(x, self.config.rms_norm_eps, &context);
        }
        B::rms_norm(x, self.norm.value.clone(), self.config.rms_norm_eps)
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
        B::linear_rows(self.hidden(tokens, packing), self.head())
    }

    /// Longest sequence the rotary table covers.
    pub fn context_length(&self) -> usize {
        self.rope.len()
    }

    /// The base's parameters, in checkpoint order.
    pub fn base_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let mut out = vec![ParameterMut::Matrix(&mut self.embed)];
        for block in &mut self.blocks {
            out.push(ParameterMut::Vector(&mut block.input_norm));
            out.extend(
                [&mut block.q, &mut block.k, &mut block.v, &mut block.o]
                    .map(|l| ParameterMut::Matrix(&mut l.weight)),
            );
            out.push(ParameterMut::Vector(&mut block.post_norm));
            out.extend(
                [&mut block.gate, &mut block.up, &mut block.down]
                    .map(|l| ParameterMut::Matrix(&mut l.weight)),
            );
        }
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

    fn heads(&self) -> Heads {
        let config = &self.config;
        Heads {
            query: config.num_attention_heads,
            key_value: config.num_key_value_heads,
            width: config.head_dim,
            scale: 1.0 / (config.head_dim as f32).sqrt(),
        }
    }
}

/// Takes weights by name and puts them on the device.
struct Builder<'a, B: DecoderBackend> {
    weights: &'a mut Weights,
    config: &'a ModelConfig,
    device: &'a B::Device,
}

impl<B: DecoderBackend> Builder<'_, B> {
    fn take(&mut self, name: &str, count: usize) -> Result<Vec<f32>> {
        let values = self
            .weights
            .take(name)
            .filter(|values| values.len() == count);
        values.ok_or_else(|| {
            ModelError::setting(
                format!("weight `{name}` is missing or of another size"),
                "the weights do not belong to this config",
            )
        })
    }

    fn vector(&mut self, module: &str, width: usize) -> Result<Parameter<B, 1>> {
        let name = format!("{module}.weight");
        let values = self.take(&name, width)?;
        Ok(Parameter {
            name,
            value: Tensor::from_data(TensorData::new(values, [width]), self.device),
        })
    }

    fn matrix(&mut self, module: &str, outputs: usize, inputs: usize) -> Result<Parameter<B, 2>> {
        let name = format!("{module}.weight");
        let values = self.take(&name, outputs * inputs)?;
        Ok(Parameter {
            name,
            value: Tensor::from_data(TensorData::new(values, [outputs, inputs]), self.device),
        })
    }

    fn linear(&mut self, module: &str, outputs: usize, inputs: usize) -> Result<Linear<B>> {
        Ok(Linear {
            weight: self.matrix(module, outputs, inputs)?,
            bias: None,
            lora: None,
        })
    }

    fn block(&mut self, index: usize) -> Result<Block<B>> {
        let (d, f) = (self.config.hidden_size, self.config.intermediate_size);
        let (q, kv) = (self.config.query_width(), self.config.key_value_width());
        let at = |name: &str| format!("model.layers.{index}.{name}");
        Ok(Block {
            input_norm: self.vector(&at("input_layernorm"), d)?,
            q: self.linear(&at("self_attn.q_proj"), q, d)?,
            k: self.linear(&at("self_attn.k_proj"), kv, d)?,
            v: self.linear(&at("self_attn.v_proj"), kv, d)?,
            o: self.linear(&at("self_attn.o_proj"), d, q)?,
            post_norm: self.vector(&at("post_attention_layernorm"), d)?,
            gate: self.linear(&at("mlp.gate_proj"), f, d)?,
            up: self.linear(&at("mlp.up_proj"), f, d)?,
            down: self.linear(&at("mlp.down_proj"), d, f)?,
        })
    }
}
