//! Leaves become rows by a flow and a teacher, divided as the built-in teacher's are.
//!
//! Does not know blocks or who answers; that is slm-data's and `teacher`'s.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_data::flow::{Flow, FlowSettings, FlowTeacher, LeafFacts, TRACE};
use slm_data::review::Reviews;
use slm_data::synthesize::SynthesizedSplit;
use slm_data::teacher::ChatTeacher;
use slm_data::{Entry, Sample, SeedLeaf, SplitSettings, SynthesisSettings};
use slm_taxonomy::Leaf;

use super::import::{TEST_FILE, TRAIN_FILE};
use super::synthesize::{LEAVES_FILE, LEDGER_FILE, VALIDATION_FILE, tell};
use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::Split;
use crate::teacher::AnyTeacher;
use crate::workspace::{Input, Stage, hash_bytes, run_stage, write_atomically};

/// How many rows each block let through.
pub const FUNNEL_FILE: &str = "funnel.json";
/// People's verdicts on rows, for all builds of the workspace.
pub const REVIEWS_FILE: &str = "reviews.jsonl";

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
}

/// Makes the rows in `artefact`.
///
/// # Errors
/// The teacher fails, a block lets too little through, or the artefact cannot be written.
pub fn synthesize(context: &Context, run: FlowRun<'_>, artefact: PathBuf) -> Result<()> {
    let reviews_path = context.workspace.root().join("datasets").join(REVIEWS_FILE);
    let mut inputs: Vec<Input> = run
        .inputs
        .iter()
        .map(|path| Input::new("source", path))
        .collect();
    let reviews = match reviews_path.exists() {
        true => {
            inputs.push(Input::new("reviews", &reviews_path));
            Reviews::read(&reviews_path)?
        }
        false => Reviews::default(),
    };
    let stage = Stage {
        name: "flow",
        version: 1,
        artefact,
        inputs,
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
        }),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        work(context, run, &reviews, folder)
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

fn work(context: &Context, run: FlowRun<'_>, reviews: &Reviews, folder: &Path) -> Result<()> {
    let settings = FlowSettings {
        rounds: run.rounds,
        held_out_share: run.split.test + run.split.validation,
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
    };
    let made = slm_data::synthesize_split(&teacher, &seeds, &settings);
    let funnel = teacher.funnel();
    context.terminal.note(format!("{funnel}").trim_end());
    let account = run.teacher.account();
    if !account.is_empty() {
        context.terminal.note(format!("teacher: {account}"));
    }
    let text = serde_json::to_string_pretty(&funnel)?;
    write_atomically(&folder.join(FUNNEL_FILE), text.as_bytes())?;
    let made = match made {
        Ok(made) => made,
        Err(error) => {
            let lost = teacher.lost();
            if !lost.is_empty() {
                let ledger = folder.join(LEDGER_FILE);
                slm_data::write_ledger(&ledger, &lost)?;
                context.terminal.note(format!(
                    "the rows that were dropped are in `{}`",
                    ledger.display()
                ));
            }
            return Err(error.into());
        }
    };
    tell(context, run.teacher.name(), &made);
    let made = reviewed(context, made, reviews);
    write(folder, run.leaves, made)
}

/// Applies people's verdicts, and notes them in the ledger.
fn reviewed(context: &Context, mut made: SynthesizedSplit, reviews: &Reviews) -> SynthesizedSplit {
    let mut rejected: BTreeMap<String, Entry> = BTreeMap::new();
    for rows in [&mut made.train, &mut made.validation, &mut made.test] {
        let (kept, dropped) = reviews.apply(std::mem::take(rows));
        *rows = kept;
        rejected.extend(dropped.into_iter().map(|entry| (entry.id.clone(), entry)));
    }
    for entry in &mut made.ledger {
        if let Some(verdict) = rejected.remove(&entry.id) {
            *entry = verdict;
        }
    }
    if !reviews.is_empty() {
        context
            .terminal
            .note(format!("review: {} verdicts known", reviews.len()));
    }
    made
}

fn write(folder: &Path, leaves: &[Leaf], made: SynthesizedSplit) -> Result<()> {
    let bare = |mut sample: Sample| {
        sample.metadata.remove(TRACE);
        sample
    };
    let parts = [
        (TRAIN_FILE, made.train),
        (VALIDATION_FILE, made.validation),
        (TEST_FILE, made.test),
    ];
    for (file, rows) in parts {
        let rows: Vec<Sample> = rows.into_iter().map(bare).collect();
        slm_data::write_all(&folder.join(file), &rows)?;
    }
    slm_data::write_ledger(&folder.join(LEDGER_FILE), &made.ledger)?;
    let text = serde_json::to_string_pretty(leaves)?;
    write_atomically(&folder.join(LEAVES_FILE), text.as_bytes())
}

/// The pieces of the documents of each leaf, by its name, with the files that they are in.
///
/// # Errors
/// A document cannot be read, or it is not clear which leaf it belongs to.
pub fn facts(
    leaves: &[Leaf],
    documents: &[PathBuf],
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
    let (mut facts, mut files) = (BTreeMap::new(), Vec::new());
    for leaf in leaves {
        let mut paths = documents.to_vec();
        if let Some(slm_taxonomy::Document::Local { path, .. }) = &leaf.document {
            paths.push(leaf.file.parent().unwrap_or(Path::new(".")).join(path));
        }
        let mut chunks = Vec::new();
        for path in paths {
            let document = slm_data::document::read(&path)?;
            chunks.extend(slm_data::document::chunks(&document, &settings, count)?);
            files.push(path);
        }
        facts.insert(leaf.name.clone(), LeafFacts::new(leaf, chunks));
    }
    Ok((facts, files))
}
