//! Verdicts on rows, kept in a review file that `slm data review in` reads; with undo.
//!
//! Every change is written at once, whole or not at all, and what others wrote meanwhile is
//! kept. Does not know keys or views.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use slm_data::review::{Review, Reviews, Verdict};
use slm_data::{DataError, JsonlReader, write_all};

/// The lines of a review file in their order; of several verdicts on a row the last counts.
#[derive(Debug, Default)]
struct Lines {
    reviews: Vec<Review>,
    places: HashMap<String, usize>,
}

impl Lines {
    fn read(path: &Path) -> Result<Self, DataError> {
        // Tells every fault of the file.
        Reviews::read(path)?;
        let mut lines = Self::default();
        for review in JsonlReader::<Review>::open(path)? {
            let review = review?;
            if review.verdict.is_some() || lines.of(&review.row).is_none() {
                lines.put(review);
            }
        }
        Ok(lines)
    }

    fn of(&self, hash: &str) -> Option<&Review> {
        self.reviews.get(*self.places.get(hash)?)
    }

    fn put(&mut self, review: Review) {
        match self.places.get(&review.row) {
            Some(place) => self.reviews[*place] = review,
            None => {
                self.places.insert(review.row.clone(), self.reviews.len());
                self.reviews.push(review);
            }
        }
    }

    fn remove(&mut self, hash: &str) {
        if let Some(place) = self.places.remove(hash) {
            self.reviews.remove(place);
            for later in self.places.values_mut().filter(|later| **later > place) {
                *later -= 1;
            }
        }
    }

    fn set(&mut self, hash: &str, review: Option<Review>) {
        match review {
            Some(review) => self.put(review),
            None => self.remove(hash),
        }
    }
}

/// A change that can be undone.
#[derive(Debug)]
struct Step {
    row: usize,
    hash: String,
    before: Option<Review>,
}

/// The verdicts on a file's rows.
#[derive(Debug)]
pub struct Verdicts {
    path: PathBuf,
    lines: Lines,
    /// What was changed here and is not in the file yet.
    changed: BTreeMap<String, Option<Review>>,
    undo: Vec<Step>,
    /// The file as it was last read or written.
    seen: Option<(SystemTime, u64)>,
    /// Why verdicts cannot be kept, where they cannot.
    closed: Option<String>,
    /// Whether the last change is not in the file.
    pub unsaved: bool,
    /// Accepted, rejected, edited.
    pub counts: [usize; 3],
    /// What became of the last change, for the reader.
    pub said: String,
}

impl Verdicts {
    /// The review file of a dataset's file: `NAME.reviews.jsonl` beside `NAME.jsonl`. A stage's
    /// folder is replaced as a whole by the next build, so its reviews lie beside the folder,
    /// as `FOLDER.NAME.reviews.jsonl`.
    pub fn place(rows: &Path) -> PathBuf {
        let stem = rows.file_stem().unwrap_or_default().to_string_lossy();
        let folder = rows.parent().unwrap_or(Path::new(""));
        let full = folder.canonicalize().unwrap_or_else(|_| folder.into());
        match (full.file_name(), full.parent()) {
            (Some(name), Some(above)) if full.join("manifest.json").is_file() => {
                above.join(format!("{}.{stem}.reviews.jsonl", name.to_string_lossy()))
            }
            _ => folder.join(format!("{stem}.reviews.jsonl")),
        }
    }

    /// The verdicts of a review file; none where there is no such file. A file that cannot be
    /// read is left as it is, and nothing is kept.
    pub fn open(path: PathBuf) -> Self {
        let mut verdicts = Self {
            path,
            lines: Lines::default(),
            changed: BTreeMap::new(),
            undo: Vec::new(),
            seen: None,
            closed: None,
            unsaved: false,
            counts: [0; 3],
            said: String::new(),
        };
        if let Err(error) = verdicts.reread() {
            verdicts.said = format!("verdicts are not kept: {error}");
            verdicts.closed = Some(verdicts.said.clone());
        }
        verdicts.count();
        verdicts
    }

