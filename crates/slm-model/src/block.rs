//! One block of a decoder: attention, then a gated MLP, each between norms and added to the
//! residual stream.
//!
//! Knows its layers and in what order they run; not where their weights come from.

use burn::backend::Autodiff;
use burn::tensor::Tensor;

use crate::config::ModelConfig;
use crate::linear::{Linear, Parameter, ParameterMut};
use crate::ops::{AttentionContext, DecoderBackend};

/// One block.
#[derive(Debug, Clone)]
pub struct Block<B: DecoderBackend> {
    pub(crate) attention_norm: Parameter<B, 1>,
    pub(crate) qkv: QueryKeyValue<B>,
    pub(crate) output: Linear<B>,
    pub(crate) attention_output_norm: Option<Parameter<B, 1>>,
    pub(crate) mlp_norm: Parameter<B, 1>,
    pub(crate) gate_up: GateUp<B>,
    pub(crate) down: Linear<B>,
    pub(crate) mlp_output_norm: Option<Parameter<B, 1>>,
}

/// The projections before attention.
#[derive(Debug, Clone)]
pub(crate) enum QueryKeyValue<B: DecoderBackend> {
    /// One each, and norms of query and key heads where the family has them.
    Separate {
        projections: Box<[Linear<B>; 3]>,
        head_norms: Option<[Parameter<B, 1>; 2]>,
    },
    /// One for all three.
    Joined(Linear<B>),
}

/// The projections that begin the MLP.
#[derive(Debug, Clone)]
pub(crate) enum GateUp<B: DecoderBackend> {
    /// One each.
    Separate(Box<[Linear<B>; 2]>),
    /// One for both.
    Joined(Linear<B>),
}

/// RMSNorm as the model's family has it: `x / rms(x) (offset + w)`.
pub(crate) fn norm<B: DecoderBackend>(
    x: Tensor<B, 2>,
    weight: &Parameter<B, 1>,
    config: &ModelConfig,
) -> Tensor<B, 2> {
    let weight = weight.value.clone();
    let weight = match config.norm_offset {
        0.0 => weight,
        offset => weight + offset,
    };
    B::rms_norm(x, weight, config.rms_norm_eps)
}

/// `x` times a factor, untouched where that is one.
pub(crate) fn scaled<B: DecoderBackend>(x: Tensor<B, 2>, factor: f64) -> Tensor<B, 2> {
    match factor {
        1.0 => x,
        factor => x * factor,
    }
}

impl<B: DecoderBackend> Block<B> {
    /// Runs the block.
    ///
    /// # Shapes
    /// `x` and the result [m, hidden].
    pub fn forward(
        &self,
        x: Tensor<B, 2>,
        config: &ModelConfig,
        context: &AttentionContext,
    ) -> Tensor<B, 2> {
        let optional = |x, weight: &Option<Parameter<B, 1>>| match weight {
            None => x,
            Some(weight) => norm(x, weight, config),
        };
        let n = norm(x.clone(), &self.attention_norm, config);
        let branch = self.output.forward(self.qkv.attend(n, config, context));
        let branch = optional(branch, &self.attention_output_norm);
        let x = x + scaled(branch, config.residual_multiplier);
        let n = norm(x.clone(), &self.mlp_norm, config);
        let branch = self.down.forward(self.gate_up.forward(n, config));
        let branch = optional(branch, &self.mlp_output_norm);
        x + scaled(branch, config.residual_multiplier)
    }

    /// Its linear layers, in checkpoint order.
    pub fn linears(&self) -> Vec<&Linear<B>> {
        let mut out: Vec<&Linear<B>> = self.qkv.linears().iter().collect();
        out.push(&self.output);
        out.extend(self.gate_up.linears());
        out.push(&self.down);
        out
    }

    /// Its linear layers, to be changed.
    pub fn linears_mut(&mut self) -> Vec<&mut Linear<B>> {
        let mut out: Vec<&mut Linear<B>> = match &mut self.qkv {
            QueryKeyValue::Separate { projections, .. } => projections.iter_mut().collect(),
            QueryKeyValue::Joined(joined) => vec![joined],
        };
        out.push(&mut self.output);
        match &mut self.gate_up {
            GateUp::Separate(both) => out.extend(both.iter_mut()),
            GateUp::Joined(joined) => out.push(joined),
        }
        out.push(&mut self.down);
        out
    }

