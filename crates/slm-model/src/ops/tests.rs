//! Fused operations against the composed ones, values and gradients, on the same inputs.

use std::sync::Arc;

use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{Tensor, TensorData, Tolerance};

use super::{AttentionContext, DecoderBackend, Labels, Packing, Rotation};
use crate::kernels::attention::Heads;
use crate::kernels::gated::Activation;
use crate::kernels::rope::Table;
use crate::kernels::testing::random;

/// A leaf tensor with gradient.
fn leaf<B: DecoderBackend, const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<Autodiff<B>, D> {
    let count = shape.iter().product();
    Tensor::from_data(
        TensorData::new(random(seed, count), shape),
        &Default::default(),
    )
    .require_grad()
}

type Run = Vec<TensorData>;

/// Value of `f`, and gradients of a weighted sum of it towards each input.
fn run2<B: DecoderBackend, const N: usize>(
    shapes: [[usize; 2]; N],
    f: impl Fn([Tensor<Autodiff<B>, 2>; N]) -> Tensor<Autodiff<B>, 2>,
) -> Run {
    let mut seed = 10;
    let inputs = shapes.map(|shape| {
        seed += 1;
        leaf::<B, 2>(seed, shape)
    });
    let y = f(inputs.clone());
    let weight = leaf::<B, 2>(99, y.dims()).detach();
    let grads = (y.clone() * weight).sum().backward();
    let mut out = vec![y.into_data()];
    out.extend(inputs.iter().map(|x| {
        x.grad(&grads)
            .expect("every input has a gradient")
            .into_data()
    }));
    out
}

fn same(fused: Run, composed: Run) {
    assert_eq!(fused.len(), composed.len());
    for (a, b) in fused.iter().zip(&composed) {
        a.assert_approx_eq::<f32>(b, Tolerance::absolute(2e-4).set_relative(1e-4));
    }
}

/// Runs the same closure on the fused and on the composed backend and compares.
macro_rules! compare {
    ($shapes:expr, |$inputs:pat_param, $b:ident| $body:expr) => {{
        fn on<$b: DecoderBackend>() -> Run {
            run2::<$b, _>($shapes, |$inputs| $body)
        }
        same(on::<Flex>(), on::<NdArray>());
    }};
}

#[test]
fn rms_norm() {
    compare!([[70, 12]], |[x], B| {
        let w = Tensor::<Autodiff<B>, 1>::from_data(
            TensorData::new(random(5, 12), [12]),
            &Default::default(),
        );
        Autodiff::<B>::rms_norm(x, w, 1e-5)
    });
}

#[test]
fn linear() {
    compare!([[9, 5], [7, 5]], |[x, w], B| Autodiff::<B>::linear_rows(
        x, w
    ));
}

#[test]
fn lora_linear() {
    compare!([[9, 5], [7, 5], [2, 5], [7, 2]], |[x, w, a, b], B| {
        Autodiff::<B>::lora_linear(x, w, a, b, 1.7)
    });
}

#[test]
fn gated() {
    compare!([[9, 5], [9, 5]], |[g, u], B| {
        Autodiff::<B>::gated(g, u, Activation::Silu)
    });
    compare!([[9, 5], [9, 5]], |[g, u], B| {
        Autodiff::<B>::gated(g, u, Activation::GeluTanh)
    });
}

#[test]
fn joined_gated() {
    compare!([[70, 10]], |[x], B| {
        Autodiff::<B>::joined_gated(x, Activation::Silu)
    });
    compare!([[70, 10]], |[x], B| {
        Autodiff::<B>::joined_gated(x, Activation::GeluTanh)
    });
}

#[test]
fn embed() {
    compare!([[6, 4]], |[w], B| Autodiff::<B>::embed(w, &[5, 0, 5, 2]));
}

