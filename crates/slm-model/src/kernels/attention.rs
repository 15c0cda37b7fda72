//! Causal attention over packed samples with grouped heads, storing no S x S scores.
//!
//! `o = softmax(cap tanh(scale q k^T / cap)) v` within each segment (sample) only, over all rows
//! before or those of a sliding window; without a cap the scores are as they come. The forward
//! keeps one log-sum-exp per row and head; the backward recomputes the scores block by block (Dao
//! et al. 2022). A window costs what it spans, not what the segment does.

use rayon::prelude::*;

use super::exp::{dot, exp_shifted, max, soft_cap, vectorized};
use super::gemm::{Threads, View, Write, product};

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

    /// First column of the keys that query head `head` reads.
    fn key_column(&self, head: usize) -> usize {
        head / (self.query / self.key_value) * self.width
    }
}

/// Inputs of one segment.
#[derive(Clone, Copy)]
struct Segment<'a> {
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    rows: usize,
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
    let mut o = vec![0.0; rows * heads.query_width()];
    let mut lse = vec![0.0; rows * heads.query];
    let outputs = split(&mut o, bounds, heads.query_width())
        .into_iter()
        .zip(split(&mut lse, bounds, heads.query));
    let work: Vec<_> = segments(q, k, v, bounds, heads)
        .into_iter()
        .zip(outputs)
        .collect();
    work.into_par_iter()
        .for_each(|(segment, (o, lse))| forward_segment(segment, o, lse, heads));
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
    let (qw, kw) = (heads.query_width(), heads.key_value_width());
    let (mut dq, mut dk, mut dv) = (vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]);
    let outputs = split(&mut dq, bounds, qw)
        .into_iter()
        .zip(split(&mut dk, bounds, kw))
        .zip(split(&mut dv, bounds, kw));
    let work: Vec<_> = segments(q, k, v, bounds, heads)
        .into_iter()
        .zip(outputs)
        .zip(bounds.windows(2))
        .collect();
    work.into_par_iter()
        .for_each(|((segment, ((dq, dk), dv)), span)| {
            let known = Known {
                o: &o[span[0] * qw..span[1] * qw],
                d_o: &d_o[span[0] * qw..span[1] * qw],
                lse: &lse[span[0] * heads.query..span[1] * heads.query],
            };
            backward_segment(segment, known, Gradients { dq, dk, dv }, heads);
        });
    (dq, dk, dv)
}

fn split<'a>(mut data: &'a mut [f32], bounds: &[usize], width: usize) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(bounds.len());
    for span in bounds.windows(2) {
        let (part, rest) = data.split_at_mut((span[1] - span[0]) * width);
        parts.push(part);
        data = rest;
    }
    parts
}

fn segments<'a>(
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    bounds: &[usize],
    heads: Heads,
) -> Vec<Segment<'a>> {
    let (qw, kw) = (heads.query_width(), heads.key_value_width());
    let cut =
        |data: &'a [f32], span: &[usize], width: usize| &data[span[0] * width..span[1] * width];
    bounds
        .windows(2)
        .map(|span| Segment {
            q: cut(q, span, qw),
            k: cut(k, span, kw),
            v: cut(v, span, kw),
            rows: span[1] - span[0],
        })
        .collect()
}

/// Some query rows of one head, and the first key row that any of them sees.
#[derive(Clone, Copy)]
struct Block {
    head: usize,
    from: usize,
    to: usize,
    first: usize,
}

impl Block {
    fn new(head: usize, from: usize, rows: usize, heads: Heads) -> Self {
        Self {
            head,
            from,
            to: (from + BLOCK).min(rows),
            first: heads.first_seen(from),
        }
    }

    fn rows(&self) -> usize {
        self.to - self.from
    }

    /// Key rows that are scored.
    fn keys(&self) -> usize {
        self.to - self.first
    }

    /// Among them, those that query row `self.from + i` sees.
    fn seen(&self, i: usize, heads: Heads) -> std::ops::Range<usize> {
        heads.first_seen(self.from + i) - self.first..self.from + i + 1 - self.first
    }
}

/// Scores of a block's rows against its keys, scaled: [rows, keys].
fn scores(buffer: &mut [f32], segment: Segment<'_>, block: Block, heads: Heads) {
    let (qw, kw, hd) = (heads.query_width(), heads.key_value_width(), heads.width);
    let column = block.first * kw + heads.key_column(block.head);
    let q = &segment.q[block.from * qw + block.head * hd..];
    let q = View::strided(q, block.rows(), hd, qw);
    let k = View::strided(&segment.k[column..], block.keys(), hd, kw);
    product(
        buffer,
        block.keys(),
        q,
        k.t(),
        Write::Set,
        heads.scale,
        Threads::One,
    );
}

/// Keys that the widest block of a segment scores.
fn widest(rows: usize, heads: Heads) -> usize {
    heads
        .window
        .map_or(rows, |window| rows.min(window.saturating_add(BLOCK)))
}