    /// The base's parameters, in checkpoint order.
    pub(crate) fn base_parameters_mut(&mut self) -> Vec<ParameterMut<'_, B>> {
        let mut out = vec![ParameterMut::Vector(&mut self.attention_norm)];
        match &mut self.qkv {
            QueryKeyValue::Separate {
                projections,
                head_norms,
            } => {
                out.extend(projections.iter_mut().flat_map(base_of));
                out.extend(base_of(&mut self.output));
                out.extend(head_norms.iter_mut().flatten().map(ParameterMut::Vector));
            }
            QueryKeyValue::Joined(joined) => {
                out.extend(base_of(joined));
                out.extend(base_of(&mut self.output));
            }
        }
        out.extend(
            self.attention_output_norm
                .as_mut()
                .map(ParameterMut::Vector),
        );
        out.push(ParameterMut::Vector(&mut self.mlp_norm));
        match &mut self.gate_up {
            GateUp::Separate(both) => out.extend(both.iter_mut().flat_map(base_of)),
            GateUp::Joined(joined) => out.extend(base_of(joined)),
        }
        out.extend(base_of(&mut self.down));
        out.extend(self.mlp_output_norm.as_mut().map(ParameterMut::Vector));
        out
    }
}

/// A layer's weight, and its bias where it has one.
fn base_of<B: DecoderBackend>(linear: &mut Linear<B>) -> Vec<ParameterMut<'_, B>> {
    let mut out: Vec<_> = linear.weight.parameter_mut().into_iter().collect();
    out.extend(linear.bias.as_mut().map(ParameterMut::Vector));
    out
}

impl<B: DecoderBackend> QueryKeyValue<B> {
    /// Projects and attends.
    ///
    /// # Shapes
    /// `n` [m, hidden]; result [m, query width].
    fn attend(
        &self,
        n: Tensor<B, 2>,
        config: &ModelConfig,
        context: &AttentionContext,
    ) -> Tensor<B, 2> {
        match self {
            Self::Joined(joined) => B::joined_attention(joined.forward(n), context),
            Self::Separate {
                projections,
                head_norms,
            } => {
                let [q, k, v] = projections.as_ref();
                let (mut q, mut k, v) = (q.forward(n.clone()), k.forward(n.clone()), v.forward(n));
                if let Some([query, key]) = head_norms {
                    q = norm_heads(q, query, config);
                    k = norm_heads(k, key, config);
                }
                B::packed_attention(q, k, v, context)
            }
        }
    }

    fn linears(&self) -> &[Linear<B>] {
        match self {
            Self::Separate { projections, .. } => projections.as_ref(),
            Self::Joined(joined) => std::slice::from_ref(joined),
        }
    }
}

/// The norm of each head.
///
/// # Shapes
/// `x` and the result [m, heads * head_dim].
fn norm_heads<B: DecoderBackend>(
    x: Tensor<B, 2>,
    weight: &Parameter<B, 1>,
    config: &ModelConfig,
) -> Tensor<B, 2> {
    let [m, width] = x.dims();
    let heads = x.reshape([m * width / config.head_dim, config.head_dim]);
    norm(heads, weight, config).reshape([m, width])
}

impl<B: DecoderBackend> GateUp<B> {
    /// `act(gate) up`.
    ///
    /// # Shapes
    /// `n` [m, hidden]; result [m, intermediate].
    fn forward(&self, n: Tensor<B, 2>, config: &ModelConfig) -> Tensor<B, 2> {
        match self {
            Self::Joined(joined) => B::joined_gated(joined.forward(n), config.activation),
            Self::Separate(both) => {
                let [gate, up] = both.as_ref();
                B::gated(gate.forward(n.clone()), up.forward(n), config.activation)
            }
        }
    }

    fn linears(&self) -> &[Linear<B>] {
        match self {
            Self::Separate(both) => both.as_ref(),
            Self::Joined(joined) => std::slice::from_ref(joined),
        }
    }
}

impl<B: DecoderBackend> Block<Autodiff<B>> {
    /// The block without a graph; it shares the values.
    pub fn inner(&self) -> Block<B> {
        Block {
            attention_norm: self.attention_norm.inner(),
            qkv: match &self.qkv {
                QueryKeyValue::Separate {
                    projections,
                    head_norms,
                } => QueryKeyValue::Separate {
                    projections: Box::new(projections.each_ref().map(Linear::inner)),
                    head_norms: head_norms
                        .as_ref()
                        .map(|norms| norms.each_ref().map(Parameter::inner)),
                },
                QueryKeyValue::Joined(joined) => QueryKeyValue::Joined(joined.inner()),
            },
            output: self.output.inner(),
            attention_output_norm: self.attention_output_norm.as_ref().map(Parameter::inner),
            mlp_norm: self.mlp_norm.inner(),
            gate_up: match &self.gate_up {
                GateUp::Separate(both) => {
                    GateUp::Separate(Box::new(both.each_ref().map(Linear::inner)))
                }
                GateUp::Joined(joined) => GateUp::Joined(joined.inner()),
            },
            down: self.down.inner(),
            mlp_output_norm: self.mlp_output_norm.as_ref().map(Parameter::inner),
        }
    }
}
