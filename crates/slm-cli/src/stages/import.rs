//! A local copy of a public set becomes a dataset.
//!
//! Does not know the sets' formats; those are slm-data's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_data::Sample;

use super::dataset::VALIDATION_FILE;
use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::Import;
use crate::workspace::{Input, Stage, run_stage};

/// The rows to learn from.
pub const TRAIN_FILE: &str = "train.jsonl";
/// The rows held out for the figures.
pub const TEST_FILE: &str = "test.jsonl";

/// The file that a set's held-out rows go to, named as its makers name them.
pub fn held_out_file(set: Import) -> &'static str {
    match set {
        Import::Snips => VALIDATION_FILE,
        Import::Banking77 | Import::Nlupp => TEST_FILE,
    }
}

/// Imports `set` from `from` into `artefact`: `train.jsonl` and the held-out rows.
///
/// # Errors
/// The copy is not there or is not that set; the artefact cannot be written.
pub fn import(context: &Context, set: Import, from: &Path, artefact: PathBuf) -> Result<()> {
    if !from.is_dir() {
        return Err(Failure::new(format!(
            "there is no folder `{}` to import {} from",
            from.display(),
            set.title()
        ))
        .hint(format!(
            "get a copy of {} and give its folder with `--from DIR`, or `data.from=DIR` for a recipe",
            set.source()
        ))
        .into());
    }
    let stage = Stage {
        name: "import",
        version: 1,
        artefact,
        inputs: vec![Input::new("set", from)],
        settings: json!({"set": set}),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let (train, test) = read(set, from)?;
        slm_data::write_all(&folder.join(TRAIN_FILE), &train)?;
        slm_data::write_all(&folder.join(held_out_file(set)), &test)?;
        context.terminal.note(format!(
            "import: {} rows to learn from, {} held out",
            train.len(),
            test.len()
        ));
        Ok(())
    })?;
    Ok(())
}

fn read(set: Import, from: &Path) -> Result<(Vec<Sample>, Vec<Sample>)> {
    match set {
        Import::Snips => Ok(slm_data::import::snips(from)?),
        Import::Banking77 => Ok(slm_data::import::banking77(from)?),
        Import::Nlupp => nlupp(from),
    }
}

/// Both domains; of each, the last folds are held out.
fn nlupp(from: &Path) -> Result<(Vec<Sample>, Vec<Sample>)> {
    const HELD_OUT_FOLDS: usize = 4;
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for domain in ["banking", "hotels"] {
        let folds = slm_data::import::nlupp(from, domain)?;
        let first_held_out = folds.len().saturating_sub(HELD_OUT_FOLDS);
        for (fold, rows) in folds.into_iter().enumerate() {
            match fold < first_held_out {
                true => train.extend(rows),
                false => test.extend(rows),
            }
        }
    }
    Ok((train, test))
}
