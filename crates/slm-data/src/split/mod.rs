//! Training, validation and test by seed family, so that no paraphrase of a
//! training row is tested on.
//!
//! Does not make rows; see `synthesize`.

mod grams;
mod leakage;
mod overlap;

pub(crate) use grams::{GramSets, grams, jaccard, ordered_grams};
pub use grams::{NearDuplicates, comparable_text};
pub use leakage::{LeakageReport, SimilarPair, leakage};
pub use overlap::{Overlap, OverlapIndex, RUN, SHORTEST_RUN, SharedRow};

use crate::error::{DataError, Result};
use crate::hash::fnv1a;
use crate::ledger::Entry;
use crate::sample::Sample;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Rows whose word 3-grams have at least this Jaccard similarity count as near
/// duplicates.
pub const NEAR_DUPLICATE: f64 = 0.8;

/// One part of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Rows to train on.
    Train,
    /// Rows to choose checkpoints by.
    Validation,
    /// Rows to measure on.
    Test,
}

impl Part {
    /// `train`, `validation` or `test`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// How to divide.
#[derive(Debug, Clone, PartialEq)]
pub struct SplitSettings {
    /// Share for validation, from 0 to 1.
    pub validation: f64,
    /// Share for test, from 0 to 1.
    pub test: f64,
    /// Seeds the choice.
    pub seed: u64,
}

impl Default for SplitSettings {
    fn default() -> Self {
        Self {
            validation: 0.1,
            test: 0.2,
            seed: 0,
        }
    }
}

impl SplitSettings {
    /// Checks that the shares leave something to train on.
    ///
    /// # Errors
    /// A share is negative or not a number, or together they reach 1.
    pub fn check(&self) -> Result<()> {
        let sane = |share: f64| (0.0..1.0).contains(&share);
        if sane(self.validation) && sane(self.test) && self.validation + self.test < 1.0 {
            return Ok(());
        }
        Err(DataError::settings(
            format!(
                "cannot hold out `validation: {}` and `test: {}`",
                self.validation, self.test
            ),
            "give two shares from 0 to 1 that add up to less than 1, such as 0.1 and 0.2",
        ))
    }

    pub(crate) fn share(&self, part: Part) -> f64 {
        match part {
            Part::Train => 1.0 - self.validation - self.test,
            Part::Validation => self.validation,
            Part::Test => self.test,
        }
    }
}

/// A divided dataset.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Split {
    /// Rows to train on.
    pub train: Vec<Sample>,
    /// Rows to choose checkpoints by.
    pub validation: Vec<Sample>,
    /// Rows to measure on.
    pub test: Vec<Sample>,
    /// Every row, kept or dropped, with the reason.
    pub ledger: Vec<Entry>,
    /// What could not be done as asked.
    pub notes: Vec<String>,
}

/// Divides rows into families by leaf and seed, a row without seed being its own
/// family, and puts whole families into one part each: by leaf, and within a
/// leaf by `metadata.label`, so that each label keeps a training family. Then
/// drops validation and test rows that are near-duplicates of training rows.
///
/// # Errors
/// The shares are impossible.
pub fn split(samples: Vec<Sample>, settings: &SplitSettings) -> Result<Split> {
    settings.check()?;
    let mut divided = Split::default();
    let mut leaves: BTreeMap<String, BTreeMap<String, Vec<Sample>>> = BTreeMap::new();
    for sample in samples {
        let leaf = sample.leaf().unwrap_or_default().to_owned();
        leaves
            .entry(leaf)
            .or_default()
            .entry(family(&sample))
            .or_default()
            .push(sample);
    }
    let mut held_out = Vec::new();
    for (leaf, families) in leaves {
        let labels: Vec<Option<String>> = families.values().map(|rows| label(rows)).collect();
        let parts = assign(&leaf, &labels, settings);
        for part in [Part::Validation, Part::Test] {
            if settings.share(part) > 0.0 && !parts.contains(&part) {
                divided.notes.push(format!(
                    "leaf `{leaf}` has no {} rows: {} families, and each label keeps one for training",
                    part.name(),
                    families.len()
                ));
            }
        }
        for (rows, part) in families.into_values().zip(parts) {
            match part {
                Part::Train => divided.train.extend(rows),
                other => held_out.extend(rows.into_iter().map(|row| (other, row))),
            }
        }
    }
    keep_distinct(held_out, &mut divided);
    Ok(divided)
}

fn keep_distinct(held_out: Vec<(Part, Sample)>, divided: &mut Split) {
    let texts: Vec<String> = divided.train.iter().map(comparable_text).collect();
    let index = NearDuplicates::new(&texts, NEAR_DUPLICATE);
    divided
        .ledger
        .extend(divided.train.iter().map(|s| Entry::kept(s, "train")));
    for (part, sample) in held_out {
        if let Some((near, similarity)) = index.nearest(&comparable_text(&sample)) {
            let detail = format!("similarity {similarity:.2} to `{}`", divided.train[near].id);
            divided.ledger.push(Entry::dropped(
                &sample,
                "it is nearly equal to a training row",
                Some(detail),
            ));
            continue;
        }
        divided.ledger.push(Entry::kept(&sample, part.name()));
        match part {
            Part::Validation => divided.validation.push(sample),
            _ => divided.test.push(sample),
        }
    }
}

fn family(sample: &Sample) -> String {
    sample.seed().map_or_else(
        || format!("row {}", sample.id),
        |seed| format!("seed {seed:08}"),
    )
}

