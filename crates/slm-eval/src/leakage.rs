//! Does the test stand in the training data?
//!
//! A row is `exact` when its question, in lower case and without punctuation, is that of a
//! training row; it `overlaps` when at least half of its runs of [`RUN`] words stand in the
//! training data (shorter questions: when the whole question stands within one). The n-gram
//! check follows that of GPT-3 (Brown et al. 2020, appendix C) with shorter runs, since questions
//! are short; like it, runs that are common in the training data (an instruction, a form letter) are
//! left out. Does not know answers: a leaked question is a fault whatever its answer.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::rows::Row;

/// Words of a run.
pub const RUN: usize = 8;
/// Runs that stand in more training texts than this are no sign of leakage.
const COMMON: u32 = 10;
/// Share of a question's runs from which it overlaps.
const SHARE: f64 = 0.5;
/// Rows that results list by name.
const LISTED: usize = 100;

/// One row that stands in the training data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leak {
    /// The row.
    pub id: String,
    /// Whether the whole question is a training row's.
    pub exact: bool,
    /// Share of its runs that stand in the training data.
    pub share: f64,
    /// The position of the training row of the same question, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_row: Option<usize>,
}

/// What the check found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Leakage {
    /// Training texts looked at.
    pub training: usize,
    /// Rows looked at.
    pub rows: usize,
    /// Rows whose question is a training row's.
    pub exact: usize,
    /// Further rows at least half of whose runs stand in the training data.
    pub overlapping: usize,
    /// Words of a run.
    pub run: usize,
    /// The first of them, the surest first.
    pub found: Vec<Leak>,
}

/// Looks for each row's question in the training texts.
pub fn check<'a>(rows: &[Row], training: impl IntoIterator<Item = &'a str>) -> Leakage {
    let index = Index::of(training);
    let mut found: Vec<Leak> = rows.par_iter().filter_map(|row| index.find(row)).collect();
    found.sort_by(|a, b| b.exact.cmp(&a.exact).then(b.share.total_cmp(&a.share)));
    let exact = found.iter().filter(|leak| leak.exact).count();
    let overlapping = found.len() - exact;
    found.truncate(LISTED);
    Leakage {
        training: index.count,
        rows: rows.len(),
        exact,
        overlapping,
        run: RUN,
        found,
    }
}

/// In one sentence.
pub fn sentence(leakage: &Leakage) -> String {
    let share = |count: usize| 100.0 * count as f64 / leakage.rows.max(1) as f64;
    match (leakage.exact, leakage.overlapping) {
        (0, 0) => format!(
            "leakage: none of the {} questions stands in the {} training texts, whole or by half of its {}-word runs",
            leakage.rows, leakage.training, leakage.run
        ),
        (exact, overlapping) => format!(
            "leakage: {exact} of {} questions ({:.1}%) stand word for word in the {} training texts, \
             {overlapping} more ({:.1}%) by at least half of their {}-word runs",
            leakage.rows,
            share(exact),
            leakage.training,
            share(overlapping),
            leakage.run
        ),
    }
}

struct Index {
    count: usize,
    whole: HashMap<u64, usize>,
    /// Runs of words with the number of training texts that hold them.
    runs: HashMap<u64, u32>,
}

impl Index {
    fn of<'a>(training: impl IntoIterator<Item = &'a str>) -> Self {
        let mut index = Self {
            count: 0,
            whole: HashMap::new(),
            runs: HashMap::new(),
        };
        for text in training {
            let words = words(text);
            index.whole.entry(hash(&words)).or_insert(index.count);
            // Runs of every length up to RUN, so that short questions are found within texts.
            for length in 3..=RUN {
                let runs: HashSet<u64> = words.windows(length).map(hash).collect();
                for run in runs {
                    *index.runs.entry(run).or_default() += 1;
                }
            }
            index.count += 1;
        }
        index
    }

    fn find(&self, row: &Row) -> Option<Leak> {
        let words = words(&row.question());
        if words.is_empty() {
            return None;
        }
        let training_row = self.whole.get(&hash(&words)).copied();
        let length = words.len().min(RUN);
        let share = if length < 3 {
            f64::from(training_row.is_some())
        } else {
            // What stands in many texts is an instruction or a form, not a leaked question.
            let times = words
                .windows(length)
                .map(|run| self.runs.get(&hash(run)).copied());
            let telling: Vec<u32> = times
                .map(Option::unwrap_or_default)
                .filter(|times| *times <= COMMON)
                .collect();
            let found = telling.iter().filter(|times| **times > 0).count();
            found as f64 / telling.len().max(1) as f64
        };
        let exact = training_row.is_some();
        (exact || share >= SHARE).then(|| Leak {
            id: row.id.clone(),
            exact,
            share,
            training_row,
        })
    }
}

fn hash(words: &[String]) -> u64 {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    hasher.finish()
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(String::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, input: &str) -> Row {
        Row {
            id: id.into(),
            input: Some(input.into()),
            ..Row::default()
        }
    }

    #[test]
    fn whole_questions_and_half_of_their_runs_are_found() {
        let training = [
            "Play some jazz, please!",
            "one two three four five six seven eight nine ten",
        ];
        let rows = [
            row("same", "play SOME jazz please"),
            // Runs of 8: words 1-8 and 2-9 stand there, 3-10 and 4-11 do not.
            row("half", "one two three four five six seven eight nine x y"),
            // 1 of 4.
            row("less", "one two three four five six seven eight x y z"),
            row("within", "four five six"),
            row("new", "turn the lights off"),
            row("short", "four five"),
            row("empty", "?!"),
        ];
        let found = check(&rows, training);
        assert_eq!((found.exact, found.overlapping, found.training), (1, 2, 2));
        let ids: Vec<&str> = found.found.iter().map(|leak| leak.id.as_str()).collect();
        assert_eq!(ids, ["same", "within", "half"]);
        assert_eq!(found.found[0].training_row, Some(0));
        assert_eq!(found.found[2].share, 0.5);
        assert!(
            sentence(&found).contains("1 of 7 questions (14.3%)"),
            "{}",
            sentence(&found)
        );
    }

    #[test]
    fn a_common_instruction_is_no_leak() {
        let instruction = "read the letter and say in one word what it is about";
        let training: Vec<String> = (0..20)
            .map(|index| format!("{instruction}: letter number{index}"))
            .collect();
        let rows = [
            row("a", &format!("{instruction}: something new")),
            row("b", &training[3]),
        ];
        let found = check(&rows, training.iter().map(String::as_str));
        assert_eq!((found.exact, found.overlapping), (1, 0));
    }

    #[test]
    fn nothing_found_is_said() {
        let found = check(&[row("a", "turn it off now")], []);
        assert_eq!(found.found, []);
        assert!(sentence(&found).starts_with("leakage: none of the 1 questions"));
    }
}
