//! The operations composed from burn's, for backends without fused kernels, and as the reference.

use burn::tensor::activation::{log_softmax, silu, softmax, tanh};
use burn::tensor::backend::Backend;
use burn::tensor::{DType, FloatDType, Int, Tensor, TensorData};

use super::{AttentionContext, Labels};
use crate::kernels::attention::Heads;
use crate::kernels::gated::Activation;

pub fn rms_norm<B: Backend>(x: Tensor<B, 2>, w: Tensor<B, 1>, epsilon: f64) -> Tensor<B, 2> {
    let mean = x.clone().powi_scalar(2).mean_dim(1);
    x / (mean + epsilon).sqrt() * w.unsqueeze::<2>()
}

pub fn linear<B: Backend>(x: Tensor<B, 2>, w: Tensor<B, 2>) -> Tensor<B, 2> {
    product(x, w.transpose())
}

/// `x W` in the number format of `W`: where that is narrower than f32, `x` is rounded to it and
/// the product widened again, as PyTorch's autocast does.
pub fn product<B: Backend>(x: Tensor<B, 2>, w: Tensor<B, 2>) -> Tensor<B, 2> {
    match w.dtype() {
        DType::BF16 => x.cast(FloatDType::BF16).matmul(w).cast(FloatDType::F32),
        _ => x.matmul(w),
    }
}

/// The values in f32, whatever they are held in.
pub fn widened<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    match x.dtype() {
        DType::BF16 => x.cast(FloatDType::F32),
        _ => x,
    }
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

pub fn gated<B: Backend>(
    gate: Tensor<B, 2>,
    up: Tensor<B, 2>,
    activation: Activation,
) -> Tensor<B, 2> {
    match activation {
        Activation::Silu => silu(gate) * up,
        Activation::GeluTanh => gelu_tanh(gate) * up,
    }
}

/// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`.
fn gelu_tanh<B: Backend>(x: Tensor<B, 2>) -> Tensor<B, 2> {
    let cubic = x.clone().powi_scalar(3) * 0.044_715;
    let inner = (x.clone() + cubic) * (2.0 / std::f64::consts::PI).sqrt();
    x * 0.5 * (tanh(inner) + 1.0)
}

pub fn joined_gated<B: Backend>(gate_up: Tensor<B, 2>, activation: Activation) -> Tensor<B, 2> {
    let f = gate_up.dims()[1] / 2;
    gated(
        gate_up.clone().narrow(1, 0, f),
        gate_up.narrow(1, f, f),
        activation,
    )
}

/// `cap tanh(x / cap)`; `x` itself without a cap.
pub fn soft_cap<B: Backend, const D: usize>(x: Tensor<B, D>, cap: Option<f64>) -> Tensor<B, D> {
    match cap {
        None => x,
        Some(cap) => tanh(x / cap) * cap,
    }
}

pub fn embed<B: Backend>(w: Tensor<B, 2>, tokens: &[u32]) -> Tensor<B, 2> {
    let indices = int_tensor(tokens, &w.device());
    widened(w.select(0, indices))
}

pub fn cross_entropy<B: Backend>(
    hidden: Tensor<B, 2>,
    w: Tensor<B, 2>,
    labels: &Labels,
    cap: Option<f64>,
) -> Tensor<B, 1> {
    let device = hidden.device();
    let rows = labels.tokens.len();
    let wanted = int_tensor::<B>(&labels.tokens, &device).reshape([rows, 1]);
    let weights =
        Tensor::<B, 1>::from_data(TensorData::new(labels.weights.clone(), [rows]), &device);
    let logp = log_softmax(soft_cap(linear(hidden, w), cap), 1)
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
    let q = rotate(q, heads.width, context);
    let k = rotate(k, heads.width, context);
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
        attend(cut(&q, heads.query), k, v, heads)
    });
    Tensor::cat(parts.collect(), 0)
}

/// [`attention`] of rows that hold query, key and value.
pub fn joined_attention<B: Backend>(qkv: Tensor<B, 2>, context: &AttentionContext) -> Tensor<B, 2> {
    let (q, kv) = (context.heads.query_width(), context.heads.key_value_width());
    let columns = |from, width| qkv.clone().narrow(1, from, width);
    attention(columns(0, q), columns(q, kv), columns(q + kv, kv), context)
}

/// Causal attention of one sample, all [heads, t, width]; returns [t, heads * width].
fn attend<B: Backend>(
    q: Tensor<B, 3>,
    k: Tensor<B, 3>,
    v: Tensor<B, 3>,
    shape: Heads,
) -> Tensor<B, 2> {
    let [heads, t, width] = q.dims();
    let ones = Tensor::<B, 2>::ones([t, t], &q.device());
    let mut hidden = ones.clone().triu(1);
    if let Some(window) = shape.window.filter(|window| *window < t) {
        hidden = hidden + ones.tril(-(window as i64));
    }
    let scores = soft_cap(
        q.matmul(k.swap_dims(1, 2)) * shape.scale as f64,
        shape.softcap.map(f64::from),
    );
    let scores = scores.mask_fill(
        hidden
            .greater_elem(0.5)
            .unsqueeze::<3>()
            .expand([heads, t, t]),
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

fn rotate<B: Backend>(x: Tensor<B, 2>, head: usize, context: &AttentionContext) -> Tensor<B, 2> {
    let [m, width] = x.dims();
    let rotation = &context.rotation;
    let half = rotation.table.pairs();
    if half == 0 {
        return x;
    }
    let device = x.device();
    let table = |cosine: bool| {
        let row = |row: &u32| {
            let (c, s) = rotation.table.row(*row as usize);
            if cosine { c } else { s }
        };
        let values: Vec<f32> = rotation.rows.iter().flat_map(row).copied().collect();
        Tensor::<B, 3>::from_data(TensorData::new(values, [m, 1, half]), &device)
    };
    let (cos, sin) = (table(true), table(false));
    let x = x.reshape([m, width / head, head]);
    let (low, high) = (
        x.clone().narrow(2, 0, half),
        x.clone().narrow(2, half, half),
    );
    let mut parts = vec![
        low.clone() * cos.clone() - high.clone() * sin.clone(),
        high * cos + low * sin,
    ];
    if 2 * half < head {
        parts.push(x.narrow(2, 2 * half, head - 2 * half));
    }
    Tensor::cat(parts, 2).reshape([m, width])
}

fn int_tensor<B: Backend>(values: &[u32], device: &B::Device) -> Tensor<B, 1, Int> {
    let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}