    /// The review file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is said of the row with this hash.
    pub fn of(&self, hash: &str) -> Option<&Review> {
        self.lines
            .of(hash)
            .filter(|review| review.verdict.is_some())
    }

    /// Whether there is no verdict at all.
    pub fn is_empty(&self) -> bool {
        self.counts == [0; 3]
    }

    /// Keeps a review of the row at this position.
    pub fn put(&mut self, row: usize, review: Review) {
        if let Some(why) = &self.closed {
            self.said.clone_from(why);
            return;
        }
        // What others wrote meanwhile; a fault is told by the save that follows.
        self.reread().ok();
        let hash = review.row.clone();
        self.undo.push(Step {
            row,
            before: self.lines.of(&hash).cloned(),
            hash: hash.clone(),
        });
        self.change(hash, Some(review));
    }

    /// Takes the last change back; the position of its row.
    pub fn undo(&mut self) -> Option<usize> {
        let Some(step) = self.undo.pop() else {
            self.said = "nothing to undo".into();
            return None;
        };
        self.change(step.hash, step.before);
        if !self.unsaved {
            self.said = format!("undone; {} more can be", self.undo.len());
        }
        Some(step.row)
    }

    /// Writes what is not in the file yet.
    pub fn save(&mut self) {
        let saved = self
            .reread()
            .and_then(|()| write_all(&self.path, &self.lines.reviews));
        self.count();
        self.unsaved = saved.is_err();
        self.said = match saved {
            Ok(_) => {
                self.changed.clear();
                self.seen = stamp(&self.path);
                format!("kept in {}", self.path.display())
            }
            Err(error) => format!("NOT KEPT: {error}"),
        };
    }

    fn change(&mut self, hash: String, review: Option<Review>) {
        self.lines.set(&hash, review.clone());
        self.changed.insert(hash, review);
        self.save();
    }

    /// Reads the file again if it is not as it was last seen; what is not in it yet stays.
    fn reread(&mut self) -> Result<(), DataError> {
        let now = stamp(&self.path);
        if now.is_some() && now != self.seen {
            self.lines = Lines::read(&self.path)?;
            self.seen = now;
            for (hash, review) in &self.changed {
                self.lines.set(hash, review.clone());
            }
        }
        Ok(())
    }

    fn count(&mut self) {
        self.counts = [0; 3];
        for review in &self.lines.reviews {
            if let Some(verdict) = review.verdict {
                self.counts[verdict as usize] += 1;
            }
        }
    }
}

