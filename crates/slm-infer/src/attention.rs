//! Causal attention of new tokens over their sequences' caches.
//!
//! A query's scores, softmax and mean are computed in one fixed order, whether it comes in a
//! prefill or a decode step.

use std::ops::Range;

use rayon::prelude::*;
use slm_model::ModelConfig;
use slm_model::quant::activations::{FloatTiles, tile_widths};
use slm_model::quant::kernel::{Panels, f32_panels};
use slm_model::quant::{Isa, LANES, MAX_TILE, Threads};

use crate::cache::Cache;
use crate::elementwise::{soft_cap, softmax};

/// Queries of one sequence that a task takes on.
const QUERIES_PER_TASK: usize = 16;

/// Panels of keys or values that are multiplied together.
const PANELS_AT_ONCE: usize = 4;

/// Multiplications below which attention stays on one thread.
const WORTH_SPLITTING: usize = 1 << 17;

/// New tokens of one sequence: rows `first_row..` of the step, from position `start` on.
pub struct Stretch<'a> {
    pub cache: &'a Cache,
    pub first_row: usize,
    pub start: usize,
    pub tokens: usize,
}

/// Some queries of one sequence, in some of the heads that share a key and value head.
struct Task<'a> {
    cache: &'a Cache,
    /// The key and value head.
    head: usize,
    /// The first query head, and how many.
    first: usize,
    heads: usize,
    row: usize,
    position: usize,
    queries: usize,
}

/// Attention of all rows of a step in one layer.
///
/// # Shapes
/// `queries`: rows `stride` apart, each starting with [heads * head_dim]; result
/// [m, heads * head_dim].
pub fn attend(
    config: &ModelConfig,
    layer: usize,
    queries: &[f32],
    stride: usize,
    stretches: &[Stretch<'_>],
    threads: Threads,
) -> Vec<f32> {
    let tasks = tasks(config, stretches);
    let work: usize = tasks
        .iter()
        .map(|t| t.heads * t.queries * (t.position + t.queries))
        .sum();
    let one = |task: &Task<'_>| run(config, layer, queries, stride, task);
    let results: Vec<Vec<f32>> =
        if threads == Threads::One || work * config.head_dim < WORTH_SPLITTING {
            tasks.iter().map(one).collect()
        } else {
            tasks.par_iter().map(one).collect()
        };
    let width = config.query_width();
    let rows = stretches
        .iter()
        .map(|stretch| stretch.tokens)
        .sum::<usize>();
    let mut out = vec![0.0; rows * width];
    for (task, result) in tasks.iter().zip(&results) {
        let part = task.heads * config.head_dim;
        for (i, values) in result.chunks_exact(part).enumerate() {
            let start = (task.row + i) * width + task.first * config.head_dim;
            out[start..start + part].copy_from_slice(values);
        }
    }
    out
}

fn tasks<'a>(config: &ModelConfig, stretches: &[Stretch<'a>]) -> Vec<Task<'a>> {
    let group = config.num_attention_heads / config.num_key_value_heads;
    let mut tasks = Vec::new();
    for stretch in stretches {
        for first in (0..stretch.tokens).step_by(QUERIES_PER_TASK) {
            let queries = QUERIES_PER_TASK.min(stretch.tokens - first);
            // Of one query every tile passes over the keys by itself, so that each may be a task.
            let parts = match queries {
                1 => tile_widths(group).collect(),
                _ => vec![group],
            };
            for head in 0..config.num_key_value_heads {
                let mut before = head * group;
                for heads in &parts {
                    tasks.push(Task {
                        cache: stretch.cache,
                        head,
                        first: before,
                        heads: *heads,
                        row: stretch.first_row + first,
                        position: stretch.start + first,
                        queries,
                    });
                    before += heads;
                }
            }
        }
    }
    tasks
}

/// Result [queries, heads of the task, head_dim].
fn run(
    config: &ModelConfig,
    layer: usize,
    queries: &[f32],
    stride: usize,
    task: &Task<'_>,
) -> Vec<f32> {
    let head_dim = config.head_dim;
    let part = task.heads * head_dim;
    let mut rows = Vec::with_capacity(task.queries * part);
    for query in 0..task.queries {
        let start = (task.row + query) * stride + task.first * head_dim;
        rows.extend_from_slice(&queries[start..start + part]);
    }
    let mut out = vec![0.0; rows.len()];
    let mut scratch = Scratch::default();
    let window = config.layers[layer].window.unwrap_or(usize::MAX);
    let scoring = Scoring::new(config);
    for (row, width, tile) in FloatTiles::new(&rows, task.queries * task.heads, head_dim).tiles() {
        let seen: Vec<Range<usize>> = (row..row + width)
            .map(|row| task.position + row / task.heads + 1)
            .map(|end| end.saturating_sub(window)..end)
            .collect();
        let out = &mut out[row * head_dim..(row + width) * head_dim];
        scratch.tile(task, layer, tile, &seen, scoring, out);
    }
    out
}

