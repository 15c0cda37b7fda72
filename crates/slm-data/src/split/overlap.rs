//! Evaluation rows that training gives away: those that share a long run of words with a training
//! row, as in GPT-3's check (Brown et al., "Language models are few-shot learners", 2020,
//! appendix C).
//!
//! The index is of the evaluations; training rows go by one at a time, any number of them. Does
//! not know files.

use super::grams::{comparable_text, tokens};
use crate::hash::{SpreadState, fnv1a};
use crate::parallel::in_order;
use crate::sample::{Plain, Sample};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Words of the shortest run that proves anything; a shorter text counts only as a whole.
pub const SHORTEST_RUN: usize = 8;
/// Words of a run, where nothing else is said.
pub const RUN: usize = 13;

/// Rows that a thread compares at once.
const BATCH: usize = 256;
/// Shared rows that are told.
const EXAMPLES: usize = 5;
/// The base of the hash of a run: a polynomial in the hashes of its words, modulo 2^64.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// An evaluation row, and the training row that gives it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SharedRow {
    /// Id of the evaluation row.
    pub row: String,
    /// Id of the first training row that shares words with it.
    pub train: String,
    /// The first run of words that they share.
    pub words: String,
}

/// How much of an evaluation is given away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// The evaluation's name.
    pub name: String,
    /// Its rows.
    pub rows: usize,
    /// Those of them that a training row shares a run with.
    pub shared: usize,
    /// The first of them.
    pub examples: Vec<SharedRow>,
}

impl Overlap {
    /// The share of the rows that is given away.
    pub fn share(&self) -> f64 {
        self.shared as f64 / self.rows.max(1) as f64
    }
}

/// The runs of evaluations, and which were met.
pub struct OverlapIndex {
    run: usize,
    /// Lengths of the runs that are looked for; texts shorter than a run are one run.
    lengths: BTreeSet<usize>,
    /// All runs, and the texts that are too short for one.
    runs: HashSet<u64, SpreadState>,
    /// Those that a training row has, with the id of the first.
    met: HashMap<u64, String, SpreadState>,
    sets: Vec<(String, Vec<Row>)>,
}

struct Row {
    id: String,
    text: String,
}

impl OverlapIndex {
    /// No evaluations yet; runs have so many words, at least [`SHORTEST_RUN`].
    pub fn new(run: usize) -> Self {
        Self {
            run: run.max(SHORTEST_RUN),
            lengths: BTreeSet::new(),
            runs: HashSet::default(),
            met: HashMap::default(),
            sets: Vec::new(),
        }
    }

    /// Adds an evaluation.
    ///
    /// # Errors
    /// The first of the rows that cannot be read.
    pub fn add<E>(
        &mut self,
        name: &str,
        rows: impl IntoIterator<Item = Result<Sample, E>>,
    ) -> Result<(), E> {
        let mut kept = Vec::new();
        for sample in rows {
            let sample = sample?;
            let text = said(&sample);
            let words = hashes(&text);
            let length = words.len().min(self.run);
            if length >= SHORTEST_RUN {
                self.lengths.insert(length);
            }
            if length > 0 {
                self.runs.extend(windows(&words, length));
            }
            let id = sample.id;
            kept.push(Row { id, text });
        }
        self.sets.push((name.to_owned(), kept));
        Ok(())
    }

    /// Looks through training rows, by all processors.
    ///
    /// # Errors
    /// The first of the rows that cannot be read.
    pub fn look_through<E: Send>(
        &mut self,
        rows: impl Iterator<Item = Result<Sample, E>> + Send,
    ) -> Result<(), E> {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let (runs, lengths) = (&self.runs, &self.lengths);
        let met = &mut self.met;
        let work = |batch: Vec<Result<Sample, E>>| {
            let mut shared: Vec<(u64, String)> = Vec::new();
            for sample in batch {
                let sample = sample?;
                let hashes = shared_runs(runs, lengths, &said(&sample));
                shared.extend(hashes.into_iter().map(|hash| (hash, sample.id.clone())));
            }
            Ok(shared)
        };
        let batches = Batches { rows };
        in_order(batches, processors, 4 * processors, work, |shared| {
            for (hash, id) in shared {
                met.entry(hash).or_insert(id);
            }
            Ok(())
        })
    }

    /// What was found, by evaluation.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let overlap = |(name, rows): &(String, Vec<Row>)| {
            let shared: Vec<SharedRow> = rows.iter().filter_map(|row| self.shared(row)).collect();
            Overlap {
                name: name.clone(),
                rows: rows.len(),
                shared: shared.len(),
                examples: shared.into_iter().take(EXAMPLES).collect(),
            }
        };
        self.sets.iter().map(overlap).collect()
    }

    fn shared(&self, row: &Row) -> Option<SharedRow> {
        let words = tokens(&row.text);
        let length = words.len().min(self.run);
        let hashes = hashes(&row.text);
        let mut trains = windows(&hashes, length).map(|hash| self.met.get(&hash));
        let (at, train) = trains
            .by_ref()
            .enumerate()
            .find_map(|(at, t)| Some((at, t?)))?;
        Some(SharedRow {
            row: row.id.clone(),
            train: train.clone(),
            words: words[at..at + length].join(" "),
        })
    }
}

