//! What a batch costs: cross-entropy, distillation, or preference between pairs of answers.
//!
//! Knows hidden rows, labels and heads; not optimizers. Every objective is computed from the
//! labelled rows only, in chunks, in training and in evaluation alike.

use burn::backend::Autodiff;
use burn::tensor::Tensor;
use slm_model::decoder::Decoder;
use slm_model::head::Head;
use slm_model::linear::Matrix;
use slm_model::ops::{DecoderBackend, Labels};

use crate::batch::Batch;
use crate::distillation::{Distilled, Mix, Rows, distill};
use crate::settings::Objective;
use crate::update::host;

/// An objective with the model that it compares with.
pub struct Goal<B: DecoderBackend> {
    /// What is minimized.
    pub objective: Objective,
    /// The teacher of a distillation, or the base of a preference.
    pub other: Option<Decoder<B>>,
    /// Whether the head learns.
    pub trains_head: bool,
}

/// A loss and what to take the backward of.
pub struct Cost<B: DecoderBackend> {
    /// The loss.
    pub value: f64,
    /// Has the loss's gradient; its value is the loss's under cross-entropy only.
    pub surrogate: Tensor<Autodiff<B>, 1>,
}

impl<B: DecoderBackend> Goal<B> {
    /// How many parts the loss of a batch is the sum of: labels, or pairs.
    pub fn parts(&self, batch: &Batch) -> usize {
        match self.objective {
            Objective::CrossEntropy | Objective::Distillation { .. } => batch.labels.len(),
            Objective::Preference { .. } => batch.examples() / 2,
        }
    }

    /// Loss of a batch whose parts weigh `1 / total` each, with its gradient in the graph.
    ///
    /// # Shapes
    /// `rows` [labels, hidden]: the labelled rows behind the last norm.
    pub fn cost(
        &self,
        rows: Tensor<Autodiff<B>, 2>,
        head: &Head<Autodiff<B>>,
        batch: &Batch,
        total: usize,
    ) -> Cost<B> {
        match (self.objective, &self.other) {
            (
                Objective::Distillation {
                    temperature,
                    weight,
                },
                Some(teacher),
            ) => {
                let mix = Mix {
                    temperature,
                    weight,
                    row_weight: 1.0 / total as f64,
                };
                let found =
                    self.distilled(rows.clone().inner(), &head.inner(), teacher, batch, mix);
                let d_hidden = Tensor::from_inner(found.d_hidden);
                let mut surrogate = (rows * d_hidden).sum();
                if let (Matrix::Dense(weight), Some(d_head)) = (&head.matrix, found.d_head) {
                    surrogate =
                        surrogate + (weight.value.clone() * Tensor::from_inner(d_head)).sum();
                }
                Cost {
                    value: found.loss,
                    surrogate,
                }
            }
            (Objective::Preference { beta }, Some(base)) => {
                let plain = head.inner();
                let (value, labels) =
                    preference(rows.clone().inner(), &plain, base, batch, beta, total);
                Cost {
                    value,
                    surrogate: head.cross_entropy(rows, &labels),
                }
            }
            _ => {
                let surrogate = head.cross_entropy(rows, &batch.weighted_labels(total));
                Cost {
                    value: host(surrogate.clone().inner())[0] as f64,
                    surrogate,
                }
            }
        }
    }

    /// [`Goal::cost`] without gradients.
    pub fn value(&self, rows: Tensor<B, 2>, head: &Head<B>, batch: &Batch, total: usize) -> f64 {
        match (self.objective, &self.other) {
            (
                Objective::Distillation {
                    temperature,
                    weight,
                },
                Some(teacher),
            ) => {
                let mix = Mix {
                    temperature,
                    weight,
                    row_weight: 1.0 / total as f64,
                };
                self.distilled(rows, head, teacher, batch, mix).loss
            }
            (Objective::Preference { beta }, Some(base)) => {
                preference(rows, head, base, batch, beta, total).0
            }
            _ => {
                let loss = head.cross_entropy(rows, &batch.weighted_labels(total));
                host(loss)[0] as f64
            }
        }
    }

    fn distilled(
        &self,
        hidden: Tensor<B, 2>,
        head: &Head<B>,
        teacher: &Decoder<B>,
        batch: &Batch,
        mix: Mix,
    ) -> Distilled<B> {
        let teacher_rows = Rows {
            hidden: B::select_rows(teacher.hidden(&batch.tokens, &batch.packing), &batch.rows),
            head: &teacher.head(),
        };
        let want_head = matches!(head.matrix, Matrix::Dense(_)) && self.trains_head;
        distill(
            &Rows { hidden, head },
            &teacher_rows,
            &batch.labels,
            mix,
            want_head,
        )
    }
}

/// Mean preference loss over pairs, and the labels whose weighted cross-entropy has its gradient.
///
/// `-log sigmoid(D)` with `D = beta ((c - c0) - (r - r0))`, the log-probabilities of the chosen
/// and the rejected answer under the model and under the base (Rafailov et al. 2023, eq. 7). Its
/// gradient is `beta sigmoid(-D)` times that of `r - c`: a cross-entropy with signed weights.
fn preference<B: DecoderBackend>(
    rows: Tensor<B, 2>,
    head: &Head<B>,
    base: &Decoder<B>,
    batch: &Batch,
    beta: f64,
    total: usize,
) -> (f64, Labels) {
    let base_rows = B::select_rows(base.hidden(&batch.tokens, &batch.packing), &batch.rows);
    let ours = log_probabilities(&rows, head, batch);
    let theirs = log_probabilities(&base_rows, &base.head(), batch);
    let (mut loss, mut weights) = (0.0, vec![0.0; batch.labels.len()]);
    for pair in 0..batch.examples() / 2 {
        let (chosen, rejected) = (2 * pair, 2 * pair + 1);
        let gain = |example: usize| ours[example] - theirs[example];
        let margin = beta * (gain(chosen) - gain(rejected));
        loss += softplus(-margin);
        let pull = beta * sigmoid(-margin) / total as f64;
        weights[batch.labelled(chosen)].fill(pull as f32);
        weights[batch.labelled(rejected)].fill(-pull as f32);
    }
    let labels = Labels {
        tokens: batch.labels.clone(),
        weights,
    };
    (loss / total as f64, labels)
}

/// Sum of the log-probabilities of each example's labels.
fn log_probabilities<B: DecoderBackend>(
    rows: &Tensor<B, 2>,
    head: &Head<B>,
    batch: &Batch,
) -> Vec<f64> {
    let of = |example: usize| {
        let span = batch.labelled(example);
        if span.is_empty() {
            return 0.0;
        }
        let labels = Labels {
            tokens: batch.labels[span.clone()].to_vec(),
            weights: vec![1.0; span.len()],
        };
        let rows = rows.clone().narrow(0, span.start, span.len());
        -(host(head.cross_entropy(rows, &labels))[0] as f64)
    };
    (0..batch.examples()).map(of).collect()
}

/// `log(1 + e^x)` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logistic_functions_hold_at_the_ends() {
        assert!((softplus(0.0) - 2f64.ln()).abs() < 1e-15);
        assert_eq!(softplus(1000.0), 1000.0);
        assert_eq!(softplus(-1000.0), 0.0);
        assert!((sigmoid(2.0) + sigmoid(-2.0) - 1.0).abs() < 1e-15);
    }
}
