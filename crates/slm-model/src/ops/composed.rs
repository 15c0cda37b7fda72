//! The operations composed from burn's, for backends without fused kernels, and as the reference.

use burn::tensor::activation::{log_softmax, silu, softmax};
use burn::tensor::backend::Backend;
use burn::tensor::{Int, Tensor, TensorData};

use super::{AttentionContext, Labels};

pub fn rms_norm<B: Backend>(x: Tensor<B, 2>, w: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    let mean = x.clone().powi_scalar(2).mean_dim(1);
    x / (mean + epsilon).sqrt() * w.unsqueeze::<2>()
}

pub fn linear<B: Backend>(x: Tensor<B, 2>, w: Tensor<B, 2>) -> Tensor<B, 2> {
    x.matmul(w.transpose())
}

pub fn lora_linear<B: Backend>(
    x: Tensor<B, 2>,
    w: Tensor<B, 2>,
    a: Tensor<B, 2>,
    b: Tensor<B, 2>,
    scale: f64,
) -> Tensor<B, 2> {
    let low = linear(x.clone(), a);
    linear(x, w) + linear(low, b) * scale
}

pub fn swiglu<B: Backend>(gate: Tensor<B, 2>, up: Tensor<B, 2>) -> Tensor<B, 2> {
    silu(gate) * up
}

pub fn embed<B: Backend>(w: Tensor<B, 2>, tokens: &[u32]) -> Tensor<B, 2> {
    let indices = int_tensor(tokens, &w.device());
    w.select(0, indices)
}

pub fn cross_entropy<B: Backend>(
    hidden: Tensor<B, 2>,
    w: Tensor<B, 2>,
    labels: &Labels,
) -> Tensor<B, 1> {
    let device = hidden.device();
    let rows = labels.tokens.len();
    let wanted = int_tensor::<B>(&labels.tokens, &device).reshape([rows, 1]);
    let weights =
        Tensor::<B, 1>::from_data(TensorData::new(labels.weights.clone(), [rows]), &device);
    let logp = log_softmax(linear(hidden, w), 1)
        .gather(1, wanted)
        .reshape([rows]);
    (logp * weights).sum().neg()
}

pub fn attention<B: Backend>(
    q: Tensor<B, 2>,
    k: Tensor<B, 2>,
    v: Tensor<B, 2>,
    context: &AttentionContext,
) -> Tensor<B, 2> {
    let heads = context.heads;
    let q = rotate(q, heads.query, context);
    let k = rotate(k, heads.key_value, context);
    let parts = context.packing.bounds.windows(2).map(|span| {
        let cut = |x: &Tensor<B, 2>, count: usize| {
            let x = x.clone().narrow(0, span[0], span[1] - span[0]);
            x.reshape([span[1] - span[0], count, heads.width])
                .swap_dims(0, 1)
        };
        let group = heads.query / heads.key_value;
        let (k, v) = (
            repeat_heads(cut(&k, heads.key_value), group),
            repeat_heads(cut(&v, heads.key_value), group),
        );
        attend(cut(&q, heads.query), k, v, heads.scale as f64)
    });
    Tensor::cat(parts.collect(), 0)
}

/// Causal attention of one sample, all [heads, t, width]; returns [t, heads * width].
fn attend<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    scale: f64,
) -> Tensor<B, 2> {
    let [heads, t, width] = q.dims();
    let future = Tensor::<B, 2>::ones([t, t], &q.device())
        .triu(1)
        .greater_elem(0.5);
    let scores = (q.matmul(k.swap_dims(1, 2)) * scale).mask_fill(
        future.unsqueeze::<3>().expand([heads, t, t]),
        f32::NEG_INFINITY,
    );
    softmax(scores, 2)
        .matmul(v)
        .swap_dims(0, 1)
        .reshape([t, heads * width])
}

/// Repeats each key head for the query heads that share it.
fn repeat_heads<B: Backend>(x: Tensor<B, 3>, group: usize) -> Tensor<B, 3> {
    let [heads, t, width] = x.dims();
    x.unsqueeze_dim::<4>(1)
        .expand([heads, group, t, width])
        .reshape([heads * group, t, width])
}

fn rotate<B: Backend>(x: Tensor<B, 2>, heads: usize, context: &AttentionContext) -> Tensor<B, 2> {
    let [m, width] = x.dims();
    let half = width / heads / 2;
    let device = x.device();
    let table = |cosine: bool| {
        let row = |p: &u32| {
            let (c, s) = context.rope.row(*p as usize);
            if cosine { c } else { s }
        };
        let values: Vec<f32> = context
            .packing
            .positions
            .iter()
            .flat_map(row)
            .copied()
            .collect();
        Tensor::<B, 3>::from_data(TensorData::new(values, [m, 1, half]), &device)
    };
    let (cos, sin) = (table(true), table(false));
    let x = x.reshape([m, heads, 2 * half]);
    let (low, high) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
    let turned = Tensor::cat(
        vec![
            low.clone() * cos.clone() - high.clone() * sin.clone(),
            high * cos + low * sin,
        ],
        2,
    );
    turned.reshape([m, width])
}

fn int_tensor<B: Backend>(values: &[u32], device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
