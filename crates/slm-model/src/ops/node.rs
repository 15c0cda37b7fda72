//! The fused operations as nodes of burn's autodiff graph, each with its hand-written backward.
//!
//! A node keeps only what its tracked parents' gradients need: a frozen weight costs no `dW`, and
//! its product keeps no input.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{FloatDType, Tensor};

use super::fused::{LoraDims, attend, gather, lora_forward, primitive, tensor};
use super::joined::{self, attention_gradients};
use super::{AttentionContext, DecoderBackend, Labels, composed, frozen, resident};
use crate::kernels::cross_entropy::{Want, forward_backward};
use crate::kernels::gated::{self, Activation};
use crate::kernels::gemm::{self, Threads, View, Write, product};
use crate::kernels::norm;
use crate::quant::FrozenMatrix;

pub(super) type Float<B> = <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive;

/// Makes the node: tracked with its state, or untracked where no parent needs a gradient.
macro_rules! node {
    ($op:expr, $c:ty, [$($parent:expr),+], $state:expr, $output:expr) => {
        match $op.prepare::<$c>([$($parent.node.clone()),+]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => tensor(prep.finish($state, $output)),
            OpsKind::UnTracked(prep) => tensor(prep.finish($output)),
        }
    };
}
pub(super) use node;

#[derive(Debug)]
struct RmsNormNode;

impl<B: DecoderBackend> Backward<B, 2> for RmsNormNode {
    type State = (Float<B>, Float<B>, Arc<Vec<f32>>, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (x, w, inverse, shape) = ops.state;
        let [x_node, w_node] = ops.parents;
        let (dx, dw) = norm::backward(
            B::host(&dy),
            B::host(&x),
            B::host(&w),
            &inverse,
            w_node.is_some(),
        );
        if let Some(node) = x_node {
            grads.register::<B>(node.id, primitive::<B>(dx, &shape, &x));
        }
        if let (Some(node), Some(dw)) = (w_node, dw) {
            grads.register::<B>(node.id, primitive::<B>(dw, &shape[1..], &x));
        }
    }
}

#[derive(Debug)]
struct LinearNode;

impl<B: DecoderBackend> Backward<B, 2> for LinearNode {
    /// The input (where the weight is trained), the weight, and m, k, n.
    type State = (Option<Float<B>>, Float<B>, [usize; 3]);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (x, w, [m, k, n]) = ops.state;
        let [x_node, w_node] = ops.parents;
        if let Some(node) = x_node {
            let dx = gemm::linear_dx(B::host(&dy), B::host(&w), m, k, n);
            grads.register::<B>(node.id, primitive::<B>(dx, &[m, k], &dy));
        }
        if let (Some(node), Some(x)) = (w_node, x) {
            let dw = gemm::linear_dw(B::host(&dy), B::host(&x), m, k, n);
            grads.register::<B>(node.id, primitive::<B>(dw, &[n, k], &dy));
        }
    }
}

#[derive(Debug)]
struct LoraNode;

#[derive(Debug, Clone)]
struct LoraState<F> {
    x: F,
    w: F,
    a: F,
    b: F,
    low: F,
    dims: LoraDims,
    scale: f32,
}

impl<B: DecoderBackend> Backward<B, 4> for LoraNode {
    type State = LoraState<Float<B>>;

    /// `dlow = s dy B`, `dB = s dy^T low`, `dA = dlow^T x`, `dx = dy W + dlow A`, `dW = dy^T x`.
    fn backward(self, ops: Ops<Self::State, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let state = ops.state;
        let LoraDims { m, k, n, rank } = state.dims;
        let [x_node, w_node, a_node, b_node] = ops.parents;
        let (dy_host, x) = (B::host(&dy), B::host(&state.x));
        let b = View::new(B::host(&state.b), n, rank);
        let d_low = gemm::new_product(View::new(dy_host, m, n), b, state.scale);
        if let Some(node) = x_node {
            let mut dx = gemm::linear_dx(dy_host, B::host(&state.w), m, k, n);
            product(
                &mut dx,
                k,
                View::new(&d_low, m, rank),
                View::new(B::host(&state.a), rank, k),
                Write::Add,
                1.0,
                Threads::All,
            );
            grads.register::<B>(node.id, primitive::<B>(dx, &[m, k], &dy));
        }
        if let Some(node) = a_node {
            grads.register::<B>(
                node.id,
                primitive::<B>(gemm::linear_dw(&d_low, x, m, k, rank), &[rank, k], &dy),
            );
        }
        if let Some(node) = b_node {
            let low = View::new(B::host(&state.low), m, rank);
            let db = gemm::new_product(View::new(dy_host, m, n).t(), low, state.scale);
            grads.register::<B>(node.id, primitive::<B>(db, &[n, rank], &dy));
        }
        if let Some(node) = w_node {
            grads.register::<B>(
                node.id,
                primitive::<B>(gemm::linear_dw(dy_host, x, m, k, n), &[n, k], &dy),
            );
        }
    }
}

#[derive(Debug)]
struct AttentionNode;