/// The runs that a training text shares with evaluations.
fn shared_runs(
    runs: &HashSet<u64, SpreadState>,
    lengths: &BTreeSet<usize>,
    text: &str,
) -> Vec<u64> {
    let words = hashes(text);
    let whole = (1..SHORTEST_RUN)
        .contains(&words.len())
        .then_some(words.len());
    let fitting = lengths.iter().copied().filter(|n| *n <= words.len());
    let all = fitting
        .chain(whole)
        .flat_map(|length| windows(&words, length));
    all.filter(|hash| runs.contains(hash)).collect()
}

/// Rows in batches.
struct Batches<I> {
    rows: I,
}

impl<I: Iterator> Iterator for Batches<I> {
    type Item = Vec<I::Item>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch: Vec<I::Item> = self.rows.by_ref().take(BATCH).collect();
        (!batch.is_empty()).then_some(batch)
    }
}

/// What a row says to the model: the users' turns without the leaf's instruction, or the text
/// that it is.
fn said(sample: &Sample) -> String {
    match &sample.plain {
        Some(Plain::Text { text }) => text.clone(),
        Some(Plain::Pair { prompt, .. }) => prompt.clone(),
        None => comparable_text(sample),
    }
}

fn hashes(text: &str) -> Vec<u64> {
    tokens(text)
        .iter()
        .map(|word| fnv1a(word.as_bytes()))
        .collect()
}

/// The hashes of all runs of `length` words, from left to right; none of no words.
fn windows(words: &[u64], length: usize) -> impl Iterator<Item = u64> {
    let power = BASE.wrapping_pow(length as u32);
    let mut hash = 0u64;
    words.iter().enumerate().filter_map(move |(n, word)| {
        hash = hash.wrapping_mul(BASE).wrapping_add(*word);
        if n >= length {
            hash = hash.wrapping_sub(words[n - length].wrapping_mul(power));
        }
        // The length as well: a short text is not the start of a longer one's hash.
        (length > 0 && n + 1 >= length).then_some(hash ^ length as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(id: &str, text: &str) -> Sample {
        Sample::pair(id, text, "a")
    }

    fn found(run: usize, eval: &[&str], train: &[&str]) -> Overlap {
        let mut index = OverlapIndex::new(run);
        let rows = |texts: &[&str], name: &str| -> Vec<Result<Sample, ()>> {
            let each = texts.iter().enumerate();
            each.map(|(n, text)| Ok(row(&format!("{name}{n}"), text)))
                .collect()
        };
        let other = row("x", "nothing of this stands anywhere else at all, we hope");
        index.add("other", [Ok::<_, ()>(other)]).unwrap();
        index.add("e", rows(eval, "e")).unwrap();
        index.look_through(rows(train, "t").into_iter()).unwrap();
        let mut overlaps = index.overlaps();
        assert_eq!(overlaps[0].shared, 0);
        overlaps.remove(1)
    }

    #[test]
    fn a_long_run_is_found_wherever_it_stands() {
        let eval =
            ["Well: one two three four five six seven eight nine ten eleven twelve 13 14 end"];
        let train = [
            "one two three four five six seven eight nine ten eleven twelve 12a",
            "so ONE, two three four five six seven eight nine ten eleven twelve 13!",
            "one two three four five six seven eight nine ten eleven twelve 13",
        ];
        let overlap = found(13, &eval, &train);
        assert_eq!((overlap.rows, overlap.shared, overlap.share()), (1, 1, 1.0));
        assert_eq!(
            overlap.examples,
            [SharedRow {
                row: "e0".into(),
                train: "t1".into(),
                words: "one two three four five six seven eight nine ten eleven twelve 13".into(),
            }]
        );
        assert_eq!(found(14, &eval, &train).shared, 0);
    }

    #[test]
    fn short_texts_count_as_a_whole() {
        let short = ["a b c d e f g h i"];
        assert_eq!(found(13, &short, &["x a b c d e f g h i y"]).shared, 1);
        assert_eq!(
            found(13, &["Please help me"], &["Please help me today"]).shared,
            0
        );
        assert_eq!(
            found(13, &["Please help me"], &["please, help me!"]).shared,
            1
        );
        assert_eq!(found(13, &["", "!"], &["", "?"]).shared, 0);
    }

    proptest! {
        #[test]
        fn as_comparing_all_runs_finds(
            eval in "[ab]( [ab]){0,20}", train in "[ab]( [ab]){0,20}", run in 8usize..14,
        ) {
            let (e, t) = (tokens(&eval), tokens(&train));
            let length = e.len().min(run);
            let shares = match length >= SHORTEST_RUN {
                true => e.windows(length).any(|a| t.windows(length).any(|b| a == b)),
                false => e == t,
            };
            prop_assert_eq!(found(run, &[&eval], &[&train]).shared == 1, shares);
        }
    }
}
