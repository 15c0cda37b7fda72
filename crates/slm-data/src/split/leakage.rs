//! How much of a test set is in the training set, as a report to print.
//!
//! Measures; does not remove anything.

use super::grams::{NearDuplicates, comparable_text, grams};
use crate::sample::Sample;
use serde::Serialize;
use std::collections::HashSet;
use std::fmt;

/// Length of the word n-grams whose sharing is counted.
const LONG_GRAM: usize = 8;
/// Pairs at or above this similarity are looked at.
const SIMILAR: f64 = 0.5;
/// Pairs kept for the report.
const EXAMPLES: usize = 5;

/// A test row and the training row most like it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimilarPair {
    /// Id of the test row.
    pub test: String,
    /// Id of the training row.
    pub train: String,
    /// Jaccard similarity of their word 3-grams.
    pub similarity: f64,
}

/// Overlap of a test set with a training set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeakageReport {
    /// Training rows.
    pub train_rows: usize,
    /// Test rows.
    pub test_rows: usize,
    /// Seed families (leaf and seed) that both sets have rows of.
    pub shared_families: usize,
    /// Test rows whose text is that of a training row.
    pub exact: usize,
    /// Test rows with a training row at [`super::NEAR_DUPLICATE`] or above.
    pub near_duplicates: usize,
    /// Test rows with a training row at a similarity of 0.5 or above.
    pub similar: usize,
    /// Test rows that share a run of 8 words with a training row.
    pub shared_8_grams: usize,
    /// The most similar pairs, most similar first.
    pub examples: Vec<SimilarPair>,
}

impl LeakageReport {
    /// Whether nothing was found that makes the test set unfit.
    pub fn is_clean(&self) -> bool {
        self.shared_families == 0 && self.near_duplicates == 0
    }
}

/// Compares the users' texts of both sets, without the leaves' instructions.
pub fn leakage(train: &[Sample], test: &[Sample]) -> LeakageReport {
    let texts: Vec<String> = train.iter().map(comparable_text).collect();
    let exact: HashSet<&str> = texts.iter().map(String::as_str).collect();
    let long: HashSet<u64> = texts.iter().flat_map(|t| long_grams(t)).collect();
    let index = NearDuplicates::new(&texts, SIMILAR);
    let mut report = LeakageReport {
        train_rows: train.len(),
        test_rows: test.len(),
        shared_families: shared_families(train, test),
        exact: 0,
        near_duplicates: 0,
        similar: 0,
        shared_8_grams: 0,
        examples: Vec::new(),
    };
    for sample in test {
        let text = comparable_text(sample);
        report.exact += usize::from(exact.contains(text.as_str()));
        report.shared_8_grams += usize::from(long_grams(&text).iter().any(|g| long.contains(g)));
        if let Some((n, similarity)) = index.nearest(&text) {
            report.similar += 1;
            report.near_duplicates += usize::from(similarity >= super::NEAR_DUPLICATE);
            let (test, train) = (sample.id.clone(), train[n].id.clone());
            report.examples.push(SimilarPair {
                test,
                train,
                similarity,
            });
        }
    }
    report.examples.sort_by(|a, b| {
        b.similarity
            .total_cmp(&a.similarity)
            .then_with(|| a.test.cmp(&b.test))
    });
    report.examples.truncate(EXAMPLES);
    report
}

/// Grams of 8 words; none for shorter texts, which prove nothing.
fn long_grams(text: &str) -> Vec<u64> {
    if super::grams::tokens(text).len() < LONG_GRAM {
        Vec::new()
    } else {
        grams(text, LONG_GRAM)
    }
}

fn shared_families(train: &[Sample], test: &[Sample]) -> usize {
    let families = |rows: &[Sample]| -> HashSet<(String, u64)> {
        rows.iter()
            .filter_map(|s| Some((s.leaf()?.to_owned(), s.seed()?)))
            .collect()
    };
    families(train).intersection(&families(test)).count()
}

impl fmt::Display for LeakageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |count: usize| 100.0 * count as f64 / self.test_rows.max(1) as f64;
        writeln!(
            f,
            "{} test rows against {} training rows",
            self.test_rows, self.train_rows
        )?;
        writeln!(
            f,
            "  shared seed families        {:>6}",
            self.shared_families
        )?;
        let lines = [
            ("equal text", self.exact),
            ("near-duplicates (>= 0.8)", self.near_duplicates),
            ("similar (>= 0.5)", self.similar),
            ("sharing a run of 8 words", self.shared_8_grams),
        ];
        for (name, count) in lines {
            writeln!(f, "  {name:<27} {count:>6} ({:.1}%)", percent(count))?;
        }
        for pair in &self.examples {
            writeln!(f, "  {:.2}  {}  {}", pair.similarity, pair.test, pair.train)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_hand() {
        let row = |id: &str, text: &str, seed: u64| {
            Sample::pair(id, text, "a")
                .with("leaf", "l")
                .with("seed", seed)
        };
        let train = vec![
            row("t0", "one two three four five six seven eight nine", 0),
            row("t1", "red green blue", 1),
        ];
        let test = vec![
            row("e0", "One two three four five six seven eight nine!", 2),
            row("e1", "red green blue", 1),
            row("e2", "zero one two three four five six seven eight", 3),
            row("e3", "nothing in common here", 4),
        ];
        let report = leakage(&train, &test);
        assert_eq!(
            (report.exact, report.near_duplicates, report.similar),
            (1, 2, 3)
        );
        assert_eq!((report.shared_8_grams, report.shared_families), (2, 1));
        assert!(!report.is_clean());
        // e2: 6 of 8 grams in common.
        assert_eq!(report.examples[2].similarity, 0.75);
        let shown = report.to_string();
        assert!(
            shown.contains("near-duplicates (>= 0.8)         2 (50.0%)"),
            "{shown}"
        );
        assert!(leakage(&train, &test[3..]).is_clean());
    }
}
