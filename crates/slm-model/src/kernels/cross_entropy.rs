//! Cross-entropy fused with the output head, in chunks of rows by tiles of the vocabulary.
//!
//! Never holds `[m, vocabulary]`: a chunk's logits are turned into their gradient in place and
//! used up at once, tile by tile, so that what one pass writes the next finds in the caches. Rows
//! without a label must not be passed in.

use rayon::prelude::*;

use super::exp::{exp, exp_shifted, max, soft_cap};
use super::gemm::{Threads, View, Write, product};
use crate::vectorized;

/// Rows whose logits are held at once.
const CHUNK: usize = 512;

/// Tokens of the vocabulary whose logits are computed at once.
const TILE: usize = 2048;

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
    let v = head.len() / d;
    let tiles = |work: &mut TileWork<'_>| {
        for first in (0..v).step_by(TILE) {
            let rows = TILE.min(v - first);
            work(first, rows, &head[first * d..(first + rows) * d]);
        }
    };
    by_tiles(hidden, tiles, [v, d], labels, weights, want, cap, CHUNK)
}

/// What is done with a tile of the head: the number of its first row, how many rows, and them.
pub(super) type TileWork<'a> = dyn FnMut(usize, usize, &[f32]) + 'a;

/// [`forward_backward`] with a head that is given tile by tile, the same tiles each time, and
/// `chunk` rows at once.
///
/// With `lse` the log-sum-exp of a row's logits `l`, joined from those of its tiles, its loss is
/// `lse - l[label]` and its gradient `exp(l - lse) - onehot`.
pub(super) fn by_tiles(
    hidden: &[f32],
    tiles: impl Fn(&mut TileWork<'_>),
    [v, d]: [usize; 2],
    labels: &[u32],
    weights: &[f32],
    want: Want,
    cap: Option<f32>,
    chunk: usize,
) -> Outcome {
    let m = labels.len();
    assert!(
        labels.iter().all(|label| (*label as usize) < v),
        "a label outside the vocabulary"
    );
    let mut outcome = Outcome {
        loss: 0.0,
        d_hidden: want.hidden.then(|| vec![0.0; m * d]),
        d_head: want.head.then(|| vec![0.0; v * d]),
        correct: 0,
    };
    let mut logits = vec![0.0; chunk.min(m) * v];
    for from in (0..m).step_by(chunk) {
        let to = (from + chunk).min(m);
        let rows = to - from;
        let h = View::new(&hidden[from * d..to * d], rows, d);
        let mut row_sums: Vec<_> = labels[from..to]
            .iter()
            .map(|label| RowSum::new(*label))
            .collect();
        tiles(&mut |first, width, head| {
            let logits = &mut logits[rows * first..rows * (first + width)];
            let head = View::new(head, width, d).t();
            product(logits, width, h, head, Write::Set, 1.0, Threads::All);
            let each = logits.par_chunks_exact_mut(width).zip(&mut row_sums);
            each.for_each(|(row, sum)| add_tile(sum, row, first, cap));
        });
        for (sum, weight) in row_sums.iter().zip(&weights[from..to]) {
            outcome.loss += *weight as f64 * sum.loss();
            outcome.correct += (sum.wanted >= sum.top) as usize;
        }
        if !want.hidden && !want.head {
            continue;
        }
        tiles(&mut |first, width, head| {
            let logits = &mut logits[rows * first..rows * (first + width)];
            let each = logits.par_chunks_exact_mut(width).zip(&row_sums);
            let each = each.zip(&weights[from..to]);
            each.for_each(|((row, sum), weight)| gradient(sum, row, first, *weight, cap));
            let g = View::new(logits, rows, width);
            if let Some(d_hidden) = &mut outcome.d_hidden {
                let d_hidden = &mut d_hidden[from * d..to * d];
                let head = View::new(head, width, d);
                product(d_hidden, d, g, head, Write::Add, 1.0, Threads::All);
            }
            if let Some(d_head) = &mut outcome.d_head {
                let d_head = &mut d_head[first * d..(first + width) * d];
                product(d_head, d, g.t(), h, Write::Add, 1.0, Threads::All);
            }
        });
    }
    outcome
}

/// What is known of a row from the tiles seen so far.
struct RowSum {
    label: usize,
    /// Logit of the label.
    wanted: f32,
    /// Largest logit.
    top: f32,
    /// Sum of the exponentials, each of the logit less `top`.
    sum: f32,
}

impl RowSum {
    fn new(label: u32) -> Self {
        Self {
            label: label as usize,
            wanted: f32::NEG_INFINITY,
            top: f32::NEG_INFINITY,
            sum: 0.0,
        }
    }

    fn loss(&self) -> f64 {
        (self.top - self.wanted) as f64 + (self.sum as f64).ln()
    }
}

vectorized! {
    /// Takes the logits of a tile that begins with token `first`, bounding them where asked to.
    fn add_tile(this: &mut RowSum, row: &mut [f32], first: usize, cap: Option<f32>) {
        if let Some(cap) = cap {
            row.iter_mut().for_each(|logit| *logit = soft_cap(*logit, cap));
        }
        if let Some(wanted) = row.get(this.label.wrapping_sub(first)) {
            this.wanted = *wanted;
        }
        let top = max(row).max(this.top);
        let mut part = [0.0; 256];
        let mut sum = 0.0;
        for logits in row.chunks(part.len()) {
            let part = &mut part[..logits.len()];
            part.copy_from_slice(logits);
            sum += exp_shifted(part, top);
        }
        this.sum = this.sum * exp(this.top - top) + sum;
        this.top = top;
    }
}

vectorized! {
    /// Puts the gradient of `weight` times the loss in place of a tile's logits.
    fn gradient(
        this: &RowSum,
        row: &mut [f32],
        first: usize,
        weight: f32,
        cap: Option<f32>,
    ) {
        let factor = weight / this.sum;
        let own = row.get(this.label.wrapping_sub(first)).copied();
        match cap {
            None => row.iter_mut().for_each(|x| *x = exp(*x - this.top) * factor),
            Some(cap) => row.iter_mut().for_each(|x| {
                let tanh = *x / cap;
                *x = exp(*x - this.top) * factor * (1.0 - tanh * tanh);
            }),
        }
        if let Some(logit) = own {
            let slope = cap.map_or(1.0, |cap| 1.0 - (logit / cap) * (logit / cap));
            row[this.label - first] -= weight * slope;
        }
    }
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
    fn a_vocabulary_of_several_tiles_is_the_softmax_over_all() {
        let (m, d, v) = (3, 4, TILE + 77);
        let (h, w) = (random(1, m * d), random(2, v * d));
        let labels = [5, TILE as u32 + 3, TILE as u32 - 1];
        let want = Want {
            hidden: true,
            head: true,
        };
        for cap in [None, Some(0.8)] {
            let found = forward_backward(&h, &w, d, &labels, &[1.0; 3], want, cap);
            let mut loss = 0.0;
            for (h, label) in h.chunks(d).zip(labels) {
                let logits: Vec<f64> = w
                    .chunks(d)
                    .map(|w| w.iter().zip(h).map(|(a, b)| *a as f64 * *b as f64).sum())
                    .map(|l: f64| cap.map_or(l, |cap| cap as f64 * (l / cap as f64).tanh()))
                    .collect();
                let sum: f64 = logits.iter().map(|l| l.exp()).sum();
                loss += sum.ln() - logits[label as usize];
            }
            assert!((found.loss - loss).abs() < 1e-4, "{} {loss}", found.loss);
            check_gradient(&h, &found.d_hidden.unwrap(), 1, |h| {
                forward_backward(h, &w, d, &labels, &[1.0; 3], want, cap).loss
            });
            check_gradient(&w, &found.d_head.unwrap(), 997, |w| {
                forward_backward(&h, w, d, &labels, &[1.0; 3], want, cap).loss
            });
        }
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
