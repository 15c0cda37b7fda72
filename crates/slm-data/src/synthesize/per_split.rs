//! Synthesis without leakage: first the seeds are divided, then each split is
//! made from its own seeds only.
//!
//! Does not know how a teacher makes rows.

use super::ahead::{Offers, in_turn};
use super::sieve::{Filters, Sieve};
use super::{Offer, PoolSide, Reply, Request, SeedLeaf, Shortfall, Teacher};
use crate::error::{DataError, Result};
use crate::ledger::Entry;
use crate::sample::Sample;
use crate::split::{Part, SplitSettings, assign};
use std::collections::{BTreeMap, HashSet};

/// How much to make, and how to divide it.
#[derive(Debug, Clone, PartialEq)]
pub struct SynthesisSettings {
    /// Rows per leaf, all splits together.
    pub rows_per_leaf: usize,
    /// Rows of the leaves, by name, that are to have another number.
    pub rows_of: BTreeMap<String, usize>,
    /// Shares of seeds and rows that are held out, and the seed of all choices.
    pub split: SplitSettings,
    /// What is dropped.
    pub filters: Filters,
}

/// Takes rows as they are made, and keeps what it wants of them.
pub trait Sink {
    /// A row of a part.
    ///
    /// # Errors
    /// It cannot be written.
    fn keep(&mut self, part: Part, sample: Sample) -> Result<()>;

    /// The entry of a row or seed that is in no part.
    ///
    /// # Errors
    /// It cannot be written.
    fn drop(&mut self, entry: Entry) -> Result<()>;
}

impl SynthesisSettings {
    /// Rows of all leaves together.
    pub fn all_rows(&self, leaves: &[SeedLeaf]) -> usize {
        leaves.iter().map(|leaf| self.rows(leaf)).sum()
    }

    fn rows(&self, leaf: &SeedLeaf) -> usize {
        *self.rows_of.get(&leaf.name).unwrap_or(&self.rows_per_leaf)
    }
}

/// Which seeds of a leaf went where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedAssignment {
    /// The leaf.
    pub leaf: String,
    /// Seeds of the training rows.
    pub train: Vec<usize>,
    /// Seeds of the validation rows.
    pub validation: Vec<usize>,
    /// Seeds of the test rows.
    pub test: Vec<usize>,
}

/// What is known of a synthesis beside its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// Where fewer rows came out than were asked for, and why.
    pub shortfalls: Vec<Shortfall>,
    /// Which seeds went where.
    pub assignments: Vec<SeedAssignment>,
}

/// The rows of all leaves, divided, in memory.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SynthesizedSplit {
    /// Rows to train on.
    pub train: Vec<Sample>,
    /// Rows to choose checkpoints by.
    pub validation: Vec<Sample>,
    /// Rows to measure on.
    pub test: Vec<Sample>,
    /// Every row, kept or dropped.
    pub ledger: Vec<Entry>,
    /// Where fewer rows came out than were asked for, and why.
    pub shortfalls: Vec<Shortfall>,
    /// Which seeds went where.
    pub assignments: Vec<SeedAssignment>,
}

impl Sink for SynthesizedSplit {
    fn keep(&mut self, part: Part, sample: Sample) -> Result<()> {
        self.ledger.push(Entry::kept(&sample, part.name()));
        match part {
            Part::Train => self.train.push(sample),
            Part::Validation => self.validation.push(sample),
            Part::Test => self.test.push(sample),
        }
        Ok(())
    }

    fn drop(&mut self, entry: Entry) -> Result<()> {
        self.ledger.push(entry);
        Ok(())
    }
}

/// Of held-out rows so many times those wanted are looked at, since those near to training
/// rows are dropped.
const OFFERS_PER_ROW: usize = 8;

/// As [`synthesize_into`], with everything in memory.
///
/// # Errors
/// As [`synthesize_into`].
pub fn synthesize_split(
    teacher: &dyn Teacher,
    leaves: &[SeedLeaf],
    settings: &SynthesisSettings,
) -> Result<SynthesizedSplit> {
    let mut made = SynthesizedSplit::default();
    let summary = synthesize_into(teacher, leaves, settings, &mut made)?;
    (made.shortfalls, made.assignments) = (summary.shortfalls, summary.assignments);
    Ok(made)
}

/// Divides each leaf's seeds and makes rows for every split, which go to `sink` one by one: first
/// the training rows of all leaves, then the held-out ones. Validation and test
/// rows use partly values that training never sees; those nearly equal to a
/// training row are dropped and replaced.
///
/// # Errors
/// The shares or filters are impossible, the teacher fails, or the sink does.
pub fn synthesize_into(
    teacher: &dyn Teacher,
    leaves: &[SeedLeaf],
    settings: &SynthesisSettings,
    sink: &mut dyn Sink,
) -> Result<Summary> {
    settings.check()?;
    let held_out = |leaf: &SeedLeaf, part: Part| held_out_rows(settings, leaf, part);
    let parts = [Part::Validation, Part::Test];
    let holds_out = leaves
        .iter()
        .any(|leaf| parts.iter().any(|part| held_out(leaf, *part) > 0));
    let mut sieve = Sieve::new(&settings.filters, holds_out, sink);
    let assignments: Vec<SeedAssignment> = leaves
        .iter()
        .map(|leaf| assign_seeds(leaf, settings))
        .collect();
    let mut shortfalls = Vec::new();
    let mut jobs = Vec::new();
    let mut requests = Vec::new();
    let of_leaves = || leaves.iter().zip(&assignments);
    let training = of_leaves().map(|of| (of, Part::Train));
    let held_outs = of_leaves().flat_map(|of| parts.map(|part| (of, part)));
    for ((leaf, seeds), part) in training.chain(held_outs) {
        let held: usize = parts.iter().map(|part| held_out(leaf, *part)).sum();
        let (seeds, rows, side) = match part {
            Part::Train => (&seeds.train, settings.rows(leaf) - held, PoolSide::Training),
            Part::Validation => (&seeds.validation, held_out(leaf, part), PoolSide::HeldOut),
            Part::Test => (&seeds.test, held_out(leaf, part), PoolSide::HeldOut),
        };
        if part != Part::Train && (rows == 0 || seeds.is_empty()) {
            shortfalls.extend((rows > 0).then(|| no_seed(leaf, part, rows)));
            continue;
        }
        let request = Request {
            rows,
            seed: settings.split.seed,
            side,
        };
        jobs.push((leaf, part));
        requests.push((leaf.with_seeds(seeds), request));
    }
    in_turn(teacher, &requests, |n, offers| {
        let (leaf, part) = jobs[n];
        let shortfall = match part {
            Part::Train => train(offers, &mut sieve)?,
            _ => hold_out(offers, leaf, part, requests[n].1.rows, &mut sieve)?,
        };
        shortfalls.extend(shortfall);
        Ok(())
    })?;
    Ok(Summary {
        shortfalls,
        assignments,
    })
}