/// How products of queries and keys become scores.
#[derive(Clone, Copy)]
struct Scoring {
    head_dim: usize,
    scale: f32,
    cap: Option<f32>,
}

impl Scoring {
    fn new(config: &ModelConfig) -> Self {
        Self {
            head_dim: config.head_dim,
            scale: config.score_scale(),
            cap: config.attention_softcap.map(|cap| cap as f32),
        }
    }

    /// Softmax of the scores, in place.
    fn softmax(self, scores: &mut [f32]) {
        match self.cap {
            None => softmax(scores, self.scale),
            Some(cap) => {
                soft_cap(scores, self.scale, cap);
                softmax(scores, 1.0);
            }
        }
    }
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    weights: Vec<f32>,
}

impl Scratch {
    /// One tile of rows, row `m` of which sees the positions `seen[m]`. What lies before all of
    /// them is not read.
    ///
    /// # Shapes
    /// `tile` [head_dim][seen.len()], `out` [seen.len(), head_dim].
    fn tile(
        &mut self,
        task: &Task<'_>,
        layer: usize,
        tile: &[f32],
        seen: &[Range<usize>],
        scoring: Scoring,
        out: &mut [f32],
    ) {
        let width = seen.len();
        let most = seen.iter().map(|seen| seen.end).max().unwrap_or(0);
        let least = seen.iter().map(|seen| seen.start).min().unwrap_or(0);
        let base = least / LANES * LANES;
        self.score(task, layer, tile, width, base..most, scoring.head_dim);
        self.weights.clear();
        self.weights.resize(width * (most - base), 0.0);
        let stride = (most - base).next_multiple_of(LANES);
        for (m, (scores, seen)) in self.scores.chunks_exact_mut(stride).zip(seen).enumerate() {
            let scores = &mut scores[seen.start - base..seen.end - base];
            scoring.softmax(scores);
            let weights = self.weights.chunks_exact_mut(width);
            for (weights, score) in weights.skip(seen.start - base).zip(scores.iter()) {
                weights[m] = *score;
            }
        }
        self.mean(task, layer, width, base, scoring.head_dim, out);
    }

    /// Products of the tile's rows with the keys at `positions`, which start a panel.
    fn score(
        &mut self,
        task: &Task<'_>,
        layer: usize,
        tile: &[f32],
        width: usize,
        positions: Range<usize>,
        head_dim: usize,
    ) {
        let panels = positions.len().div_ceil(LANES);
        let stride = panels * LANES;
        self.scores.clear();
        self.scores.resize(width * stride, 0.0);
        let mut lanes = [[0.0f32; LANES]; PANELS_AT_ONCE * MAX_TILE];
        let keys = task.cache.keys(layer, task.head, positions.end);
        let keys = &keys[positions.start / LANES * head_dim..];
        for first in (0..panels).step_by(PANELS_AT_ONCE) {
            let count = PANELS_AT_ONCE.min(panels - first);
            let panels = Panels {
                data: &keys[first * head_dim..],
                stride: head_dim,
            };
            f32_panels(Isa::best(), panels, count, tile, width, &mut lanes, width);
            for (i, lanes) in lanes.chunks_exact(width).take(count).enumerate() {
                for (scores, lanes) in self.scores.chunks_exact_mut(stride).zip(lanes) {
                    let start = (first + i) * LANES;
                    scores[start..start + LANES].copy_from_slice(lanes);
                }
            }
        }
    }

    /// The mean of the values from position `base` on, by the weights.
    fn mean(
        &self,
        task: &Task<'_>,
        layer: usize,
        width: usize,
        base: usize,
        head_dim: usize,
        out: &mut [f32],
    ) {
        let mut lanes = [[0.0f32; LANES]; PANELS_AT_ONCE * MAX_TILE];
        let (values, stride) = task.cache.values(layer, task.head);
        for first in (0..head_dim.div_ceil(LANES)).step_by(PANELS_AT_ONCE) {
            let count = PANELS_AT_ONCE.min(head_dim.div_ceil(LANES) - first);
            let panels = Panels {
                data: &values[first * stride + base..],
                stride,
            };
            let weights = &self.weights;
            f32_panels(
                Isa::best(),
                panels,
                count,
                weights,
                width,
                &mut lanes,
                width,
            );
            for (i, lanes) in lanes.chunks_exact(width).take(count).enumerate() {
                for (out, lanes) in out.chunks_exact_mut(head_dim).zip(lanes) {
                    let out = &mut out[(first + i) * LANES..];
                    let kept = out.len().min(LANES);
                    out[..kept].copy_from_slice(&lanes[..kept]);
                }
            }
        }
    }
}
