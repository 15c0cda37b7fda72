//! Keys and values of one sequence, in the panels that the kernels read.
//!
//! Keys: [layer][head][position / LANES][head_dim][LANES], a lane per position, for scores.
//! Values: [layer][head][head_dim / LANES][capacity][LANES], a lane per element, for their mean.

use slm_model::ModelConfig;
use slm_model::quant::LANES;

/// The keys and values of the tokens that one sequence has seen.
pub struct Cache {
    heads: usize,
    head_dim: usize,
    capacity: usize,
    length: usize,
    tokens: Vec<u32>,
    made_for: usize,
    keys: Vec<[f32; LANES]>,
    values: Vec<[f32; LANES]>,
}

impl Cache {
    /// Room for `positions` tokens.
    pub fn new(config: &ModelConfig, positions: usize) -> Self {
        let capacity = positions.next_multiple_of(LANES);
        let (heads, head_dim) = (config.num_key_value_heads, config.head_dim);
        let slots = config.num_hidden_layers * heads * capacity;
        Self {
            heads,
            head_dim,
            capacity,
            length: 0,
            tokens: Vec::new(),
            made_for: 0,
            keys: vec![[0.0; LANES]; slots / LANES * head_dim],
            values: vec![[0.0; LANES]; slots * head_dim.div_ceil(LANES)],
        }
    }

    /// Tokens seen so far.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether no token was seen.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Tokens that still fit.
    pub fn room(&self) -> usize {
        self.capacity - self.length
    }

    /// Forgets all but the first `length` tokens.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        self.tokens.truncate(length);
    }

    /// The tokens seen so far.
    pub(crate) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Length of sequence whose rotary frequencies the keys were turned by.
    pub(crate) fn made_for(&self) -> usize {
        self.made_for
    }

    /// Sets the length of sequence whose frequencies the next keys are turned by.
    pub(crate) fn make_for(&mut self, length: usize) {
        self.made_for = length;
    }

    /// Takes over all that `other`, of the same model, has seen; what was here is forgotten.
    ///
    /// # Panics
    /// When it does not fit.
    pub fn copy_from(&mut self, other: &Self) {
        assert!(
            other.length <= self.capacity,
            "{} positions in {}",
            other.length,
            self.capacity
        );
        let whole = other.length.div_ceil(LANES) * self.head_dim;
        let (to, from) = (
            self.capacity / LANES * self.head_dim,
            other.capacity / LANES * other.head_dim,
        );
        let heads = self
            .keys
            .chunks_exact_mut(to)
            .zip(other.keys.chunks_exact(from));
        heads.for_each(|(to, from)| to[..whole].copy_from_slice(&from[..whole]));
        let panels = self.values.chunks_exact_mut(self.capacity);
        for (to, from) in panels.zip(other.values.chunks_exact(other.capacity)) {
            to[..other.length].copy_from_slice(&from[..other.length]);
        }
        self.length = other.length;
        self.tokens.clone_from(&other.tokens);
        self.made_for = other.made_for;
    }

    /// Counts `tokens` as seen, once all layers have written them.
    pub(crate) fn advance(&mut self, tokens: &[u32]) {
        self.length += tokens.len();
        self.tokens.extend_from_slice(tokens);
    }

    /// Writes the keys and values of position `position`, all heads after one another.
    pub(crate) fn write(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let head_dim = self.head_dim;
        let panels = head_dim.div_ceil(LANES);
        for head in 0..self.heads {
            let place = layer * self.heads + head;
            let from = head * head_dim..(head + 1) * head_dim;
            let start = (place * self.capacity + position) / LANES * head_dim;
            let column = self.keys[start..start + head_dim].iter_mut();
            for (panel, key) in column.zip(&keys[from.clone()]) {
                panel[position % LANES] = *key;
            }
            for (panel, chunk) in values[from].chunks(LANES).enumerate() {
                let slot = (place * panels + panel) * self.capacity + position;
                self.values[slot][..chunk.len()].copy_from_slice(chunk);
            }
        }
    }

    /// The keys of positions `0..count`: panels [head_dim][LANES].
    pub(crate) fn keys(&self, layer: usize, head: usize, count: usize) -> &[[f32; LANES]] {
        let start = (layer * self.heads + head) * self.capacity / LANES * self.head_dim;
        &self.keys[start..start + count.div_ceil(LANES) * self.head_dim]
    }

    /// The values of all positions: panels [position][LANES], and how far apart they start.
    pub(crate) fn values(&self, layer: usize, head: usize) -> (&[[f32; LANES]], usize) {
        let length = self.head_dim.div_ceil(LANES) * self.capacity;
        let start = (layer * self.heads + head) * length;
        (&self.values[start..start + length], self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_by_position_and_head() {
        let json = serde_json::json!({"model_type": "llama", "vocab_size": 8, "hidden_size": 40,
            "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 2, "head_dim": 20});
        let config = ModelConfig::from_json(&json, std::path::Path::new("here")).unwrap();
        let mut cache = Cache::new(&config, 19);
        assert_eq!(cache.room(), 32);
        for position in 0..19 {
            let keys: Vec<f32> = (0..40).map(|i| (position * 100 + i) as f32).collect();
            let values: Vec<f32> = keys.iter().map(|k| -k).collect();
            cache.write(1, position, &keys, &values);
        }
        let keys = cache.keys(1, 1, 19);
        assert_eq!((keys.len(), keys[20 + 3][2]), (40, 1800.0 + 23.0));
        let (values, stride) = cache.values(1, 0);
        assert_eq!((values.len(), values[stride + 7][3]), (64, -(700.0 + 19.0)));
        assert!(cache.keys(0, 0, 19).iter().flatten().all(|key| *key == 0.0));
    }
}
