//! The gate on training rows that give evaluations away: what is trained on is held against every
//! evaluation that the job knows of.
//!
//! Does not know how texts are compared; that is slm-data's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_data::split::{OverlapIndex, SHORTEST_RUN};
use slm_data::{DataError, EvalRow, RowReader, Sample, SampleReader};

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::Overlap;

/// What is held against what.
pub struct Rows<'a> {
    /// Files to train on.
    pub train: &'a [PathBuf],
    /// Files that the job itself holds out.
    pub held_out: &'a [PathBuf],
    /// Whether these were made from the same leaves, by seeds of their own.
    pub is_made: bool,
}

/// The share of held-out rows that may share words with training where both were made from the
/// same leaves: courtesies and forms of questions recur, and rows alike were dropped before.
const RECURRING_FORMS: f64 = 0.01;

/// Fails where an evaluation has more rows in training than `settings`, which were checked, allow;
/// else the number of evaluation rows that were looked for.
///
/// # Errors
/// It does (exit code 100), or a file cannot be read.
pub fn check(context: &Context, rows: &Rows<'_>, settings: &Overlap) -> Result<usize> {
    let mut index = OverlapIndex::new(settings.words);
    for path in rows.held_out.iter().filter(|path| has_rows(path)) {
        let name = path.display().to_string();
        index.add(&name, sound(path)?)?;
    }
    let own = index.overlaps().len();
    for path in &settings.evals {
        let found: slm_data::Result<_> = index.add(
            &path.display().to_string(),
            read_eval(path)?.into_iter().map(Ok),
        );
        found?;
    }
    for path in rows.train.iter().filter(|path| has_rows(path)) {
        index.look_through(sound(path)?)?;
    }
    let overlaps = index.overlaps();
    let mut failed = Vec::new();
    for (n, found) in overlaps
        .iter()
        .enumerate()
        .filter(|(_, found)| found.shared > 0)
    {
        let recurs = rows.is_made && n < own;
        let at_most = settings
            .at_most
            .max(if recurs { RECURRING_FORMS } else { 0.0 });
        let example = found.examples.first();
        let example = example.map_or_else(String::new, |shared| {
            let (row, train, words) = (&shared.row, &shared.train, &shared.words);
            format!(": `{row}` has \"{words}\" in common with training row `{train}`")
        });
        let told = format!(
            "{} of {} rows of `{}` ({:.1}%) are in training rows{example}",
            found.shared,
            found.rows,
            found.name,
            100.0 * found.share(),
        );
        match found.share() > at_most {
            true => failed.push(told),
            false => context.terminal.note(format!("overlap: {told}")),
        }
    }
    let looked_for = overlaps.iter().map(|found| found.rows).sum();
    match (&settings.waived, failed.is_empty()) {
        (_, true) => Ok(looked_for),
        (Some(reason), false) => {
            for told in failed {
                context
                    .terminal
                    .warn(format!("overlap: {told}; waived: {reason}"));
            }
            Ok(looked_for)
        }
        (None, false) => Err(Failure::gate(format!(
            "evaluation rows are in the training rows: {}",
            failed.join("; ")
        ))
        .hint("leave these rows out of training or of the evaluation; or say what share is harmless (`overlap.at_most`, `--overlap-at-most`), or why all of it is (`overlap.waived`, `--waive-overlap`)")
        .into()),
    }
}

/// Whether the settings make sense, before rows are made or paid for.
///
/// # Errors
/// They do not, or an evaluation is not there.
pub fn check_settings(settings: &Overlap) -> Result<()> {
    for path in &settings.evals {
        std::fs::metadata(path)
            .map_err(|error| Failure::io("read the evaluation", path, &error))?;
    }
    if settings.words < SHORTEST_RUN {
        return Err(Failure::new(format!(
            "`overlap.words` is {}, and runs of less than {SHORTEST_RUN} words prove nothing",
            settings.words
        ))
        .hint("13 is usual; shorter texts are compared as a whole")
        .into());
    }
    if !(0.0..=1.0).contains(&settings.at_most) {
        return Err(Failure::new(format!(
            "`overlap.at_most: {}` is no share",
            settings.at_most
        ))
        .hint("give a number from 0 to 1")
        .into());
    }
    if settings
        .waived
        .as_ref()
        .is_some_and(|reason| reason.trim().is_empty())
    {
        return Err(Failure::new("`overlap.waived` gives no reason")
            .hint("say why the overlap does not matter; it is told with every run")
            .into());
    }
    Ok(())
}

/// The rows of a file that can be read. The others are told, all at once, where they are trained
/// or measured on.
fn sound(path: &Path) -> Result<impl Iterator<Item = slm_data::Result<Sample>> + Send> {
    let rows = SampleReader::open(path)?;
    Ok(rows.filter(|row| !matches!(row, Err(DataError::Content { .. }))))
}

/// A part that nothing was held out for is an empty file.
fn has_rows(path: &Path) -> bool {
    std::fs::metadata(path).map_or(true, |about| about.len() > 0)
}

/// Rows of an evaluation, or of a dataset.
///
/// # Errors
/// The file is neither, or has no rows.
pub fn read_eval(path: &Path) -> Result<Vec<Sample>> {
    let rows: slm_data::Result<Vec<EvalRow>> = RowReader::open(path)?.collect();
    let rows: Vec<Sample> = match rows {
        Ok(rows) => rows.iter().map(EvalRow::to_sample).collect(),
        Err(_) => slm_data::read_all(path)?,
    };
    match rows.is_empty() {
        true => Err(Failure::new(format!("`{}` has no rows", path.display()))
            .hint("give the evaluation's data")
            .into()),
        false => Ok(rows),
    }
}
