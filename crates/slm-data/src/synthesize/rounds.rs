//! Rows in rounds: each template makes one row a round, until enough are taken or none has more.
//!
//! All processors make rows ahead; they are looked at one by one in a fixed order, so that the
//! number of processors changes nothing. Does not know how a row is made.

use super::taking::Taking;
use super::{SeedLeaf, Shortfall};
use crate::error::{DataError, Result};
use crate::hash::SpreadState;
use crate::ledger::Entry;
use crate::parallel::in_order;
use crate::sample::Sample;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

/// Attempts in a row without a new one after which a seed counts as exhausted.
const FRUITLESS_ATTEMPTS: usize = 60;
/// Rows in a row that were made and not taken after which a seed counts as exhausted.
const REFUSED_OFFERS: usize = 200;
/// Attempts that a processor makes at once.
const BATCH: usize = 32;
/// Batches for each processor that may be made and not yet looked at.
const AHEAD: usize = 4;

pub(super) const UNUSABLE_SEED: &str = "the seed is unusable";
const DUPLICATE: &str = "the same row was made before";

/// Which row is to be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number {
    /// The place of the template.
    pub template: usize,
    /// How many were made from it before.
    pub attempt: u64,
}

/// A row that was made; the number is still missing in its id.
pub(super) struct Attempted {
    pub template: usize,
    pub sample: Sample,
    /// Why it is no good, and what exactly.
    pub fault: Option<(&'static str, String)>,
}

/// An attempt with the digest of its prompt.
type Digested = (Attempted, u128);

/// What was made so far, without the rows themselves.
pub(super) struct Made<'a, 'b> {
    taking: Taking<'a, 'b>,
    /// SHA-256 of the prompts, the first half: enough to tell any number of them apart.
    prompts: HashSet<u128, SpreadState>,
    dropped: BTreeMap<&'static str, usize>,
}

/// Why the rounds ended before the templates did.
enum End {
    Enough,
    Failed(DataError),
}

impl<'a, 'b> Made<'a, 'b> {
    pub fn new(taking: Taking<'a, 'b>) -> Self {
        Self {
            taking,
            prompts: HashSet::default(),
            dropped: BTreeMap::new(),
        }
    }

    /// Goes through the templates round by round.
    ///
    /// # Errors
    /// A row cannot be taken.
    pub fn by_rounds(
        &mut self,
        templates: usize,
        attempt: impl Fn(Number) -> Attempted + Sync,
    ) -> Result<()> {
        let open: Vec<AtomicBool> = (0..templates).map(|_| AtomicBool::new(true)).collect();
        let mut benches: Vec<Bench> = (0..templates).map(|_| Bench::default()).collect();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let make = |numbers: Vec<Number>| {
            let made = numbers.into_iter().map(|number| digested(attempt(number)));
            Ok(made.collect::<Vec<Digested>>())
        };
        let look = |made: Vec<Digested>| {
            for one in made {
                if !self.taking.wants_more() {
                    return Err(End::Enough);
                }
                let n = one.0.template;
                if benches[n].is_open() {
                    self.look(one, &mut benches[n]).map_err(End::Failed)?;
                    open[n].store(benches[n].is_open(), Ordering::Relaxed);
                }
            }
            Ok(())
        };
        let batches = Batches {
            open: &open,
            next: Number {
                template: 0,
                attempt: 0,
            },
        };
        match in_order(batches, processors, AHEAD * processors, make, look) {
            Ok(()) | Err(End::Enough) => Ok(()),
            Err(End::Failed(error)) => Err(error),
        }
    }

    /// Drops the row, or offers it.
    fn look(&mut self, (made, digest): Digested, bench: &mut Bench) -> Result<()> {
        let Attempted {
            mut sample, fault, ..
        } = made;
        sample.id.push_str(&format!("{:05}", bench.rows));
        if let Some((reason, detail)) = fault {
            bench.fruitless += 1;
            return self.drop(&sample, reason, Some(detail));
        }
        if !self.prompts.insert(digest) {
            bench.fruitless += 1;
            return self.drop(&sample, DUPLICATE, None);
        }
        bench.rows += 1;
        bench.fruitless = 0;
        bench.refused = match self.taking.row(sample)? {
            true => 0,
            false => bench.refused + 1,
        };
        Ok(())
    }

