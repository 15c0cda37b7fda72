//! `slm data explain`: how a row was made, and what became of it.
//!
//! Reads the ledger; works nothing out.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::ledger::Fate;
use slm_data::{Entry, JsonlReader};

use crate::commands::Context;
use crate::failure::Failure;
use crate::stages::dataset::LEDGER_FILE;
use crate::workspace::Kind;

/// Arguments of `slm data explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The row's id
    row: String,
    /// The dataset's name in the workspace, or a ledger
    #[arg(long, value_name = "NAME|FILE")]
    dataset: String,
}

impl Explain {
    /// Finds the row's entries and prints them.
    pub fn run(self, context: &Context) -> Result<()> {
        let named = PathBuf::from(&self.dataset);
        let path = match named.is_file() {
            true => named,
            false => context
                .workspace
                .artefact(Kind::Datasets, &self.dataset)
                .join(LEDGER_FILE),
        };
        let mut found = Vec::new();
        for entry in JsonlReader::<Entry>::open(&path)? {
            let entry = entry?;
            if entry.id == self.row {
                found.push(entry);
            }
        }
        if found.is_empty() {
            return Err(Failure::new(format!("the ledger `{}` has no row `{}`", path.display(), self.row))
                .hint("ids are in the `id` of a dataset's rows, and of the ledger's lines for dropped ones")
                .into());
        }
        if context.terminal.is_json() {
            return context.terminal.json(&found);
        }
        let texts: Vec<String> = found.iter().map(describe).collect();
        context.terminal.data(&texts.join("\n\n"))
    }
}

fn describe(entry: &Entry) -> String {
    let mut lines = vec![
        format!("row      {}", entry.id),
        format!("leaf     {}", entry.leaf),
    ];
    lines.extend(entry.seed.map(|seed| format!("seed     {seed}")));
    lines.push(format!("teacher  {}", entry.teacher));
    lines.push(format!("done     {}", entry.operations.join(", ")));
    if let Some(trace) = &entry.trace {
        lines.push(format!("flow     {}, round {}", trace.flow, trace.round));
        lines.extend(trace.chunk.iter().map(|chunk| format!("chunk    {chunk}")));
        for call in &trace.calls {
            lines.push(format!(
                "asked    by `{}`, prompt {}, {}, answer {}",
                call.block,
                call.prompt,
                call.settings,
                &call.key[..12.min(call.key.len())]
            ));
        }
        for judgment in &trace.judgments {
            let verdict = judgment
                .verdict
                .as_ref()
                .map_or_else(|| "none that can be parsed".to_owned(), ToString::to_string);
            let measured = match judgment.uncalibrated {
                true => " (not calibrated)",
                false => "",
            };
            lines.push(format!(
                "judged   by `{}`{measured}: verdict {verdict}: {}",
                judgment.block,
                judgment.text.replace('\n', " ")
            ));
        }
        for (column, value) in &trace.columns {
            lines.push(format!("held     {column}: {value}"));
        }
    }
    lines.push(match &entry.fate {
        Fate::Kept { split } => format!("outcome  kept, in {split}"),
        Fate::Dropped { reason, detail } => {
            let by = entry
                .trace
                .as_ref()
                .and_then(|trace| trace.dropped_by.as_deref());
            let by = by.map_or(String::new(), |block| format!(" by `{block}`"));
            let detail = detail
                .as_ref()
                .map_or(String::new(), |detail| format!(" ({detail})"));
            format!("outcome  dropped{by}: {reason}{detail}")
        }
    });
    lines.join("\n")
}
