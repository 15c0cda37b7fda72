//! From seed examples to training rows.
//!
//! Knows leaves and teachers. Does not know the network: a teacher that asks a
//! server is an adapter of the caller.

mod answer;
mod calendar;
mod cues;
mod draft;
mod freeze;
mod grammar;
mod names;
mod noise;
mod parts;
mod passages;
mod per_split;
mod seed;
mod slots;
mod surface;
#[cfg(test)]
mod tests;
mod text;
mod values;
mod wording;

pub use grammar::{GrammarTeacher, Rates};
pub use per_split::{SeedAssignment, SynthesisSettings, SynthesizedSplit, synthesize_split};
pub use seed::{Pair, Seed, SeedLeaf};
pub use values::PoolSide;

use crate::error::Result;
use crate::ledger::Entry;
use crate::sample::Sample;
use std::fmt;

/// Makes new rows for a leaf from its seed examples.
pub trait Teacher {
    /// The name that every row carries in its metadata.
    fn name(&self) -> &str;

    /// Makes `request.rows` rows from the leaf's seeds and from nothing else. The
    /// same leaf and request give the same rows; a request for more rows begins
    /// with those of a request for fewer.
    ///
    /// # Errors
    /// No seed of the leaf can be used, or the teacher cannot be reached.
    fn synthesize(&self, leaf: &SeedLeaf, request: &Request) -> Result<Synthesis>;
}

/// What is asked of a teacher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The number of rows wanted.
    pub rows: usize,
    /// Seeds the random choices.
    pub seed: u64,
    /// Which values of the pools may be used.
    pub side: PoolSide,
}

/// What a teacher made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Synthesis {
    /// The rows; none twice.
    pub samples: Vec<Sample>,
    /// The rows and seeds that were dropped, with the reason.
    pub dropped: Vec<Entry>,
    /// Why there are fewer rows than wanted, if so.
    pub shortfall: Option<Shortfall>,
}

/// Why a leaf has fewer rows than were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The leaf.
    pub leaf: String,
    /// The split the rows were for, such as `test`; empty when there is none.
    pub split: String,
    /// Rows asked for.
    pub wanted: usize,
    /// Rows made.
    pub got: usize,
    /// Why, and what to do about it.
    pub reason: String,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            leaf,
            split,
            wanted,
            got,
            reason,
        } = self;
        let split = if split.is_empty() {
            String::new()
        } else {
            format!(" {split}")
        };
        write!(f, "leaf `{leaf}`: {got} of {wanted}{split} rows: {reason}")
    }
}
