//! Leaves become rows by a flow and a teacher, divided as the built-in teacher's are.
//!
//! Does not know blocks or who answers; that is slm-data's and `teacher`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_data::SeedLeaf;
use slm_data::card::Card;
use slm_data::document::{Document, chunks, read};
use slm_data::flow::{Calibrations, Flow, FlowSettings, FlowTeacher, LeafFacts};
use slm_data::review::Reviews;
use slm_data::synthesize::{Filters, synthesize_into};
use slm_data::teacher::ChatTeacher;
use slm_data::{SplitSettings, SynthesisSettings};
use slm_taxonomy::Leaf;

use super::dataset::{DatasetWriter, LEDGER_FILE, Start, card_leaves, describe, tell};
use super::synthesize::card_settings;
use crate::commands::Context;
use crate::documents::Repositories;
use crate::failure::Failure;
use crate::recipe::Split;
use crate::teacher::AnyTeacher;
use crate::workspace::{Stage, hash_bytes, run_stage, write_atomically};

/// How many rows each block let through.
pub const FUNNEL_FILE: &str = "funnel.json";
/// What is known of judges, for all builds of the workspace.
pub const CALIBRATIONS_FILE: &str = "calibrations.jsonl";

/// What a run by flow is made from.
pub struct FlowRun<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Who is asked.
    pub teacher: &'a AnyTeacher,
    /// The leaves.
    pub leaves: &'a [Leaf],
    /// What flows are told of them, by name.
    pub facts: BTreeMap<String, LeafFacts>,
    /// Files that the rows depend on: leaves, documents.
    pub inputs: Vec<PathBuf>,
    /// Rows from each leaf, held-out ones included.
    pub rows_per_leaf: usize,
    /// How often each seed or chunk may be used.
    pub rounds: usize,
    /// How rows are divided.
    pub split: Split,
    /// Seeds everything that is drawn by chance.
    pub seed: u64,
    /// What is dropped beside what the flow drops.
    pub filters: Filters,
    /// Judges whose verdicts are used though nobody has measured them.
    pub uncalibrated: BTreeSet<String>,
}

/// The judges that nobody has measured with this teacher. What is known of the others is shown
/// before their verdicts are used.
///
/// # Errors
/// There are some, and neither the flow nor `allowed` lets their verdicts be used.
pub fn check_judges(
    context: &Context,
    flow: &Flow,
    teacher: &dyn ChatTeacher,
    allowed: bool,
) -> Result<BTreeSet<String>> {
    let known = calibrations(context)?;
    let missing = known.missing(flow, teacher);
    if !missing.is_empty() && !allowed {
        let names: Vec<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        return Err(Failure::new(format!(
            "nobody has measured how far {} of flow `{}` agrees with people when `{}` judges",
            names.join(", "),
            flow.metadata.name,
            teacher.name()
        ))
        .hint("label a few dozen rows and run `slm data calibrate ROWS --flow FLOW` with this teacher, or take the verdicts as they are with `--uncalibrated`, which every report will name")
        .into());
    }
    let mut uncalibrated = BTreeSet::new();
    for (block, found) in known.of(flow, teacher) {
        let judge = &block.name;
        match found {
            Some(found) => context.terminal.note(format!(
                "judge `{judge}`: {}",
                found.agreement.to_string().trim_end()
            )),
            None => {
                context
                    .terminal
                    .warn(format!("judge `{judge}` is not calibrated: nobody has measured how far it agrees with people"));
                uncalibrated.insert(judge.clone());
            }
        }
    }
    Ok(uncalibrated)
}

/// What is known of judges.
///
/// # Errors
/// The file of it is faulty.
pub fn calibrations(context: &Context) -> Result<Calibrations> {
    Ok(Calibrations::read(&calibrations_path(context))?)
}

/// Where what is known of judges is kept.
pub fn calibrations_path(context: &Context) -> PathBuf {
    let datasets = context.workspace.root().join("datasets");
    datasets.join(CALIBRATIONS_FILE)
}

/// Makes the rows in `artefact`.
///
/// # Errors
/// The teacher fails, a block lets too little through, or the artefact cannot be written.
pub fn synthesize(context: &Context, run: FlowRun<'_>, artefact: PathBuf) -> Result<()> {
    let start = Start::of(context, "source", &run.inputs, &artefact)?;
    let stage = Stage {
        name: "flow",
        version: 3,
        artefact,
        inputs: start.inputs,
        settings: json!({
            "flow": run.flow.metadata.name,
            "flow_hash": run.flow.hash,
            "teacher": run.teacher.name(),
            "teacher_identity": run.teacher.identity(),
            "rows_per_leaf": run.rows_per_leaf,
            "rounds": run.rounds,
            "chunks": chunks_hash(&run.facts),
            "split": run.split,
            "seed": run.seed,
            "filters": run.filters,
            "uncalibrated": run.uncalibrated,
        }),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        work(context, run, &start.name, &start.reviews, folder)
    })?;
    Ok(())
}

