//! Fused operations over rows that several projections share: query, key and value in one, gate
//! and up in one. Their parts are never copied as tensors, and their gradients come back joined.

use std::sync::Arc;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::Tensor;

use super::fused::{attend, primitive, tensor, turn};
use super::node::{Float, node};
use super::{AttentionContext, DecoderBackend};
use crate::kernels::attention::{self as kernel, Heads};
use crate::kernels::gated::{self as gate, Activation};
use crate::kernels::rope::Turn;

/// Queries, keys and values of rows that hold all three.
pub(super) fn split(qkv: &[f32], heads: Heads) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let (q, kv) = (heads.query_width(), heads.key_value_width());
    let rows = || qkv.chunks_exact(q + 2 * kv);
    let columns = |from: usize, width: usize| -> Vec<f32> {
        rows()
            .flat_map(|row| &row[from..from + width])
            .copied()
            .collect()
    };
    (columns(0, q), columns(q, kv), columns(q + kv, kv))
}

/// The rows that [`split`] takes apart.
fn join(q: &[f32], k: &[f32], v: &[f32], heads: Heads) -> Vec<f32> {
    let (qw, kw) = (heads.query_width(), heads.key_value_width());
    let mut out = Vec::with_capacity(q.len() + k.len() + v.len());
    let keys = k.chunks_exact(kw).zip(v.chunks_exact(kw));
    for (q, (k, v)) in q.chunks_exact(qw).zip(keys) {
        out.extend_from_slice(q);
        out.extend_from_slice(k);
        out.extend_from_slice(v);
    }
    out
}

/// What the forward of attention left: rotated queries and keys, values, result, log-sum-exps.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub q: &'a [f32],
    pub k: &'a [f32],
    pub v: &'a [f32],
    pub o: &'a [f32],
    pub lse: &'a [f32],
}

/// Gradients of rotation and attention towards queries, keys and values.
pub(super) fn attention_gradients(
    dy: &[f32],
    known: Known<'_>,
    context: &AttentionContext,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let Known { q, k, v, o, lse } = known;
    let bounds = &context.packing.bounds;
    let (mut dq, mut dk, dv) = kernel::backward(dy, q, k, v, o, lse, bounds, context.heads);
    turn(&mut dq, &mut dk, context, Turn::Inverse);
    (dq, dk, dv)
}

#[derive(Debug)]
struct JoinedAttentionNode;

#[derive(Debug, Clone)]
struct JoinedAttentionState<F> {
    /// Rotated queries, rotated keys, values, log-sum-exps.
    kept: Arc<[Vec<f32>; 4]>,
    o: F,
    context: AttentionContext,
}

impl<B: DecoderBackend> Backward<B, 1> for JoinedAttentionNode {
    type State = JoinedAttentionState<Float<B>>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let JoinedAttentionState { kept, o, context } = ops.state;
        let [node] = ops.parents;
        let Some(node) = node else { return };
        let [q, k, v, lse] = &*kept;
        let known = Known {
            q,
            k,
            v,
            o: B::host(&o),
            lse,
        };
        let (dq, dk, dv) = attention_gradients(B::host(&dy), known, &context);
        let heads = context.heads;
        let width = heads.query_width() + 2 * heads.key_value_width();
        let shape = [context.packing.positions.len(), width];
        let gradient = join(&dq, &dk, &dv, heads);
        grads.register::<B>(node.id, primitive::<B>(gradient, &shape, &dy));
    }
}

/// [`DecoderBackend::joined_attention`] as one node.
pub(super) fn attention<B: DecoderBackend, C: CheckpointStrategy>(
    qkv: Tensor<Autodiff<B, C>, 2>,
    context: &AttentionContext,
) -> Tensor<Autodiff<B, C>, 2> {
    let m = qkv.dims()[0];
    let qkv = qkv.into_primitive().tensor();
    let (q, k, v) = split(B::host(&qkv.primitive), context.heads);
    let attended = attend(q, k, &v, context);
    let shape = [m, context.heads.query_width()];
    let o = primitive::<B>(attended.o, &shape, &qkv.primitive);
    let state = JoinedAttentionState {
        kept: Arc::new([attended.q, attended.k, v, attended.lse]),
        o: o.clone(),
        context: context.clone(),
    };
    node!(JoinedAttentionNode, C, [qkv], state, o)
}

#[derive(Debug)]
struct JoinedGatedNode;

impl<B: DecoderBackend> Backward<B, 1> for JoinedGatedNode {
    type State = (Float<B>, [usize; 2], Activation);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dh = grads.consume::<B>(&ops.node);
        let (gate_up, shape, activation) = ops.state;
        let [node] = ops.parents;
        let Some(node) = node else { return };
        let (dh_host, rows) = (B::host(&dh), B::host(&gate_up));
        let gradient = gate::joined_backward(dh_host, rows, shape[1] / 2, activation);
        grads.register::<B>(node.id, primitive::<B>(gradient, &shape, &dh));
    }
}

/// [`DecoderBackend::joined_gated`] as one node.
pub(super) fn gated<B: DecoderBackend, C: CheckpointStrategy>(
    gate_up: Tensor<Autodiff<B, C>, 2>,
    activation: Activation,
) -> Tensor<Autodiff<B, C>, 2> {
    let [m, width] = gate_up.dims();
    let gate_up = gate_up.into_primitive().tensor();
    let h = gate::joined_forward(B::host(&gate_up.primitive), width / 2, activation);
    let h = primitive::<B>(h, &[m, width / 2], &gate_up.primitive);
    let state = (gate_up.primitive, [m, width], activation);
    node!(JoinedGatedNode, C, [gate_up], state, h)
}
