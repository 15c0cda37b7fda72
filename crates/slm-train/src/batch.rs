//! Examples and packed batches.
//!
//! A batch is whole examples one behind the other; attention keeps them apart, so nothing is
//! padded and nothing is contaminated. The order of examples is a pure function of the source.

use std::sync::Arc;

use slm_model::ops::{Labels, Packing};
use slm_model::tokenizer::Encoded;

use crate::error::{Result, TrainError};

/// A tokenized example and which of its tokens are learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Token ids.
    pub tokens: Vec<u32>,
    /// Whether each token is learned, given those before it; the first never is.
    pub trained: Vec<bool>,
}

impl Example {
    /// Tokens that carry loss.
    pub fn supervised(&self) -> usize {
        self.trained.iter().skip(1).filter(|t| **t).count()
    }
}

impl From<Encoded> for Example {
    fn from(encoded: Encoded) -> Self {
        Self {
            tokens: encoded.tokens,
            trained: encoded.assistant,
        }
    }
}

/// An endless or repeated sequence of examples, read by position so that a run can resume.
pub trait Source: Send + Sync {
    /// The example at `position` of the training order, or `None` behind the last.
    ///
    /// # Errors
    /// When the example cannot be made.
    fn example(&self, position: u64) -> Result<Option<Example>>;
}

/// Examples held in memory, shuffled anew for each epoch.
pub struct Dataset {
    examples: Vec<Example>,
    epochs: u64,
    seed: u64,
}

impl Dataset {
    /// Checks the examples against a context length.
    ///
    /// # Errors
    /// When there are none, one carries no learned token, or one is longer than `context`.
    pub fn new(examples: Vec<Example>, epochs: u64, seed: u64, context: usize) -> Result<Self> {
        if examples.is_empty() {
            return Err(TrainError::setting(
                "the dataset has no rows",
                "check the path and the filters before it",
            ));
        }
        if let Some(row) = examples.iter().position(|e| e.supervised() == 0) {
            return Err(TrainError::setting(
                format!(
                    "row {} of the dataset has no assistant text to learn",
                    row + 1
                ),
                "every row must end with a non-empty assistant message",
            ));
        }
        if let Some(row) = examples.iter().position(|e| e.tokens.len() > context) {
            let length = examples[row].tokens.len();
            return Err(TrainError::setting(
                format!(
                    "row {} of the dataset has {length} tokens, the model's context is {context}",
                    row + 1
                ),
                "shorten or drop long rows before training",
            ));
        }
        Ok(Self {
            examples,
            epochs,
            seed,
        })
    }

    /// Steps that all epochs take at a batch size in tokens and an accumulation.
    pub fn steps(&self, batch_tokens: usize, accumulation: usize) -> Result<u64> {
        let (mut position, mut batches) = (0, 0u64);
        while self.fill(&mut position, batch_tokens)? {
            batches += 1;
        }
        Ok(batches.div_ceil(accumulation.max(1) as u64))
    }

    fn fill(&self, position: &mut u64, batch_tokens: usize) -> Result<bool> {
        Ok(!take(self, position, batch_tokens)?.is_empty())
    }

    /// Tokens of one epoch.
    pub fn tokens(&self) -> usize {
        self.examples.iter().map(|e| e.tokens.len()).sum()
    }
}

impl Source for Dataset {
    fn example(&self, position: u64) -> Result<Option<Example>> {
        let count = self.examples.len() as u64;
        let epoch = position / count;
        if epoch >= self.epochs {
            return Ok(None);
        }
        let at = shuffled(
            position % count,
            count,
            self.seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        Ok(Some(self.examples[at as usize].clone()))
    }
}

/// Position `index` of a pseudo-random permutation of `0..count`: a four-round Feistel network on
/// the next even power of two, walked until it lands inside (cycle walking, Black and Rogaway
/// 2002). Needs no memory, so a resumed run finds its place at once.
pub fn shuffled(index: u64, count: u64, seed: u64) -> u64 {
    let half_bits = (64 - (count.max(2) - 1).leading_zeros()).div_ceil(2);
    let mask = (1u64 << half_bits) - 1;
    let mut at = index;
    loop {
        let (mut left, mut right) = (at >> half_bits, at & mask);
        for round in 0..4u64 {
            let mixed = mix(right ^ seed.rotate_left(round as u32 * 16) ^ (round << 56)) & mask;
            (left, right) = (right, left ^ mixed);
        }
        at = left << half_bits | right;
        if at < count {
            return at;
        }
    }
}

/// SplitMix64's finalizer (Steele et al. 2014).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Examples of the next batch: as many as fit `batch_tokens`, at least one.
///
/// # Errors
/// When the source fails.
pub fn take(source: &dyn Source, position: &mut u64, batch_tokens: usize) -> Result<Vec<Example>> {
    let (mut taken, mut tokens) = (Vec::new(), 0);
    while let Some(example) = source.example(*position)? {
        if !taken.is_empty() && tokens + example.tokens.len() > batch_tokens {
            break;
        }
        tokens += example.tokens.len();
        taken.push(example);
        *position += 1;
    }
    Ok(taken)
}

/// A packed batch.
#[derive(Debug)]
pub struct Batch {
    /// Tokens of all examples.
    pub tokens: Vec<u32>,
    /// Where examples begin and end.
    pub packing: Arc<Packing>,
    /// Rows whose next token is learned.
    pub rows: Vec<u32>,
    /// That next token of each such row.
    pub labels: Vec<u32>,
}

impl Batch {
    /// Packs examples.
    pub fn pack(examples: &[Example]) -> Self {
        let lengths: Vec<usize> = examples.iter().map(|e| e.tokens.len()).collect();
        let (mut tokens, mut rows, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for example in examples {
            let start = tokens.len() as u32;
            for (i, learned) in example.trained.iter().enumerate().skip(1) {
                if *learned {
                    rows.push(start + i as u32 - 1);
                    labels.push(example.tokens[i]);
                }
            }
            tokens.extend_from_slice(&example.tokens);
        }
        Self {
            tokens,
            packing: Arc::new(Packing::of_lengths(&lengths)),
            rows,
            labels,
        }
    }

    /// The labels, each weighing `1 / total`.
    pub fn weighted_labels(&self, total: usize) -> Labels {
        Labels {
            tokens: self.labels.clone(),
            weights: vec![1.0 / total as f32; self.labels.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_is_a_permutation() {
        for count in [1, 2, 7, 100, 1025] {
            let mut seen: Vec<u64> = (0..count).map(|i| shuffled(i, count, 42)).collect();
            assert!(count < 100 || seen.windows(2).filter(|w| w[1] == w[0] + 1).count() < 10);
            seen.sort_unstable();
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_batch_learns_the_marked_tokens_from_the_row_before() {
        let example = |tokens: &[u32], trained: &[bool]| Example {
            tokens: tokens.to_vec(),
            trained: trained.to_vec(),
        };
        let batch = Batch::pack(&[
            example(&[1, 2, 3], &[true, false, true]),
            example(&[4, 5], &[false, true]),
        ]);
        assert_eq!(batch.rows, [1, 3]);
        assert_eq!(batch.labels, [3, 5]);
        assert_eq!(batch.packing.positions, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_row_without_assistant_text_is_refused() {
        let silent = Example {
            tokens: vec![1, 2],
            trained: vec![true, false],
        };
        assert!(Dataset::new(vec![silent], 1, 0, 10).is_err());
    }
}
