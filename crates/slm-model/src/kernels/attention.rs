//! Causal attention over packed samples with grouped heads, storing no S x S scores.
//!
//! `o = softmax(cap tanh(scale q k^T / cap)) v` within each segment (sample) only, over all rows
//! before or those of a sliding window; without a cap the scores are as they come. The forward
//! keeps one log-sum-exp per row and head; the backward recomputes the scores block by block (Dao
//! et al. 2022). A window costs what it spans, not what the segment does.
//!
//! A task is one key head of one segment: the query heads that share it are stacked, block by
//! block, so that a product serves all of them. No gradient is shared between tasks.

use std::ops::Range;

use rayon::prelude::*;

use super::exp::{dot, exp_shifted, max, soft_cap};
use super::gemm::{Threads, View, Write, product};
use crate::vectorized;

/// Query rows scored at once.
const BLOCK: usize = 64;

/// Heads and their width.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heads {
    /// Query heads.
    pub query: usize,
    /// Key and value heads; divides `query`.
    pub key_value: usize,
    /// Width of one head.
    pub width: usize,
    /// Factor on the scores, usually `1 / sqrt(width)`.
    pub scale: f32,
    /// Bound of the scores, if any.
    pub softcap: Option<f32>,
    /// Most rows that a row sees, itself included; all before it where none.
    pub window: Option<usize>,
}

impl Heads {
    /// Width of a row of queries.
    pub fn query_width(&self) -> usize {
        self.query * self.width
    }

    /// Width of a row of keys or values.
    pub fn key_value_width(&self) -> usize {
        self.key_value * self.width
    }

    /// First row that row `row` sees.
    fn first_seen(&self, row: usize) -> usize {
        self.window
            .map_or(0, |window| (row + 1).saturating_sub(window))
    }

    /// Query heads that share a key head.
    fn group(&self) -> usize {
        self.query / self.key_value
    }
}

/// One key head of one segment.
#[derive(Clone, Copy)]
struct Part {
    /// First row of the segment.
    start: usize,
    /// Rows of the segment.
    rows: usize,
    key_head: usize,
    heads: Heads,
}

/// The tasks of a batch, segment after segment.
fn parts(bounds: &[usize], heads: Heads) -> Vec<Part> {
    let of_segment = |span: &[usize]| {
        let (start, rows) = (span[0], span[1] - span[0]);
        (0..heads.key_value).map(move |key_head| Part {
            start,
            rows,
            key_head,
            heads,
        })
    };
    bounds.windows(2).flat_map(of_segment).collect()
}

impl Part {
    fn blocks(self) -> impl Iterator<Item = Block> {
        let starts = (0..self.rows).step_by(BLOCK);
        starts.map(move |from| Block::new(from, self.rows, self.heads))
    }

    /// Calls `visit` with the place of each stacked row, among all rows of all query heads.
    fn each_stacked(self, mut visit: impl FnMut(usize)) {
        let group = self.heads.group();
        for block in self.blocks() {
            for head in self.key_head * group..(self.key_head + 1) * group {
                for row in block.from..block.to {
                    visit((self.start + row) * self.heads.query + head);
                }
            }
        }
    }

    /// The part's query heads of `x`, block after block and in a block head after head.
    ///
    /// # Shapes
    /// `x` [m, query heads, width]; result [rows * group, width].
    fn stack(self, x: &[f32], width: usize) -> Vec<f32> {
        let mut out = Vec::with_capacity(self.rows * self.heads.group() * width);
        self.each_stacked(|at| out.extend_from_slice(&x[at * width..(at + 1) * width]));
        out
    }

    /// The reverse of [`Part::stack`].
    fn unstack(self, stacked: &[f32], width: usize, x: &mut [f32]) {
        let mut rows = stacked.chunks_exact(width);
        self.each_stacked(|at| {
            if let Some(row) = rows.next() {
                x[at * width..(at + 1) * width].copy_from_slice(row);
            }
        });
    }

    /// The part's columns of keys or values, from row `first` of the segment on: [rows, width].
    fn keys<'a>(&self, x: &'a [f32], first: usize, rows: usize) -> View<'a> {
        let (stride, width) = (self.heads.key_value_width(), self.heads.width);
        let start = (self.start + first) * stride + self.key_head * width;
        View::strided(&x[start..], rows, width, stride)
    }

    /// Copies a gradient of the part's keys or values to its columns.
    fn put_keys(&self, gradient: &[f32], x: &mut [f32]) {
        let (stride, width) = (self.heads.key_value_width(), self.heads.width);
        let rows = x[self.start * stride..].chunks_exact_mut(stride);
        for (row, gradient) in rows.zip(gradient.chunks_exact(width)) {
            row[self.key_head * width..][..width].copy_from_slice(gradient);
        }
    }
}

