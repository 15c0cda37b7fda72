//! What stands between a teacher and a dataset: rows are looked at one by one, in order, and go
//! on or are dropped with the reason.
//!
//! Keeps an index of what it has seen, no rows. Does not know how rows are made or written.

use super::per_split::Sink;
use crate::error::Result;
use crate::ledger::Entry;
use crate::minhash::NearTexts;
use crate::sample::Sample;
use crate::scan::scan;
use crate::split::{GramSets, NEAR_DUPLICATE, NearDuplicates, Part, comparable_text, grams};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// What is dropped beside equal rows, and held-out rows near to a training row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Rows at least so similar (Jaccard, word 3-grams) to an earlier row of any leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<f64>,
    /// Rows with personal data or a secret.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub personal_data: bool,
}

impl Filters {
    /// Whether nothing is dropped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Why rows are dropped, in words that repeat.
pub(super) const NEAR_TRAINING: &str = "it is nearly equal to a training row";
const NEAR_EARLIER: &str = "it is nearly equal to an earlier row";
const EQUAL_EARLIER: &str = "the same row was made before";
const PERSONAL: &str = "it holds personal data or a secret";

pub(super) struct Sieve<'a> {
    filters: &'a Filters,
    near: Option<NearTexts>,
    /// The training rows so far, and once all are there, their index.
    training: GramSets,
    index: Option<NearDuplicates>,
    /// Whether there will be held-out rows, which training rows are kept in mind for.
    holds_out: bool,
    sink: &'a mut dyn Sink,
}

impl<'a> Sieve<'a> {
    pub fn new(filters: &'a Filters, holds_out: bool, sink: &'a mut dyn Sink) -> Self {
        Self {
            filters,
            near: filters.near_duplicates.map(NearTexts::new),
            training: GramSets::default(),
            index: None,
            holds_out,
            sink,
        }
    }

    /// Notes what the teacher dropped.
    pub fn dropped(&mut self, entry: Entry) -> Result<()> {
        self.sink.drop(entry)
    }

    /// Whether the training row goes on.
    pub fn train(&mut self, sample: Sample) -> Result<bool> {
        let text = comparable_text(&sample);
        if self.filters.is_empty() && !self.holds_out {
            self.sink.keep(Part::Train, sample)?;
            return Ok(true);
        }
        if let Some((reason, detail)) = self.personal(&text) {
            return self.refuse(&sample, reason, Some(detail));
        }
        let grams = grams(&text, 3);
        if self.is_near(&grams) {
            return self.refuse(&sample, NEAR_EARLIER, None);
        }
        if self.holds_out {
            self.training.push(&grams);
        }
        self.sink.keep(Part::Train, sample)?;
        Ok(true)
    }

    /// Whether the held-out row goes on. After the first no more training rows may come.
    /// `seen` are the texts of this leaf and part.
    pub fn hold_out(
        &mut self,
        part: Part,
        sample: Sample,
        seen: &mut HashSet<String>,
    ) -> Result<bool> {
        let text = comparable_text(&sample);
        let grams = grams(&text, 3);
        if let Some((_, similarity)) = self.index().nearest_to(&grams) {
            let detail = format!("similarity {similarity:.2}");
            return self.refuse(&sample, NEAR_TRAINING, Some(detail));
        }
        if let Some((reason, detail)) = self.personal(&text) {
            return self.refuse(&sample, reason, Some(detail));
        }
        if self.is_near(&grams) {
            return self.refuse(&sample, NEAR_EARLIER, None);
        }
        if !seen.insert(text) {
            return self.refuse(&sample, EQUAL_EARLIER, None);
        }
        self.sink.keep(part, sample)?;
        Ok(true)
    }

    fn index(&mut self) -> &NearDuplicates {
        let training = &mut self.training;
        self.index
            .get_or_insert_with(|| NearDuplicates::of(std::mem::take(training), NEAR_DUPLICATE))
    }

    fn personal(&self, text: &str) -> Option<(&'static str, String)> {
        if !self.filters.personal_data {
            return None;
        }
        let (finding, _) = scan(text).into_iter().next()?;
        Some((PERSONAL, finding.label().to_owned()))
    }

    fn is_near(&mut self, grams: &[u64]) -> bool {
        let near = self.near.as_mut();
        near.is_some_and(|near| near.find_or_keep_grams(grams).is_some())
    }

    fn refuse(
        &mut self,
        sample: &Sample,
        reason: &'static str,
        detail: Option<String>,
    ) -> Result<bool> {
        self.sink.drop(Entry::dropped(sample, reason, detail))?;
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::super::per_split::SynthesizedSplit;
    use super::*;
    use crate::ledger::dropped_by_reason;
    use std::collections::BTreeMap;

    fn row(id: &str, text: &str) -> Sample {
        Sample::pair(id, text, "yes").with("leaf", "l")
    }

    #[test]
    fn each_row_goes_on_or_has_its_reason() {
        let filters = Filters {
            near_duplicates: Some(0.8),
            personal_data: true,
        };
        let mut made = SynthesizedSplit::default();
        let mut sieve = Sieve::new(&filters, true, &mut made);
        let text = "one two three four five six seven eight nine ten eleven twelve";
        assert!(sieve.train(row("a", text)).unwrap());
        assert!(!sieve.train(row("b", &format!("{text}!"))).unwrap());
        assert!(!sieve.train(row("c", "write to ada@lovelace.org")).unwrap());
        let mut seen = HashSet::new();
        let mut hold_out = |id: &str, text: &str| {
            sieve
                .hold_out(Part::Test, row(id, text), &mut seen)
                .unwrap()
        };
        assert!(!hold_out("d", text));
        assert!(hold_out("e", "something else"));
        assert!(!hold_out("f", "Something, else"));
        assert_eq!((made.train.len(), made.test.len()), (1, 1));
        let expected = [(NEAR_EARLIER, 2), (NEAR_TRAINING, 1), (PERSONAL, 1)];
        let expected: BTreeMap<String, usize> = expected
            .map(|(reason, count)| (reason.to_owned(), count))
            .into();
        assert_eq!(dropped_by_reason(&made.ledger), expected);
        assert_eq!(made.ledger.len(), 6);
    }

    #[test]
    fn without_filters_only_equal_held_out_rows_and_those_near_to_training_are_dropped() {
        let filters = Filters::default();
        let mut made = SynthesizedSplit::default();
        let mut sieve = Sieve::new(&filters, true, &mut made);
        assert!(sieve.train(row("a", "write to ada@lovelace.org")).unwrap());
        let mut seen = HashSet::new();
        let mut hold_out = |text: &str| {
            sieve
                .hold_out(Part::Test, row("t", text), &mut seen)
                .unwrap()
        };
        assert!(hold_out("call me"));
        assert!(!hold_out("call me"));
        assert!(hold_out("Call me"), "other writing is another row");
    }
}
