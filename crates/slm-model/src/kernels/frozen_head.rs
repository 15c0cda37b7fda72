//! Cross-entropy with a packed head that does not learn, in chunks of rows.
//!
//! As [`super::cross_entropy`], which does the work, with a smaller chunk, because who packs the
//! head wants memory. Knows how the head is held; not burn.

use super::cross_entropy::{Outcome, TileWork, Want, by_tiles};
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
    let want = Want {
        hidden: want_hidden,
        head: false,
    };
    let tiles = |work: &mut TileWork<'_>| head.for_tiles(work);
    by_tiles(
        hidden,
        tiles,
        head.shape(),
        labels,
        weights,
        want,
        cap,
        CHUNK,
    )
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
