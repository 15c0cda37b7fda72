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
    }

    /// Counts `tokens` more positions as seen, once all layers have written them.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.length += tokens;
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

    /// The panels of the keys of positions `0..count`, each [head_dim][LANES].
    pub(crate) fn key_panels(
        &self,
        layer: usize,
        head: usize,
        count: usize,
    ) -> impl Iterator<Item = &[[f32; LANES]]> {
        let start = (layer * self.heads + head) * self.capacity / LANES * self.head_dim;
        let end = start + count.div_ceil(LANES) * self.head_dim;
        self.keys[start..end].chunks_exact(self.head_dim)
    }

    /// The panels of the values of positions `0..count`, each [count][LANES].
    pub(crate) fn value_panels(
        &self,
        layer: usize,
        head: usize,
        count: usize,
    ) -> impl Iterator<Item = &[[f32; LANES]]> {
        let panels = self.head_dim.div_ceil(LANES);
        let start = (layer * self.heads + head) * panels * self.capacity;
        let all = self.values[start..start + panels * self.capacity].chunks_exact(self.capacity);
        all.map(move |panel| &panel[..count])
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
        let keys: Vec<_> = cache.key_panels(1, 1, 19).collect();
        assert_eq!((keys.len(), keys[1][3][2]), (2, 1800.0 + 23.0));
        let values: Vec<_> = cache.value_panels(1, 0, 19).collect();
        assert_eq!(
            (values.len(), values[0].len(), values[1][7][3]),
            (2, 19, -(700.0 + 19.0))
        );
        assert!(
            cache
                .key_panels(0, 0, 19)
                .all(|panel| panel.iter().flatten().all(|v| *v == 0.0))
        );
    }
}