    /// Notes a row or seed that is no good.
    ///
    /// # Errors
    /// The entry cannot be taken.
    pub fn drop(
        &mut self,
        sample: &Sample,
        reason: &'static str,
        detail: Option<String>,
    ) -> Result<()> {
        *self.dropped.entry(reason).or_default() += 1;
        self.taking.dropped(Entry::dropped(sample, reason, detail))
    }

    /// Why there are fewer rows than wanted, if so.
    pub fn shortfall(&self, leaf: &SeedLeaf) -> Option<Shortfall> {
        let (wanted, got) = (self.taking.wanted(), self.taking.taken());
        if got >= wanted {
            return None;
        }
        let dropped: Vec<String> = self
            .dropped
            .iter()
            .map(|(reason, count)| format!("{count} dropped since {reason}"))
            .collect();
        let reason = format!(
            "the {} seeds allow no more variants ({}); add seed examples, or `slots` and `paraphrases` to `slm.yaml`",
            leaf.seeds.len(),
            if dropped.is_empty() {
                "none dropped".to_owned()
            } else {
                dropped.join(", ")
            },
        );
        Some(Shortfall {
            leaf: leaf.name.clone(),
            split: String::new(),
            wanted,
            got,
            reason,
        })
    }
}

fn digested(made: Attempted) -> Digested {
    let digest = Sha256::digest(made.sample.question().unwrap_or_default());
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    (made, u128::from_le_bytes(half))
}

/// The progress of one template.
#[derive(Default)]
struct Bench {
    rows: usize,
    fruitless: usize,
    refused: usize,
}

impl Bench {
    fn is_open(&self) -> bool {
        self.fruitless < FRUITLESS_ATTEMPTS && self.refused < REFUSED_OFFERS
    }
}

/// The numbers of the rows to make, in rounds over the templates that are open. Of one that is
/// closed meanwhile some are made in vain.
struct Batches<'a> {
    open: &'a [AtomicBool],
    next: Number,
}

impl Iterator for Batches<'_> {
    type Item = Vec<Number>;

    fn next(&mut self) -> Option<Vec<Number>> {
        let mut batch = Vec::with_capacity(BATCH);
        // After a round without an open template none will open again.
        let mut closed = 0;
        while batch.len() < BATCH && closed < self.open.len() {
            match self.open[self.next.template].load(Ordering::Relaxed) {
                true => {
                    batch.push(self.next);
                    closed = 0;
                }
                false => closed += 1,
            }
            self.next.template += 1;
            if self.next.template == self.open.len() {
                self.next = Number {
                    template: 0,
                    attempt: self.next.attempt + 1,
                };
            }
        }
        (!batch.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesize::{Offer, Reply};

    /// What is taken of rows by two templates, the first of which has only three; every fifth row
    /// of the other has a fault.
    fn taken(wanted: usize) -> (Vec<String>, BTreeMap<&'static str, usize>) {
        let mut ids = Vec::new();
        let mut take = |offer: Offer| {
            if let Offer::Row(sample) = offer {
                ids.push(sample.id);
            }
            Ok(Reply::Taken)
        };
        let mut made = Made::new(Taking::new(&mut take, wanted));
        let attempt = |Number { template, attempt }| {
            let row = if template == 0 { attempt % 3 } else { attempt };
            let question = format!("{template} {row}");
            let faulty = template == 1 && attempt % 5 == 4;
            Attempted {
                template,
                sample: Sample::pair(format!("{template}-"), question, "a"),
                fault: faulty.then(|| ("faulty", String::new())),
            }
        };
        made.by_rounds(2, attempt).unwrap();
        let dropped = made.dropped;
        (ids, dropped)
    }

    #[test]
    fn rows_come_in_rounds_until_a_template_has_no_more() {
        let (ids, dropped) = taken(7);
        let expected = [
            "0-00000", "1-00000", "0-00001", "1-00001", "0-00002", "1-00002", "1-00003",
        ];
        assert_eq!(ids, expected);
        assert_eq!(dropped, BTreeMap::from([(DUPLICATE, 1)]));
        let (ids, dropped) = taken(1000);
        assert_eq!(ids.len(), 1000);
        assert_eq!(ids.last().unwrap(), "1-00996");
        // The other template went through 997 sound attempts in 1,246.
        let expected = [(DUPLICATE, FRUITLESS_ATTEMPTS), ("faulty", 249)];
        assert_eq!(dropped, BTreeMap::from(expected));
    }
}
