//! What reviewers say about samples: a verdict and a comment each, kept in a file beside the
//! report and merged back into it.
//!
//! Nothing is lost in a merge: where reviewers disagree, both stand, and the conflict is told.
//! Does not know the terminal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{EvalError, Problem};
use crate::results::write_atomically;

/// What a reviewer makes of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opinion {
    /// The sample and its judging are in order.
    Agree,
    /// The answer is judged wrongly.
    Disagree,
    /// The target itself is wrong.
    BadTarget,
}

impl Opinion {
    /// As people read it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Disagree => "judged wrongly",
            Self::BadTarget => "wrong target",
        }
    }
}

/// One reviewer on one sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The sample.
    pub id: String,
    /// Who.
    pub reviewer: String,
    /// The verdict, where one was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opinion: Option<Opinion>,
    /// The comment; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
}

/// Reviews by sample and reviewer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reviews {
    known: BTreeMap<(String, String), Review>,
}

impl Reviews {
    /// The file beside a report: `report.html` has `report.reviews.jsonl`.
    pub fn beside(report: &Path) -> PathBuf {
        report.with_extension("reviews.jsonl")
    }

    /// Reads a file of reviews.
    ///
    /// # Errors
    /// A file that cannot be read, and every line that is no review.
    pub fn load(path: &Path) -> Result<Self, EvalError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| EvalError::reading(path, source))?;
        let (mut reviews, mut problems) = (Self::default(), Vec::new());
        for (index, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            match serde_json::from_str(line) {
                Ok(review) => reviews.put(review),
                Err(error) => problems.push(
                    Problem::new(
                        path,
                        index + 1,
                        format!("no review: {error}"),
                        "remove the line, or mend it",
                    )
                    .at_column(error.column()),
                ),
            }
        }
        EvalError::unless_empty(problems)?;
        Ok(reviews)
    }

    /// Writes all reviews, whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), EvalError> {
        let mut text = String::new();
        for review in self.known.values() {
            let line = serde_json::to_string(review)
                .map_err(|error| EvalError::invalid(error.to_string(), "reviews must be JSON"))?;
            text.push_str(&line);
            text.push('\n');
        }
        write_atomically(path, text.as_bytes())
    }

    /// Keeps a review; one of the same reviewer on the same sample is replaced, and an empty
    /// one takes it away.
    pub fn put(&mut self, review: Review) {
        let key = (review.id.clone(), review.reviewer.clone());
        if review.opinion.is_none() && review.comment.is_empty() {
            self.known.remove(&key);
        } else {
            self.known.insert(key, review);
        }
    }

    /// What one reviewer said about a sample.
    pub fn of(&self, id: &str, reviewer: &str) -> Option<&Review> {
        self.known.get(&(id.to_string(), reviewer.to_string()))
    }

    /// What everyone said about a sample.
    pub fn on<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Review> {
        let from = (id.to_string(), String::new());
        self.known
            .range(from..)
            .map(|(_, review)| review)
            .take_while(move |review| review.id == id)
    }

    /// Every review, by sample.
    pub fn all(&self) -> impl Iterator<Item = &Review> {
        self.known.values()
    }

    /// Adds the reviews of another file; a reviewer's later word on a sample replaces the
    /// earlier.
    pub fn merge(&mut self, other: Self) {
        for review in other.known.into_values() {
            self.put(review);
        }
    }

    /// Samples on which reviewers gave different verdicts.
    pub fn conflicts(&self) -> Vec<String> {
        let mut seen: BTreeMap<&str, Vec<Opinion>> = BTreeMap::new();
        for review in self.known.values() {
            if let Some(opinion) = review.opinion {
                let of = seen.entry(&review.id).or_default();
                if !of.contains(&opinion) {
                    of.push(opinion);
                }
            }
        }
        let several = seen.into_iter().filter(|(_, opinions)| opinions.len() > 1);
        several.map(|(id, _)| id.to_string()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn review(id: &str, reviewer: &str, opinion: Option<Opinion>, comment: &str) -> Review {
        Review {
            id: id.into(),
            reviewer: reviewer.into(),
            opinion,
            comment: comment.into(),
        }
    }

    #[test]
    fn two_reviewers_in_conflict_both_stand() {
        let folder = tempfile::tempdir().unwrap();
        let path = Reviews::beside(&folder.path().join("report.html"));
        assert!(path.ends_with("report.reviews.jsonl"));
        let mut reviews = Reviews::default();
        reviews.put(review("a", "ann", Some(Opinion::Agree), "fine\n\u{1b}"));
        reviews.put(review("b", "ann", None, "?"));
        reviews.save(&path).unwrap();
        let mut other = Reviews::default();
        other.put(review("a", "bob", Some(Opinion::BadTarget), ""));
        other.put(review("b", "ann", None, "later"));
        let mut all = Reviews::load(&path).unwrap();
        assert_eq!(all, reviews);
        all.merge(other);
        assert_eq!(all.conflicts(), ["a"]);
        assert_eq!(all.on("a").count(), 2);
        assert_eq!(all.of("b", "ann").unwrap().comment, "later");
        all.put(review("b", "ann", None, ""));
        assert_eq!(all.all().count(), 2);
    }

    #[test]
    fn broken_lines_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(
            &path,
            "{\"id\":\"a\"}\n{\"id\":\"a\",\"reviewer\":\"x\",\"opinion\":\"maybe\"}\n",
        )
        .unwrap();
        let error = Reviews::load(&path).unwrap_err().to_string();
        assert!(
            error.contains("r.jsonl:1:") && error.contains("r.jsonl:2:"),
            "{error}"
        );
    }
}
