//! Rotary position embedding in Hugging Face's rotate-half layout (Su et al. 2021).
//!
//! Pair `i` of a head is its elements `i` and `i + head_dim / 2`.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::exp::vectorized;

/// Cosines and sines for every position up to a length.
#[derive(Debug, Clone)]
pub struct Table {
    half: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Table {
    /// Tabulates `frequencies` (one per pair) for positions `0..length`.
    pub fn new(frequencies: &[f64], length: usize) -> Self {
        let angle = |p: usize| frequencies.iter().map(move |f| p as f64 * f);
        let cos = (0..length)
            .flat_map(|p| angle(p).map(|a| a.cos() as f32))
            .collect();
        let sin = (0..length)
            .flat_map(|p| angle(p).map(|a| a.sin() as f32))
            .collect();
        Self {
            half: frequencies.len(),
            cos,
            sin,
        }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.cos.len() / self.half.max(1)
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.cos.is_empty()
    }

    /// Cosines and sines of one position, `[half]` each.
    pub fn row(&self, position: usize) -> (&[f32], &[f32]) {
        let span = position * self.half..(position + 1) * self.half;
        (&self.cos[span.clone()], &self.sin[span])
    }
}

/// Which way to turn: the backward of a rotation is the inverse rotation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// By the position's angle.
    Forward,
    /// Back by it.
    Inverse,
}

/// Rotates every head of every row in place.
///
/// # Shapes
/// `x` [m, width], `width` a multiple of the head's; `positions` [m].
///
/// # Panics
/// When a position lies outside the table.
pub fn apply(x: &mut [f32], width: usize, positions: &[u32], table: &Table, turn: Turn) {
    let half = table.half;
    x.par_chunks_mut(width * ROWS_PER_TASK)
        .zip(positions.par_chunks(ROWS_PER_TASK))
        .for_each(|(x, positions)| {
            vectorized(|| {
                for (row, position) in x.chunks_exact_mut(width).zip(positions) {
                    let (cos, sin) = table.row(*position as usize);
                    let sign = if turn == Turn::Forward { 1.0 } else { -1.0 };
                    for head in row.chunks_exact_mut(2 * half) {
                        let (low, high) = head.split_at_mut(half);
                        for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                            let (x, y, s) = (*a, *b, s * sign);
                            *a = x * c - y * s;
                            *b = y * c + x * s;
                        }
                    }
                }
            });
        });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::random;

    #[test]
    fn the_inverse_undoes_the_rotation() {
        let table = Table::new(&[1.0, 0.1], 50);
        let x = random(4, 3 * 8);
        let mut turned = x.clone();
        apply(&mut turned, 8, &[0, 7, 49], &table, Turn::Forward);
        assert_eq!(turned[..8], x[..8], "position 0 is not rotated");
        assert!((turned[8] - (x[8] * 7f32.cos() - x[10] * 7f32.sin())).abs() < 1e-6);
        apply(&mut turned, 8, &[0, 7, 49], &table, Turn::Inverse);
        assert!(turned.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
