//! A dataset on its way to the disk: rows and their fates are written as they come, counted,
//! and described at the end.
//!
//! Does not know how rows are made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_data::card::{Card, CardLeaf, card};
use slm_data::figures::{Figures, Tally};
use slm_data::flow::TRACE;
use slm_data::review::Reviews;
use slm_data::split::Part;
use slm_data::synthesize::{Sink, Summary};
use slm_data::{Entry, JsonlWriter, Sample};
use slm_taxonomy::Leaf;

use super::import::{TEST_FILE, TRAIN_FILE};
use crate::commands::Context;
use crate::terminal::Progress;
use crate::workspace::{Input, write_atomically};

/// Rows to choose checkpoints by.
pub const VALIDATION_FILE: &str = "validation.jsonl";
/// The leaves as they were when the rows were made; evaluation reads their schemas.
pub const LEAVES_FILE: &str = "leaves.json";
/// The fate of every row.
pub const LEDGER_FILE: &str = "ledger.jsonl";
/// What the rows are, counted.
pub const FIGURES_FILE: &str = "figures.json";
/// What the rows are, in words.
pub const CARD_FILE: &str = "README.md";
/// People's verdicts on rows, for all builds of the workspace.
pub const REVIEWS_FILE: &str = "reviews.jsonl";

/// What every build of a dataset begins with.
pub struct Start {
    /// The dataset's name.
    pub name: String,
    /// Files that the rows depend on.
    pub inputs: Vec<Input>,
    /// People's verdicts that this workspace knows.
    pub reviews: Reviews,
}

impl Start {
    /// The start of a build from `paths`, which its manifest calls `what`.
    ///
    /// # Errors
    /// The file of people's verdicts is faulty.
    pub fn of(
        context: &Context,
        what: &'static str,
        paths: &[PathBuf],
        artefact: &Path,
    ) -> Result<Self> {
        let mut inputs = paths.iter().map(|path| Input::new(what, path)).collect();
        let reviews = known_reviews(context, &mut inputs)?;
        let name = artefact.file_name().unwrap_or_default();
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            inputs,
            reviews,
        })
    }
}

/// People's verdicts; they are an input of every build.
fn known_reviews(context: &Context, inputs: &mut Vec<Input>) -> Result<Reviews> {
    let path = context.workspace.root().join("datasets").join(REVIEWS_FILE);
    if !path.exists() {
        return Ok(Reviews::default());
    }
    inputs.push(Input::new("reviews", &path));
    let reviews = Reviews::read(&path)?;
    let count = reviews.len();
    context
        .terminal
        .note(format!("review: {count} verdicts known"));
    Ok(reviews)
}

/// The files of a dataset in the making, and the counts of what is in them.
pub struct DatasetWriter<'a> {
    train: JsonlWriter,
    validation: JsonlWriter,
    test: JsonlWriter,
    ledger: JsonlWriter,
    tally: Tally,
    reviews: &'a Reviews,
    progress: Progress,
    kept: u64,
}

impl<'a> DatasetWriter<'a> {
    /// Begins the files in `folder`; `rows` are expected.
    ///
    /// # Errors
    /// A file cannot be made.
    pub fn create(
        context: &Context,
        folder: &Path,
        reviews: &'a Reviews,
        rows: usize,
    ) -> Result<Self> {
        let file = |name: &str| JsonlWriter::create(&folder.join(name));
        Ok(Self {
            train: file(TRAIN_FILE)?,
            validation: file(VALIDATION_FILE)?,
            test: file(TEST_FILE)?,
            ledger: file(LEDGER_FILE)?,
            tally: Tally::default(),
            reviews,
            progress: context.terminal.progress("rows", rows as u64, "rows"),
            kept: 0,
        })
    }

    /// Completes the files, and counts.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(self) -> Result<Figures> {
        self.progress.finish();
        self.train.finish()?;
        self.validation.finish()?;
        self.test.finish()?;
        self.ledger.finish()?;
        Ok(self.tally.figures())
    }

    /// Completes the ledger alone, after a failure; the number of its entries.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish_ledger(self) -> Result<usize> {
        self.progress.finish();
        Ok(self.ledger.finish()?)
    }
}

impl Sink for DatasetWriter<'_> {
    fn keep(&mut self, part: Part, sample: Sample) -> slm_data::Result<()> {
        let mut sample = match self.reviews.apply(sample) {
            Ok(sample) => sample,
            Err(rejected) => return self.drop(*rejected),
        };
        self.ledger.write(&Entry::kept(&sample, part.name()))?;
        sample.metadata.remove(TRACE);
        self.tally.keep(part, &sample);
        self.kept += 1;
        self.progress.set(self.kept, "");
        match part {
            Part::Train => self.train.write(&sample),
            Part::Validation => self.validation.write(&sample),
            Part::Test => self.test.write(&sample),
        }
    }

    fn drop(&mut self, entry: Entry) -> slm_data::Result<()> {
        self.tally.drop(&entry);
        self.ledger.write(&entry)
    }
}

/// Says what came out, and whether anything leaked.
pub fn tell(context: &Context, teacher: &str, summary: &Summary, figures: &Figures) {
    let terminal = &context.terminal;
    for shortfall in &summary.shortfalls {
        terminal.warn(shortfall.to_string());
    }
    terminal.note(format!(
        "synthesize: teacher `{teacher}`: {} rows to learn from, {} for validation, {} for the test",
        figures.rows_of(Part::Train),
        figures.rows_of(Part::Validation),
        figures.rows_of(Part::Test),
    ));
    terminal.note(format!(
        "split: {} seed families in both training and test; test rows near to a training row are dropped",
        figures.shared_families
    ));
    if let Some(found) = &figures.diversity {
        terminal.note(format!(
            "diversity: {:.3} of the word triples are distinct, {:.1}% of the texts are at least half like another",
            found.distinct_3,
            100.0 * found.alike_share
        ));
    }
    for (finding, count) in &figures.personal_data {
        let what = finding.label();
        terminal.note(format!("scan: {count} rows hold {what}, real or made up"));
    }
}

/// Writes what describes the rows: the leaves, the figures and the card.
///
/// # Errors
/// A file cannot be written.
pub fn describe(
    folder: &Path,
    leaves: &[Leaf],
    card_of: &Card<'_>,
    figures: &Figures,
) -> Result<()> {
    let text = serde_json::to_string_pretty(leaves)?;
    write_atomically(&folder.join(LEAVES_FILE), text.as_bytes())?;
    let text = serde_json::to_string_pretty(figures)?;
    write_atomically(&folder.join(FIGURES_FILE), text.as_bytes())?;
    write_atomically(&folder.join(CARD_FILE), card(card_of, figures).as_bytes())
}

/// Where the leaves come from, for the card.
pub fn card_leaves(leaves: &[Leaf]) -> Vec<CardLeaf> {
    let of = |leaf: &Leaf| {
        let about = attribution(leaf.file.parent().unwrap_or(Path::new(".")));
        let told = |key: &str| about.get(key).cloned().unwrap_or_default();
        CardLeaf {
            name: leaf.name.clone(),
            kind: leaf.kind.label().to_owned(),
            created_by: leaf.created_by.clone(),
            title: told("title of work"),
            license: told("license of the work"),
        }
    };
    leaves.iter().map(of).collect()
}

/// The lines of a leaf's `attribution.txt`, which its check has found sound.
fn attribution(folder: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder.join("attribution.txt")).unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(':')?;
        Some((key.trim().to_lowercase(), value.trim().to_owned()))
    };
    text.lines().filter_map(pair).collect()
}
