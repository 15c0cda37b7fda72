//! A linear layer with its adapter, and the parameters that an optimizer sees.
//!
//! Knows one layer; not blocks, families or files. A weight is held in f32, or packed where it
//! does not learn; an adapter works on either.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};

use crate::lora::{LoraConfig, LoraPair};
use crate::ops::{DecoderBackend, product, widened};
use crate::quant::FrozenMatrix;

/// A weight and its name.
#[derive(Debug, Clone)]
pub struct Parameter<B: DecoderBackend, const D: usize> {
    /// Hugging Face or PEFT name.
    pub name: String,
    /// Values.
    pub value: Tensor<B, D>,
}

impl<B: DecoderBackend, const D: usize> Parameter<Autodiff<B>, D> {
    /// The parameter without a graph.
    pub fn inner(&self) -> Parameter<B, D> {
        Parameter {
            name: self.name.clone(),
            value: self.value.clone().inner(),
        }
    }
}

/// A matrix [out, in] of the base.
#[derive(Debug, Clone)]
pub enum Matrix<B: DecoderBackend> {
    /// In f32; it may learn.
    Dense(Parameter<B, 2>),
    /// Packed; it does not learn.
    Frozen(FrozenParameter),
}

/// A packed matrix and its name.
#[derive(Debug, Clone)]
pub struct FrozenParameter {
    /// Hugging Face name.
    pub name: String,
    /// Values.
    pub value: Arc<FrozenMatrix>,
}

impl<B: DecoderBackend> Matrix<B> {
    /// Hugging Face name, with `.weight`.
    pub fn name(&self) -> &str {
        match self {
            Self::Dense(weight) => &weight.name,
            Self::Frozen(weight) => &weight.name,
        }
    }

    /// Path of the module, such as `model.layers.0.self_attn.q_proj`.
    pub fn module(&self) -> &str {
        self.name().trim_end_matches(".weight")
    }

    /// Outputs and inputs.
    pub fn dims(&self) -> [usize; 2] {
        match self {
            Self::Dense(weight) => weight.value.dims(),
            Self::Frozen(weight) => weight.value.shape(),
        }
    }

    /// `x W^T`.
    ///
    /// # Shapes
    /// `x` [m, in]; result [m, out].
    pub fn product(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Dense(weight) => B::linear_rows(x, weight.value.clone()),
            Self::Frozen(weight) => B::frozen_linear(x, &weight.value),
        }
    }

    /// `dy W`, the gradient of [`Matrix::product`] towards `x`, outside of any graph.
    ///
    /// # Shapes
    /// `dy` [m, out]; result [m, in].
    pub fn product_dx(&self, dy: Tensor<B, 2>) -> Tensor<B, 2> {
        match self {
            Self::Dense(weight) => product(dy, weight.value.clone()),
            Self::Frozen(weight) => B::frozen_linear_dx(dy, &weight.value),
        }
    }

    /// Rows of the matrix as an embedding.
    ///
    /// # Shapes
    /// Result [tokens, in].
    pub fn embed(&self, tokens: &[u32], device: &B::Device) -> Tensor<B, 2> {
        match self {
            Self::Dense(weight) => B::embed(weight.value.clone(), tokens),
            Self::Frozen(weight) => {
                let shape = [tokens.len(), weight.value.shape()[1]];
                Tensor::from_data(TensorData::new(weight.value.gather(tokens), shape), device)
            }
        }
    }

    /// Sum of squares of each row [out].
    pub fn row_squares(&self, device: &B::Device) -> Tensor<B, 1> {
        match self {
            Self::Dense(weight) => {
                let w = widened(weight.value.clone().detach());
                w.powi_scalar(2).sum_dim(1).squeeze_dim(1)
            }
            Self::Frozen(weight) => {
                let squares = weight.value.row_squares();
                let count = squares.len();
                Tensor::from_data(TensorData::new(squares, [count]), device)
            }
        }
    }

    /// Holds and multiplies the matrix in the backend's narrow format from now on, if it has one;
    /// for a matrix that does not learn.
    pub fn narrow(&mut self) {
        if let (Self::Dense(weight), Some(narrow)) = (self, B::NARROW) {
            weight.value = weight.value.clone().cast(narrow);
        }
    }

    /// The matrix as a parameter that may learn; none where it is packed.
    pub fn parameter_mut(&mut self) -> Option<ParameterMut<'_, B>> {
        match self {
            Self::Dense(weight) => Some(ParameterMut::Matrix(weight)),
            Self::Frozen(_) => None,
        }
    }
}

