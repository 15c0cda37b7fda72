//! Cross-entropy fused with the output head, in chunks of rows.
//!
//! Never holds `[m, vocabulary]`: each chunk's logits are turned into their gradient in place and
//! used up at once. Rows without a label must not be passed in.

use rayon::prelude::*;

use super::exp::{exp_shifted, max, soft_cap, vectorized};
use super::gemm::{Threads, View, Write, product};

/// Rows whose logits are held at once.
const CHUNK: usize = 256;

/// Loss and gradients of a batch of labelled rows.
pub struct Outcome {
    /// Sum over rows of `-weight log p(label)`.
    pub loss: f64,
    /// Gradient of the loss towards the hidden rows [m, d], if asked for.
    pub d_hidden: Option<Vec<f32>>,
    /// Gradient towards the head [v, d], if asked for.
    pub d_head: Option<Vec<f32>>,
    /// Rows whose most likely token is the label.
    pub correct: usize,
}

/// Which gradients are wanted.
#[derive(Clone, Copy)]
pub struct Want {
    /// Towards the hidden rows.
    pub hidden: bool,
    /// Towards the head.
    pub head: bool,
}

/// `-sum_i w_i log softmax(h_i W^T)[label_i]`, with its gradients; with `cap`, logits are bounded
/// to `cap tanh(logit / cap)` first.
///
/// # Shapes
/// `hidden` [m, d], `head` [v, d], `labels` and `weights` [m].
///
/// # Panics
/// When a label lies outside the vocabulary.
pub fn forward_backward(
    hidden: &[f32],
    head: &[f32],
    d: usize,
    labels: &[u32],
    weights: &[f32],
    want: Want,
    cap: Option<f32>,
) -> Outcome {
    let (m, v) = (labels.len(), head.len() / d);
    let mut outcome = Outcome {
        loss: 0.0,
        d_hidden: want.hidden.then(|| vec![0.0; m * d]),
        d_head: want.head.then(|| vec![0.0; v * d]),
        correct: 0,
    };
    let mut logits = vec![0.0; CHUNK.min(m) * v];
    for from in (0..m).step_by(CHUNK) {
        let to = (from + CHUNK).min(m);
        let rows = to - from;
        let h = View::new(&hidden[from * d..to * d], rows, d);
        let logits = &mut logits[..rows * v];
        product(
            logits,
            v,
            h,
            View::new(head, v, d).t(),
            Write::Set,
            1.0,
            Threads::All,
        );
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
        let g = View::new(logits, rows, v);
        if let Some(d_hidden) = &mut outcome.d_hidden {
            product(
                &mut d_hidden[from * d..to * d],
                d,
                g,
                View::new(head, v, d),
                Write::Set,
                1.0,
                Threads::All,
            );
        }
        if let Some(d_head) = &mut outcome.d_head {
            product(d_head, d, g.t(), h, Write::Add, 1.0, Threads::All);
        }
    }
    outcome
}

/// Loss of one row; leaves `weight (softmax - onehot)` in place of the logits.
#[inline(always)]
pub(super) fn row_loss(row: &mut [f32], label: usize, weight: f32) -> (f64, bool) {
    let (top, wanted) = (max(row), row[label]);
    let sum = exp_shifted(row, top);
    let inverse = weight / sum;
    row.iter_mut().for_each(|p| *p *= inverse);
    row[label] -= weight;
    let loss = (top - wanted) as f64 + (sum as f64).ln();
    (weight as f64 * loss, wanted >= top)
}

/// As [`row_loss`] of bounded logits; the gradient is that towards the logits before the bound.
#[inline(always)]
pub(super) fn capped_row_loss(row: &mut [f32], label: usize, weight: f32, cap: f32) -> (f64, bool) {
    row.iter_mut()
        .for_each(|logit| *logit = soft_cap(*logit, cap));
    let capped = row.to_vec();
    let found = row_loss(row, label, weight);
    for (gradient, capped) in row.iter_mut().zip(&capped) {
        let tanh = capped / cap;
        *gradient *= 1.0 - tanh * tanh;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, random};

    #[test]
    fn gradients_match_finite_differences() {
        let (m, d, v) = (300, 6, 20);
        let (h, w) = (random(1, m * d), random(2, v * d));
        let labels: Vec<u32> = (0..m).map(|i| (i * 7 % v) as u32).collect();
        let weights: Vec<f32> = (0..m).map(|i| if i % 3 == 0 { 0.5 } else { 1.0 }).collect();
        let run = |h: &[f32], w: &[f32], wanted, cap| {
            let want = Want {
                hidden: wanted,
                head: wanted,
            };
            forward_backward(h, w, d, &labels, &weights, want, cap)
        };
        for cap in [None, Some(0.8)] {
            let outcome = run(&h, &w, true, cap);
            check_gradient(&h, &outcome.d_hidden.unwrap(), 41, |h| {
                run(h, &w, false, cap).loss
            });
            check_gradient(&w, &outcome.d_head.unwrap(), 7, |w| {
                run(&h, w, false, cap).loss
            });
        }
        assert!(run(&h, &w, false, Some(0.1)).loss < run(&h, &w, false, None).loss);
    }

    #[test]
    fn equal_logits_cost_the_log_of_the_vocabulary() {
        let outcome = forward_backward(
            &[0.0; 4],
            &[0.3; 20],
            2,
            &[3, 9],
            &[1.0, 1.0],
            Want {
                hidden: false,
                head: false,
            },
            None,
        );
        assert!((outcome.loss - 2.0 * 10f64.ln()).abs() < 1e-6);
    }
}
