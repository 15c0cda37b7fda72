//! The output head: from hidden rows to logits, bounded where the family bounds them, and to their
//! cross-entropy.
//!
//! Knows the head's matrix; not the decoder before it, nor what a loss is for.

use burn::backend::Autodiff;
use burn::tensor::Tensor;

use crate::linear::Matrix;
use crate::ops::{DecoderBackend, Labels, soft_cap};

/// The output head.
#[derive(Debug, Clone)]
pub struct Head<B: DecoderBackend> {
    /// Weight [vocabulary, hidden]: the embedding where the two are tied.
    pub matrix: Matrix<B>,
    /// Logits are bounded to `cap tanh(logit / cap)`.
    pub softcap: Option<f64>,
}

impl<B: DecoderBackend> Head<B> {
    /// Logits of hidden rows.
    ///
    /// # Shapes
    /// `hidden` [m, hidden]; result [m, vocabulary].
    pub fn logits(&self, hidden: Tensor<B, 2>) -> Tensor<B, 2> {
        soft_cap(self.matrix.product(hidden), self.softcap)
    }

    /// The gradient towards the logits before the bound, from that towards `logits` behind it.
    pub fn before_cap(&self, gradient: Tensor<B, 2>, logits: Tensor<B, 2>) -> Tensor<B, 2> {
        match self.softcap {
            None => gradient,
            Some(cap) => gradient * ((logits / cap).powi_scalar(2).neg() + 1.0),
        }
    }

    /// Weighted sum of cross-entropies of the logits against the labels.
    ///
    /// # Shapes
    /// `hidden` [m, hidden]; result [1].
    pub fn cross_entropy(&self, hidden: Tensor<B, 2>, labels: &Labels) -> Tensor<B, 1> {
        match &self.matrix {
            Matrix::Dense(weight) => {
                B::cross_entropy(hidden, weight.value.clone(), labels, self.softcap)
            }
            Matrix::Frozen(weight) => {
                B::frozen_cross_entropy(hidden, &weight.value, labels, self.softcap)
            }
        }
    }
}

impl<B: DecoderBackend> Head<Autodiff<B>> {
    /// The head without a graph.
    pub fn inner(&self) -> Head<B> {
        Head {
            matrix: self.matrix.inner(),
            softcap: self.softcap,
        }
    }
}
