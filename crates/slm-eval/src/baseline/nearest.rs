//! The nearest training example by tf-idf cosine, whose answer is given.
//!
//! Words of every document are listed once in an inverted index, so that asking
//! costs as much as the listed words have documents. Does not know meaning.

use std::collections::HashMap;
use std::time::Instant;

use rayon::prelude::*;

use crate::predictions::Prediction;
use crate::rows::Row;
use crate::subject::{Subject, SubjectError};

/// Rows that are answered between two signs of progress.
const STEP: usize = 256;

/// A word's documents with its weight in each.
type Postings = Vec<(u32, f32)>;

/// Answers with the answer of the most similar training row.
#[derive(Debug, Clone)]
pub struct NearestExample {
    index: HashMap<String, (f32, Postings)>,
    answers: Vec<String>,
}

impl NearestExample {
    /// Indexes the training rows: weight tf · ln((1 + N) / (1 + df)) + tf, each
    /// document scaled to length 1.
    pub fn train(rows: &[Row]) -> Self {
        let documents: Vec<Vec<(String, f32)>> =
            rows.par_iter().map(|row| terms(&row.question())).collect();
        let mut frequency: HashMap<&str, u32> = HashMap::new();
        for (word, _) in documents.iter().flatten() {
            *frequency.entry(word).or_default() += 1;
        }
        let total = rows.len() as f32;
        let rarity: HashMap<&str, f32> = frequency
            .into_iter()
            .map(|(word, count)| (word, ((1.0 + total) / (1.0 + count as f32)).ln() + 1.0))
            .collect();
        let mut index: HashMap<String, (f32, Postings)> = HashMap::new();
        for (document, words) in documents.iter().enumerate() {
            let weight = |(word, count): &(String, f32)| count * rarity[word.as_str()];
            let length = words.iter().map(|w| weight(w).powi(2)).sum::<f32>().sqrt();
            for word in words {
                let entry = index
                    .entry(word.0.clone())
                    .or_insert_with(|| (rarity[word.0.as_str()], Vec::new()));
                entry
                    .1
                    .push((document as u32, weight(word) / length.max(1e-12)));
            }
        }
        Self {
            index,
            answers: rows.iter().map(Row::target_text).collect(),
        }
    }

    /// The position of the nearest training row and its cosine; the first of
    /// equals, and the first row of all when no word is shared.
    pub fn nearest(&self, question: &str) -> Option<(usize, f32)> {
        if self.answers.is_empty() {
            return None;
        }
        let mut scores = vec![0.0f32; self.answers.len()];
        let mut length = 0.0f32;
        for (word, count) in terms(question) {
            let Some((rarity, postings)) = self.index.get(&word) else {
                // An unknown word is as rare as can be; it only lengthens the question.
                length += count * count;
                continue;
            };
            let weight = count * rarity;
            length += weight * weight;
            for (document, there) in postings {
                scores[*document as usize] += weight * there;
            }
        }
        let mut best = 0;
        for (document, score) in scores.iter().enumerate() {
            if *score > scores[best] {
                best = document;
            }
        }
        Some((best, scores[best] / length.sqrt().max(1e-12)))
    }

    fn answer_one(&self, row: &Row) -> Prediction {
        let start = Instant::now();
        let answer = self
            .nearest(&row.question())
            .map(|(document, _)| self.answers[document].clone())
            .unwrap_or_default();
        Prediction {
            latency_ms: Some(start.elapsed().as_secs_f64() * 1000.0),
            ..Prediction::text(row.id.clone(), answer)
        }
    }
}

impl Subject for NearestExample {
    fn name(&self) -> &str {
        "nearest example"
    }

    fn answer(
        &mut self,
        rows: &[Row],
        progress: &mut dyn FnMut(usize),
    ) -> Result<Vec<Prediction>, SubjectError> {
        let mut predictions = Vec::with_capacity(rows.len());
        for step in rows.chunks(STEP) {
            predictions.par_extend(step.par_iter().map(|row| self.answer_one(row)));
            progress(predictions.len());
        }
        Ok(predictions)
    }
}

/// The words of a text in lower case with their counts, sorted.
fn terms(text: &str) -> Vec<(String, f32)> {
    let lower = text.to_lowercase();
    let mut words: Vec<&str> = lower
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect();
    words.sort_unstable();
    words
        .chunk_by(|a, b| a == b)
        .map(|same| (same[0].to_string(), same.len() as f32))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(input: &str, target: serde_json::Value) -> Row {
        Row {
            id: input.into(),
            input: Some(input.into()),
            target,
            ..Row::default()
        }
    }

    #[test]
    fn rare_words_weigh_more_than_frequent_ones() {
        let training = [
            row("please play some jazz", json!({"intent": "play"})),
            row("please book a table", json!({"intent": "book"})),
            row("please rate the book", json!("rate")),
        ];
        let mut subject = NearestExample::train(&training);
        let mut done = 0;
        let answers = subject
            .answer(
                &[row("please, JAZZ", json!("?")), row("a table", json!("?"))],
                &mut |count| done = count,
            )
            .unwrap();
        assert_eq!(answers[0].output, "{\"intent\":\"play\"}");
        assert_eq!(answers[1].output, "{\"intent\":\"book\"}");
        assert_eq!(done, 2);
    }

    #[test]
    fn the_cosine_of_the_same_text_is_one() {
        let subject = NearestExample::train(&[row("a b c", json!("x")), row("d e", json!("y"))]);
        let (document, cosine) = subject.nearest("c b a").unwrap();
        assert_eq!(document, 0);
        assert!((cosine - 1.0).abs() < 1e-5);
        assert_eq!(subject.nearest("unknown words"), Some((0, 0.0)));
        assert_eq!(NearestExample::train(&[]).nearest("a"), None);
    }
}
