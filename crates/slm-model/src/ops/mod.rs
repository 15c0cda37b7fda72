//! The decoder's operations, once composed from burn's tensor operations and once fused.
//!
//! A backend whose tensors lie in host memory as f32 (flex) runs the kernels of [`crate::kernels`],
//! with hand-written backwards under autodiff; every other backend runs the composed form, which
//! is also what the fused one is tested against. Does not know layers or weights' names.

mod composed;
mod frozen;
mod fused;
mod joined;
mod node;
mod resident;

pub use composed::{product, soft_cap, widened};
pub use resident::Resident;

use std::sync::Arc;

use burn::tensor::backend::Backend;
use burn::tensor::{FloatDType, Tensor};

use crate::kernels::attention::Heads;
use crate::kernels::gated::Activation;
use crate::kernels::rope::Table;
use crate::quant::FrozenMatrix;

/// How the rows of a packed batch form samples.
#[derive(Debug)]
pub struct Packing {
    /// First row of each sample, and the number of rows at the end.
    pub bounds: Vec<usize>,
    /// Position of each row in its sample.
    pub positions: Vec<u32>,
}

impl Packing {
    /// Samples of these lengths one behind the other, positions counted from 0 in each.
    pub fn of_lengths(lengths: &[usize]) -> Self {
        let mut bounds = vec![0];
        let mut positions = Vec::new();
        for length in lengths {
            bounds.push(bounds[bounds.len() - 1] + length);
            positions.extend(0..*length as u32);
        }
        Self { bounds, positions }
    }
}

/// What attention needs besides queries, keys and values.
#[derive(Debug, Clone)]
pub struct AttentionContext {
    /// Samples in the batch.
    pub packing: Arc<Packing>,
    /// Heads, and how they score.
    pub heads: Heads,
    /// How queries and keys turn.
    pub rotation: Rotation,
}

/// How the rows of a packed batch turn.
#[derive(Debug, Clone)]
pub struct Rotation {
    /// Cosines and sines.
    pub table: Arc<Table>,
    /// The table's row for each row of the batch.
    pub rows: Arc<Vec<u32>>,
}

/// Rows to predict: token and weight of each.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Token that each row must predict.
    pub tokens: Vec<u32>,
    /// Factor on each row's loss.
    pub weights: Vec<f32>,
}

/// A backend that can run the decoder.
pub trait DecoderBackend: Backend {
    /// Whether the fused host kernels are used.
    const FUSED: bool = false;

    /// The number format that weights which do not learn may be held and multiplied in, where the
    /// backend is faster with it than with f32.
    const NARROW: Option<FloatDType> = None;

    /// The values of a float tensor in host memory, for fused backends.
    ///
    /// # Panics
    /// On a backend that is not fused; no caller reaches it there.
    fn host(tensor: &Self::FloatTensorPrimitive) -> &[f32] {
        unreachable!("{tensor:?} is not in host memory")
    }

    /// RMSNorm of each row: `x / sqrt(mean(x^2) + epsilon) * w`.
    ///
    /// # Shapes
    /// `x` [m, d], `w` [d].
    fn rms_norm(x: Tensor<Self, 2>, w: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        composed::rms_norm(x, w, epsilon)
    }

    /// `x W^T`.
    ///
    /// # Shapes
    /// `x` [m, in], `w` [out, in].
    fn linear_rows(x: Tensor<Self, 2>, w: Tensor<Self, 2>) -> Tensor<Self, 2> {
        composed::linear(x, w)
    }

    /// `x W^T + scale (x A^T) B^T` (Hu et al. 2021).
    ///
    /// # Shapes
    /// `x` [m, in], `w` [out, in], `a` [rank, in], `b` [out, rank].
    fn lora_linear(
        x: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        a: Tensor<Self, 2>,
        b: Tensor<Self, 2>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        composed::lora_linear(x, w, a, b, scale)
    }

    /// Rotary embedding, then causal attention within each sample.
    ///
    /// # Shapes
    /// `q` [m, query width], `k`, `v` [m, key width]; result as `q`.
    fn packed_attention(
        q: Tensor<Self, 2>,
        k: Tensor<Self, 2>,
        v: Tensor<Self, 2>,
        context: &AttentionContext,
    ) -> Tensor<Self, 2> {
        composed::attention(q, k, v, context)
    }

    /// [`DecoderBackend::packed_attention`] of rows that hold query, key and value.
    ///
    /// # Shapes
    /// `qkv` [m, query width + 2 key width]; result [m, query width].
    fn joined_attention(qkv: Tensor<Self, 2>, context: &AttentionContext) -> Tensor<Self, 2> {
        composed::joined_attention(qkv, context)
    }

    /// `act(gate) up`.
    ///
    /// # Shapes
    /// All [m, f].
    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        composed::gated(gate, up, activation)
    }

    /// [`DecoderBackend::gated`] of rows that hold gate and up.
    ///
    /// # Shapes
    /// `gate_up` [m, 2 f]; result [m, f].
    fn joined_gated(gate_up: Tensor<Self, 2>, activation: Activation) -> Tensor<Self, 2> {
        composed::joined_gated(gate_up, activation)
    }

    /// Rows of the embedding.
    ///
    /// # Shapes
    /// `w` [v, d], `tokens` [m]; result [m, d].
    fn embed(w: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        composed::embed(w, tokens)
    }

    /// Some rows of `x`, each at most once.
    ///
    /// # Shapes
    /// `x` [m, d], `rows` [n]; result [n, d].
    fn select_rows(x: Tensor<Self, 2>, rows: &[u32]) -> Tensor<Self, 2> {
        Self::embed(x, rows)
    }

    /// Weighted sum of cross-entropies of `hidden W^T` against the labels; with `cap`, logits are
    /// bounded to `cap tanh(logit / cap)`.
    ///
    /// # Shapes
    /// `hidden` [m, d], `w` [v, d]; result [1].
    fn cross_entropy(
        hidden: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        composed::cross_entropy(hidden, w, labels, cap)
    }

    /// `x W^T` with a packed matrix. Widened as a whole for this one call where the backend has no
    /// host kernels; its backward widens it again, so that no graph holds it.
    ///
    /// # Shapes
    /// `x` [m, in], `w` [out, in].
    fn frozen_linear(x: Tensor<Self, 2>, w: &Arc<FrozenMatrix>) -> Tensor<Self, 2> {
        let wide = resident::widened::<Self>(w, &x.device());
        Self::linear_rows(x, wide)
    }

    /// Gradient of [`DecoderBackend::frozen_linear`] towards `x`: `dy W`.
    ///
    /// # Shapes
    /// `dy` [m, out], `w` [out, in].
    fn frozen_linear_dx(dy: Tensor<Self, 2>, w: &Arc<FrozenMatrix>) -> Tensor<Self, 2> {
        let wide = resident::widened::<Self>(w, &dy.device());
        product(dy, wide)
    }

    /// [`DecoderBackend::cross_entropy`] with a packed head.
    ///
    /// # Shapes
    /// `hidden` [m, d], `w` [v, d]; result [1].
    fn frozen_cross_entropy(
        hidden: Tensor<Self, 2>,
        w: &Arc<FrozenMatrix>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        let wide = resident::widened::<Self>(w, &hidden.device());
        Self::cross_entropy(hidden, wide, labels, cap)
    }
}

impl DecoderBackend for burn::backend::NdArray {}

#[cfg(feature = "cuda")]
impl DecoderBackend for burn::backend::Cuda {
    const NARROW: Option<FloatDType> = Some(FloatDType::BF16);
}

#[cfg(test)]
mod tests;
