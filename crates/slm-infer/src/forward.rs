//! The decoder's forward pass over new tokens of one or many sequences.
//!
//! Prefill takes many tokens of one sequence, decode one token of each of many; both give, bit for
//! bit, what the tokens one by one would.

use slm_model::quant::{Linear, Threads};

use crate::attention::{Stretch, attend};
use crate::cache::Cache;
use crate::elementwise::{add, rms_norm, rotate, swiglu};
use crate::model::{Layer, Model};

/// Most tokens of a prompt that are taken at once, to bound the memory of activations.
const PREFILL_TOKENS: usize = 512;

/// New tokens of one sequence, and the cache of those before.
pub struct Span<'a> {
    /// What the sequence has seen; must have room for the tokens.
    pub cache: &'a mut Cache,
    /// The next tokens, each below the model's vocabulary.
    pub tokens: &'a [u32],
}

impl Model {
    /// Feeds a prompt and returns the logits after its last token; no logits without tokens.
    ///
    /// # Shapes
    /// Result [vocab_size].
    ///
    /// # Panics
    /// When a token is outside the vocabulary or the cache has no room.
    pub fn prefill(&self, cache: &mut Cache, tokens: &[u32], threads: Threads) -> Vec<f32> {
        let mut last = Vec::new();
        for tokens in tokens.chunks(PREFILL_TOKENS) {
            let hidden = self.hidden(&mut [Span { cache, tokens }], threads);
            last = hidden[hidden.len() - self.config.hidden_size..].to_vec();
        }
        self.logits(&last, threads)
    }

    /// Feeds one token to each of many sequences and returns the logits after them.
    ///
    /// # Shapes
    /// Result [steps.len(), vocab_size].
    ///
    /// # Panics
    /// As [`Model::prefill`].
    pub fn decode(&self, steps: &mut [(&mut Cache, u32)], threads: Threads) -> Vec<f32> {
        let tokens: Vec<[u32; 1]> = steps.iter().map(|(_, token)| [*token]).collect();
        let spans = steps.iter_mut().zip(&tokens);
        let mut spans: Vec<Span<'_>> = spans
            .map(|((cache, _), tokens)| Span { cache, tokens })
            .collect();
        let hidden = self.hidden(&mut spans, threads);
        self.logits(&hidden, threads)
    }

    /// The logits after every one of `tokens`, from an empty cache.
    ///
    /// # Shapes
    /// Result [tokens.len(), vocab_size].
    ///
    /// # Panics
    /// When a token is outside the vocabulary.
    pub fn all_logits(&self, tokens: &[u32], threads: Threads) -> Vec<f32> {
        let mut cache = Cache::new(&self.config, tokens.len());
        let hidden = self.hidden(
            &mut [Span {
                cache: &mut cache,
                tokens,
            }],
            threads,
        );
        self.logits(&hidden, threads)
    }

    fn logits(&self, hidden: &[f32], threads: Threads) -> Vec<f32> {
        let epsilon = self.config.rms_norm_eps as f32;
        let normed = rms_norm(hidden, &self.norm, epsilon, threads);
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        product(head, &normed, threads)
    }

    /// The residual stream after the last block, for every token of every span.
    ///
    /// # Shapes
    /// Result [sum of tokens, hidden_size].
    fn hidden(&self, spans: &mut [Span<'_>], threads: Threads) -> Vec<f32> {
        let width = self.config.hidden_size;
        let rows: usize = spans.iter().map(|span| span.tokens.len()).sum();
        let mut x = vec![0.0; rows * width];
        let tokens = spans.iter().flat_map(|span| span.tokens);
        for (x, token) in x.chunks_exact_mut(width).zip(tokens) {
            self.embedding.parts()[0].copy_row(*token as usize, x);
        }
        let angles = self.angles(spans);
        for (number, layer) in self.layers.iter().enumerate() {
            self.block(number, layer, &mut x, spans, &angles, threads);
        }
        for span in spans {
            span.cache.advance(span.tokens.len());
        }
        x
    }

    /// Cosine and sine of each rotary frequency at each token's position.
    fn angles(&self, spans: &[Span<'_>]) -> Vec<(f32, f32)> {
        let positions = spans.iter().flat_map(|span| {
            let start = span.cache.len();
            start..start + span.tokens.len()
        });
        positions
            .flat_map(|position| {
                self.frequencies.iter().map(move |frequency| {
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    (cosine as f32, sine as f32)
                })
            })
            .collect()
    }

    fn block(
        &self,
        number: usize,
        layer: &Layer,
        x: &mut [f32],
        spans: &mut [Span<'_>],
        angles: &[(f32, f32)],
        threads: Threads,
    ) {
        let config = &self.config;
        let epsilon = config.rms_norm_eps as f32;
        let (q, kv) = (config.query_width(), config.key_value_width());
        let normed = rms_norm(x, &layer.input_norm, epsilon, threads);
        let mut qkv = product(&layer.qkv, &normed, threads);
        for (row, angles) in qkv
            .chunks_exact_mut(q + 2 * kv)
            .zip(angles.chunks_exact(config.head_dim / 2))
        {
            rotate(&mut row[..q + kv], angles);
        }
        remember(number, &qkv, q, kv, spans);
        let attended = attend(config, number, &qkv, q + 2 * kv, &stretches(spans), threads);
        add(x, &product(&layer.output, &attended, threads));
        let normed = rms_norm(x, &layer.mlp_norm, epsilon, threads);
        let gate_up = product(&layer.gate_up, &normed, threads);
        let activated = swiglu(&gate_up, config.intermediate_size, threads);
        add(x, &product(&layer.down, &activated, threads));
    }
}

fn product(layer: &Linear, x: &[f32], threads: Threads) -> Vec<f32> {
    layer.apply(x, x.len() / layer.columns(), threads)
}

/// Writes the keys and values of all rows to their caches.
fn remember(layer: usize, qkv: &[f32], q: usize, kv: usize, spans: &mut [Span<'_>]) {
    let mut rows = qkv.chunks_exact(q + 2 * kv);
    for span in spans {
        let start = span.cache.len();
        for (position, row) in (start..start + span.tokens.len()).zip(&mut rows) {
            span.cache
                .write(layer, position, &row[q..q + kv], &row[q + kv..]);
        }
    }
}

fn stretches<'a>(spans: &'a [Span<'_>]) -> Vec<Stretch<'a>> {
    let mut first_row = 0;
    let stretch = |span: &'a Span<'_>| {
        let tokens = span.tokens.len();
        first_row += tokens;
        Stretch {
            cache: &*span.cache,
            first_row: first_row - tokens,
            start: span.cache.len(),
            tokens,
        }
    };
    spans.iter().map(stretch).collect()
}