/// Takes the training rows of one leaf.
fn train(offers: &mut Offers<'_>, sieve: &mut Sieve<'_>) -> Result<Option<Shortfall>> {
    let mut refused = 0;
    let shortfall = offers(&mut |offer| match offer {
        Offer::Dropped(entry) => sieve.dropped(entry).map(|()| Reply::Taken),
        Offer::Row(sample) => Ok(match sieve.train(sample)? {
            true => Reply::Taken,
            false => {
                refused += 1;
                Reply::Refused
            }
        }),
    })?;
    Ok(shortfall.map(|s| Shortfall {
        split: Part::Train.name().into(),
        reason: filtered(s.reason, refused),
        ..s
    }))
}

/// Says how many rows the filters dropped, where there are some.
fn filtered(reason: String, refused: usize) -> String {
    match refused {
        0 => reason,
        _ => format!("{reason}; {refused} more were dropped by the filters (see the ledger)"),
    }
}

impl SynthesisSettings {
    fn check(&self) -> Result<()> {
        self.split.check()?;
        match self.filters.near_duplicates {
            Some(similarity) if !(similarity > 0.0 && similarity <= 1.0) => {
                Err(DataError::settings(
                    format!("`near_duplicates: {similarity}` is no similarity"),
                    "give a number above 0 and at most 1, such as 0.8; 1 drops equal rows only",
                ))
            }
            _ => Ok(()),
        }
    }
}

fn held_out_rows(settings: &SynthesisSettings, leaf: &SeedLeaf, part: Part) -> usize {
    let share = settings.split.share(part);
    let all = settings.rows(leaf);
    let rows = (all as f64 * share).round() as usize;
    if share > 0.0 {
        rows.max(1).min(all / 2)
    } else {
        0
    }
}

fn assign_seeds(leaf: &SeedLeaf, settings: &SynthesisSettings) -> SeedAssignment {
    let labels: Vec<Option<String>> = leaf.seeds.iter().map(|s| leaf.label_of_seed(s)).collect();
    let parts = assign(&leaf.name, &labels, &settings.split);
    let of = |part: Part| {
        leaf.seeds
            .iter()
            .zip(&parts)
            .filter(|(_, p)| **p == part)
            .map(|(s, _)| s.index)
            .collect::<Vec<_>>()
    };
    SeedAssignment {
        leaf: leaf.name.clone(),
        train: of(Part::Train),
        validation: of(Part::Validation),
        test: of(Part::Test),
    }
}

/// Takes the validation or test rows of one leaf.
fn hold_out(
    offers: &mut Offers<'_>,
    leaf: &SeedLeaf,
    part: Part,
    wanted: usize,
    sieve: &mut Sieve<'_>,
) -> Result<Option<Shortfall>> {
    let (mut offered, mut kept) = (0, 0);
    let mut seen = HashSet::new();
    let mut take = |offer: Offer| {
        let sample = match offer {
            Offer::Dropped(entry) => return sieve.dropped(entry).map(|()| Reply::Taken),
            Offer::Row(sample) => sample,
        };
        offered += 1;
        Ok(match sieve.hold_out(part, sample, &mut seen)? {
            true => {
                kept += 1;
                Reply::Taken
            }
            false if offered >= wanted * OFFERS_PER_ROW => Reply::Enough,
            false => Reply::Refused,
        })
    };
    let shortfall = offers(&mut take)?;
    let dropped = offered - kept;
    Ok((kept < wanted).then(|| too_few(leaf, part, wanted, kept, dropped, shortfall)))
}

fn no_seed(leaf: &SeedLeaf, part: Part, wanted: usize) -> Shortfall {
    Shortfall {
        leaf: leaf.name.clone(),
        split: part.name().into(),
        wanted,
        got: 0,
        reason: format!(
            "none of its {} seeds could be held out, since each label keeps one for training; add seed examples",
            leaf.seeds.len()
        ),
    }
}

fn too_few(
    leaf: &SeedLeaf,
    part: Part,
    wanted: usize,
    got: usize,
    near: usize,
    own: Option<Shortfall>,
) -> Shortfall {
    let mut reason = own.map_or_else(String::new, |s| format!("{}; ", s.reason));
    reason.push_str(&format!(
        "{near} rows were dropped since they are nearly equal to training rows; vary the wording of the seed examples"
    ));
    Shortfall {
        leaf: leaf.name.clone(),
        split: part.name().into(),
        wanted,
        got,
        reason,
    }
}