#[derive(Debug, Clone)]
struct AttentionState<F> {
    rotated: Arc<(Vec<f32>, Vec<f32>, Vec<f32>)>,
    v: F,
    o: F,
    context: AttentionContext,
}

impl<B: DecoderBackend> Backward<B, 3> for AttentionNode {
    type State = AttentionState<Float<B>>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let AttentionState {
            rotated,
            v,
            o,
            context,
        } = ops.state;
        let (q, k, lse) = &*rotated;
        let (packing, heads) = (&context.packing, context.heads);
        let known = joined::Known {
            q,
            k,
            v: B::host(&v),
            o: B::host(&o),
            lse,
        };
        let (dq, dk, dv) = attention_gradients(B::host(&dy), known, &context);
        let m = packing.positions.len();
        let widths = [
            heads.query_width(),
            heads.key_value_width(),
            heads.key_value_width(),
        ];
        for ((node, gradient), width) in ops.parents.into_iter().zip([dq, dk, dv]).zip(widths) {
            if let Some(node) = node {
                grads.register::<B>(node.id, primitive::<B>(gradient, &[m, width], &dy));
            }
        }
    }
}

#[derive(Debug)]
struct GatedNode;

impl<B: DecoderBackend> Backward<B, 2> for GatedNode {
    type State = (Float<B>, Float<B>, [usize; 2], Activation);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dh = grads.consume::<B>(&ops.node);
        let (gate, up, shape, activation) = ops.state;
        let (dg, du) = gated::backward(B::host(&dh), B::host(&gate), B::host(&up), activation);
        for (node, gradient) in ops.parents.into_iter().zip([dg, du]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, primitive::<B>(gradient, &shape, &dh));
            }
        }
    }
}

/// Rows taken from a table; the backward adds each row's gradient where it came from.
#[derive(Debug)]
struct GatherNode;

impl<B: DecoderBackend> Backward<B, 1> for GatherNode {
    type State = (Arc<Vec<u32>>, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let (rows, [count, d]) = ops.state;
        let [node] = ops.parents;
        let Some(node) = node else { return };
        let mut table = vec![0.0; count * d];
        for (row, gradient) in rows.iter().zip(B::host(&dy).chunks_exact(d)) {
            let target = &mut table[*row as usize * d..(*row as usize + 1) * d];
            target.iter_mut().zip(gradient).for_each(|(t, g)| *t += g);
        }
        grads.register::<B>(node.id, primitive::<B>(table, &[count, d], &dy));
    }
}

#[derive(Debug)]
struct CrossEntropyNode;

impl<B: DecoderBackend> Backward<B, 2> for CrossEntropyNode {
    /// The gradients, already computed with the loss; they wait for the factor from above.
    type State = (Option<Float<B>>, Option<Float<B>>);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let factor = B::host(&grads.consume::<B>(&ops.node))[0];
        let (d_hidden, d_head) = ops.state;
        for (node, gradient) in ops.parents.into_iter().zip([d_hidden, d_head]) {
            if let (Some(node), Some(gradient)) = (node, gradient) {
                let scaled = if factor == 1.0 {
                    gradient
                } else {
                    B::float_mul_scalar(gradient, factor.into())
                };
                grads.register::<B>(node.id, scaled);
            }
        }
    }
}

impl<B: DecoderBackend, C: CheckpointStrategy> DecoderBackend for Autodiff<B, C> {
    const NARROW: Option<FloatDType> = B::NARROW;

