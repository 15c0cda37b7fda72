//! Causal attention of new tokens over their sequences' caches.
//!
//! A query's scores, softmax and mean are computed in one fixed order, whether it comes in a
//! prefill or a decode step.

use rayon::prelude::*;
use slm_model::ModelConfig;
use slm_model::quant::activations::FloatTiles;
use slm_model::quant::kernel::{Panels, f32_panels};
use slm_model::quant::{Isa, LANES, MAX_TILE, Threads};

use crate::cache::Cache;
use crate::elementwise::softmax;

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

/// Some queries of one sequence and the heads that share one key and value head.
struct Task<'a> {
    cache: &'a Cache,
    head: usize,
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
        .map(|t| t.queries * (t.position + t.queries))
        .sum();
    let one = |task: &Task<'_>| run(config, layer, queries, stride, task);
    let group = config.num_attention_heads / config.num_key_value_heads;
    let results: Vec<Vec<f32>> =
        if threads == Threads::One || work * group * config.head_dim < WORTH_SPLITTING {
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
    let part = group * config.head_dim;
    for (task, result) in tasks.iter().zip(&results) {
        for (i, values) in result.chunks_exact(part).enumerate() {
            let start = (task.row + i) * width + task.head * part;
            out[start..start + part].copy_from_slice(values);
        }
    }
    out
}

fn tasks<'a>(config: &ModelConfig, stretches: &[Stretch<'a>]) -> Vec<Task<'a>> {
    let mut tasks = Vec::new();
    for stretch in stretches {
        for first in (0..stretch.tokens).step_by(QUERIES_PER_TASK) {
            for head in 0..config.num_key_value_heads {
                tasks.push(Task {
                    cache: stretch.cache,
                    head,
                    row: stretch.first_row + first,
                    position: stretch.start + first,
                    queries: QUERIES_PER_TASK.min(stretch.tokens - first),
                });
            }
        }
    }
    tasks
}

/// Result [queries, heads of the group, head_dim].
fn run(
    config: &ModelConfig,
    layer: usize,
    queries: &[f32],
    stride: usize,
    task: &Task<'_>,
) -> Vec<f32> {
    let head_dim = config.head_dim;
    let group = config.num_attention_heads / config.num_key_value_heads;
    let part = group * head_dim;
    let mut rows = Vec::with_capacity(task.queries * part);
    for query in 0..task.queries {
        let start = (task.row + query) * stride + task.head * part;
        rows.extend_from_slice(&queries[start..start + part]);
    }
    let mut out = vec![0.0; rows.len()];
    let mut scratch = Scratch::default();
    for (row, width, tile) in FloatTiles::new(&rows, task.queries * group, head_dim).tiles() {
        let seen: Vec<usize> = (row..row + width)
            .map(|row| task.position + row / group + 1)
            .collect();
        let out = &mut out[row * head_dim..(row + width) * head_dim];
        scratch.tile(task, layer, tile, &seen, head_dim, out);
    }
    out
}

/// Buffers of one task.
#[derive(Default)]
struct Scratch {
    scores: Vec<f32>,
    weights: Vec<f32>,
}

impl Scratch {
    /// One tile of rows, row `m` of which sees the first `seen[m]` positions.
    ///
    /// # Shapes
    /// `tile` [head_dim][seen.len()], `out` [seen.len(), head_dim].
    fn tile(
        &mut self,
        task: &Task<'_>,
        layer: usize,
        tile: &[f32],
        seen: &[usize],
        head_dim: usize,
        out: &mut [f32],
    ) {
        let (isa, width) = (Isa::best(), seen.len());
        let most = seen.last().copied().unwrap_or(0);
        let stride = most.next_multiple_of(LANES);
        self.scores.clear();
        self.scores.resize(width * stride, 0.0);
        let mut lanes = [[0.0f32; LANES]; PANELS_AT_ONCE * MAX_TILE];
        let keys = task.cache.keys(layer, task.head, most);
        for first in (0..most.div_ceil(LANES)).step_by(PANELS_AT_ONCE) {
            let count = PANELS_AT_ONCE.min(most.div_ceil(LANES) - first);
            let panels = Panels {
                data: &keys[first * head_dim..],
                stride: head_dim,
            };
            f32_panels(isa, panels, count, tile, width, &mut lanes, width);
            for (i, lanes) in lanes.chunks_exact(width).take(count).enumerate() {
                for (scores, lanes) in self.scores.chunks_exact_mut(stride).zip(lanes) {
                    let start = (first + i) * LANES;
                    scores[start..start + LANES].copy_from_slice(lanes);
                }
            }
        }
        self.weights.clear();
        self.weights.resize(width * most, 0.0);
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (m, (scores, seen)) in self.scores.chunks_exact_mut(stride).zip(seen).enumerate() {
            softmax(&mut scores[..*seen], scale);
            for (weights, score) in self.weights.chunks_exact_mut(width).zip(&scores[..*seen]) {
                weights[m] = *score;
            }
        }
        let (values, stride) = task.cache.values(layer, task.head);
        for first in (0..head_dim.div_ceil(LANES)).step_by(PANELS_AT_ONCE) {
            let count = PANELS_AT_ONCE.min(head_dim.div_ceil(LANES) - first);
            let panels = Panels {
                data: &values[first * stride..],
                stride,
            };
            f32_panels(isa, panels, count, &self.weights, width, &mut lanes, width);
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
