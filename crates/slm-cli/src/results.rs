//! Results on the terminal, and what their gates mean for the exit code.
//!
//! Does not know how results come about.

use anyhow::Result;
use slm_eval::{Results, report};

use crate::commands::Context;
use crate::failure::Failure;

/// The width of tables where the terminal does not say.
const WIDTH: usize = 100;

/// Writes the table, or the results as JSON, to stdout.
///
/// # Errors
/// stdout cannot be written.
pub fn show_results(context: &Context, results: &Results) -> Result<()> {
    if context.terminal.is_json() {
        return context.terminal.json(results);
    }
    context.terminal.data(&report::table(results, width()))
}

/// Fails, with the gates' exit code, where a gate failed.
///
/// # Errors
/// A gate failed.
pub fn gates_of(results: &Results) -> Result<()> {
    let failed: Vec<String> = results
        .gates
        .iter()
        .filter(|gate| !gate.passed)
        .map(|gate| format!("{} (found {})", gate.gate, gate.found))
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::gate(format!("a gate failed: {one}")).into()),
        several => Err(Failure::gate(format!(
            "{} gates failed: {}",
            several.len(),
            several.join("; ")
        ))
        .into()),
    }
}

fn width() -> usize {
    let columns = std::env::var("COLUMNS").ok();
    columns
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| (40..=400).contains(columns))
        .unwrap_or(WIDTH)
}
