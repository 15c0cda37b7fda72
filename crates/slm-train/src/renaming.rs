//! Renames copied tokens: the same example with other tokens in the spans that the answer copies.
//!
//! A corpus with a finite lexicon teaches to copy the words of that lexicon; tokens that are never
//! an answer are pushed out of the output distribution, all in one direction, and cannot be told
//! apart afterwards (with a tied head their embeddings too). With random tokens in the copied spans
//! only the place says what comes next, and every token is an answer at times. Does not know what
//! the spans mean.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::batch::Example;

/// Which tokens are renamed, and to which.
#[derive(Debug, Clone)]
pub struct Renaming {
    /// Share of the examples that are renamed.
    share: f64,
    /// By token id, whether it may be renamed and be a new name.
    renamable: Vec<bool>,
    /// The ids that may be new names.
    names: Vec<u32>,
}

impl Renaming {
    /// Renames a `share` of the examples; `renamable` says by token id which tokens take part.
    pub fn new(share: f64, renamable: Vec<bool>) -> Self {
        let ids = 0u32..;
        let names = ids.zip(&renamable).filter(|(_, yes)| **yes);
        Self {
            share,
            names: names.map(|(id, _)| id).collect(),
            renamable,
        }
    }

    /// Gives the tokens of `spans` new names wherever a whole span stands, the same token the same
    /// name. A span that does not stand both in learned and in other tokens is left alone.
    pub fn apply(&self, example: &mut Example, spans: &[Vec<u32>], seed: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        if self.names.is_empty() || !rng.random_bool(self.share.clamp(0.0, 1.0)) {
            return;
        }
        let mut new: BTreeMap<u32, u32> = BTreeMap::new();
        for place in copied(example, spans) {
            let old = example.tokens[place];
            if self.renamable.get(old as usize) == Some(&true) {
                let mut draw = || self.names[rng.random_range(0..self.names.len())];
                example.tokens[place] = *new.entry(old).or_insert_with(&mut draw);
            }
        }
    }
}

/// The places that a copied span covers, in order, each once.
fn copied(example: &Example, spans: &[Vec<u32>]) -> Vec<usize> {
    let mut covered = vec![false; example.tokens.len()];
    for span in spans.iter().filter(|span| !span.is_empty()) {
        let starts: Vec<usize> = example
            .tokens
            .windows(span.len())
            .enumerate()
            .filter(|(_, window)| window == span)
            .map(|(start, _)| start)
            .collect();
        let learned = |start: &usize| example.trained[*start];
        if starts.iter().any(learned) && !starts.iter().all(learned) {
            for start in starts {
                covered[start..start + span.len()].fill(true);
            }
        }
    }
    (0..covered.len()).filter(|place| covered[*place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Example {
        // A prompt "7 8 9 1 7", an answer "8 9 2".
        Example {
            tokens: vec![7, 8, 9, 1, 7, 8, 9, 2],
            trained: vec![false, false, false, false, false, true, true, true],
        }
    }

    fn renaming(share: f64) -> Renaming {
        let mut renamable = vec![false; 100];
        renamable[7..100].fill(true);
        renamable[9] = false;
        Renaming::new(share, renamable)
    }

    #[test]
    fn copied_spans_are_renamed_alike_on_both_sides_and_nothing_else_is() {
        for seed in 0..50 {
            let mut made = example();
            renaming(1.0).apply(&mut made, &[vec![8, 9]], seed);
            assert_eq!(made.tokens[1], made.tokens[5]);
            assert_eq!([made.tokens[0], made.tokens[4]], [7, 7]);
            assert_eq!([made.tokens[2], made.tokens[6]], [9, 9], "not renamable");
            assert_eq!([made.tokens[3], made.tokens[7]], [1, 2]);
            assert!(made.tokens[1] >= 7 && made.tokens[1] != 9);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_names_and_the_share_holds() {
        let renamed = |seed| {
            let mut made = example();
            renaming(0.5).apply(&mut made, &[vec![8, 9]], seed);
            made
        };
        let changed = (0..400).filter(|seed| renamed(*seed) != example()).count();
        assert!((150..250).contains(&changed), "{changed}");
        assert_eq!(renamed(3), renamed(3));
    }

    #[test]
    fn a_span_on_one_side_only_stays() {
        let mut made = example();
        renaming(1.0).apply(&mut made, &[vec![7], vec![2], vec![], vec![50; 20]], 1);
        assert_eq!(made, example());
    }
}