/// Changes with every chunk, wherever its bounds come from.
fn chunks_hash(facts: &BTreeMap<String, LeafFacts>) -> String {
    let bounds: Vec<String> = facts
        .values()
        .flat_map(|facts| &facts.chunks)
        .map(|chunk| format!("{} {}-{}", chunk.sha256, chunk.start, chunk.end))
        .collect();
    hash_bytes(bounds.join("\n").as_bytes())
}

fn work(
    context: &Context,
    run: FlowRun<'_>,
    name: &str,
    reviews: &Reviews,
    folder: &Path,
) -> Result<()> {
    let settings = FlowSettings {
        rounds: run.rounds,
        held_out_share: run.split.test + run.split.validation,
        uncalibrated: run.uncalibrated.clone(),
    };
    let teacher = FlowTeacher::new(run.flow, run.teacher, run.facts, settings);
    let seeds: Vec<SeedLeaf> = run.leaves.iter().map(SeedLeaf::from).collect();
    let settings = SynthesisSettings {
        rows_per_leaf: run.rows_per_leaf,
        rows_of: Default::default(),
        split: SplitSettings {
            validation: run.split.validation,
            test: run.split.test,
            seed: run.seed,
        },
        filters: run.filters,
    };
    let rows = settings.all_rows(&seeds);
    let mut writer = DatasetWriter::create(context, folder, reviews, rows)?;
    let made = synthesize_into(&teacher, &seeds, &settings, &mut writer);
    let funnel = teacher.funnel();
    context.terminal.note(format!("{funnel}").trim_end());
    let account = run.teacher.account();
    if !account.is_empty() {
        context.terminal.note(format!("teacher: {account}"));
    }
    let text = serde_json::to_string_pretty(&funnel)?;
    write_atomically(&folder.join(FUNNEL_FILE), text.as_bytes())?;
    let summary = match made {
        Ok(summary) => summary,
        Err(error) => {
            if writer.finish_ledger()? > 0 {
                context.terminal.note(format!(
                    "the rows that were dropped are in `{}`",
                    folder.join(LEDGER_FILE).display()
                ));
            }
            return Err(error.into());
        }
    };
    let figures = writer.finish()?;
    tell(context, run.teacher.name(), &summary, &figures);
    let not_measured =
        |judge: &String| format!("nobody measured how far the judge `{judge}` agrees with people");
    let card = Card {
        name: name.to_owned(),
        teacher: run.teacher.name().to_owned(),
        flow: Some((run.flow.metadata.name.clone(), run.flow.hash.clone())),
        settings: card_settings(&settings),
        leaves: card_leaves(run.leaves),
        warnings: run.uncalibrated.iter().map(not_measured).collect(),
        shortfalls: &summary.shortfalls,
    };
    describe(folder, run.leaves, &card, &figures)
}

/// The pieces of the documents of each leaf, by its name, with the files of this machine that
/// they are in. Repositories are looked into only where `flow` needs documents.
///
/// # Errors
/// A document cannot be read, or it is not clear which leaf it belongs to.
pub fn facts(
    flow: &Flow,
    leaves: &[Leaf],
    documents: &[PathBuf],
    repositories: &mut Repositories,
    chunk_tokens: usize,
    count: &dyn Fn(&str) -> usize,
) -> Result<(BTreeMap<String, LeafFacts>, Vec<PathBuf>)> {
    if !documents.is_empty() && leaves.len() != 1 {
        return Err(Failure::usage(format!("`--document` belongs to one leaf, and {} were given", leaves.len()))
            .hint("generate from one leaf at a time, or name local documents in the leaves: `document: {path, sha256}`")
            .into());
    }
    let settings = slm_data::document::ChunkSettings {
        max_tokens: chunk_tokens,
        min_tokens: chunk_tokens / 5,
    };
    let required = &flow.metadata.dataset_requirements.required_columns;
    let needs_documents = required.iter().any(|column| column == "document");
    let (mut facts, mut files) = (BTreeMap::new(), Vec::new());
    for leaf in leaves {
        let mut paths = documents.to_vec();
        let mut found: Vec<Document> = Vec::new();
        match &leaf.document {
            Some(slm_taxonomy::Document::Local { path, .. }) => {
                paths.push(leaf.file.parent().unwrap_or(Path::new(".")).join(path));
            }
            Some(slm_taxonomy::Document::Repository {
                repo,
                commit,
                patterns,
            }) if needs_documents && documents.is_empty() => {
                found = repositories.documents(&leaf.name, repo, commit, patterns)?;
            }
            _ => {}
        }
        for path in paths {
            found.push(read(&path)?);
            files.push(path);
        }
        let mut pieces = Vec::new();
        for document in &found {
            pieces.extend(chunks(document, &settings, count)?);
        }
        facts.insert(leaf.name.clone(), LeafFacts::new(leaf, pieces));
    }
    Ok((facts, files))
}