impl<B: DecoderBackend> Matrix<Autodiff<B>> {
    /// The matrix without a graph.
    pub fn inner(&self) -> Matrix<B> {
        match self {
            Self::Dense(weight) => Matrix::Dense(weight.inner()),
            Self::Frozen(weight) => Matrix::Frozen(weight.clone()),
        }
    }
}

/// A linear layer, `y = x W^T + bias`, with an optional adapter.
#[derive(Debug, Clone)]
pub struct Linear<B: DecoderBackend> {
    /// Weight [out, in].
    pub weight: Matrix<B>,
    /// Bias [out].
    pub bias: Option<Parameter<B, 1>>,
    /// Low-rank update of the weight.
    pub adapter: Option<LowRank<B>>,
}

/// A low-rank update of a weight (Hu et al. 2021), with a magnitude per output under DoRA
/// (Liu et al. 2024).
#[derive(Debug, Clone)]
pub struct LowRank<B: DecoderBackend> {
    /// Down projection [rank, in].
    pub a: Parameter<B, 2>,
    /// Up projection [out, rank].
    pub b: Parameter<B, 2>,
    /// Factor on their product.
    pub scale: f64,
    /// DoRA's magnitudes, and what their norm needs of the base.
    pub magnitude: Option<Magnitude<B>>,
}

/// DoRA's magnitude vector.
#[derive(Debug, Clone)]
pub struct Magnitude<B: DecoderBackend> {
    /// Magnitude of each output [out].
    pub value: Parameter<B, 1>,
    /// Sum of squares of each row of the base's weight [out].
    weight_squares: Tensor<B, 1>,
}

impl<B: DecoderBackend> Linear<B> {
    /// A layer without an adapter.
    pub fn new(weight: Matrix<B>, bias: Option<Parameter<B, 1>>) -> Self {
        Self {
            weight,
            bias,
            adapter: None,
        }
    }

    /// Applies the layer.
    ///
    /// # Shapes
    /// `x` [m, in]; result [m, out].
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = match &self.adapter {
            None => self.weight.product(x),
            Some(adapter) => adapter.forward(&self.weight, x),
        };
        match &self.bias {
            None => y,
            Some(bias) => y + bias.value.clone().unsqueeze::<2>(),
        }
    }

    /// Attaches an adapter's pair. Under DoRA without magnitudes, they become the norms of the
    /// weight's rows, so that a fresh adapter changes nothing.
    pub fn attach(&mut self, pair: &LoraPair, config: &LoraConfig, device: &B::Device) {
        let name = |part: &str| format!("{}.{part}", pair.module);
        let make = |part: &str, values: &[f32], shape: [usize; 2]| Parameter {
            name: name(part),
            value: Tensor::from_data(TensorData::new(values.to_vec(), shape), device),
        };
        let magnitude = config.use_dora.then(|| {
            let weight_squares = self.weight.row_squares(device);
            let value = match &pair.magnitude {
                Some(values) => {
                    Tensor::from_data(TensorData::new(values.clone(), [pair.outputs]), device)
                }
                None => weight_squares.clone().sqrt(),
            };
            let name = name("lora_magnitude_vector");
            Magnitude {
                value: Parameter { name, value },
                weight_squares,
            }
        });
        self.adapter = Some(LowRank {
            a: make("lora_A", &pair.a, [config.rank, pair.inputs]),
            b: make("lora_B", &pair.b, [pair.outputs, config.rank]),
            scale: config.scale(),
            magnitude,
        });
    }

    /// The present values of the adapter, if there is one.
    pub fn pair(&self) -> Option<LoraPair> {
        let adapter = self.adapter.as_ref()?;
        let [outputs, inputs] = self.weight.dims();
        Some(LoraPair {
            module: self.weight.module().to_string(),
            inputs,
            outputs,
            a: values(&adapter.a.value),
            b: values(&adapter.b.value),
            magnitude: adapter.magnitude.as_ref().map(|m| values(&m.value.value)),
        })
    }

    /// What the adapter learns: `A`, `B`, and DoRA's magnitudes.
    pub fn adapter_parameters_mut(&mut self) -> impl Iterator<Item = ParameterMut<'_, B>> {
        self.adapter.iter_mut().flat_map(|adapter| {
            let pair = [
                ParameterMut::Matrix(&mut adapter.a),
                ParameterMut::Matrix(&mut adapter.b),
            ];
            let magnitude = adapter.magnitude.as_mut();
            let magnitude = magnitude.map(|m| ParameterMut::Vector(&mut m.value));
            pair.into_iter().chain(magnitude)
        })
    }
}