/// Attends within each segment.
///
/// # Shapes
/// `q` [m, query width], `k`, `v` [m, key width]; `bounds` [segments + 1] from 0 to m.
/// Returns `o` [m, query width] and log-sum-exps [m, query heads].
pub fn forward(
    q: &[f32],
    k: &[f32],
    v: &[f32],
    bounds: &[usize],
    heads: Heads,
) -> (Vec<f32>, Vec<f32>) {
    let rows = bounds.last().copied().unwrap_or(0);
    let parts = parts(bounds, heads);
    let found: Vec<_> = parts
        .par_iter()
        .with_max_len(1)
        .map(|part| forward_part(*part, &part.stack(q, heads.width), k, v))
        .collect();
    let mut o = vec![0.0; rows * heads.query_width()];
    let mut lse = vec![0.0; rows * heads.query];
    for (part, (stacked, sums)) in parts.iter().zip(&found) {
        part.unstack(stacked, heads.width, &mut o);
        part.unstack(sums, 1, &mut lse);
    }
    (o, lse)
}

/// Gradients of [`forward`] towards `q`, `k` and `v`.
///
/// # Shapes
/// `d_o`, `o` [m, query width], `lse` [m, query heads]; results as the inputs.
pub fn backward(
    d_o: &[f32],
    q: &[f32],
    k: &[f32],
    v: &[f32],
    o: &[f32],
    lse: &[f32],
    bounds: &[usize],
    heads: Heads,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let parts = parts(bounds, heads);
    let found: Vec<_> = parts
        .par_iter()
        .with_max_len(1)
        .map(|part| {
            let known = Known {
                q: &part.stack(q, heads.width),
                o: &part.stack(o, heads.width),
                d_o: &part.stack(d_o, heads.width),
                lse: &part.stack(lse, 1),
            };
            backward_part(*part, known, k, v)
        })
        .collect();
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    for (part, found) in parts.iter().zip(&found) {
        part.unstack(&found.dq, heads.width, &mut dq);
        part.put_keys(&found.dk, &mut dk);
        part.put_keys(&found.dv, &mut dv);
    }
    (dq, dk, dv)
}

/// Some rows of a segment, and the first key row that any of them sees.
#[derive(Clone, Copy)]
struct Block {
    from: usize,
    to: usize,
    first: usize,
    heads: Heads,
}

impl Block {
    fn new(from: usize, rows: usize, heads: Heads) -> Self {
        Self {
            from,
            to: (from + BLOCK).min(rows),
            first: heads.first_seen(from),
            heads,
        }
    }

    fn rows(&self) -> usize {
        self.to - self.from
    }

    /// Key rows that are scored.
    fn keys(&self) -> usize {
        self.to - self.first
    }

    /// Its stacked rows: those of all heads of the group.
    fn stacked(&self) -> Range<usize> {
        self.from * self.heads.group()..self.to * self.heads.group()
    }

    /// The numbers of its stacked rows of `width`.
    fn of<'a>(&self, x: &'a [f32], width: usize) -> &'a [f32] {
        &x[self.stacked().start * width..self.stacked().end * width]
    }

    /// Among the keys, those that its stacked row `i` sees.
    fn seen(&self, i: usize) -> Range<usize> {
        let row = self.from + i % self.rows();
        self.heads.first_seen(row) - self.first..row + 1 - self.first
    }
}

/// Scores of a block's stacked rows against its keys, scaled: [rows * group, keys].
fn scores(buffer: &mut [f32], part: Part, block: Block, q: &[f32], k: &[f32]) {
    let (keys, width) = (block.keys(), part.heads.width);
    let q = View::new(block.of(q, width), block.stacked().len(), width);
    let k = part.keys(k, block.first, keys).t();
    product(
        buffer,
        keys,
        q,
        k,
        Write::Set,
        part.heads.scale,
        Threads::One,
    );
}

/// Numbers that the scores of the largest block of a part take.
fn largest(part: Part) -> usize {
    let blocks = part.blocks();
    blocks
        .map(|block| block.stacked().len() * block.keys())
        .max()
        .unwrap_or(0)
}