/// A review with a verdict, from the review of a row that nobody has looked at.
pub fn judged(open: Review, verdict: Verdict, reason: &str, edited: Option<String>) -> Review {
    Review {
        verdict: Some(verdict),
        reason: reason.trim().to_owned(),
        edited,
        ..open
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.modified().ok()?, facts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use slm_data::Sample;
    use slm_data::review::open_review;

    fn rows() -> Vec<Sample> {
        (0..4)
            .map(|n| Sample::pair(format!("r{n}"), format!("question {n}"), "answer"))
            .collect()
    }

    fn review(n: usize, verdict: Verdict) -> Review {
        let edited = (verdict == Verdict::Edit).then(|| "better".to_owned());
        judged(open_review(&rows()[n]), verdict, " because ", edited)
    }

    fn said(verdicts: &Verdicts) -> Vec<Option<Verdict>> {
        rows()
            .iter()
            .map(|row| verdicts.of(&slm_data::review::row_hash(row))?.verdict)
            .collect()
    }

    #[test]
    fn slm_data_reads_what_is_kept_and_applies_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = Verdicts::place(&folder.path().join("train.jsonl"));
        assert!(path.ends_with("train.reviews.jsonl"), "{path:?}");
        let mut verdicts = Verdicts::open(path.clone());
        for (n, verdict) in [Verdict::Accept, Verdict::Reject, Verdict::Edit]
            .into_iter()
            .enumerate()
        {
            verdicts.put(n, review(n, verdict));
            assert!(verdicts.said.starts_with("kept in"), "{}", verdicts.said);
        }
        assert_eq!(verdicts.counts, [1, 1, 1]);
        let reviews = Reviews::read(&path).unwrap();
        assert_eq!(reviews.len(), 3);
        let kept: Vec<Sample> = rows()
            .into_iter()
            .filter_map(|row| reviews.apply(row).ok())
            .collect();
        assert_eq!(kept.len(), 3);
        assert_eq!(kept[1].answer(), Some("better"));
        assert_eq!(kept[1].metadata["edit_reason"], "because");
        assert_eq!(said(&Verdicts::open(path)), said(&verdicts));
    }

    #[test]
    fn every_step_can_be_undone_and_is_undone_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        let mut verdicts = Verdicts::open(path.clone());
        verdicts.put(0, review(0, Verdict::Accept));
        verdicts.put(1, review(1, Verdict::Reject));
        verdicts.put(0, review(0, Verdict::Edit));
        assert_eq!(verdicts.undo(), Some(0));
        assert_eq!(
            said(&Verdicts::open(path.clone())),
            [Some(Verdict::Accept), Some(Verdict::Reject), None, None]
        );
        assert_eq!(verdicts.undo(), Some(1));
        assert_eq!(verdicts.undo(), Some(0));
        assert_eq!(verdicts.undo(), None);
        assert_eq!(verdicts.said, "nothing to undo");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }

    #[test]
    fn open_reviews_and_the_verdicts_of_others_stay_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        write_all(
            &path,
            &[open_review(&rows()[3]), review(2, Verdict::Accept)],
        )
        .unwrap();
        let mut mine = Verdicts::open(path.clone());
        let mut theirs = Verdicts::open(path.clone());
        theirs.put(1, review(1, Verdict::Reject));
        mine.put(0, review(0, Verdict::Accept));
        mine.undo();
        // Of two verdicts on a row the later counts, whatever the first writes after it.
        mine.put(0, review(0, Verdict::Accept));
        theirs.put(0, review(0, Verdict::Reject));
        mine.put(2, review(2, Verdict::Edit));
        assert_eq!(mine.counts, [0, 2, 1]);
        theirs.undo();
        mine.undo();
        let all: Vec<Review> = JsonlReader::open(&path)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(
            all.iter().map(|review| &*review.id).collect::<Vec<_>>(),
            ["r3", "r2", "r1", "r0"]
        );
        assert_eq!(all[0].verdict, None);
        // Undone is what was there before, by whomever it was.
        assert_eq!(all[3].verdict, Some(Verdict::Accept));
    }

    #[test]
    fn a_damaged_file_is_told_and_left_and_a_failed_write_is_made_good() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.jsonl");
        std::fs::write(&path, "{oops\n").unwrap();
        let mut verdicts = Verdicts::open(path.clone());
        verdicts.put(0, review(0, Verdict::Accept));
        assert!(
            verdicts.said.starts_with("verdicts are not kept"),
            "{}",
            verdicts.said
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{oops\n");
        // A folder has the file's name, so nothing can be renamed to it.
        let taken = folder.path().join("taken");
        let mut verdicts = Verdicts::open(taken.clone());
        std::fs::create_dir(&taken).unwrap();
        verdicts.put(0, review(0, Verdict::Accept));
        assert!(verdicts.unsaved && verdicts.said.starts_with("NOT KEPT"));
        std::fs::remove_dir(&taken).unwrap();
        verdicts.put(1, review(1, Verdict::Accept));
        assert!(!verdicts.unsaved);
        assert_eq!(Reviews::read(&taken).unwrap().len(), 2);
    }

    #[test]
    fn reviews_of_a_stage_lie_beside_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let stage = folder.path().join("quickstart");
        std::fs::create_dir(&stage).unwrap();
        std::fs::write(stage.join("manifest.json"), "{}").unwrap();
        let place = Verdicts::place(&stage.join("train.jsonl"));
        assert!(
            place.ends_with("quickstart.train.reviews.jsonl"),
            "{place:?}"
        );
        assert_eq!(
            place.parent().unwrap(),
            folder.path().canonicalize().unwrap()
        );
    }
}