/// Three samples; half of each head turns unless it is `whole`.
fn context(softcap: Option<f32>, window: Option<usize>, whole: bool) -> AttentionContext {
    let packing = Packing::of_lengths(&[3, 70, 7]);
    let frequencies = if whole {
        vec![1.0, 0.2, 0.03]
    } else {
        vec![0.4]
    };
    AttentionContext {
        heads: Heads {
            query: 4,
            key_value: 2,
            width: 6,
            scale: 0.4,
            softcap,
            window,
        },
        rotation: Rotation {
            table: Arc::new(Table::new(&[frequencies], 80, 1.2)),
            rows: Arc::new(packing.positions.clone()),
        },
        packing: Arc::new(packing),
    }
}

/// Plain, bounded, windowed, and all at once.
fn contexts() -> [AttentionContext; 4] {
    [
        context(None, None, true),
        context(Some(0.9), None, true),
        context(None, Some(5), false),
        context(Some(0.9), Some(66), false),
    ]
}

#[test]
fn attention() {
    fn on<B: DecoderBackend>(context: &AttentionContext) -> Run {
        run2::<B, 3>([[80, 24], [80, 12], [80, 12]], |[q, k, v]| {
            Autodiff::<B>::packed_attention(q, k, v, context)
        })
    }
    for context in contexts() {
        same(on::<Flex>(&context), on::<NdArray>(&context));
    }
}

#[test]
fn joined_attention() {
    fn on<B: DecoderBackend>(context: &AttentionContext) -> Run {
        run2::<B, 1>([[80, 48]], |[qkv]| {
            Autodiff::<B>::joined_attention(qkv, context)
        })
    }
    for context in contexts() {
        same(on::<Flex>(&context), on::<NdArray>(&context));
    }
}

#[test]
fn cross_entropy() {
    fn on<B: DecoderBackend>(cap: Option<f64>) -> Run {
        let labels = Labels {
            tokens: vec![3, 0, 8],
            weights: vec![1.0, 0.25, 2.0],
        };
        run2::<B, 2>([[3, 4], [9, 4]], |[h, w]| {
            Autodiff::<B>::cross_entropy(h, w, &labels, cap).reshape([1, 1])
        })
    }
    for cap in [None, Some(0.7)] {
        same(on::<Flex>(cap), on::<NdArray>(cap));
    }
}

/// A frozen matrix in bfloat16 gives f32 products and gradients within its rounding.
#[test]
fn linear_in_bfloat16() {
    use burn::tensor::{DType, FloatDType};
    type A = Autodiff<Flex>;
    let run = |narrow: bool| {
        let x = leaf::<Flex, 2>(1, [7, 40]);
        let [a, b] = [leaf::<Flex, 2>(2, [3, 40]), leaf::<Flex, 2>(3, [9, 3])];
        let w: Tensor<A, 2> = leaf::<Flex, 2>(4, [9, 40]).detach().set_require_grad(false);
        let w = if narrow { w.cast(FloatDType::BF16) } else { w };
        let y = super::composed::lora_linear(x.clone(), w.clone(), a.clone(), b.clone(), 0.5);
        let rows = super::composed::embed(w, &[1, 5]);
        assert_eq!([y.dtype(), rows.dtype()], [DType::F32; 2]);
        let weight = leaf::<Flex, 2>(99, y.dims()).detach();
        let grads = (y.clone() * weight).sum().backward();
        let gradients = [&x, &a, &b].map(|leaf| leaf.grad(&grads).unwrap().into_data());
        let mut out = vec![y.into_data(), rows.into_data()];
        out.extend(gradients);
        out
    };
    for (narrow, wide) in run(true).iter().zip(&run(false)) {
        assert_eq!(narrow.dtype, DType::F32);
        narrow.assert_approx_eq::<f32>(wide, Tolerance::absolute(5e-2));
        assert!(narrow.shape == wide.shape);
    }
    let rounded = run(true)[1].clone();
    assert_ne!(rounded, run(false)[1], "nothing was rounded");
}
