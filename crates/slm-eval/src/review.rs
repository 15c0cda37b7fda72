//! What reviewers say about samples: a verdict and a comment each, kept in a file beside the
//! report and merged back into it.
//!
//! Nothing is lost in a merge: where reviewers disagree, both stand, and the conflict is told. A
//! reviewer's own later word replaces the earlier, which is known by when it was first given; two
//! people of one name are two. Does not know the terminal.

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
    /// When it was first given, in milliseconds since 1970; 0 where that is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since: u64,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub at: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(time: &u64) -> bool {
    *time == 0
}

impl Review {
    /// Nothing yet, by this reviewer.
    pub fn blank(id: &str, reviewer: &str) -> Self {
        Self {
            id: id.to_owned(),
            reviewer: reviewer.to_owned(),
            opinion: None,
            comment: String::new(),
            since: 0,
            at: 0,
        }
    }

    fn is_blank(&self) -> bool {
        self.opinion.is_none() && self.comment.is_empty()
    }

    /// Whether both are the same word, or a later and an earlier one. Where only one says when it
    /// was given, the other is from before times were kept.
    fn goes_on(&self, other: &Self) -> bool {
        let same = (self.opinion, &self.comment) == (other.opinion, &other.comment);
        let told = (self.since != 0, other.since != 0);
        same || match told {
            (true, true) => self.since == other.since,
            (told, other) => told != other,
        }
    }
}

/// Reviews by sample and reviewer; several where people share a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reviews {
    known: BTreeMap<(String, String), Vec<Review>>,
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
                Ok(review) => reviews.add(review),
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
        for review in self.all() {
            let line = serde_json::to_string(review)
                .map_err(|error| EvalError::invalid(error.to_string(), "reviews must be JSON"))?;
            text.push_str(&line);
            text.push('\n');
        }
        write_atomically(path, text.as_bytes())
    }

    /// Keeps a review, now: what it goes on from is replaced, and a blank one takes it away.
    pub fn put(&mut self, review: Review) {
        let now = std::time::SystemTime::now();
        let now = now
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let key = (review.id.clone(), review.reviewer.clone());
        let known = self.known.entry(key.clone()).or_default();
        let before = known.iter().position(|one| one.since == review.since);
        let kept = before.map(|place| known.remove(place));
        if !review.is_blank() {
            // A later word is later even within a millisecond.
            let (since, before) = kept.map_or((0, 0), |kept| (kept.since, kept.at));
            known.push(Review {
                since: if since == 0 { now } else { since },
                at: now.max(before + 1),
                ..review
            });
        } else if known.is_empty() {
            self.known.remove(&key);
        }
    }

    /// Adds what a file says: of a word and a later one the later stands, all else beside one
    /// another.
    fn add(&mut self, review: Review) {
        if review.is_blank() {
            return;
        }
        let key = (review.id.clone(), review.reviewer.clone());
        let known = self.known.entry(key).or_default();
        match known.iter_mut().find(|one| one.goes_on(&review)) {
            Some(one) if review.at >= one.at => *one = review,
            Some(_) => {}
            None => known.push(review),
        }
    }

    /// What one reviewer said last about a sample.
    pub fn of(&self, id: &str, reviewer: &str) -> Option<&Review> {
        let known = self.known.get(&(id.to_string(), reviewer.to_string()))?;
        known.iter().max_by_key(|review| review.at)
    }

    /// What everyone said about a sample.
    pub fn on<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Review> {
        let from = (id.to_string(), String::new());
        self.known
            .range(from..)
            .take_while(move |((of, _), _)| of == id)
            .flat_map(|(_, reviews)| reviews)
    }

    /// Every review, by sample.
    pub fn all(&self) -> impl Iterator<Item = &Review> {
        self.known.values().flatten()
    }

    /// Adds the reviews of another file, in whatever order files come.
    pub fn merge(&mut self, other: Self) {
        for review in other.known.into_values().flatten() {
            self.add(review);
        }
    }

    /// Samples on which reviewers gave different verdicts.
    pub fn conflicts(&self) -> Vec<String> {
        let mut seen: BTreeMap<&str, Vec<Opinion>> = BTreeMap::new();
        for review in self.all() {
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

impl Extend<Review> for Reviews {
    fn extend<T: IntoIterator<Item = Review>>(&mut self, reviews: T) {
        reviews.into_iter().for_each(|review| self.add(review));
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
            ..Review::blank("", "")
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
        let mut other = reviews.clone();
        other.put(review("a", "bob", Some(Opinion::BadTarget), ""));
        let own = other.of("b", "ann").unwrap().clone();
        other.put(Review {
            comment: "later".into(),
            ..own
        });
        let mut all = Reviews::load(&path).unwrap();
        assert_eq!(all, reviews);
        all.merge(other);
        // An old file again brings nothing back.
        all.merge(reviews);
        assert_eq!(all.conflicts(), ["a"]);
        assert_eq!(all.on("a").count(), 2);
        let own = all.of("b", "ann").unwrap().clone();
        assert_eq!((own.comment.as_str(), all.on("b").count()), ("later", 1));
        all.put(Review {
            comment: String::new(),
            ..own
        });
        assert_eq!(all.all().count(), 2);
    }

    #[test]
    fn two_people_of_one_name_both_stand() {
        let said = |opinion, comment: &str, since| Review {
            since,
            at: since,
            ..review("a", "root", Some(opinion), comment)
        };
        let mut all = Reviews::default();
        all.add(said(Opinion::Agree, "mine", 5));
        all.add(said(Opinion::Disagree, "", 9));
        all.add(said(Opinion::Agree, "mine", 5));
        assert_eq!((all.on("a").count(), all.conflicts().len()), (2, 1));
        // Lines without a time, as written by hand.
        let mut all = Reviews::default();
        all.add(said(Opinion::BadTarget, "x", 0));
        all.add(said(Opinion::BadTarget, "y", 0));
        assert_eq!(all.on("a").count(), 2);
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
