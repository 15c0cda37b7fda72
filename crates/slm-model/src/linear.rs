//! A linear layer with its adapter, and the parameters that an optimizer sees.
//!
//! Knows one layer; not blocks, families or files.

use burn::tensor::Tensor;

use crate::ops::DecoderBackend;

/// A weight and its name.
#[derive(Debug, Clone)]
pub struct Parameter<B: DecoderBackend, const D: usize> {
    /// Hugging Face or PEFT name.
    pub name: String,
    /// Values.
    pub value: Tensor<B, D>,
}

/// A linear layer, `y = x W^T + bias`, with an optional adapter.
#[derive(Debug, Clone)]
pub struct Linear<B: DecoderBackend> {
    /// Weight [out, in].
    pub weight: Parameter<B, 2>,
    /// Bias [out].
    pub bias: Option<Parameter<B, 1>>,
    /// Adapter: `A` [rank, in], `B` [out, rank] and scale.
    pub lora: Option<(Parameter<B, 2>, Parameter<B, 2>, f64)>,
}

impl<B: DecoderBackend> Linear<B> {
    /// Applies the layer.
    ///
    /// # Shapes
    /// `x` [m, in]; result [m, out].
    pub fn forward(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        let y = self.product(x);
        match &self.bias {
            None => y,
            Some(bias) => y + bias.value.clone().unsqueeze::<2>(),
        }
    }

    fn product(&self, x: Tensor<B, 2>) -> Tensor<B, 2> {
        match &self.lora {
            None => B::linear_rows(x, self.weight.value.clone()),
            Some((a, b, scale)) => B::lora_linear(
                x,
                self.weight.value.clone(),
                a.value.clone(),
                b.value.clone(),
                *scale,
            ),
        }
    }
}

/// A parameter of either rank, borrowed for the optimizer.
pub enum ParameterMut<'a, B: DecoderBackend> {
    /// A vector: norms.
    Vector(&'a mut Parameter<B, 1>),
    /// A matrix.
    Matrix(&'a mut Parameter<B, 2>),
}
