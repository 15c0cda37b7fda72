//! Cross-entropy with a packed head that does not learn, in chunks of rows.
//!
//! As [`super::cross_entropy`], whose row arithmetic it uses, with a smaller chunk, because who
//! packs the head wants memory. Knows the head's products; not burn.

use rayon::prelude::*;

use super::cross_entropy::{Outcome, capped_row_loss, row_loss};
use super::exp::vectorized;
use crate::quant::FrozenMatrix;

/// Rows whose logits are held at once.
const CHUNK: usize = 128;

/// `-sum_i w_i log softmax(h_i W^T)[label_i]`, with its gradient towards the hidden rows where
/// that is wanted; with `cap`, logits are bounded to `cap tanh(logit / cap)` first.
///
/// # Shapes
/// `hidden` [m, d], `head` [v, d], `labels` and `weights` [m].
///
/// # Panics
/// When a label lies outside the vocabulary.
pub fn forward_backward(
    hidden: &[f32],
    head: &FrozenMatrix,
    labels: &[u32],
    weights: &[f32],
    want_hidden: bool,
    cap: Option<f32>,
) -> Outcome {
    let ([v, d], m) = (head.shape(), labels.len());
    let mut outcome = Outcome {
        loss: 0.0,
        d_hidden: want_hidden.then(|| vec![0.0; m * d]),
        d_head: None,
        correct: 0,
    };
    let mut logits = vec![0.0; CHUNK.min(m) * v];
    for from in (0..m).step_by(CHUNK) {
        let to = (from + CHUNK).min(m);
        let logits = &mut logits[..(to - from) * v];
        head.linear_into(&hidden[from * d..to * d], to - from, logits);
        let per_row: Vec<(f64, bool)> = logits
            .par_chunks_exact_mut(v)
            .zip(&labels[from..to])
            .zip(&weights[from..to])
            .map(|((row, label), weight)| {
                let label = *label as usize;
                vectorized(|| match cap {
                    None => row_loss(row, label, *weight),
                    Some(cap) => capped_row_loss(row, label, *weight, cap),
                })
            })
            .collect();
        outcome.loss += per_row.iter().map(|(loss, _)| loss).sum::<f64>();
        outcome.correct += per_row.iter().filter(|(_, correct)| *correct).count();
        if let Some(d_hidden) = &mut outcome.d_hidden {
            head.linear_dx_into(logits, to - from, &mut d_hidden[from * d..to * d]);
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cross_entropy::{self, Want};
    use crate::kernels::testing::random;

    #[test]
    fn loss_and_gradient_are_those_of_the_widened_head() {
        let (m, d, v) = (300, 6, 20);
        let (h, w) = (random(1, m * d), random(2, v * d));
        let labels: Vec<u32> = (0..m).map(|i| (i * 7 % v) as u32).collect();
        let weights: Vec<f32> = (0..m).map(|i| if i % 3 == 0 { 0.5 } else { 1.0 }).collect();
        let head = FrozenMatrix::bf16(&w, v, d);
        let want = Want {
            hidden: true,
            head: false,
        };
        let wide = head.dequantize();
        for cap in [None, Some(0.8)] {
            let ours = forward_backward(&h, &head, &labels, &weights, true, cap);
            let dense = cross_entropy::forward_backward(&h, &wide, d, &labels, &weights, want, cap);
            assert!((ours.loss - dense.loss).abs() < 1e-4);
            assert_eq!(ours.correct, dense.correct);
            let (ours, dense) = (ours.d_hidden.unwrap(), dense.d_hidden.unwrap());
            assert!(ours.iter().zip(&dense).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
