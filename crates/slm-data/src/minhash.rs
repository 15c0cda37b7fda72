//! Near-duplicates in a stream: the first of similar texts stays, later ones are found.
//!
//! MinHash with bands (Broder, "On the resemblance and containment of documents", 1997; Leskovec
//! et al., "Mining of Massive Datasets", 3.4) proposes candidates; their word 3-grams decide.
//! Against a fixed set there is an exact index in `split`. Does not know rows.

use crate::hash::SpreadState;
use crate::split::{grams, jaccard};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashMap;

/// Hashes of a signature: bands of four. A pair with similarity s shares a band with
/// probability `1 - (1 - s^4)^16`: 0.9998 at 0.8, 0.98 at 0.7.
const HASHES: usize = 64;
const BAND: usize = 4;
const BANDS: usize = HASHES / BAND;
/// Candidates of one band that are compared, so that a template in every row costs no square.
const MOST_CANDIDATES: usize = 64;
const NONE: u32 = u32::MAX;

/// The texts that were kept so far. Takes about 400 bytes for each, and 4 for each of its grams.
pub struct NearTexts {
    threshold: f64,
    /// Multipliers and addends of the hash functions.
    functions: Vec<(u64, u64)>,
    /// For each band, the last text kept under each key.
    heads: [HashMap<u32, u32, SpreadState>; BANDS],
    /// For each kept text and band, the text kept under the same key before it.
    before: Vec<u32>,
    /// The kept texts' grams, 32 bits of each, sorted; and where each text's begin.
    grams: Vec<u32>,
    starts: Vec<usize>,
}

impl NearTexts {
    /// No texts yet. Texts with at least this Jaccard similarity of word 3-grams are near.
    pub fn new(threshold: f64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0x6d69_6e68_6173_6800);
        let functions = (0..HASHES)
            .map(|_| (rng.next_u64() | 1, rng.next_u64()))
            .collect();
        Self {
            threshold,
            functions,
            heads: std::array::from_fn(|_| HashMap::default()),
            before: Vec::new(),
            grams: Vec::new(),
            starts: vec![0],
        }
    }

    /// The number of texts kept.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether no text was kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The place among the kept texts, from 0, of one that this text is near to. Where there
    /// is none, the text is kept.
    pub fn find_or_keep(&mut self, text: &str) -> Option<usize> {
        self.find_or_keep_grams(&grams(text, 3))
    }

    /// As [`NearTexts::find_or_keep`], by the text's word 3-grams.
    pub(crate) fn find_or_keep_grams(&mut self, grams: &[u64]) -> Option<usize> {
        let mut own: Vec<u32> = grams
            .iter()
            .map(|gram| (gram >> 32) as u32 ^ *gram as u32)
            .collect();
        own.sort_unstable();
        own.dedup();
        let keys = self.keys(&own);
        if let Some(near) = self.near(&own, &keys) {
            return Some(near);
        }
        let place = self.len() as u32;
        for (heads, key) in self.heads.iter_mut().zip(keys) {
            let before = heads.insert(key, place);
            self.before.push(before.unwrap_or(NONE));
        }
        self.grams.extend(own);
        self.starts.push(self.grams.len());
        None
    }

    /// A key for each band of the signature.
    fn keys(&self, grams: &[u32]) -> [u32; BANDS] {
        let mut keys = [0; BANDS];
        for (band, key) in keys.iter_mut().enumerate() {
            let functions = &self.functions[band * BAND..(band + 1) * BAND];
            let mut digest = band as u64;
            for (multiplier, addend) in functions {
                let hash = |gram: &u32| {
                    (u64::from(*gram)
                        .wrapping_mul(*multiplier)
                        .wrapping_add(*addend))
                        >> 32
                };
                let smallest = grams.iter().map(hash).min().unwrap_or(u64::MAX);
                digest = (digest ^ smallest)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .rotate_left(29);
            }
            *key = (digest >> 32) as u32;
        }
        keys
    }

    fn near(&self, own: &[u32], keys: &[u32; BANDS]) -> Option<usize> {
        for (band, key) in keys.iter().enumerate() {
            let mut place = self.heads[band].get(key).copied().unwrap_or(NONE);
            for _ in 0..MOST_CANDIDATES {
                if place == NONE {
                    break;
                }
                let at = place as usize;
                let other = &self.grams[self.starts[at]..self.starts[at + 1]];
                if (own.is_empty() && other.is_empty()) || jaccard(own, other) >= self.threshold {
                    return Some(at);
                }
                place = self.before[at * BANDS + band];
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sentence(n: u64, words: usize) -> Vec<String> {
        let mut rng = ChaCha8Rng::seed_from_u64(n);
        (0..words)
            .map(|_| format!("w{}", rng.next_u64() % 5000))
            .collect()
    }

    #[test]
    fn near_texts_are_found_and_others_kept() {
        let mut texts = NearTexts::new(0.8);
        for n in 0..300 {
            let words = sentence(n, 40);
            assert_eq!(texts.find_or_keep(&words.join(" ")), None);
            // One word at the end differs: 37 of 39 grams in common, 0.95.
            let mut near = words.clone();
            near[39] = "other".into();
            assert_eq!(texts.find_or_keep(&near.join(" ")), Some(2 * n as usize));
            // Two words in the middle differ far apart: 32 of 44, 0.73.
            let mut far = words;
            far[10] = "x".into();
            far[25] = "y".into();
            assert_eq!(texts.find_or_keep(&far.join(" ")), None);
        }
        assert_eq!(texts.len(), 600, "each text and its far variant are kept");
    }

    #[test]
    fn equal_and_empty_texts_are_near() {
        let mut texts = NearTexts::new(1.0);
        for text in ["Hello, World", "", "hello there big world"] {
            assert_eq!(texts.find_or_keep(text), None);
        }
        assert_eq!(
            texts.find_or_keep("hello world"),
            Some(0),
            "case and marks do not count"
        );
        assert_eq!(texts.find_or_keep("!"), Some(1));
        assert_eq!(texts.find_or_keep("hello there big words"), None);
        assert!(!texts.is_empty());
    }
}
