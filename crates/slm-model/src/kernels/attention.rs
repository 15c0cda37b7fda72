//! Causal attention over packed samples with grouped heads, storing no S x S scores.
//!
//! `o = softmax(scale q k^T) v` within each segment (sample) only. The forward keeps one log-sum-exp
//! per row and head; the backward recomputes the scores block by block (Dao et al. 2022).

use rayon::prelude::*;

use super::exp::{dot, exp_shifted, max, vectorized};
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

/// Scores of query rows `from..to` of one head against keys `0..to`, scaled: [to - from, to].
fn scores(
    buffer: &mut [f32],
    segment: Segment<'_>,
    head: usize,
    from: usize,
    to: usize,
    heads: Heads,
) {
    let (qw, kw, hd) = (heads.query_width(), heads.key_value_width(), heads.width);
    let q = View::strided(&segment.q[from * qw + head * hd..], to - from, hd, qw);
    let k = View::strided(&segment.k[heads.key_column(head)..], to, hd, kw);
    product(buffer, to, q, k.t(), Write::Set, heads.scale, Threads::One);
}

fn forward_segment(segment: Segment<'_>, o: &mut [f32], lse: &mut [f32], heads: Heads) {
    let (qw, kw, hd) = (heads.query_width(), heads.key_value_width(), heads.width);
    let mut buffer = vec![0.0; BLOCK.min(segment.rows) * segment.rows];
    for from in (0..segment.rows).step_by(BLOCK) {
        let to = (from + BLOCK).min(segment.rows);
        for head in 0..heads.query {
            let p = &mut buffer[..(to - from) * to];
            scores(p, segment, head, from, to, heads);
            vectorized(|| {
                for (i, row) in p.chunks_exact_mut(to).enumerate() {
                    lse[(from + i) * heads.query + head] = softmax_row(row, from + i + 1);
                }
            });
            let v = View::strided(&segment.v[heads.key_column(head)..], to, hd, kw);
            product(
                &mut o[from * qw + head * hd..],
                qw,
                View::new(p, to - from, to),
                v,
                Write::Set,
                1.0,
                Threads::One,
            );
        }
    }
}

/// Softmax over the first `seen` scores of a row, the rest set to zero; returns the log-sum-exp.
#[inline(always)]
fn softmax_row(row: &mut [f32], seen: usize) -> f32 {
    let (known, future) = row.split_at_mut(seen);
    let top = max(known);
    let sum = exp_shifted(known, top);
    let inverse = 1.0 / sum;
    known.iter_mut().for_each(|p| *p *= inverse);
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
    let size = BLOCK.min(segment.rows) * segment.rows;
    let (mut p, mut dp) = (vec![0.0; size], vec![0.0; size]);
    for from in (0..segment.rows).step_by(BLOCK) {
        let to = (from + BLOCK).min(segment.rows);
        for head in 0..heads.query {
            let column = heads.key_column(head);
            let (p, ds) = (&mut p[..(to - from) * to], &mut dp[..(to - from) * to]);
            scores(p, segment, head, from, to, heads);
            let d_o = View::strided(&known.d_o[from * qw + head * hd..], to - from, hd, qw);
            let v = View::strided(&segment.v[column..], to, hd, kw);
            product(ds, to, d_o, v.t(), Write::Set, 1.0, Threads::One);
            probabilities_and_scores_gradient(p, ds, known, head, from, to, heads);
            let (p, ds) = (View::new(p, to - from, to), View::new(ds, to - from, to));
            let q = View::strided(&segment.q[from * qw + head * hd..], to - from, hd, qw);
            let k = View::strided(&segment.k[column..], to, hd, kw);
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

/// Turns scores into probabilities, and `dp` into `ds = p (dp - sum(do o))`.
fn probabilities_and_scores_gradient(
    p: &mut [f32],
    dp: &mut [f32],
    known: Known<'_>,
    head: usize,
    from: usize,
    to: usize,
    heads: Heads,
) {
    let (qw, hd) = (heads.query_width(), heads.width);
    vectorized(|| {
        for (i, (p, dp)) in p
            .chunks_exact_mut(to)
            .zip(dp.chunks_exact_mut(to))
            .enumerate()
        {
            let row = from + i;
            let span = row * qw + head * hd..row * qw + (head + 1) * hd;
            let delta = dot(&known.d_o[span.clone()], &known.o[span]);
            exp_shifted(&mut p[..=row], known.lse[row * heads.query + head]);
            p[row + 1..].fill(0.0);
            for (dp, p) in dp.iter_mut().zip(p.iter()) {
                *dp = p * (*dp - delta);
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
    fn gradients_match_finite_differences() {
        let (m, bounds) = (75, [0, 5, 75]);
        let (q, k, v, g) = (
            random(1, m * 24),
            random(2, m * 12),
            random(3, m * 12),
            random(4, m * 24),
        );
        let (o, lse) = forward(&q, &k, &v, &bounds, HEADS);
        let (dq, dk, dv) = backward(&g, &q, &k, &v, &o, &lse, &bounds, HEADS);
        check_gradient(&q, &dq, 37, |q| {
            loss(&forward(q, &k, &v, &bounds, HEADS).0, &g)
        });
        check_gradient(&k, &dk, 17, |k| {
            loss(&forward(&q, k, &v, &bounds, HEADS).0, &g)
        });
        check_gradient(&v, &dv, 17, |v| {
            loss(&forward(&q, &k, v, &bounds, HEADS).0, &g)
        });
    }
}