impl<B: DecoderBackend> Linear<Autodiff<B>> {
    /// The layer without a graph.
    pub fn inner(&self) -> Linear<B> {
        Linear {
            weight: self.weight.inner(),
            bias: self.bias.as_ref().map(Parameter::inner),
            adapter: self.adapter.as_ref().map(LowRank::inner),
        }
    }
}

impl<B: DecoderBackend> LowRank<Autodiff<B>> {
    fn inner(&self) -> LowRank<B> {
        let magnitude = self.magnitude.as_ref().map(|m| Magnitude {
            value: m.value.inner(),
            weight_squares: m.weight_squares.clone().inner(),
        });
        LowRank {
            a: self.a.inner(),
            b: self.b.inner(),
            scale: self.scale,
            magnitude,
        }
    }
}

impl<B: DecoderBackend> LowRank<B> {
    /// `x W^T + s (x A^T) B^T`; under DoRA each output times `m / ||W + s B A||`.
    fn forward(&self, weight: &Matrix<B>, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let (a, b) = (self.a.value.clone(), self.b.value.clone());
        let y = match weight {
            Matrix::Dense(w) => B::lora_linear(x, w.value.clone(), a, b, self.scale),
            Matrix::Frozen(w) => {
                let low = B::linear_rows(x.clone(), a) * self.scale;
                B::frozen_linear(x, &w.value) + B::linear_rows(low, b)
            }
        };
        match &self.magnitude {
            None => y,
            Some(magnitude) => {
                let factor = magnitude.value.value.clone() / self.norms(weight, magnitude);
                y * factor.unsqueeze::<2>()
            }
        }
    }

    /// Norms of the rows of `W + s B A` [out], constant to the gradient as in PEFT.
    ///
    /// `||w + s b A||^2 = ||w||^2 + 2 s b (A w) + s^2 b (A A^T) b`, so that the sum itself, as
    /// large as the weight, is never made.
    fn norms(&self, weight: &Matrix<B>, magnitude: &Magnitude<B>) -> Tensor<B, 1> {
        // burn's `detach` keeps a leaf's wish for a gradient.
        let plain = |p: &Parameter<B, 2>| p.value.clone().detach().set_require_grad(false);
        let (a, b) = (plain(&self.a), plain(&self.b));
        let cross = (weight.product(a.clone()).transpose() * b.clone()).sum_dim(1);
        let gram = B::linear_rows(a.clone(), a);
        let square = (B::linear_rows(b.clone(), gram) * b).sum_dim(1);
        let update = cross * (2.0 * self.scale) + square * (self.scale * self.scale);
        let squares = magnitude.weight_squares.clone() + update.squeeze_dim(1);
        squares.clamp_min(f32::MIN_POSITIVE).sqrt().detach()
    }
}

/// A parameter of either rank, borrowed for the optimizer.
pub enum ParameterMut<'a, B: DecoderBackend> {
    /// A vector: norms, biases, magnitudes.
    Vector(&'a mut Parameter<B, 1>),
    /// A matrix.
    Matrix(&'a mut Parameter<B, 2>),
}

fn values<B: DecoderBackend, const D: usize>(tensor: &Tensor<B, D>) -> Vec<f32> {
    let data = tensor.clone().into_data().convert::<f32>();
    data.into_vec::<f32>().unwrap_or_default()
}
