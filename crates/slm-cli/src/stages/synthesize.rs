//! Leaves become rows: checked, synthesized by the built-in teacher, and divided so
//! that no test row shares a seed example or a near-duplicate with training.
//!
//! Does not know how rows are made; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;
use slm_data::card::Card;
use slm_data::synthesize::synthesize_into;
use slm_data::{GrammarTeacher, SeedLeaf, SplitSettings, SynthesisSettings, Teacher};
use slm_taxonomy::{Leaf, Options};

use super::dataset::{DatasetWriter, Start, card_leaves, describe, tell};
use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Split, Synthesize};
use crate::workspace::{Stage, run_stage};

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
    check_rows(context, &leaves, settings)?;
    let start = Start::of(context, "taxonomy", paths, &artefact)?;
    let stage = Stage {
        name: "synthesize",
        version: 2,
        artefact,
        inputs: start.inputs,
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
            filters: settings.filters(),
        };
        let mut writer =
            DatasetWriter::create(context, folder, &start.reviews, settings.all_rows(&seeds))?;
        let summary = synthesize_into(&teacher, &seeds, &settings, &mut writer)?;
        let figures = writer.finish()?;
        tell(context, teacher.name(), &summary, &figures);
        let card = Card {
            name: start.name,
            teacher: teacher.name().to_owned(),
            settings: card_settings(&settings),
            leaves: card_leaves(&leaves),
            shortfalls: &summary.shortfalls,
            ..Card::default()
        };
        describe(folder, &leaves, &card, &figures)
    })?;
    Ok(())
}

/// Refuses a leaf without rows. A number for a leaf that is not there is told only, since a recipe
/// may be run with other leaves than its own.
fn check_rows(context: &Context, leaves: &[Leaf], settings: &Synthesize) -> Result<()> {
    for (name, rows) in &settings.rows_of {
        let place = format!("`synthesize.rows_of.{name}`");
        if !leaves.iter().any(|leaf| leaf.name == *name) {
            let names: Vec<&str> = leaves.iter().map(|leaf| leaf.name.as_str()).collect();
            context.terminal.warn(format!(
                "{place}: there is no leaf of this name; the leaves are {}",
                names.join(", ")
            ));
        }
        if *rows < 2 {
            return Err(Failure::new(format!("{place} is {rows}"))
                .hint("give it at least 2 rows, or leave the leaf out of `taxonomy.paths`")
                .into());
        }
    }
    Ok(())
}

/// The settings that a card shows.
pub fn card_settings(settings: &SynthesisSettings) -> Vec<(String, String)> {
    let shown = [
        ("rows per leaf", settings.rows_per_leaf.to_string()),
        ("test", settings.split.test.to_string()),
        ("validation", settings.split.validation.to_string()),
        ("seed", settings.split.seed.to_string()),
        (
            "near-duplicates dropped from",
            settings.filters.near_duplicates.map_or_else(
                || "equal rows only".to_owned(),
                |similarity| similarity.to_string(),
            ),
        ),
        (
            "rows with personal data dropped",
            settings.filters.personal_data.to_string(),
        ),
    ];
    let mut shown = shown.map(|(key, value)| (key.to_owned(), value)).to_vec();
    let rows_of = settings.rows_of.iter();
    let rows_of = rows_of.map(|(leaf, rows)| (format!("rows of `{leaf}`"), rows.to_string()));
    shown.splice(1..1, rows_of);
    shown
}
