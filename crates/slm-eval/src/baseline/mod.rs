//! Baselines that need no model: what they reach is what a model must beat.
//!
//! Does not know tasks; training rows are rows like any other.

mod nearest;

use std::collections::HashMap;

pub use nearest::NearestExample;

use crate::predictions::Prediction;
use crate::rows::Row;
use crate::subject::{Subject, SubjectError};

/// Answers everything with the most frequent answer of the training rows; of
/// equally frequent ones with the first.
#[derive(Debug, Clone)]
pub struct Majority {
    answer: Option<String>,
}

impl Majority {
    /// Counts the answers of the training rows.
    pub fn train(rows: &[Row]) -> Self {
        let answers: Vec<String> = rows.iter().map(Row::target_text).collect();
        let mut counts: HashMap<&str, (usize, usize)> = HashMap::new();
        for (index, answer) in answers.iter().enumerate() {
            counts.entry(answer).or_insert((0, index)).0 += 1;
        }
        let answer = counts
            .into_iter()
            .max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)))
            .map(|(answer, _)| answer.to_string());
        Self { answer }
    }
}

impl Subject for Majority {
    fn name(&self) -> &str {
        "majority"
    }

    fn answer(
        &mut self,
        rows: &[Row],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, SubjectError> {
        let answer = self.answer.clone().unwrap_or_default();
        progress(rows.len());
        Ok(rows
            .iter()
            .map(|row| Prediction::text(row.id.clone(), answer.clone()))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_most_frequent_answer_wins_and_ties_go_to_the_first() {
        let row = |answer: &str| Row {
            target: json!(answer),
            ..Row::default()
        };
        let ask = |training: &[Row]| {
            let mut subject = Majority::train(training);
            subject.answer(&[row("?")], &mut |_| ()).unwrap()[0]
                .output
                .clone()
        };
        assert_eq!(ask(&[row("b"), row("a"), row("a")]), "a");
        assert_eq!(ask(&[row("b"), row("a")]), "b");
        assert_eq!(ask(&[]), "");
    }
}