/// What [`forward`] returns, stacked, of one part; `q` is stacked.
fn forward_part(part: Part, q: &[f32], k: &[f32], v: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let width = part.heads.width;
    let mut buffer = vec![0.0; largest(part)];
    let mut o = vec![0.0; q.len()];
    let mut lse = vec![0.0; q.len() / width.max(1)];
    for block in part.blocks() {
        let (stacked, keys) = (block.stacked(), block.keys());
        let p = &mut buffer[..stacked.len() * keys];
        scores(p, part, block, q, k);
        softmax_rows(p, &mut lse[stacked.clone()], block);
        let o = &mut o[stacked.start * width..stacked.end * width];
        let p = View::new(p, stacked.len(), keys);
        let v = part.keys(v, block.first, keys);
        product(o, width, p, v, Write::Set, 1.0, Threads::One);
    }
    (o, lse)
}

vectorized! {
    /// Turns the scores of a block's stacked rows into probabilities, bounding them first where
    /// the heads do, and gives their log-sum-exps.
    fn softmax_rows(p: &mut [f32], lse: &mut [f32], block: Block) {
        for (i, (row, lse)) in p.chunks_exact_mut(block.keys()).zip(lse).enumerate() {
            let seen = block.seen(i);
            if let Some(cap) = block.heads.softcap {
                let seen = row[seen.clone()].iter_mut();
                seen.for_each(|score| *score = soft_cap(*score, cap));
            }
            *lse = softmax_row(row, seen);
        }
    }
}

/// Softmax over the scores in `seen`, the rest set to zero; returns the log-sum-exp.
#[inline(always)]
fn softmax_row(row: &mut [f32], seen: Range<usize>) -> f32 {
    let (begin, future) = row.split_at_mut(seen.end);
    let (past, known) = begin.split_at_mut(seen.start);
    let top = max(known);
    let sum = exp_shifted(known, top);
    let inverse = 1.0 / sum;
    known.iter_mut().for_each(|p| *p *= inverse);
    past.fill(0.0);
    future.fill(0.0);
    top + sum.ln()
}

/// Queries, what the forward left, and the gradient that comes in, of one part, stacked.
#[derive(Clone, Copy)]
struct Known<'a> {
    q: &'a [f32],
    o: &'a [f32],
    d_o: &'a [f32],
    lse: &'a [f32],
}

/// Gradients of one part: towards the stacked queries [rows * group, width], and towards keys and
/// values [rows, width].
struct Gradients {
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
}

fn backward_part(part: Part, known: Known<'_>, k: &[f32], v: &[f32]) -> Gradients {
    let (width, scale) = (part.heads.width, part.heads.scale);
    let size = largest(part);
    let (mut p, mut dp) = (vec![0.0; size], vec![0.0; size]);
    let mut out = Gradients {
        dq: vec![0.0; known.q.len()],
        dk: vec![0.0; part.rows * width],
        dv: vec![0.0; part.rows * width],
    };
    for block in part.blocks() {
        let (rows, keys) = (block.stacked().len(), block.keys());
        let (p, ds) = (&mut p[..rows * keys], &mut dp[..rows * keys]);
        scores(p, part, block, known.q, k);
        let q = View::new(block.of(known.q, width), rows, width);
        let d_o = View::new(block.of(known.d_o, width), rows, width);
        let (k, v) = (
            part.keys(k, block.first, keys),
            part.keys(v, block.first, keys),
        );
        product(ds, keys, d_o, v.t(), Write::Set, 1.0, Threads::One);
        probabilities_and_scores_gradient(p, ds, known, block);
        let (p, ds) = (View::new(p, rows, keys), View::new(ds, rows, keys));
        let seen = block.first * width..block.to * width;
        let (dk, dv) = (&mut out.dk[seen.clone()], &mut out.dv[seen]);
        product(dv, width, p.t(), d_o, Write::Add, 1.0, Threads::One);
        product(dk, width, ds.t(), q, Write::Add, scale, Threads::One);
        let dq = &mut out.dq[block.stacked().start * width..block.stacked().end * width];
        product(dq, width, ds, k, Write::Set, scale, Threads::One);
    }
    out
}

