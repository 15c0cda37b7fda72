//! Rows out to people and their verdicts back in, kept by row hash so that the next build
//! knows them.
//!
//! Does not know how rows are made or shown.

use crate::error::{DataError, Place, Result};
use crate::jsonl::{JsonlReader, write_all};
use crate::ledger::Entry;
use crate::sample::{Role, Sample, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// What people say of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The row stays.
    Accept,
    /// The row goes.
    Reject,
    /// The row stays with the answer of `edited`.
    Edit,
}

/// One line of a review file. People fill `verdict`, `reason` and, for an edit, `edited`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The row's hash, see [`row_hash`].
    pub row: String,
    /// The row's id, for people.
    #[serde(default)]
    pub id: String,
    /// The row's question, for people.
    #[serde(default)]
    pub question: String,
    /// The row's answer, for people.
    #[serde(default)]
    pub answer: String,
    /// What they say; none as long as they have not looked.
    #[serde(default)]
    pub verdict: Option<Verdict>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The better answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<String>,
}

/// The reason under which the ledger has rows that people rejected.
pub const REJECTED: &str = "people rejected it";

/// SHA-256 over a row's conversation or text. Its id and metadata do not count, so that a
/// verdict outlives a build that makes the same row again.
pub fn row_hash(sample: &Sample) -> String {
    // Serializing cannot fail: all keys are strings.
    let content = serde_json::to_vec(&(&sample.messages, &sample.plain)).unwrap_or_default();
    hex(&Sha256::digest(content))
}

/// The review of a row that nobody has looked at.
pub fn open_review(sample: &Sample) -> Review {
    Review {
        row: row_hash(sample),
        id: sample.id.clone(),
        question: sample.question().unwrap_or_default().to_owned(),
        answer: sample.answer().unwrap_or_default().to_owned(),
        verdict: None,
        reason: String::new(),
        edited: None,
    }
}

/// Verdicts by row hash.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reviews {
    verdicts: BTreeMap<String, Review>,
}

impl Reviews {
    /// The verdicts of a file; rows that nobody looked at are left out.
    ///
    /// # Errors
    /// The file cannot be read, or a line is no review; all faulty lines are told.
    pub fn read(path: &Path) -> Result<Self> {
        let mut reader = JsonlReader::<Review>::open(path)?;
        let (mut reviews, mut faults, mut good) = (Self::default(), Vec::new(), 0);
        while let Some(review) = reader.next() {
            let place = Place::line(path, reader.line());
            match review.and_then(|review| check(review, place)) {
                Ok(review) => {
                    good += 1;
                    reviews.keep(review);
                }
                Err(fault @ DataError::Io { .. }) => return Err(fault),
                Err(fault) => faults.push(fault),
            }
        }
        DataError::unless_empty(path, faults, good)?;
        Ok(reviews)
    }

    fn keep(&mut self, review: Review) {
        if review.verdict.is_some() {
            self.verdicts.insert(review.row.clone(), review);
        }
    }

    /// Adds the verdicts of others; theirs count where both have one.
    pub fn add(&mut self, newer: Self) {
        self.verdicts.extend(newer.verdicts);
    }

    /// Writes the verdicts, in the order of the hashes.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<usize> {
        write_all(path, self.verdicts.values())
    }

    /// The number of verdicts.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }

    /// Whether there is no verdict.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }

    /// The verdict on a row.
    pub fn of(&self, sample: &Sample) -> Option<&Review> {
        self.verdicts.get(&row_hash(sample))
    }

    /// Applies the verdict on a row, if there is one: an edited row gets its answer.
    ///
    /// # Errors
    /// People rejected the row: its entry in the ledger.
    pub fn apply(&self, sample: Sample) -> std::result::Result<Sample, Box<Entry>> {
        if self.is_empty() {
            return Ok(sample);
        }
        let Some(review) = self.of(&sample) else {
            return Ok(sample);
        };
        match review.verdict {
            Some(Verdict::Reject) => {
                let why = (!review.reason.is_empty()).then(|| review.reason.clone());
                Err(Box::new(Entry::dropped(&sample, REJECTED, why)))
            }
            Some(Verdict::Edit) => Ok(edit(sample, review)),
            _ => Ok(sample),
        }
    }
}