    fn rms_norm(x: Tensor<Self, 2>, w: Tensor<Self, 1>, epsilon: f64) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::rms_norm(x, w, epsilon);
        }
        let shape = x.dims();
        let (x, w) = (x.into_primitive().tensor(), w.into_primitive().tensor());
        let (y, inverse) =
            norm::forward(B::host(&x.primitive), B::host(&w.primitive), epsilon as f32);
        let y = primitive::<B>(y, &shape, &x.primitive);
        node!(
            RmsNormNode,
            C,
            [x, w],
            (x.primitive, w.primitive, Arc::new(inverse), shape),
            y
        )
    }

    fn linear_rows(x: Tensor<Self, 2>, w: Tensor<Self, 2>) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::linear(x, w);
        }
        let ([m, k], [n, _]) = (x.dims(), w.dims());
        let (x, w) = (x.into_primitive().tensor(), w.into_primitive().tensor());
        let y = primitive::<B>(
            gemm::linear(B::host(&x.primitive), B::host(&w.primitive), m, k, n),
            &[m, n],
            &x.primitive,
        );
        let kept = w.is_tracked().then(|| x.primitive.clone());
        node!(LinearNode, C, [x, w], (kept, w.primitive, [m, k, n]), y)
    }

    fn lora_linear(
        x: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        a: Tensor<Self, 2>,
        b: Tensor<Self, 2>,
        scale: f64,
    ) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::lora_linear(x, w, a, b, scale);
        }
        let ([m, k], [n, _], [rank, _]) = (x.dims(), w.dims(), a.dims());
        let [x, w, a, b] = [x, w, a, b].map(|t| t.into_primitive().tensor());
        let dims = LoraDims { m, k, n, rank };
        let (y, low) = lora_forward(
            B::host(&x.primitive),
            B::host(&w.primitive),
            B::host(&a.primitive),
            B::host(&b.primitive),
            dims,
            scale as f32,
        );
        let y = primitive::<B>(y, &[m, n], &x.primitive);
        let low = primitive::<B>(low, &[m, rank], &x.primitive);
        let state = LoraState {
            x: x.primitive.clone(),
            w: w.primitive.clone(),
            a: a.primitive.clone(),
            b: b.primitive.clone(),
            low,
            dims,
            scale: scale as f32,
        };
        node!(LoraNode, C, [x, w, a, b], state, y)
    }

    fn packed_attention(
        q: Tensor<Self, 2>,
        k: Tensor<Self, 2>,
        v: Tensor<Self, 2>,
        context: &AttentionContext,
    ) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::attention(q, k, v, context);
        }
        let shape = q.dims();
        let [q, k, v] = [q, k, v].map(|t| t.into_primitive().tensor());
        let (rows, keys) = (
            B::host(&q.primitive).to_vec(),
            B::host(&k.primitive).to_vec(),
        );
        let attended = attend(rows, keys, B::host(&v.primitive), context);
        let o = primitive::<B>(attended.o, &shape, &q.primitive);
        let rotated = Arc::new((attended.q, attended.k, attended.lse));
        let state = AttentionState {
            rotated,
            v: v.primitive.clone(),
            o: o.clone(),
            context: context.clone(),
        };
        node!(AttentionNode, C, [q, k, v], state, o)
    }

    fn joined_attention(qkv: Tensor<Self, 2>, context: &AttentionContext) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::joined_attention(qkv, context);
        }
        joined::attention::<B, C>(qkv, context)
    }

    fn gated(
        gate: Tensor<Self, 2>,
        up: Tensor<Self, 2>,
        activation: Activation,
    ) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::gated(gate, up, activation);
        }
        let shape = gate.dims();
        let (gate, up) = (gate.into_primitive().tensor(), up.into_primitive().tensor());
        let h = primitive::<B>(
            gated::forward(B::host(&gate.primitive), B::host(&up.primitive), activation),
            &shape,
            &gate.primitive,
        );
        let state = (gate.primitive, up.primitive, shape, activation);
        node!(GatedNode, C, [gate, up], state, h)
    }

    fn joined_gated(gate_up: Tensor<Self, 2>, activation: Activation) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::joined_gated(gate_up, activation);
        }
        joined::gated::<B, C>(gate_up, activation)
    }

    fn embed(w: Tensor<Self, 2>, tokens: &[u32]) -> Tensor<Self, 2> {
        if !B::FUSED {
            return composed::embed(w, tokens);
        }
        let [count, d] = w.dims();
        let w = w.into_primitive().tensor();
        let y = primitive::<B>(
            gather(B::host(&w.primitive), d, tokens),
            &[tokens.len(), d],
            &w.primitive,
        );
        node!(
            GatherNode,
            C,
            [w],
            (Arc::new(tokens.to_vec()), [count, d]),
            y
        )
    }

    fn cross_entropy(
        hidden: Tensor<Self, 2>,
        w: Tensor<Self, 2>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        if !B::FUSED {
            return composed::cross_entropy(hidden, w, labels, cap);
        }
        let ([m, d], [v, _]) = (hidden.dims(), w.dims());
        let (h, w) = (
            hidden.into_primitive().tensor(),
            w.into_primitive().tensor(),
        );
        let want = Want {
            hidden: h.is_tracked(),
            head: w.is_tracked(),
        };
        let outcome = forward_backward(
            B::host(&h.primitive),
            B::host(&w.primitive),
            d,
            &labels.tokens,
            &labels.weights,
            want,
            cap.map(|cap| cap as f32),
        );
        let loss = primitive::<B>(vec![outcome.loss as f32], &[1], &h.primitive);
        let d_hidden = outcome
            .d_hidden
            .map(|g| primitive::<B>(g, &[m, d], &h.primitive));
        let d_head = outcome
            .d_head
            .map(|g| primitive::<B>(g, &[v, d], &h.primitive));
        node!(CrossEntropyNode, C, [h, w], (d_hidden, d_head), loss)
    }

    fn frozen_linear(x: Tensor<Self, 2>, w: &Arc<FrozenMatrix>) -> Tensor<Self, 2> {
        frozen::tracked_linear(x, w)
    }

    fn frozen_cross_entropy(
        hidden: Tensor<Self, 2>,
        w: &Arc<FrozenMatrix>,
        labels: &Labels,
        cap: Option<f64>,
    ) -> Tensor<Self, 1> {
        if !B::FUSED {
            let wide = Tensor::from_inner(resident::widened::<B>(w, &hidden.device()));
            return composed::cross_entropy(hidden, wide, labels, cap);
        }
        frozen::tracked_cross_entropy(hidden, w, labels, cap)
    }
}
