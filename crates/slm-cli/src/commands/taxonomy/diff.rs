//! `slm taxonomy diff`: the leaves that differ from a git base, and their check.
//!
//! Does not know how leaves are compared.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::check::Rigour;
use super::show;
use crate::commands::Context;
use crate::failure::Failure;
use crate::terminal::Format;

/// Arguments of `slm taxonomy diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// The taxonomy's folder
    #[arg(default_value = "taxonomy", value_name = "PATH")]
    path: PathBuf,
    /// A branch, tag or commit to compare with; `empty` for all leaves
    #[arg(
        long,
        alias = "taxonomy-base",
        value_name = "BASE",
        default_value = "origin/main"
    )]
    base: String,
    #[command(flatten)]
    rigour: Rigour,
}

impl Diff {
    /// Lists the leaves, then what is wrong with them.
    pub fn run(self, context: &Context) -> Result<()> {
        let changed = slm_taxonomy::changed(&self.path, &self.base)?;
        for removed in &changed.removed {
            context.terminal.note(format!("removed: {removed}"));
        }
        let mut report = match changed.leaves.is_empty() {
            true => slm_taxonomy::Report::default(),
            // All leaves are read, so that duplicates in others are seen.
            false => self
                .rigour
                .check(std::slice::from_ref(&self.path), context)?,
        };
        report.retain(|leaf| changed.has(leaf));
        match context.terminal.format() {
            Format::Json => {
                context.terminal.json(&json!({
                    "base": changed.base,
                    "leaves": changed.leaves,
                    "removed": changed.removed,
                    "checked": report.checked,
                    "diagnostics": report.diagnostics,
                }))?;
                match report.errors() {
                    0 => Ok(()),
                    _ => Err(Failure::said_already().into()),
                }
            }
            Format::Text => {
                let paths = changed.leaves.iter().map(|leaf| format!("{}\n", leaf.path));
                let newline = if changed.leaves.is_empty() { "" } else { "\n" };
                context
                    .terminal
                    .data(&format!("{}{newline}", paths.collect::<String>()))?;
                show(&report, context)
            }
            Format::Sarif | Format::Github => show(&report, context),
        }
    }
}
