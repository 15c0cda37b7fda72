//! Operations with packed matrices that do not learn: on flex by the host kernels, and as nodes of
//! the autodiff graph on any backend.
//!
//! A node keeps the packed matrix, never a widened one. Does not know what a matrix is for.

use std::sync::Arc;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::{Autodiff, Flex};
use burn::tensor::Tensor;

use super::fused::{primitive, tensor};
use super::{DecoderBackend, Labels};
use crate::kernels::frozen_head::forward_backward;
use crate::quant::FrozenMatrix;

/// `x W^T` on flex.
pub(super) fn linear(x: Tensor<Flex, 2>, w: &FrozenMatrix) -> Tensor<Flex, 2> {
    let m = x.dims()[0];
    let x = x.into_primitive().tensor();
    let y = w.linear(Flex::host(&x), m);
    tensor(primitive::<Flex>(y, &[m, w.shape()[0]], &x))
}

/// `dy W` on flex.
pub(super) fn linear_dx(dy: Tensor<Flex, 2>, w: &FrozenMatrix) -> Tensor<Flex, 2> {
    let m = dy.dims()[0];
    let dy = dy.into_primitive().tensor();
    let dx = w.linear_dx(Flex::host(&dy), m);
    tensor(primitive::<Flex>(dx, &[m, w.shape()[1]], &dy))
}

/// Cross-entropy on flex, without gradients.
pub(super) fn cross_entropy(
    hidden: Tensor<Flex, 2>,
    w: &FrozenMatrix,
    labels: &Labels,
    cap: Option<f64>,
) -> Tensor<Flex, 1> {
    let h = hidden.into_primitive().tensor();
    let (host, cap) = (Flex::host(&h), cap.map(|cap| cap as f32));
    let outcome = forward_backward(host, w, &labels.tokens, &labels.weights, false, cap);
    tensor(primitive::<Flex>(vec![outcome.loss as f32], &[1], &h))
}

#[derive(Debug)]
struct FrozenLinearNode;

impl<B: DecoderBackend> Backward<B, 1> for FrozenLinearNode {
    type State = Arc<FrozenMatrix>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = grads.consume::<B>(&ops.node);
        let [node] = ops.parents;
        if let Some(node) = node {
            let dx = B::frozen_linear_dx(tensor(dy), &ops.state);
            grads.register::<B>(node.id, dx.into_primitive().tensor());
        }
    }
}

/// `x W^T` in the graph: the product of the backend below, with the backward above.
pub(super) fn tracked_linear<B: DecoderBackend, C: CheckpointStrategy>(
    x: Tensor<Autodiff<B, C>, 2>,
    w: &Arc<FrozenMatrix>,
) -> Tensor<Autodiff<B, C>, 2> {
    let x = x.into_primitive().tensor();
    let y = B::frozen_linear(tensor(x.primitive.clone()), w);
    let y = y.into_primitive().tensor();
    let node = FrozenLinearNode.prepare::<C>([x.node.clone()]);
    match node.compute_bound().stateful() {
        OpsKind::Tracked(prep) => tensor(prep.finish(w.clone(), y)),
        OpsKind::UnTracked(prep) => tensor(prep.finish(y)),
    }
}

#[derive(Debug)]
struct FrozenHeadNode;

impl<B: DecoderBackend> Backward<B, 1> for FrozenHeadNode {
    /// The gradient, computed with the loss; it waits for the factor from above.
    type State = <B as burn::tensor::backend::BackendTypes>::FloatTensorPrimitive;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let factor = B::host(&grads.consume::<B>(&ops.node))[0];
        let [node] = ops.parents;
        if let Some(node) = node {
            let scaled = B::float_mul_scalar(ops.state, factor.into());
            grads.register::<B>(node.id, scaled);
        }
    }
}

/// Cross-entropy in the graph of a backend with host kernels.
pub(super) fn tracked_cross_entropy<B: DecoderBackend, C: CheckpointStrategy>(
    hidden: Tensor<Autodiff<B, C>, 2>,
    w: &FrozenMatrix,
    labels: &Labels,
    cap: Option<f64>,
) -> Tensor<Autodiff<B, C>, 1> {
    let shape = hidden.dims();
    let h = hidden.into_primitive().tensor();
    let (host, tracked) = (B::host(&h.primitive), h.is_tracked());
    let cap = cap.map(|cap| cap as f32);
    let outcome = forward_backward(host, w, &labels.tokens, &labels.weights, tracked, cap);
    let loss = primitive::<B>(vec![outcome.loss as f32], &[1], &h.primitive);
    let gradient = outcome.d_hidden.unwrap_or_default();
    let node = FrozenHeadNode.prepare::<C>([h.node.clone()]);
    match node.compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            let gradient = primitive::<B>(gradient, &shape, &h.primitive);
            tensor(prep.finish(gradient, loss))
        }
        OpsKind::UnTracked(prep) => tensor(prep.finish(loss)),
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::NdArray;
    use burn::tensor::{TensorData, Tolerance};

    use super::*;
    use crate::kernels::testing::random;

    fn wide<B: DecoderBackend>(w: &FrozenMatrix) -> Tensor<Autodiff<B>, 2> {
        let data = TensorData::new(w.dequantize(), w.shape());
        Tensor::from_data(data, &Default::default())
    }

    fn matrix() -> Arc<FrozenMatrix> {
        Arc::new(FrozenMatrix::nf4(&random(3, 9 * 5), 9, 5).unwrap())
    }

    /// Value and gradient towards the input.
    fn run<B: DecoderBackend, const D: usize>(
        f: impl Fn(Tensor<Autodiff<B>, 2>, &Arc<FrozenMatrix>) -> Tensor<Autodiff<B>, D>,
    ) -> [TensorData; 2] {
        let data = TensorData::new(random(1, 4 * 5), [4, 5]);
        let x = Tensor::<Autodiff<B>, 2>::from_data(data, &Default::default()).require_grad();
        let y = f(x.clone(), &matrix());
        let grads = (y.clone() * 0.7).sum().backward();
        [y.into_data(), x.grad(&grads).unwrap().into_data()]
    }

    fn same(a: [TensorData; 2], b: [TensorData; 2]) {
        for (a, b) in a.iter().zip(&b) {
            a.assert_approx_eq::<f32>(b, Tolerance::absolute(1e-5).set_relative(1e-4));
        }
    }

    #[test]
    fn linear_is_that_of_the_widened_matrix_on_every_backend() {
        let dense = run::<Flex, 2>(|x, w| Autodiff::<Flex>::linear_rows(x, wide::<Flex>(w)));
        same(
            run::<Flex, 2>(Autodiff::<Flex>::frozen_linear),
            dense.clone(),
        );
        same(run::<NdArray, 2>(Autodiff::<NdArray>::frozen_linear), dense);
    }

    #[test]
    fn cross_entropy_is_that_of_the_widened_head_on_every_backend() {
        let labels = Labels {
            tokens: vec![3, 0, 8, 3],
            weights: vec![1.0, 0.25, 2.0, 0.5],
        };
        let dense = run::<Flex, 1>(|x, w| {
            Autodiff::<Flex>::cross_entropy(x, wide::<Flex>(w), &labels, Some(0.8))
        });
        let fused =
            run::<Flex, 1>(|x, w| Autodiff::<Flex>::frozen_cross_entropy(x, w, &labels, Some(0.8)));
        let composed = run::<NdArray, 1>(|x, w| {
            Autodiff::<NdArray>::frozen_cross_entropy(x, w, &labels, Some(0.8))
        });
        same(fused, dense.clone());
        same(composed, dense);
    }
}
