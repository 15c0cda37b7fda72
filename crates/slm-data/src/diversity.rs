//! How much the texts of a dataset differ, on a sample of fixed size, so that datasets of any
//! size compare and memory stays bounded.
//!
//! Does not know rows.

use crate::split::{grams, jaccard, ordered_grams};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Texts that are looked at.
const TEXTS: usize = 1000;
/// Texts at or above this similarity count as alike.
const ALIKE: f64 = 0.5;

/// Figures of diversity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diversity {
    /// Texts looked at, drawn evenly from all.
    pub texts: usize,
    /// Mean number of words.
    pub words_mean: f64,
    /// Distinct words among all (Li et al., "A diversity-promoting objective function for neural
    /// conversation models", 2016).
    pub distinct_1: f64,
    /// Distinct pairs of words among all.
    pub distinct_2: f64,
    /// Distinct runs of three words among all.
    pub distinct_3: f64,
    /// Mean, over the texts, of the similarity (Jaccard, word 3-grams) to the one most like it.
    pub self_similarity: f64,
    /// Share of the texts that another is at least half like.
    pub alike_share: f64,
}

/// An even sample of the texts that come by (Vitter, "Random sampling with a reservoir", 1985).
pub struct TextSample {
    seen: u64,
    texts: Vec<String>,
    rng: ChaCha8Rng,
}

impl Default for TextSample {
    fn default() -> Self {
        Self {
            seen: 0,
            texts: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(0x6469_7665_7273),
        }
    }
}

impl TextSample {
    /// A text comes by.
    pub fn add(&mut self, text: String) {
        self.seen += 1;
        if self.texts.len() < TEXTS {
            self.texts.push(text);
            return;
        }
        let place = self.rng.random_range(0..self.seen);
        if let Some(old) = self.texts.get_mut(place as usize) {
            *old = text;
        }
    }

    /// The figures; none where no text came by.
    pub fn diversity(&self) -> Option<Diversity> {
        let count = self.texts.len();
        if count == 0 {
            return None;
        }
        let sets: Vec<Vec<u64>> = self.texts.iter().map(|text| grams(text, 3)).collect();
        let mut nearest = vec![0.0f64; count];
        for a in 0..count {
            for b in a + 1..count {
                let similarity = jaccard(&sets[a], &sets[b]);
                nearest[a] = nearest[a].max(similarity);
                nearest[b] = nearest[b].max(similarity);
            }
        }
        let words: usize = self.texts.iter().map(|t| ordered_grams(t, 1).len()).sum();
        let of_all = |value: f64| value / count as f64;
        Some(Diversity {
            texts: count,
            words_mean: of_all(words as f64),
            distinct_1: self.distinct(1),
            distinct_2: self.distinct(2),
            distinct_3: self.distinct(3),
            self_similarity: of_all(nearest.iter().sum()),
            alike_share: of_all(nearest.iter().filter(|s| **s >= ALIKE).count() as f64),
        })
    }

    /// Distinct grams of `n` words among all.
    fn distinct(&self, n: usize) -> f64 {
        let (mut all, mut distinct) = (0, HashSet::new());
        for text in &self.texts {
            let grams = ordered_grams(text, n);
            all += grams.len();
            distinct.extend(grams);
        }
        distinct.len() as f64 / all.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_by_hand() {
        let mut sample = TextSample::default();
        assert_eq!(sample.diversity(), None);
        for text in ["a b c d", "a b c e", "x y"] {
            sample.add(text.into());
        }
        let found = sample.diversity().unwrap();
        assert_eq!((found.texts, found.words_mean), (3, 10.0 / 3.0));
        // a b c d e x y of 10 words; ab bc cd ce xy of 7 pairs; abc bcd bce and "x y" of 5.
        assert_eq!((found.distinct_1, found.distinct_2), (0.7, 5.0 / 7.0));
        assert_eq!(found.distinct_3, 0.8);
        // abc of abc, bcd, bce: a third, twice.
        assert!((found.self_similarity - 2.0 / 9.0).abs() < 1e-12);
        assert_eq!(found.alike_share, 0.0);
    }

    #[test]
    fn many_texts_are_sampled_evenly() {
        let mut sample = TextSample::default();
        for n in 0..40_000 {
            sample.add(format!("{n}"));
        }
        assert_eq!(sample.texts.len(), TEXTS);
        let late = sample
            .texts
            .iter()
            .filter(|t| t.parse::<u32>().unwrap() >= 20_000);
        let late = late.count();
        assert!((400..600).contains(&late), "{late} of the later half");
    }
}
