//! Synthesis without leakage: first the seeds are divided, then each split is
//! made from its own seeds only.
//!
//! Does not know how a teacher makes rows.

use super::{PoolSide, Request, SeedLeaf, Shortfall, Teacher};
use crate::error::Result;
use crate::ledger::Entry;
use crate::sample::Sample;
use crate::split::{NEAR_DUPLICATE, NearDuplicates, Part, SplitSettings, assign, comparable_text};
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
}

impl SynthesisSettings {
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

/// The rows of all leaves, divided.
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

/// Requests for held-out rows are repeated, doubled, so many times to make up
/// for near-duplicates.
const REFILLS: u32 = 3;

/// Divides each leaf's seeds and makes rows for every split. Validation and test
/// rows use partly values that training never sees; those nearly equal to a
/// training row are dropped and replaced.
///
/// # Errors
/// The shares are impossible, or the teacher fails.
pub fn synthesize_split(
    teacher: &dyn Teacher,
    leaves: &[SeedLeaf],
    settings: &SynthesisSettings,
) -> Result<SynthesizedSplit> {
    settings.split.check()?;
    let mut made = SynthesizedSplit::default();
    for leaf in leaves {
        let assignment = assign_seeds(leaf, settings);
        let rows = settings.rows(leaf)
            - held_out_rows(settings, leaf, Part::Test)
            - held_out_rows(settings, leaf, Part::Validation);
        let request = Request {
            rows,
            seed: settings.split.seed,
            side: PoolSide::Training,
        };
        let synthesis = teacher.synthesize(&leaf.with_seeds(&assignment.train), &request)?;
        made.ledger.extend(synthesis.dropped);
        made.shortfalls
            .extend(synthesis.shortfall.map(|s| Shortfall {
                split: "train".into(),
                ..s
            }));
        made.train.extend(synthesis.samples);
        made.assignments.push(assignment);
    }
    let texts: Vec<String> = made.train.iter().map(comparable_text).collect();
    let index = NearDuplicates::new(&texts, NEAR_DUPLICATE);
    for (n, leaf) in leaves.iter().enumerate() {
        for part in [Part::Validation, Part::Test] {
            hold_out(teacher, leaf, n, part, settings, &index, &mut made)?;
        }
    }
    let kept = [
        (&made.train, "train"),
        (&made.validation, "validation"),
        (&made.test, "test"),
    ];
    let kept: Vec<Entry> = kept
        .iter()
        .flat_map(|(rows, split)| rows.iter().map(|s| Entry::kept(s, split)))
        .collect();
    made.ledger.extend(kept);
    Ok(made)
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

/// Makes the validation or test rows of one leaf.
fn hold_out(
    teacher: &dyn Teacher,
    leaf: &SeedLeaf,
    n: usize,
    part: Part,
    settings: &SynthesisSettings,
    index: &NearDuplicates,
    made: &mut SynthesizedSplit,
) -> Result<()> {
    let wanted = held_out_rows(settings, leaf, part);
    let seeds = match part {
        Part::Validation => &made.assignments[n].validation,
        _ => &made.assignments[n].test,
    };
    if wanted == 0 || seeds.is_empty() {
        if wanted > 0 {
            made.shortfalls.push(no_seed(leaf, part, wanted));
        }
        return Ok(());
    }
    let own = leaf.with_seeds(seeds);
    let mut request = Request {
        rows: wanted,
        seed: settings.split.seed,
        side: PoolSide::HeldOut,
    };
    for refill in 0..=REFILLS {
        let synthesis = teacher.synthesize(&own, &request)?;
        let (kept, dropped) = without_near_duplicates(synthesis.samples, index, wanted);
        let exhausted = synthesis.shortfall.is_some() || refill == REFILLS;
        if kept.len() < wanted && !exhausted {
            request.rows *= 2;
            continue;
        }
        if kept.len() < wanted {
            made.shortfalls.push(too_few(
                leaf,
                part,
                wanted,
                kept.len(),
                dropped.len(),
                synthesis.shortfall,
            ));
        }
        made.ledger.extend(synthesis.dropped);
        made.ledger.extend(dropped);
        match part {
            Part::Validation => made.validation.extend(kept),
            _ => made.test.extend(kept),
        }
        break;
    }
    Ok(())
}

fn without_near_duplicates(
    samples: Vec<Sample>,
    index: &NearDuplicates,
    wanted: usize,
) -> (Vec<Sample>, Vec<Entry>) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    for sample in samples {
        if kept.len() == wanted {
            break;
        }
        let text = comparable_text(&sample);
        if let Some((_, similarity)) = index.nearest(&text) {
            let detail = format!("similarity {similarity:.2}");
            dropped.push(Entry::dropped(
                &sample,
                "it is nearly equal to a training row",
                Some(detail),
            ));
        } else if seen.insert(text) {
            kept.push(sample);
        }
    }
    (kept, dropped)
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
