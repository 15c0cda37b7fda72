//! The decoder's forward pass over new tokens of one or many sequences.
//!
//! Prefill takes many tokens of one sequence, decode one token of each of many; both give, bit for
//! bit, what the tokens one by one would. Where rotary frequencies depend on the sequence's length
//! (`longrope`), a sequence that outgrows the short ones is computed anew, as transformers does.

use slm_model::quant::Threads;

use crate::attention::{Stretch, attend};
use crate::cache::Cache;
use crate::elementwise::{add, gated, rms_norm, rotate, scale, soft_cap};
use crate::model::{Layer, Model};

/// Most tokens of a prompt that are taken at once, to bound the memory of activations.
const PREFILL_TOKENS: usize = 512;

/// The places of a block's linear layers, those that read the same inputs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Site {
    QueryKeyValue,
    Output,
    GateUp,
    Down,
}

impl Site {
    /// All, in the order of a block's layers.
    pub const ALL: [Self; 4] = [Self::QueryKeyValue, Self::Output, Self::GateUp, Self::Down];
}

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
        self.make_room(cache, tokens.len(), threads);
        let last = self.feed(cache, tokens, threads);
        self.logits(&last, threads)
    }

    /// Feeds tokens a part at a time; returns the residual stream after the last.
    fn feed(&self, cache: &mut Cache, tokens: &[u32], threads: Threads) -> Vec<f32> {
        let mut last = Vec::new();
        for tokens in tokens.chunks(PREFILL_TOKENS) {
            let hidden = self.hidden(&mut [Span { cache, tokens }], threads);
            last = hidden[hidden.len() - self.config.hidden_size..].to_vec();
        }
        last
    }

    /// Readies a cache for `more` tokens: where other frequencies hold for the longer sequence,
    /// what it has seen is computed anew by those.
    fn make_room(&self, cache: &mut Cache, more: usize, threads: Threads) {
        let (before, length) = (cache.made_for(), cache.len() + more);
        let mut bounds = self.config.ropes.iter().filter_map(|r| r.longest_short());
        let differs = bounds.any(|short| (before > short) != (length > short));
        cache.make_for(length);
        if differs && !cache.is_empty() {
            let seen = cache.tokens().to_vec();
            cache.truncate(0);
            self.feed(cache, &seen, threads);
        }
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
        self.extend(&mut spans, threads)
    }

    /// Feeds some tokens, at least one, to each of many sequences and returns the logits after
    /// the last of each.
    ///
    /// # Shapes
    /// Result [spans.len(), vocab_size].
    ///
    /// # Panics
    /// As [`Model::prefill`].
    pub fn extend(&self, spans: &mut [Span<'_>], threads: Threads) -> Vec<f32> {
        for span in spans.iter_mut() {
            self.make_room(span.cache, span.tokens.len(), threads);
        }
        let mut hidden = self.hidden(spans, threads);
        let width = self.config.hidden_size;
        if hidden.len() > spans.len() * width {
            let mut end = 0;
            for (number, span) in spans.iter().enumerate() {
                end += span.tokens.len() * width;
                hidden.copy_within(end - width..end, number * width);
            }
            hidden.truncate(spans.len() * width);
        }
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
        cache.make_for(tokens.len());
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
        let mut logits = head.apply(&normed, normed.len() / head.columns(), threads);
        if self.config.logits_scaling != 1.0 {
            let divisor = self.config.logits_scaling as f32;
            logits.iter_mut().for_each(|logit| *logit /= divisor);
        }
        if let Some(cap) = self.config.logits_softcap {
            soft_cap(&mut logits, 1.0, cap as f32);
        }
        logits
    }

    /// The residual stream after the last block, for every token of every span.
    ///
    /// # Shapes
    /// Result [sum of tokens, hidden_size].
    fn hidden(&self, spans: &mut [Span<'_>], threads: Threads) -> Vec<f32> {
        let tokens: Vec<u32> = spans.iter().flat_map(|span| span.tokens).copied().collect();
        let mut x = self.embed(&tokens);
        let ropes = 0..self.frequencies.len();
        let angles: Vec<Angles> = ropes.map(|rope| self.angles(rope, spans)).collect();
        for (number, layer) in self.layers.iter().enumerate() {
            let angles = &angles[self.config.layers[number].rope];
            self.block(
                number,
                layer,
                &mut x,
                spans,
                angles,
                threads,
                &mut |_, _| (),
            );
        }
        for span in spans {
            span.cache.advance(span.tokens);
        }
        x
    }

    /// The residual stream before the first block.
    ///
    /// # Shapes
    /// Result [tokens.len(), hidden_size].
    pub(crate) fn embed(&self, tokens: &[u32]) -> Vec<f32> {
        let width = self.config.hidden_size;
        let mut x = vec![0.0; tokens.len() * width];
        for (x, token) in x.chunks_exact_mut(width).zip(tokens) {
            self.embedding.parts()[0].copy_row(*token as usize, x);
        }
        scale(&mut x, self.config.embedding_multiplier as f32);
        x
    }

    /// Takes a whole sequence through one block; `observe` sees the inputs of its linear layers.
    /// The cache must have room; what it holds is overwritten.
    pub(crate) fn through(
        &self,
        number: usize,
        x: &mut [f32],
        tokens: &[u32],
        cache: &mut Cache,
        observe: &mut dyn FnMut(Site, &[f32]),
    ) {
        cache.truncate(0);
        cache.make_for(tokens.len());
        let mut spans = [Span { cache, tokens }];
        let angles = self.angles(self.config.layers[number].rope, &spans);
        let layer = &self.layers[number];
        self.block(number, layer, x, &mut spans, &angles, Threads::All, observe);
    }

    /// Cosine and sine of each frequency of a rope at each token's position.
    fn angles(&self, rope: usize, spans: &[Span<'_>]) -> Angles {
        let settings = &self.config.ropes[rope];
        let factor = settings.attention_factor();
        let mut turns = Vec::new();
        for span in spans {
            let short = settings.longest_short().unwrap_or(usize::MAX);
            let set = usize::from(span.cache.made_for() > short);
            let frequencies = &self.frequencies[rope][set];
            let start = span.cache.len();
            for position in start..start + span.tokens.len() {
                turns.extend(frequencies.iter().map(|frequency| {
                    let (sine, cosine) = (position as f64 * frequency).sin_cos();
                    ((cosine * factor) as f32, (sine * factor) as f32)
                }));
            }
        }
        Angles {
            pairs: settings.pairs(),
            turns,
        }
    }

    fn block(
        &self,
        number: usize,
        layer: &Layer,
        x: &mut [f32],
        spans: &mut [Span<'_>],
        angles: &Angles,
        threads: Threads,
        observe: &mut dyn FnMut(Site, &[f32]),
    ) {
        let config = &self.config;
        let epsilon = config.rms_norm_eps as f32;
        let stride = config.query_width() + 2 * config.key_value_width();
        let normed = rms_norm(x, &layer.attention_norm, epsilon, threads);
        observe(Site::QueryKeyValue, &normed);
        let mut qkv = layer.qkv.apply(&normed, threads);
        self.norm_heads(layer, &mut qkv);
        self.rotate_heads(&mut qkv, angles);
        self.remember(number, &qkv, spans);
        let attended = attend(config, number, &qkv, stride, &stretches(spans), threads);
        observe(Site::Output, &attended);
        let branch = layer.output.apply(&attended, threads);
        self.join(x, branch, layer.attention_output_norm.as_deref(), threads);
        let normed = rms_norm(x, &layer.mlp_norm, epsilon, threads);
        observe(Site::GateUp, &normed);
        let gate_up = layer.gate_up.apply(&normed, threads);
        let width = config.intermediate_size;
        let activated = gated(&gate_up, width, config.activation, threads);
        observe(Site::Down, &activated);
        let branch = layer.down.apply(&activated, threads);
        self.join(x, branch, layer.mlp_output_norm.as_deref(), threads);
    }

    /// Adds a branch to the residual stream, normed and scaled as the family has it.
    fn join(&self, x: &mut [f32], branch: Vec<f32>, norm: Option<&[f32]>, threads: Threads) {
        let mut branch = match norm {
            None => branch,
            Some(norm) => rms_norm(&branch, norm, self.config.rms_norm_eps as f32, threads),
        };
        scale(&mut branch, self.config.residual_multiplier as f32);
        add(x, &branch);
    }

    /// Normalises each query and key head, where the family does.
    ///
    /// # Shapes
    /// `qkv` [m, query width + 2 key width].
    fn norm_heads(&self, layer: &Layer, qkv: &mut [f32]) {
        let Some(norms) = &layer.head_norms else {
            return;
        };
        let config = &self.config;
        let (q, kv) = (config.query_width(), config.key_value_width());
        let epsilon = config.rms_norm_eps as f32;
        for row in qkv.chunks_exact_mut(q + 2 * kv) {
            let (queries, rest) = row.split_at_mut(q);
            for (heads, norm) in [(queries, &norms[0]), (&mut rest[..kv], &norms[1])] {
                let normed = rms_norm(heads, norm, epsilon, Threads::One);
                heads.copy_from_slice(&normed);
            }
        }
    }

    /// Turns each query and key head by its position.
    fn rotate_heads(&self, qkv: &mut [f32], angles: &Angles) {
        if angles.pairs == 0 {
            return;
        }
        let (q, kv) = (self.config.query_width(), self.config.key_value_width());
        let rows = qkv.chunks_exact_mut(q + 2 * kv);
        for (row, turns) in rows.zip(angles.turns.chunks_exact(angles.pairs)) {
            rotate(&mut row[..q + kv], self.config.head_dim, turns);
        }
    }

    /// Writes the keys and values of all rows to their caches.
    fn remember(&self, layer: usize, qkv: &[f32], spans: &mut [Span<'_>]) {
        let (q, kv) = (self.config.query_width(), self.config.key_value_width());
        let mut rows = qkv.chunks_exact(q + 2 * kv);
        for span in spans {
            let start = span.cache.len();
            for (position, row) in (start..start + span.tokens.len()).zip(&mut rows) {
                span.cache
                    .write(layer, position, &row[q..q + kv], &row[q + kv..]);
            }
        }
    }
}

/// Cosines and sines of the rows of a step, `pairs` of them for each.
struct Angles {
    pairs: usize,
    turns: Vec<(f32, f32)>,
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
