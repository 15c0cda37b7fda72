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

    /// How many examples belong together and are never parted: 2 for preference pairs, the chosen
    /// answer first.
    fn group(&self) -> u64 {
        1
    }

    /// Where the example at `position` came from, for messages.
    fn origin(&self, position: u64) -> String {
        format!("example {position}")
    }
}

/// Examples held in memory, shuffled anew for each epoch.
pub struct Dataset {
    examples: Vec<Example>,
    origins: Vec<String>,
    group: u64,
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
            origins: Vec::new(),
            group: 1,
            epochs,
            seed,
        })
    }

    /// The same with the place that each example came from, such as `train.jsonl: row 3`.
    pub fn with_origins(mut self, origins: Vec<String>) -> Self {
        self.origins = origins;
        self
    }

    /// The same as preference pairs: each chosen answer is followed by the rejected one.
    ///
    /// # Errors
    /// When the last pair is not whole.
    pub fn in_pairs(mut self) -> Result<Self> {
        if !self.examples.len().is_multiple_of(2) {
            return Err(TrainError::setting(
                "a preference pair lacks its rejected answer",
                "give each row `chosen` and `rejected`",
            ));
        }
        self.group = 2;
        Ok(self)
    }

    /// Index of the example at a position in the training order.
    fn index(&self, position: u64) -> Option<usize> {
        let count = self.examples.len() as u64 / self.group;
        let (whole, part) = (position / self.group, position % self.group);
        let epoch = whole / count;
        let at = shuffled(
            whole % count,
            count,
            self.seed ^ epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        );
        (epoch < self.epochs).then_some((at * self.group + part) as usize)
    }

    /// Steps that all epochs take at a batch size in tokens and an accumulation.
    pub fn steps(&self, batch_tokens: usize, accumulation: usize) -> Result<u64> {
        let (mut position, mut batches) = (0, 0u64);
        while !take(self, &mut position, batch_tokens)?.is_empty() {
            batches += 1;
        }
        Ok(batches.div_ceil(accumulation.max(1) as u64))
    }

    /// Tokens of the largest batch that `batch_tokens` allows: a longer example, or pair, is a
    /// batch of its own.
    pub fn largest_batch(&self, batch_tokens: usize) -> usize {
        let groups = self.examples.chunks(self.group as usize);
        let tokens = groups.map(|group| group.iter().map(|e| e.tokens.len()).sum());
        let longest: usize = tokens.max().unwrap_or(0);
        longest.max(batch_tokens.min(self.tokens()))
    }

    /// Tokens of one epoch.
    pub fn tokens(&self) -> usize {
        self.examples.iter().map(|e| e.tokens.len()).sum()
    }
}

impl Source for Dataset {
    fn example(&self, position: u64) -> Result<Option<Example>> {
        Ok(self.index(position).map(|at| self.examples[at].clone()))
    }

    fn group(&self) -> u64 {
        self.group
    }

    fn origin(&self, position: u64) -> String {
        let at = self.index(position);
        match at.and_then(|at| self.origins.get(at)) {
            Some(origin) => origin.clone(),
            None => format!("row {}", at.map_or(position, |at| at as u64 + 1)),
        }
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
pub(crate) fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Examples of the next batch: as many whole groups as fit `batch_tokens`, at least one.
///
/// # Errors
/// When the source fails.
pub fn take(source: &dyn Source, position: &mut u64, batch_tokens: usize) -> Result<Vec<Example>> {
    let (mut taken, mut tokens) = (Vec::new(), 0);
    loop {
        let members = *position..*position + source.group();
        let group: Vec<Option<Example>> = members
            .map(|position| source.example(position))
            .collect::<Result<_>>()?;
        let Some(group) = group.into_iter().collect::<Option<Vec<Example>>>() else {
            return Ok(taken);
        };
        let more: usize = group.iter().map(|example| example.tokens.len()).sum();
        if !taken.is_empty() && tokens + more > batch_tokens {
            return Ok(taken);
        }
        tokens += more;
        taken.extend(group);
        *position += source.group();
    }
}

/// All examples in order, packed into batches as [`take`] does.
pub fn pack_all(examples: &[Example], group: u64, batch_tokens: usize) -> Vec<Batch> {
    let (mut batches, mut open, mut tokens) = (Vec::new(), Vec::new(), 0);
    for members in examples.chunks(group.max(1) as usize) {
        let more: usize = members.iter().map(|example| example.tokens.len()).sum();
        if !open.is_empty() && tokens + more > batch_tokens {
            batches.push(Batch::pack(&open));
            (open, tokens) = (Vec::new(), 0);
        }
        tokens += more;
        open.extend_from_slice(members);
    }
    if !open.is_empty() {
        batches.push(Batch::pack(&open));
    }
    batches
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

    /// Number of examples in it.
    pub fn examples(&self) -> usize {
        self.packing.bounds.len().saturating_sub(1)
    }

    /// Which of the labelled rows belong to an example.
    pub fn labelled(&self, example: usize) -> std::ops::Range<usize> {
        let bound = |at: usize| {
            let row = self.packing.bounds[at] as u32;
            self.rows.partition_point(|labelled| *labelled < row)
        };
        bound(example)..bound(example + 1)
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
    fn pairs_stay_together_in_any_order() {
        let example = |token: u32| Example {
            tokens: vec![token; 3],
            trained: vec![true; 3],
        };
        let examples: Vec<Example> = (0..12).map(example).collect();
        let pairs = Dataset::new(examples, 2, 5, 10)
            .unwrap()
            .in_pairs()
            .unwrap();
        let (mut position, mut seen) = (0, Vec::new());
        loop {
            let taken = take(&pairs, &mut position, 14).unwrap();
            if taken.is_empty() {
                break;
            }
            assert_eq!(taken.len(), 4, "two pairs of six tokens fit");
            for pair in taken.chunks(2) {
                assert_eq!(pair[0].tokens[0] + 1, pair[1].tokens[0]);
                seen.push(pair[0].tokens[0]);
            }
        }
        assert_eq!(seen.len(), 12);
        assert_ne!(seen[..6], [0, 2, 4, 6, 8, 10]);
        let odd: Vec<Example> = (0..3).map(example).collect();
        assert!(Dataset::new(odd, 1, 0, 10).unwrap().in_pairs().is_err());
    }

    #[test]
    fn labelled_rows_are_found_by_example() {
        let example = |learned: &[bool]| Example {
            tokens: vec![1; learned.len()],
            trained: learned.to_vec(),
        };
        let batch = Batch::pack(&[
            example(&[false, true, true]),
            example(&[false, false]),
            example(&[true, true]),
        ]);
        let found: Vec<_> = (0..3).map(|at| batch.labelled(at)).collect();
        assert_eq!(found, [0..2, 2..2, 2..3]);
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