fn check(review: Review, place: Place) -> Result<Review> {
    let fault = |message: &str, hint: &str| Err(DataError::content(place.clone(), message, hint));
    let edited = review
        .edited
        .as_deref()
        .is_some_and(|text| !text.trim().is_empty());
    match review.verdict {
        Some(Verdict::Edit) if !edited => {
            fault("an edit without a new answer", "give it in `edited`")
        }
        Some(Verdict::Reject | Verdict::Edit) if review.reason.trim().is_empty() => fault(
            "a row is rejected or edited without a reason",
            "give it in `reason`: others will read it in the ledger",
        ),
        _ => Ok(review),
    }
}

fn edit(mut sample: Sample, review: &Review) -> Sample {
    let answer = sample
        .messages
        .iter_mut()
        .rev()
        .find(|message| message.role == Role::Assistant);
    if let (Some(answer), Some(edited)) = (answer, &review.edited) {
        answer.content.clone_from(edited);
    }
    sample
        .with("edited_from", review.row.clone())
        .with("edit_reason", review.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Sample> {
        (0..3)
            .map(|n| Sample::pair(format!("r{n}"), format!("question {n}"), "answer"))
            .collect()
    }

    fn judged(n: usize, verdict: Verdict) -> Review {
        let edited = (verdict == Verdict::Edit).then(|| "better".to_owned());
        Review {
            verdict: Some(verdict),
            reason: "because".into(),
            edited,
            ..open_review(&rows()[n])
        }
    }

    #[test]
    fn verdicts_come_back_and_outlive_a_build() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reviews.jsonl");
        let lines = [
            judged(0, Verdict::Reject),
            judged(1, Verdict::Edit),
            open_review(&rows()[2]),
        ];
        write_all(&path, &lines).unwrap();
        let reviews = Reviews::read(&path).unwrap();
        assert_eq!(reviews.len(), 2, "an open review is no verdict");
        // The next build gives the same rows other ids.
        let again = rows().into_iter().map(|row| {
            Sample {
                id: format!("x{}", row.id),
                ..row
            }
            .with("teacher", "t")
        });
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        for row in again {
            match reviews.apply(row) {
                Ok(row) => kept.push(row),
                Err(entry) => dropped.push(entry),
            }
        }
        assert_eq!(
            kept.iter()
                .map(|row| row.answer().unwrap())
                .collect::<Vec<_>>(),
            ["better", "answer"]
        );
        assert_eq!(kept[0].metadata["edit_reason"], "because");
        assert_eq!((dropped.len(), dropped[0].id.as_str()), (1, "xr0"));
        reviews.write(&path).unwrap();
        let mut all = Reviews::read(&path).unwrap();
        assert_eq!(all, reviews);
        all.add(Reviews {
            verdicts: BTreeMap::from([(row_hash(&rows()[0]), judged(0, Verdict::Accept))]),
        });
        let kept = rows().into_iter().filter_map(|row| all.apply(row).ok());
        assert_eq!(kept.count(), 3, "the newer verdict counts");
    }

    #[test]
    fn every_faulty_line_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(&path, "{\"row\":\"a\",\"verdict\":\"reject\"}\n{\"row\":\"b\",\"verdict\":\"edit\",\"reason\":\"x\"}\n{\"row\":\"c\",\"verdict\":\"maybe\"}\n").unwrap();
        let message = Reviews::read(&path).unwrap_err().to_string();
        for part in [
            "r.jsonl:1: a row is rejected or edited without a reason",
            "r.jsonl:2: an edit without a new answer",
            "r.jsonl:3:",
            "unknown variant `maybe`",
        ] {
            assert!(message.contains(part), "{message}");
        }
    }
}
