//! A reviewer's verdicts and comments on samples, kept in a file beside the report.
//!
//! Every change is written at once, whole or not at all. Does not know keys or views.

use std::fs::File;
use std::path::{Path, PathBuf};

use slm_eval::EvalError;
use slm_eval::report::visible;
use slm_eval::review::{Opinion, Review, Reviews};

/// What this reviewer and others said, and what is being written.
#[derive(Debug, Default)]
pub struct Reviewing {
    /// The file of reviews; none where there is no report to keep it beside.
    path: Option<PathBuf>,
    /// The report itself, and the reviews that it holds.
    report: PathBuf,
    held: Reviews,
    /// Who reviews.
    reviewer: String,
    /// Everything said so far, by everyone.
    pub reviews: Reviews,
    /// The comment that is being written.
    pub writing: Option<String>,
    /// What became of the last change, for the reader.
    pub said: String,
}

impl Reviewing {
    /// The reviews that a report holds and those in the file beside it. The reviewer is
    /// `SLM_REVIEWER`, or who is logged in.
    pub fn beside(report: &Path, held: Reviews) -> Self {
        let path = Reviews::beside(report);
        let mut found = Self {
            reviewer: ["SLM_REVIEWER", "USER", "LOGNAME"]
                .iter()
                .filter_map(|name| std::env::var(name).ok())
                .find(|name| !name.trim().is_empty())
                .unwrap_or_else(|| "reviewer".into()),
            reviews: held.clone(),
            held,
            report: report.to_owned(),
            ..Self::default()
        };
        if path.exists() {
            match Reviews::load(&path) {
                Ok(own) => found.reviews.merge(own),
                // A file that cannot be read must not be written over.
                Err(error) => {
                    found.said = format!("reviews are not kept: {error}");
                    return found;
                }
            }
        }
        found.path = Some(path);
        found
    }

    /// Gives the sample this verdict; the same verdict again takes it back.
    pub fn opine(&mut self, id: &str, opinion: Opinion) {
        let old = self.own(id);
        let again = old.opinion == Some(opinion);
        self.put(Review {
            opinion: (!again).then_some(opinion),
            ..old
        });
    }

    /// Begins a comment, with what was said before.
    pub fn write(&mut self, id: &str) {
        self.writing = Some(self.own(id).comment);
    }

    /// Keeps the comment that was being written.
    pub fn keep(&mut self, id: &str) {
        if let Some(comment) = self.writing.take() {
            self.put(Review {
                comment: comment.trim().to_string(),
                ..self.own(id)
            });
        }
    }

    /// What everyone said about a sample, a line each.
    pub fn lines(&self, id: &str) -> Vec<String> {
        self.reviews
            .on(id)
            .map(|review| {
                let verdict = review.opinion.map_or("comment", Opinion::words);
                let comment = match review.comment.is_empty() {
                    true => String::new(),
                    false => format!(": {}", review.comment),
                };
                visible(&format!("{} \u{2013} {verdict}{comment}", review.reviewer))
                    .replace('\n', " ")
            })
            .collect()
    }

    fn own(&self, id: &str) -> Review {
        let known = self.reviews.of(id, &self.reviewer).cloned();
        known.unwrap_or_else(|| Review::blank(id, &self.reviewer))
    }

    fn put(&mut self, review: Review) {
        let Some(path) = &self.path else {
            if self.said.is_empty() {
                self.said = "reviews are not kept: there is no report to keep them beside".into();
            }
            return;
        };
        let path = path.clone();
        self.said = match self.save(review, &path) {
            Ok(()) => format!("kept in {}", path.display()),
            Err(error) => format!("not kept: {error}"),
        };
    }

    /// Writes everything, with what others have written since. One writes at a time: whoever holds
    /// the report's lock.
    fn save(&mut self, review: Review, path: &Path) -> Result<(), EvalError> {
        // A file system without locks is no reason not to keep a review.
        let _lock = File::open(&self.report).map(|file| file.lock().map(|()| file));
        if path.exists() {
            // What others took back since must not come back by what was read before.
            let written = Reviews::load(path)?;
            self.reviews = self.held.clone();
            self.reviews.merge(written);
        }
        self.reviews.put(review);
        self.reviews.save(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("slm-tui-review-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn verdicts_and_comments_outlive_the_program() {
        let folder = folder("keep");
        let report = folder.join("report.html");
        let mut reviewing = Reviewing::beside(&report, Reviews::default());
        reviewing.opine("a", Opinion::BadTarget);
        reviewing.write("a");
        reviewing.writing = Some(" see page 3\u{1b} ".into());
        reviewing.keep("a");
        let again = Reviewing::beside(&report, Reviews::default());
        let lines = again.lines("a");
        assert_eq!(lines.len(), 1);
        assert!(
            lines[0].ends_with("wrong target: see page 3\u{241b}"),
            "{lines:?}"
        );
        // The same verdict again takes it back; the comment stays.
        reviewing.opine("a", Opinion::BadTarget);
        assert!(reviewing.lines("a")[0].contains("comment: see page 3"));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn two_reviewers_at_the_same_time_lose_nothing() {
        let folder = folder("two");
        let report = folder.join("report.html");
        let of = |reviewer: &str| Reviewing {
            reviewer: reviewer.to_owned(),
            ..Reviewing::beside(&report, Reviews::default())
        };
        let (mut alice, mut bob) = (of("alice"), of("bob"));
        alice.opine("a", Opinion::Agree);
        bob.opine("a", Opinion::Disagree);
        alice.opine("b", Opinion::Agree);
        bob.opine("b", Opinion::Agree);
        // Taken back, and not brought back by what the file had.
        bob.opine("b", Opinion::Agree);
        let kept = Reviews::load(&Reviews::beside(&report)).unwrap();
        let kept: Vec<(&str, &str)> = kept
            .all()
            .map(|review| (review.id.as_str(), review.reviewer.as_str()))
            .collect();
        assert_eq!(kept, [("a", "alice"), ("a", "bob"), ("b", "alice")]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_damaged_file_is_told_and_left_as_it_is() {
        let folder = folder("damaged");
        let report = folder.join("report.html");
        std::fs::write(Reviews::beside(&report), "{oops\n").unwrap();
        let mut reviewing = Reviewing::beside(&report, Reviews::default());
        reviewing.opine("a", Opinion::Agree);
        assert!(
            reviewing.said.starts_with("reviews are not kept"),
            "{}",
            reviewing.said
        );
        assert_eq!(
            std::fs::read_to_string(Reviews::beside(&report)).unwrap(),
            "{oops\n"
        );
        std::fs::remove_dir_all(folder).unwrap();
    }
}
