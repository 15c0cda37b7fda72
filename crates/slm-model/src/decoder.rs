//! The Llama decoder on burn tensors, over packed rows.
//!
//! Knows its layers, their weights and their adapters; not loss, batches or optimizers. Blocks
//! are pre-norm: attention, then a SwiGLU MLP, each added to the residual stream.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};

use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::kernels::attention::Heads;
use crate::kernels::rope::Table;
use crate::linear::{FrozenParameter, Linear, Matrix, Parameter, ParameterMut};
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

    fn linears(&self) -> [&Linear<B>; 7] {
        [
            &self.q, &self.k, &self.v, &self.o, &self.gate, &self.up, &self.down,
        ]
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
    embed: Matrix<B>,
    blocks: Vec<Block<B>>,
    norm: Parameter<B, 1>,
    head: Option<Matrix<B>>,
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

    /// Hidden rows after the last norm.
    ///
    /// # Shapes
    /// `tokens` [m], packed as `packing` says; result [m, hidden].
    pub fn hidden(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        let context = self.context(packing);
        let mut x = self.embed(tokens);
        for block in 0..self.block_count() {
            x = self.block(block, x, &context);
        }
        self.finish(x)
    }

    /// What attention needs for a packing.
    pub fn context(&self, packing: &Arc<Packing>) -> AttentionContext {
        AttentionContext {
            packing: packing.clone(),
            heads: self.heads(),
            rope: self.rope.clone(),
        }
    }

    /// The first step of [`Decoder::hidden`]: rows of the residual stream before the first block.
    pub fn embed(&self, tokens: &[u32]) -> Tensor<B, 2> {
        self.embed.embed(tokens, &self.norm.value.device())
    }

    /// Number of blocks.
    pub fn block_count(&self) -> usize {
        self.blocks.len()
    }

    /// The step of [`Decoder::hidden`] through one block.
    pub fn block(&self, index: usize, x: Tensor<B, 2>, context: &AttentionContext) -> Tensor<B, 2> {
        self.blocks[index].forward(x, self.config.rms_norm_eps, context)
    }

    /// The last step of [`Decoder::hidden`]: the norm behind the last block.
    pub fn finish(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        B::rms_norm(x, self.norm.value.clone(), self.config.rms_norm_eps)
    }

    /// The output head, the embedding where tied: [vocabulary, hidden].
    pub fn head(&self) -> &Matrix<B> {
        self.head.as_ref().unwrap_or(&self.embed)
    }

    /// Logits of every row, for checks and small inputs.
    ///
    /// # Shapes
    /// `tokens` [m]; result [m, vocabulary].
    pub fn logits(&self, tokens: &[u32], packing: &Arc<Packing>) -> Tensor<B, 2> {
        self.head().product(self.hidden(tokens, packing))
    }

    /// Longest sequence the rotary table covers.
    pub fn context_length(&self) -> usize {
        self.rope.len()
    }

    /// The base's parameters that may learn, in checkpoint order.
    pub fn base_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let mut out: Vec<_> = self.embed.parameter_mut().into_iter().collect();
        for block in &mut self.blocks {
            out.push(ParameterMut::Vector(&mut block.input_norm));
            let attention = [&mut block.q, &mut block.k, &mut block.v, &mut block.o];
            out.extend(
                attention
                    .into_iter()
                    .filter_map(|l| l.weight.parameter_mut()),
            );
            out.push(ParameterMut::Vector(&mut block.post_norm));
            let mlp = [&mut block.gate, &mut block.up, &mut block.down];
            out.extend(mlp.into_iter().filter_map(|l| l.weight.parameter_mut()));
        }
        out.push(ParameterMut::Vector(&mut self.norm));
        out.extend(self.head.as_mut().and_then(Matrix::parameter_mut));
        out
    }

    /// The adapter's parameters, `A`, `B` and magnitudes of each adapted layer.
    pub fn adapter_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let linears = self.blocks.iter_mut().flat_map(Block::linears_mut);
        linears.flat_map(Linear::adapter_parameters_mut).collect()
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

impl<B: DecoderBackend> Decoder<Autodiff<B>> {
    /// The decoder without a graph; it shares the values.
    pub fn inner(&self) -> Decoder<B> {
        Decoder {
            config: self.config.clone(),
            embed: self.embed.inner(),
            blocks: self.blocks.iter().map(Block::inner).collect(),
            norm: self.norm.inner(),
            head: self.head.as_ref().map(Matrix::inner),
            rope: self.rope.clone(),
        }
    }
}

impl<B: DecoderBackend> Block<Autodiff<B>> {
    fn inner(&self) -> Block<B> {
        Block {
            input_norm: self.input_norm.inner(),
            q: self.q.inner(),
            k: self.k.inner(),
            v: self.v.inner(),
            o: self.o.inner(),
            post_norm: self.post_norm.inner(),
            gate: self.gate.inner(),
            up: self.up.inner(),
            down: self.down.inner(),
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

    fn matrix(&mut self, module: &str, outputs: usize, inputs: usize) -> Result<Matrix<B>> {
        let name = format!("{module}.weight");
        let frozen = self.weights.take_frozen(&name);
        if let Some(value) = frozen.filter(|value| value.shape() == [outputs, inputs]) {
            return Ok(Matrix::Frozen(FrozenParameter { name, value }));
        }
        let values = self.take(&name, outputs * inputs)?;
        Ok(Matrix::Dense(Parameter {
            name,
            value: Tensor::from_data(TensorData::new(values, [outputs, inputs]), self.device),
        }))
    }

    fn linear(&mut self, module: &str, outputs: usize, inputs: usize) -> Result<Linear<B>> {
        Ok(Linear::new(self.matrix(module, outputs, inputs)?, None))
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