/// The most frequent label of a family.
fn label(rows: &[Sample]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in rows
        .iter()
        .filter_map(|s| s.metadata.get("label")?.as_str())
    {
        *counts.entry(label).or_default() += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map(|(label, _)| label.to_owned())
}

/// Assigns families, given by their labels, to parts. Held-out families are
/// taken from the labels that have most left; no label gives away its last one.
pub(crate) fn assign(leaf: &str, labels: &[Option<String>], settings: &SplitSettings) -> Vec<Part> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed ^ fnv1a(leaf.as_bytes()));
    let mut strata: BTreeMap<&Option<String>, Vec<usize>> = BTreeMap::new();
    for (n, label) in labels.iter().enumerate() {
        strata.entry(label).or_default().push(n);
    }
    let mut strata: Vec<(u32, Vec<usize>)> = strata
        .into_values()
        .map(|mut families| {
            families.shuffle(&mut rng);
            (rng.random(), families)
        })
        .collect();
    let mut parts = vec![Part::Train; labels.len()];
    for part in [Part::Test, Part::Validation] {
        let share = settings.share(part);
        let wanted = (labels.len() as f64 * share).round() as usize;
        let wanted = if share > 0.0 { wanted.max(1) } else { 0 };
        for _ in 0..wanted {
            let Some((_, families)) = strata.iter_mut().max_by_key(|(tie, f)| (f.len(), *tie))
            else {
                break;
            };
            if families.len() < 2 {
                break;
            }
            if let Some(family) = families.pop() {
                parts[family] = part;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn row(n: usize, leaf: usize, seed: usize, label: usize) -> Sample {
        let text: String = (0..8)
            .map(|w| format!("w{} ", (n * 31 + w * 7) % 97))
            .collect();
        Sample::pair(format!("r{n}"), text, "a")
            .with("leaf", format!("leaf{leaf}"))
            .with("seed", seed)
            .with("label", format!("label{label}"))
    }

    fn families(rows: &[Sample]) -> BTreeSet<(String, u64)> {
        rows.iter()
            .map(|s| (s.leaf().unwrap().to_owned(), s.seed().unwrap()))
            .collect()
    }

    proptest! {
        #[test]
        fn no_family_is_in_two_parts_and_no_row_is_lost(
            rows in prop::collection::vec((0usize..3, 0usize..9), 1..120),
            seed: u64, test in 0.0f64..0.5, validation in 0.0f64..0.4,
        ) {
            let samples: Vec<Sample> =
                rows.iter().enumerate().map(|(n, &(leaf, seed))| row(n, leaf, seed, seed % 3)).collect();
            let settings = SplitSettings { validation, test, seed };
            let divided = split(samples.clone(), &settings).unwrap();
            let parts = [families(&divided.train), families(&divided.validation), families(&divided.test)];
            prop_assert!(parts[0].is_disjoint(&parts[1]) && parts[0].is_disjoint(&parts[2]) && parts[1].is_disjoint(&parts[2]));
            prop_assert_eq!(divided.ledger.len(), samples.len());
            let ids: BTreeSet<&str> = divided.ledger.iter().map(|e| e.id.as_str()).collect();
            prop_assert_eq!(ids.len(), samples.len());
            let labels = |rows: &[Sample]| rows.iter().map(|s| (s.leaf().unwrap().to_owned(), s.metadata["label"].to_string())).collect::<BTreeSet<_>>();
            prop_assert_eq!(labels(&divided.train), labels(&samples));
            prop_assert_eq!(&split(samples, &settings).unwrap(), &divided);
        }
    }

    #[test]
    fn shares_are_kept_within_a_leaf() {
        let labels: Vec<Option<String>> = (0..40).map(|n| Some(format!("l{}", n % 4))).collect();
        let parts = assign(
            "x",
            &labels,
            &SplitSettings {
                validation: 0.1,
                test: 0.2,
                seed: 3,
            },
        );
        let of = |part| parts.iter().filter(|p| **p == part).count();
        assert_eq!(
            (of(Part::Train), of(Part::Validation), of(Part::Test)),
            (28, 4, 8)
        );
        for label in 0..4 {
            let tested = (0..40)
                .filter(|n| n % 4 == label && parts[*n] == Part::Test)
                .count();
            assert_eq!(tested, 2, "each label gives its share");
        }
    }

    #[test]
    fn near_duplicates_of_training_rows_are_dropped_with_the_reason() {
        let text = "please send the invoice for march to our office in the old town today";
        let samples: Vec<Sample> = (0..10)
            .map(|n| {
                Sample::pair(format!("r{n}"), text, "a")
                    .with("leaf", "l")
                    .with("seed", n)
            })
            .collect();
        let divided = split(
            samples,
            &SplitSettings {
                validation: 0.0,
                test: 0.2,
                seed: 1,
            },
        )
        .unwrap();
        assert_eq!((divided.train.len(), divided.test.len()), (8, 0));
        let dropped = crate::ledger::dropped_by_reason(&divided.ledger);
        assert_eq!(
            dropped.get("it is nearly equal to a training row"),
            Some(&2)
        );
    }

    #[test]
    fn impossible_shares_are_refused() {
        for (validation, test) in [(0.5, 0.5), (-0.1, 0.2), (f64::NAN, 0.1), (0.0, 1.0)] {
            let message = split(
                vec![],
                &SplitSettings {
                    validation,
                    test,
                    seed: 0,
                },
            )
            .unwrap_err()
            .to_string();
            assert!(message.contains("hint: give two shares"), "{message}");
        }
    }
}
