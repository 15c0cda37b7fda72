//! Rotary position embedding in Hugging Face's rotate-half layout (Su et al. 2021).
//!
//! Pair `i` of a head is its elements `i` and `i + half`; elements from `2 half` on do not turn.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use crate::vectorized;

/// Cosines and sines for every position up to a length, for one or several sets of frequencies.
#[derive(Debug, Clone)]
pub struct Table {
    half: usize,
    length: usize,
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Table {
    /// Tabulates sets of frequencies (one per pair) for positions `0..length`, times `factor`.
    pub fn new(sets: &[Vec<f64>], length: usize, factor: f64) -> Self {
        let tabulate = |turn: fn(f64) -> f64| -> Vec<f32> {
            let mut out = Vec::new();
            for frequencies in sets {
                for position in 0..length {
                    let angles = frequencies.iter().map(|f| position as f64 * f);
                    out.extend(angles.map(|angle| (turn(angle) * factor) as f32));
                }
            }
            out
        };
        Self {
            half: sets.first().map_or(0, Vec::len),
            length,
            cos: tabulate(f64::cos),
            sin: tabulate(f64::sin),
        }
    }

    /// Number of positions.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are no positions.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Pairs of a head that turn.
    pub fn pairs(&self) -> usize {
        self.half
    }

    /// The row of a position in set number `set`.
    pub fn row_of(&self, set: usize, position: u32) -> u32 {
        (set * self.length) as u32 + position
    }

    /// Cosines and sines of one row, `[half]` each; without further sets, rows are positions.
    pub fn row(&self, row: usize) -> (&[f32], &[f32]) {
        let span = row * self.half..(row + 1) * self.half;
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

/// Rotates every head of every row in place; [`Turn::Inverse`] is the gradient of
/// [`Turn::Forward`].
///
/// # Shapes
/// `x` [m, width], `width` a multiple of `head`; `rows` of the table [m].
///
/// # Panics
/// When a row lies outside the table.
pub fn apply(x: &mut [f32], width: usize, head: usize, rows: &[u32], table: &Table, turn: Turn) {
    let half = table.half;
    if half == 0 {
        return;
    }
    x.par_chunks_mut(width * ROWS_PER_TASK)
        .zip(rows.par_chunks(ROWS_PER_TASK))
        .for_each(|(x, rows)| turn_rows(x, width, head, rows, table, turn));
}

vectorized! {
    fn turn_rows(
        x: &mut [f32],
        width: usize,
        head: usize,
        rows: &[u32],
        table: &Table,
        turn: Turn,
    ) {
        let (half, sign) = (table.half, if turn == Turn::Forward { 1.0 } else { -1.0 });
        for (x, row) in x.chunks_exact_mut(width).zip(rows) {
            let (cos, sin) = table.row(*row as usize);
            for head in x.chunks_exact_mut(head) {
                let (low, high) = head[..2 * half].split_at_mut(half);
                for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    let (x, y, s) = (*a, *b, s * sign);
                    *a = x * c - y * s;
                    *b = y * c + x * s;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot, random};

    #[test]
    fn the_inverse_undoes_the_rotation() {
        let table = Table::new(&[vec![1.0, 0.1]], 50, 1.0);
        let x = random(4, 3 * 8);
        let mut turned = x.clone();
        apply(&mut turned, 8, 4, &[0, 7, 49], &table, Turn::Forward);
        assert_eq!(turned[..8], x[..8], "position 0 is not rotated");
        assert!((turned[8] - (x[8] * 7f32.cos() - x[10] * 7f32.sin())).abs() < 1e-6);
        apply(&mut turned, 8, 4, &[0, 7, 49], &table, Turn::Inverse);
        assert!(turned.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn the_end_of_a_head_may_stay_and_sets_of_frequencies_differ() {
        let table = Table::new(&[vec![1.0], vec![0.5]], 10, 2.0);
        let mut x = vec![1.0, 0.0, 5.0, 0.0, 1.0, 6.0];
        let rows = [table.row_of(1, 3)];
        apply(&mut x, 6, 3, &rows, &table, Turn::Forward);
        let (cos, sin) = (2.0 * 1.5f32.cos(), 2.0 * 1.5f32.sin());
        assert_eq!(x, vec![cos, sin, 5.0, -sin, cos, 6.0]);
    }

    #[test]
    fn the_inverse_is_the_gradient_also_with_a_factor() {
        let table = Table::new(&[vec![0.3, 0.7]], 20, 1.3);
        let rows: Vec<u32> = (0..9).collect();
        let (x, w) = (random(1, 9 * 12), random(2, 9 * 12));
        let turned = |x: &[f32], turn| {
            let mut x = x.to_vec();
            apply(&mut x, 12, 6, &rows, &table, turn);
            x
        };
        let gradient = turned(&w, Turn::Inverse);
        check_gradient(&x, &gradient, 1, |x| dot(&turned(x, Turn::Forward), &w));
    }
}
