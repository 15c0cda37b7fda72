//! The operations on flex, by the host kernels, without gradients; and host access for `node`.

use std::sync::Arc;

use burn::backend::Flex;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};

use super::{AttentionContext, DecoderBackend, Labels, frozen, joined};
use crate::kernels::attention;
use crate::kernels::cross_entropy::{Want, forward_backward};
use crate::kernels::gated::{self, Activation};
use crate::kernels::gemm::{self, Threads, View, Write, product};
use crate::kernels::norm;
use crate::kernels::rope::{self, Turn};
use crate::quant::FrozenMatrix;

/// A new float tensor on the device of `like`.
pub(super) fn primitive<B: Backend>(
    values: Vec<f32>,
    shape: &[usize],
    like: &B::FloatTensorPrimitive,
) -> B::FloatTensorPrimitive {
    B::float_from_data(
        TensorData::new(values, shape.to_vec()),
        &B::float_device(like),
    )
}

/// Wraps a primitive.
pub(super) fn tensor<B: Backend, const D: usize>(
    primitive: B::FloatTensorPrimitive,
) -> Tensor<B, D> {
    Tensor::from_primitive(TensorPrimitive::Float(primitive))
}

/// What attention leaves for its backward.
pub(super) struct Attended {
    pub q: Vec<f32>,
    pub k: Vec<f32>,
    pub o: Vec<f32>,
    pub lse: Vec<f32>,
}

/// Rotates queries and keys and attends.
pub(super) fn attend(
    mut q: Vec<f32>,
    mut k: Vec<f32>,
    v: &[f32],
    context: &AttentionContext,
) -> Attended {
    turn(&mut q, &mut k, context, Turn::Forward);
    let (o, lse) = attention::forward(&q, &k, v, &context.packing.bounds, context.heads);
    Attended { q, k, o, lse }
}

/// Turns queries and keys, or their gradients back.
pub(super) fn turn(q: &mut [f32], k: &mut [f32], context: &AttentionContext, turn: Turn) {
    let (heads, rotation) = (context.heads, &context.rotation);
    for (x, width) in [(q, heads.query_width()), (k, heads.key_value_width())] {
        rope::apply(x, width, heads.width, &rotation.rows, &rotation.table, turn);
    }
}

/// `(x W^T + scale (x A^T) B^T, x A^T)`.
pub(super) fn lora_forward(
    x: &[f32],
    w: &[f32],
    a: &[f32],
    b: &[f32],
    dims: LoraDims,
    scale: f32,
) -> (Vec<f32>, Vec<f32>) {
    let LoraDims { m, k, n, rank } = dims;
    let low = gemm::linear(x, a, m, k, rank);
    let mut y = gemm::linear(x, w, m, k, n);
    product(
        &mut y,
        n,
        View::new(&low, m, rank),
        View::new(b, n, rank).t(),
        Write::Add,
        scale,
        Threads::All,
    );
    (y, low)
}

/// Sizes of a LoRA linear: `m` rows, `k` inputs, `n` outputs.
#[derive(Debug, Clone, Copy)]
pub(super) struct LoraDims {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub rank: usize,
}

/// Copies rows of `table` [.., d].
pub(super) fn gather(table: &[f32], d: usize, rows: &[u32]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * d);
    for row in rows {
        out.extend_from_slice(&table[*row as usize * d..(*row as usize + 1) * d]);
    }
    out
}

impl DecoderBackend for Flex {
    const FUSED: bool = true;

    fn host(tensor: &Self::FloatTensorPrimitive) -> &[f32] {
        tensor
            .as_slice()
            .expect("the decoder's tensors are contiguous f32")
    }

    fn rms_norm(x: Tensor<Self, 2>, w: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        let shape = x.dims();
        let (x, w) = (x.into_primitive().tensor(), w.into_primitive().tensor());
        let (y, _) = norm::forward(Self::host(&x), Self::host(&w), epsilon as f32);
        tensor(primitive::<Self>(y, &shape, &x))
    }

