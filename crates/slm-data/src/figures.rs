//! What a dataset holds, counted row by row as it is made.
//!
//! Does not know how rows are made or written.

use crate::diversity::{Diversity, TextSample};
use crate::ledger::{Entry, Fate};
use crate::sample::Sample;
use crate::scan::{Finding, scan};
use crate::split::{Part, comparable_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The counts of a dataset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Rows by part.
    pub rows: BTreeMap<String, usize>,
    /// The leaves, by name.
    pub leaves: BTreeMap<String, LeafFigures>,
    /// Rows that were made and are in no part, by reason.
    pub dropped: BTreeMap<String, usize>,
    /// Rows of the dataset with personal data or secrets, by what was found.
    pub personal_data: BTreeMap<Finding, usize>,
    /// Seed examples that have rows both in training and in the test; always 0 unless something
    /// is wrong.
    pub shared_families: usize,
    /// How much the users' texts differ.
    pub diversity: Option<Diversity>,
}

/// The counts of a leaf.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeafFigures {
    /// Rows by part.
    pub rows: BTreeMap<String, usize>,
    /// Rows of all parts by label, where the leaf has labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, usize>,
}

impl Figures {
    /// Rows of a part.
    pub fn rows_of(&self, part: Part) -> usize {
        self.rows.get(part.name()).copied().unwrap_or(0)
    }
}

/// Counts rows as they come by.
#[derive(Default)]
pub struct Tally {
    figures: Figures,
    texts: TextSample,
    training: BTreeSet<(String, u64)>,
    test: BTreeSet<(String, u64)>,
}

impl Tally {
    /// A row of a part.
    pub fn keep(&mut self, part: Part, sample: &Sample) {
        let figures = &mut self.figures;
        *figures.rows.entry(part.name().to_owned()).or_default() += 1;
        let name = sample.leaf().unwrap_or_default();
        if !figures.leaves.contains_key(name) {
            figures
                .leaves
                .insert(name.to_owned(), LeafFigures::default());
        }
        if let Some(leaf) = figures.leaves.get_mut(name) {
            *leaf.rows.entry(part.name().to_owned()).or_default() += 1;
            if let Some(label) = sample.metadata.get("label").and_then(Value::as_str) {
                *leaf.labels.entry(label.to_owned()).or_default() += 1;
            }
        }
        let text = comparable_text(sample);
        let found = scan(&text).into_iter();
        let found = found.chain(scan(sample.answer().unwrap_or_default()));
        let found: BTreeSet<Finding> = found.map(|(finding, _)| finding).collect();
        for finding in found {
            *figures.personal_data.entry(finding).or_default() += 1;
        }
        if let Some(seed) = sample.seed() {
            let families = match part {
                Part::Train => &mut self.training,
                Part::Test => &mut self.test,
                Part::Validation => return self.texts.add(text),
            };
            if !families.contains(&(name.to_owned(), seed)) {
                families.insert((name.to_owned(), seed));
            }
        }
        self.texts.add(text);
    }

    /// A row that is in no part.
    pub fn drop(&mut self, entry: &Entry) {
        if let Fate::Dropped { reason, .. } = &entry.fate {
            *self.figures.dropped.entry(reason.clone()).or_default() += 1;
        }
    }

    /// The counts.
    pub fn figures(self) -> Figures {
        Figures {
            shared_families: self.training.intersection(&self.test).count(),
            diversity: self.texts.diversity(),
            ..self.figures
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_by_part_leaf_label_and_finding() {
        let row = |question: &str, seed: u64, label: &str| {
            Sample::pair("r", question, "call +44 20 7946 0958")
                .with("leaf", "l")
                .with("seed", seed)
                .with("label", label)
        };
        let mut tally = Tally::default();
        tally.keep(Part::Train, &row("one two", 0, "a"));
        tally.keep(Part::Train, &row("write to ada@lovelace.org", 1, "b"));
        tally.keep(Part::Validation, &row("three four", 1, "b"));
        tally.keep(Part::Test, &row("five six", 1, "b"));
        tally.drop(&Entry::dropped(&row("x", 0, "a"), "why", None));
        let figures = tally.figures();
        assert_eq!(figures.rows_of(Part::Train), 2);
        assert_eq!(figures.rows_of(Part::Test), 1);
        assert_eq!(figures.leaves["l"].labels["b"], 3);
        assert_eq!(figures.personal_data[&Finding::Email], 1);
        assert_eq!(figures.personal_data[&Finding::Phone], 4);
        assert_eq!(figures.dropped["why"], 1);
        assert_eq!(figures.shared_families, 1, "seed 1 is on both sides");
        assert_eq!(figures.diversity.unwrap().texts, 4);
    }
}
