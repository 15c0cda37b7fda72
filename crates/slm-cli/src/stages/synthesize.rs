//! Leaves become rows: checked, synthesized by the built-in teacher, and divided so
//! that no test row shares a seed example or a near-duplicate with training.
//!
//! Does not know how rows are made; that is slm-data's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_data::synthesize::SynthesizedSplit;
use slm_data::{GrammarTeacher, SeedLeaf, SplitSettings, SynthesisSettings, Teacher};
use slm_taxonomy::{Leaf, Options};

use super::import::{TEST_FILE, TRAIN_FILE};
use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Split, Synthesize};
use crate::workspace::{Input, Stage, run_stage};

/// Rows to choose checkpoints by.
pub const VALIDATION_FILE: &str = "validation.jsonl";
/// The leaves as they were when the rows were made; evaluation reads their schemas.
pub const LEAVES_FILE: &str = "leaves.json";
/// The fate of every row.
pub const LEDGER_FILE: &str = "ledger.jsonl";

/// The leaves below `paths`, all of them sound.
///
/// # Errors
/// A leaf has faults; all faults of all leaves are told at once.
pub fn check_taxonomy(context: &Context, paths: &[PathBuf]) -> Result<Vec<Leaf>> {
    let report = slm_taxonomy::check(paths, Options::default());
    if report.errors() > 0 {
        let text = slm_taxonomy::render(&report);
        let text = text.trim_end();
        return Err(Failure::new(format!("the taxonomy has faults\n{text}"))
            .hint("mend them and run again; `slm taxonomy explain CODE` says more about each")
            .into());
    }
    context
        .terminal
        .note(format!("taxonomy: {}", slm_taxonomy::summary(&report)));
    Ok(report.leaves)
}

/// Makes the rows of `leaves` in `artefact`.
///
/// # Errors
/// The shares of `split` are impossible, a leaf's seeds cannot be used, or the artefact
/// cannot be written.
pub fn synthesize(
    context: &Context,
    paths: &[PathBuf],
    settings: &Synthesize,
    split: &Split,
    seed: u64,
    artefact: PathBuf,
) -> Result<()> {
    let leaves = check_taxonomy(context, paths)?;
    check_names(&leaves, settings)?;
    let stage = Stage {
        name: "synthesize",
        version: 2,
        artefact,
        inputs: paths
            .iter()
            .map(|path| Input::new("taxonomy", path))
            .collect(),
        settings: json!({"synthesize": settings, "split": split, "seed": seed}),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let teacher = GrammarTeacher::default();
        let seeds: Vec<SeedLeaf> = leaves.iter().map(SeedLeaf::from).collect();
        let settings = SynthesisSettings {
            rows_per_leaf: settings.rows_per_leaf,
            rows_of: settings.rows_of.clone(),
            split: SplitSettings {
                validation: split.validation,
                test: split.test,
                seed,
            },
        };
        let made = slm_data::synthesize_split(&teacher, &seeds, &settings)?;
        tell(context, teacher.name(), &made);
        write(folder, &leaves, &made)
    })?;
    Ok(())
}

/// Refuses rows for a leaf that is not there, and a leaf without rows.
fn check_names(leaves: &[Leaf], settings: &Synthesize) -> Result<()> {
    for (name, rows) in &settings.rows_of {
        let place = format!("`synthesize.rows_of.{name}`");
        if !leaves.iter().any(|leaf| leaf.name == *name) {
            let names: Vec<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
            return Err(
                Failure::new(format!("{place}: there is no leaf of this name"))
                    .hint(format!("the leaves are {}", names.join(", ")))
                    .into(),
            );
        }
        if *rows < 2 {
            return Err(Failure::new(format!("{place} is {rows}"))
                .hint("give it at least 2 rows, or leave the leaf out of `taxonomy.paths`")
                .into());
        }
    }
    Ok(())
}

/// Says what came out, and whether anything leaked.
pub fn tell(context: &Context, teacher: &str, made: &SynthesizedSplit) {
    let terminal = &context.terminal;
    for shortfall in &made.shortfalls {
        terminal.warn(shortfall.to_string());
    }
    terminal.note(format!(
        "synthesize: teacher `{teacher}`: {} rows to learn from, {} for validation, {} for the test",
        made.train.len(),
        made.validation.len(),
        made.test.len(),
    ));
    let leaks = slm_data::leakage(&made.train, &made.test);
    terminal.note(format!(
        "split: {} seed families in both training and test, {} near-duplicates",
        leaks.shared_families, leaks.near_duplicates
    ));
}

fn write(folder: &Path, leaves: &[Leaf], made: &SynthesizedSplit) -> Result<()> {
    slm_data::write_all(&folder.join(TRAIN_FILE), &made.train)?;
    slm_data::write_all(&folder.join(VALIDATION_FILE), &made.validation)?;
    slm_data::write_all(&folder.join(TEST_FILE), &made.test)?;
    slm_data::write_ledger(&folder.join(LEDGER_FILE), &made.ledger)?;
    let text = serde_json::to_string_pretty(leaves)?;
    crate::workspace::write_atomically(&folder.join(LEAVES_FILE), text.as_bytes())
}