    fn linear_rows(x: Tensor<Self, 2>, w: Tensor<Self, 2>) -> Tensor<Self, 2> {
        let ([m, k], [n, _]) = (x.dims(), w.dims());
        let (x, w) = (x.into_primitive().tensor(), w.into_primitive().tensor());
        let y = gemm::linear(Self::host(&x), Self::host(&w), m, k, n);
        tensor(primitive::<Self>(y, &[m, n], &x))
    }

    fn lora_linear(
        x: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        a: Tensor<Self, 2>,
        b: Tensor<Self, 2>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        let ([m, k], [n, _], [rank, _]) = (x.dims(), w.dims(), a.dims());
        let [x, w, a, b] = [x, w, a, b].map(|t| t.into_primitive().tensor());
        let dims = LoraDims { m, k, n, rank };
        let (y, _) = lora_forward(
            Self::host(&x),
            Self::host(&w),
            Self::host(&a),
            Self::host(&b),
            dims,
            scale as f32,
        );
        tensor(primitive::<Self>(y, &[m, n], &x))
    }

    fn packed_attention(
        q: Tensor<Self, 2>,
        k: Tensor<Self, 2>,
        v: Tensor<Self, 2>,
        context: &AttentionContext,
    ) -> Tensor<Self, 2> {
        let shape = q.dims();
        let [q, k, v] = [q, k, v].map(|t| t.into_primitive().tensor());
        let (rows, keys) = (Self::host(&q).to_vec(), Self::host(&k).to_vec());
        let attended = attend(rows, keys, Self::host(&v), context);
        tensor(primitive::<Self>(attended.o, &shape, &q))
    }

    fn joined_attention(qkv: Tensor<Self, 2>, context: &AttentionContext) -> Tensor<Self, 2> {
        let m = qkv.dims()[0];
        let qkv = qkv.into_primitive().tensor();
        let (q, k, v) = joined::split(Self::host(&qkv), context.heads);
        let attended = attend(q, k, &v, context);
        let shape = [m, context.heads.query_width()];
        tensor(primitive::<Self>(attended.o, &shape, &qkv))
    }

    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        let shape = gate.dims();
        let (gate, up) = (gate.into_primitive().tensor(), up.into_primitive().tensor());
        tensor(primitive::<Self>(
            gated::forward(Self::host(&gate), Self::host(&up), activation),
            &shape,
            &gate,
        ))
    }

    fn joined_gated(gate_up: Tensor<Self, 2>, activation: Activation) -> Tensor<Self, 2> {
        let [m, width] = gate_up.dims();
        let gate_up = gate_up.into_primitive().tensor();
        let h = gated::joined_forward(Self::host(&gate_up), width / 2, activation);
        tensor(primitive::<Self>(h, &[m, width / 2], &gate_up))
    }

    fn embed(w: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        let d = w.dims()[1];
        let w = w.into_primitive().tensor();
        tensor(primitive::<Self>(
            gather(Self::host(&w), d, tokens),
            &[tokens.len(), d],
            &w,
        ))
    }

    fn cross_entropy(
        hidden: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        let d = hidden.dims()[1];
        let (h, w) = (
            hidden.into_primitive().tensor(),
            w.into_primitive().tensor(),
        );
        let want = Want {
            hidden: false,
            head: false,
        };
        let outcome = forward_backward(
            Self::host(&h),
            Self::host(&w),
            d,
            &labels.tokens,
            &labels.weights,
            want,
            cap.map(|cap| cap as f32),
        );
        tensor(primitive::<Self>(vec![outcome.loss as f32], &[1], &h))
    }

    fn frozen_linear(x: Tensor<Self, 2>, w: &Arc<FrozenMatrix>) -> Tensor<Self, 2> {
        frozen::linear(x, w)
    }

    fn frozen_linear_dx(dy: Tensor<Self, 2>, w: &Arc<FrozenMatrix>) -> Tensor<Self, 2> {
        frozen::linear_dx(dy, w)
    }

    fn frozen_cross_entropy(
        hidden: Tensor<Self, 2>,
        w: &Arc<FrozenMatrix>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        frozen::cross_entropy(hidden, w, labels, cap)
    }
}
