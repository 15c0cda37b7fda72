//! The random source of one example: a seeded generator with the few draws
//! that the corpus needs.
//!
//! Knows nothing about words or tasks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Family;

/// Draws of one example: a pure function of (seed, index).
pub(crate) struct Source {
    rng: ChaCha8Rng,
    /// Which side of the vocabulary the example may use.
    pub(crate) family: Family,
}

impl Source {
    /// The source of example `index`; each index is a stream of its own.
    pub(crate) fn new(seed: u64, index: u64, family: Family) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index.wrapping_mul(2) + u64::from(family == Family::HeldOut));
        Self { rng, family }
    }

    /// A number in `0..count`, and 0 where `count` is 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        if count < 2 {
            return 0;
        }
        self.rng.random_range(0..count)
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        self.rng.random_range(low..=high.max(low))
    }

    /// True in `percent` of 100 draws.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// One element.
    ///
    /// # Panics
    /// When `items` is empty, which only a broken lexicon can cause.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &'a [&'a T]) -> &'a T {
        let at = self.below(items.len());
        items[at]
    }

    /// True for the held-out family.
    pub(crate) fn held_out(&self) -> bool {
        self.family == Family::HeldOut
    }

    /// `train` or `held_out`, by family.
    pub(crate) fn side<T>(&self, train: T, held_out: T) -> T {
        if self.held_out() { held_out } else { train }
    }

    /// Puts `items` in random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }

    /// `count` different numbers of `0..bound`, in random order.
    pub(crate) fn sample(&mut self, bound: usize, count: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        self.shuffle(&mut all);
        all.truncate(count);
        all
    }
}
