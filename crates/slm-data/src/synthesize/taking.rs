//! What becomes of a teacher's offers, counted.
//!
//! Does not know who offers or who takes.

use super::{Offer, Reply, Take};
use crate::error::Result;
use crate::ledger::Entry;
use crate::sample::Sample;

/// Hands over offers, and counts what is taken.
pub(crate) struct Taking<'a, 'b> {
    take: &'a mut Take<'b>,
    wanted: usize,
    taken: usize,
    is_enough: bool,
}

impl<'a, 'b> Taking<'a, 'b> {
    /// Nothing taken yet of so many wanted.
    pub fn new(take: &'a mut Take<'b>, wanted: usize) -> Self {
        Self {
            take,
            wanted,
            taken: 0,
            is_enough: false,
        }
    }

    /// The number of rows wanted.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// The number of rows taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Whether another row is wanted.
    pub fn wants_more(&self) -> bool {
        self.taken < self.wanted && !self.is_enough
    }

    /// Offers a row; whether it was taken.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn row(&mut self, sample: Sample) -> Result<bool> {
        let reply = (self.take)(Offer::Row(sample))?;
        self.taken += usize::from(reply == Reply::Taken);
        self.is_enough |= reply == Reply::Enough;
        Ok(reply == Reply::Taken)
    }

    /// Hands over the entry of what the teacher dropped itself.
    ///
    /// # Errors
    /// It cannot be taken.
    pub fn dropped(&mut self, entry: Entry) -> Result<()> {
        (self.take)(Offer::Dropped(entry)).map(|_| ())
    }
}