fn forward_segment(segment: Segment<'_>, o: &mut [f32], lse: &mut [f32], heads: Heads) {
    let (qw, kw, hd) = (heads.query_width(), heads.key_value_width(), heads.width);
    let mut buffer = vec![0.0; BLOCK.min(segment.rows) * widest(segment.rows, heads)];
    for from in (0..segment.rows).step_by(BLOCK) {
        for head in 0..heads.query {
            let block = Block::new(head, from, segment.rows, heads);
            let keys = block.keys();
            let p = &mut buffer[..block.rows() * keys];
            scores(p, segment, block, heads);
            vectorized(|| {
                for (i, row) in p.chunks_exact_mut(keys).enumerate() {
                    let seen = block.seen(i, heads);
                    if let Some(cap) = heads.softcap {
                        let seen = row[seen.clone()].iter_mut();
                        seen.for_each(|score| *score = soft_cap(*score, cap));
                    }
                    lse[(from + i) * heads.query + head] = softmax_row(row, seen);
                }
            });
            let column = block.first * kw + heads.key_column(head);
            let v = View::strided(&segment.v[column..], keys, hd, kw);
            product(
                &mut o[from * qw + head * hd..],
                qw,
                View::new(p, block.rows(), keys),
                v,
                Write::Set,
                1.0,
                Threads::One,
            );
        }
    }
}

/// Softmax over the scores in `seen`, the rest set to zero; returns the log-sum-exp.
#[inline(always)]
fn softmax_row(row: &mut [f32], seen: std::ops::Range<usize>) -> f32 {
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

/// What the forward left, and the gradient that comes in, of one segment.
#[derive(Clone, Copy)]
struct Known<'a> {
    o: &'a [f32],
    d_o: &'a [f32],
    lse: &'a [f32],
}

/// Gradients of one segment, to be filled.
struct Gradients<'a> {
    dq: &'a mut [f32],
    dk: &'a mut [f32],
    dv: &'a mut [f32],
}

fn backward_segment(segment: Segment<'_>, known: Known<'_>, out: Gradients<'_>, heads: Heads) {
    let (qw, kw, hd) = (heads.query_width(), heads.key_value_width(), heads.width);
    let size = BLOCK.min(segment.rows) * widest(segment.rows, heads);
    let (mut p, mut dp) = (vec![0.0; size], vec![0.0; size]);
    for from in (0..segment.rows).step_by(BLOCK) {
        for head in 0..heads.query {
            let block = Block::new(head, from, segment.rows, heads);
            let (rows, keys) = (block.rows(), block.keys());
            let column = block.first * kw + heads.key_column(head);
            let (p, ds) = (&mut p[..rows * keys], &mut dp[..rows * keys]);
            scores(p, segment, block, heads);
            let d_o = View::strided(&known.d_o[from * qw + head * hd..], rows, hd, qw);
            let v = View::strided(&segment.v[column..], keys, hd, kw);
            product(ds, keys, d_o, v.t(), Write::Set, 1.0, Threads::One);
            probabilities_and_scores_gradient(p, ds, known, block, heads);
            let (p, ds) = (View::new(p, rows, keys), View::new(ds, rows, keys));
            let q = View::strided(&segment.q[from * qw + head * hd..], rows, hd, qw);
            let k = View::strided(&segment.k[column..], keys, hd, kw);
            product(
                &mut out.dv[column..],
                kw,
                p.t(),
                d_o,
                Write::Add,
                1.0,
                Threads::One,
            );
            product(
                &mut out.dq[from * qw + head * hd..],
                qw,
                ds,
                k,
                Write::Set,
                heads.scale,
                Threads::One,
            );
            product(
                &mut out.dk[column..],
                kw,
                ds.t(),
                q,
                Write::Add,
                heads.scale,
                Threads::One,
            );
        }
    }
}

/// Turns scores into probabilities, and `dp` into `ds = p (dp - sum(do o))`, times the slope of the
/// bound where there is one.
fn probabilities_and_scores_gradient(
    p: &mut [f32],
    dp: &mut [f32],
    known: Known<'_>,
    block: Block,
    heads: Heads,
) {
    let (qw, hd, keys) = (heads.query_width(), heads.width, block.keys());
    vectorized(|| {
        let mut slopes = vec![1.0; if heads.softcap.is_some() { keys } else { 0 }];
        let rows = p.chunks_exact_mut(keys).zip(dp.chunks_exact_mut(keys));
        for (i, (p, dp)) in rows.enumerate() {
            let (row, seen) = (block.from + i, block.seen(i, heads));
            let span = row * qw + block.head * hd..row * qw + (block.head + 1) * hd;
            let delta = dot(&known.d_o[span.clone()], &known.o[span]);
            if let Some(cap) = heads.softcap {
                for (score, slope) in p[seen.clone()].iter_mut().zip(&mut slopes[seen.clone()]) {
                    *score = soft_cap(*score, cap);
                    *slope = 1.0 - (*score / cap) * (*score / cap);
                }
            }
            let lse = known.lse[row * heads.query + block.head];
            exp_shifted(&mut p[seen.clone()], lse);
            p[..seen.start].fill(0.0);
            p[seen.end..].fill(0.0);
            for (dp, p) in dp.iter_mut().zip(p.iter()) {
                *dp = p * (*dp - delta);
            }
            for (dp, slope) in dp.iter_mut().zip(&slopes) {
                *dp *= slope;
            }
        }
    });
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