vectorized! {
    /// Turns scores into probabilities, and `dp` into `ds = p (dp - sum(do o))`, times the slope of
    /// the bound where there is one.
    fn probabilities_and_scores_gradient(
        p: &mut [f32],
        dp: &mut [f32],
        known: Known<'_>,
        block: Block,
    ) {
        let (heads, keys) = (block.heads, block.keys());
        let mut slopes = vec![1.0; if heads.softcap.is_some() { keys } else { 0 }];
        let rows = p.chunks_exact_mut(keys).zip(dp.chunks_exact_mut(keys));
        for (i, (p, dp)) in rows.enumerate() {
            let (row, seen) = (block.stacked().start + i, block.seen(i));
            let span = row * heads.width..(row + 1) * heads.width;
            let delta = dot(&known.d_o[span.clone()], &known.o[span]);
            if let Some(cap) = heads.softcap {
                for (score, slope) in p[seen.clone()].iter_mut().zip(&mut slopes[seen.clone()]) {
                    *score = soft_cap(*score, cap);
                    *slope = 1.0 - (*score / cap) * (*score / cap);
                }
            }
            exp_shifted(&mut p[seen.clone()], known.lse[row]);
            p[..seen.start].fill(0.0);
            p[seen.end..].fill(0.0);
            for (dp, p) in dp.iter_mut().zip(p.iter()) {
                *dp = p * (*dp - delta);
            }
            for (dp, slope) in dp.iter_mut().zip(&slopes) {
                *dp *= slope;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot as loss, random};

    const HEADS: Heads = Heads {
        query: 4,
        key_value: 2,
        width: 6,
        scale: 0.4,
        softcap: None,
        window: None,
    };

    #[test]
    fn a_packed_sample_equals_the_sample_alone() {
        let m = 90;
        let (q, k, v) = (random(1, m * 24), random(2, m * 12), random(3, m * 12));
        let (packed, _) = forward(&q, &k, &v, &[0, 20, 90], HEADS);
        let (alone, _) = forward(&q[20 * 24..], &k[20 * 12..], &v[20 * 12..], &[0, 70], HEADS);
        assert!(
            packed[20 * 24..]
                .iter()
                .zip(&alone)
                .all(|(a, b)| (a - b).abs() < 1e-6)
        );
        assert!(
            (packed[0] - v[0]).abs() < 1e-6,
            "the first token sees itself alone"
        );
    }

    #[test]
    fn a_window_sees_its_rows_and_no_more() {
        let m = 200;
        let (q, k, v) = (random(1, m * 24), random(2, m * 12), random(3, m * 12));
        for window in [1, 7, 64, 65, 150, 1000] {
            let heads = Heads {
                window: Some(window),
                ..HEADS
            };
            let (all, _) = forward(&q, &k, &v, &[0, m], heads);
            for row in [0, 6, 63, 64, 130, 199] {
                let first = (row + 1usize).saturating_sub(window);
                // The row's window alone: the last row of a causal segment sees all of it.
                let cut = |x: &[f32], width: usize| x[first * width..(row + 1) * width].to_vec();
                let (q, k, v) = (cut(&q, 24), cut(&k, 12), cut(&v, 12));
                let (alone, _) = forward(&q, &k, &v, &[0, row + 1 - first], HEADS);
                let found = &all[row * 24..(row + 1) * 24];
                let expected = &alone[alone.len() - 24..];
                let same = found
                    .iter()
                    .zip(expected)
                    .all(|(a, b)| (a - b).abs() < 1e-5);
                assert!(same, "row {row}, window {window}");
            }
        }
    }

    #[test]
    fn gradients_match_finite_differences() {
        let (m, bounds) = (75, [0, 5, 75]);
        let (q, k, v, g) = (
            random(1, m * 24),
            random(2, m * 12),
            random(3, m * 12),
            random(4, m * 24),
        );
        for (softcap, window) in [
            (None, None),
            (Some(0.7), None),
            (None, Some(3)),
            (Some(0.7), Some(9)),
        ] {
            let heads = Heads {
                softcap,
                window,
                ..HEADS
            };
            let (o, lse) = forward(&q, &k, &v, &bounds, heads);
            let (dq, dk, dv) = backward(&g, &q, &k, &v, &o, &lse, &bounds, heads);
            check_gradient(&q, &dq, 37, |q| {
                loss(&forward(q, &k, &v, &bounds, heads).0, &g)
            });
            check_gradient(&k, &dk, 17, |k| {
                loss(&forward(&q, k, &v, &bounds, heads).0, &g)
            });
            check_gradient(&v, &dv, 17, |v| {
                loss(&forward(&q, &k, v, &bounds, heads).0, &g)
            });
        }
    }
}
