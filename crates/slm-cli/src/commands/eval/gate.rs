//! `slm eval gate`: may this pass?
//!
//! Does not score anything.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_eval::Task;

use super::read_results;
use crate::commands::Context;
use crate::failure::Failure;
use crate::results::gates_of;

/// Arguments of `slm eval gate`.
#[derive(Debug, Args)]
pub struct JudgeGates {
    /// A report, a folder that holds one, or a `results.json`
    path: PathBuf,
    /// Judge by the gates of this task instead of those of the results
    #[arg(long, value_name = "TASK")]
    task: Option<PathBuf>,
}

impl JudgeGates {
    /// Judges, prints each gate, and fails where one failed.
    pub fn run(self, context: &Context) -> Result<()> {
        let mut results = read_results(&self.path)?;
        if let Some(path) = &self.task {
            let task = Task::load(path)?;
            results.gates = slm_eval::gate::evaluate(&task.gates, &results);
        }
        if results.gates.is_empty() {
            return Err(Failure::new("there is no gate to judge by")
                .hint("add `gates` to the task, and name it with `--task`")
                .into());
        }
        if context.terminal.is_json() {
            context.terminal.json(&results.gates)?;
        } else {
            let lines: String = results
                .gates
                .iter()
                .map(|gate| {
                    let word = if gate.passed { "passed" } else { "failed" };
                    format!("{word}  {} (found {})\n", gate.gate, gate.found)
                })
                .collect();
            context.terminal.data(&lines)?;
        }
        gates_of(&results)
    }
}
