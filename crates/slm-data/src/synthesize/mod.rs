//! From seed examples to training rows.
//!
//! Knows leaves and teachers. Does not know the network: a teacher that asks a
//! server is an adapter of the caller.

mod ahead;
pub(crate) mod answer;
mod calendar;
mod cues;
pub(crate) mod draft;
mod freeze;
mod grammar;
mod names;
pub(crate) mod noise;
mod parts;
mod passages;
mod per_split;
mod phrases;
mod rounds;
mod seed;
mod sieve;
mod slots;
mod surface;
pub(crate) mod taking;
#[cfg(test)]
mod tests;
pub(crate) mod text;
mod values;
mod wording;

pub use grammar::{GrammarTeacher, Rates};
pub use per_split::{
    SeedAssignment, Sink, Summary, SynthesisSettings, SynthesizedSplit, synthesize_into,
    synthesize_split,
};
pub use seed::{Pair, Seed, SeedLeaf};
pub use sieve::Filters;
pub use values::PoolSide;

use crate::error::Result;
use crate::ledger::Entry;
use crate::sample::Sample;
use std::fmt;

/// Makes new rows for a leaf from its seed examples.
pub trait Teacher: Sync {
    /// The name that every row carries in its metadata.
    fn name(&self) -> &str;

    /// Offers rows made from the leaf's seeds and from nothing else, one at a time, until
    /// `request.rows` of them are taken. What it drops itself it says as well. Gives the reason
    /// where there are fewer. The same leaf and request offer the same rows as long as the same
    /// are taken.
    ///
    /// # Errors
    /// No seed of the leaf can be used, the teacher cannot be reached, or a row cannot be taken.
    fn offer(
        &self,
        leaf: &SeedLeaf,
        request: &Request,
        take: &mut Take<'_>,
    ) -> Result<Option<Shortfall>>;

    /// How many rows of later requests are worked on before those before them are done, at least
    /// and as far as there are so many; for teachers that wait for others.
    fn ahead(&self) -> usize {
        0
    }

    /// Nothing more is wanted: requests under way may end.
    fn stop(&self) {}

    /// All that is offered, taken and in memory.
    ///
    /// # Errors
    /// As [`Teacher::offer`].
    fn synthesize(&self, leaf: &SeedLeaf, request: &Request) -> Result<Synthesis> {
        let mut made = Synthesis::default();
        let (samples, dropped) = (&mut made.samples, &mut made.dropped);
        let shortfall = self.offer(leaf, request, &mut |offer| {
            match offer {
                Offer::Row(sample) => samples.push(sample),
                Offer::Dropped(entry) => dropped.push(entry),
            }
            Ok(Reply::Taken)
        })?;
        made.shortfall = shortfall;
        Ok(made)
    }
}

/// Something that a teacher made.
#[derive(Debug, Clone, PartialEq)]
pub enum Offer {
    /// A row; none is offered twice.
    Row(Sample),
    /// A row or seed that the teacher dropped, with the reason.
    Dropped(Entry),
}

/// What becomes of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It counts.
    Taken,
    /// It does not; another may.
    Refused,
    /// It does not, and no more are wanted.
    Enough,
}

/// Takes what a teacher offers. The reply to something that the teacher dropped does not count.
pub type Take<'a> = dyn FnMut(Offer) -> Result<Reply> + 'a;

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
