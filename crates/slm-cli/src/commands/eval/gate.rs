//! `slm eval gate`: may this pass?
//!
//! Does not score anything.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_eval::gate::Gate;
use slm_eval::{Results, Task, regression};

use crate::commands::Context;
use crate::failure::Failure;
use crate::results::{gates_of, read_evaluation, read_results};
use crate::workspace::write_atomically;

/// Arguments of `slm eval gate`.
#[derive(Debug, Args)]
pub struct JudgeGates {
    /// A report, a folder that holds one, or a `results.json`
    path: PathBuf,
    /// Judge by the gates of this task instead of those of the results
    #[arg(long, value_name = "TASK")]
    task: Option<PathBuf>,
    /// Judge by this gate, as `metric=field_f1,system=tuned,lower=0.8`; may be given several
    /// times. Keys: metric, system, value, lower, difference, difference_lower, to, change,
    /// change_lower
    #[arg(long, value_name = "KEY=VALUE,...")]
    gate: Vec<Gate>,
    /// An earlier report, folder or `results.json`, for gates on `change` and `change_lower`
    #[arg(long, value_name = "PATH")]
    earlier: Option<PathBuf>,
    /// Write the outcome as JUnit XML as well
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

impl JudgeGates {
    /// Judges, prints each gate, and fails where one failed.
    pub fn run(self, context: &Context) -> Result<()> {
        let mut results = read_results(&self.path)?;
        if let Some(earlier) = &self.earlier {
            let (before, after) = (read_evaluation(earlier)?, read_evaluation(&self.path)?);
            results.regression = Some(regression::compare(
                (&before.results, &before.samples),
                (&results, &after.samples),
            ));
        }
        let mut gates = self.gate;
        if let Some(path) = &self.task {
            gates.extend(Task::load(path)?.gates);
        }
        for gate in &gates {
            measurable(gate, &results)?;
        }
        if !gates.is_empty() {
            results.gates = slm_eval::gate::evaluate(&gates, &results);
        }
        if results.gates.is_empty() {
            return Err(Failure::new("there is no gate to judge by")
                .hint(
                    "name one with `--gate`, or add `gates` to the task and name it with `--task`",
                )
                .into());
        }
        if let Some(path) = &self.junit {
            let xml = slm_eval::junit::junit(&results.task, &results.gates);
            write_atomically(path, xml.as_bytes())?;
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

/// A gate that no measurement could pass is a slip, not a regression.
fn measurable(gate: &Gate, results: &Results) -> Result<()> {
    let known: Vec<&str> = results.systems.iter().map(|s| s.name.as_str()).collect();
    let named = [&gate.system, &gate.to].into_iter().flatten();
    for name in named {
        if !known.contains(&name.as_str()) {
            let problem = format!("a gate names the system `{name}`, which was not measured");
            let hint = format!("there are `{}`", known.join("`, `"));
            return Err(Failure::usage(problem).hint(hint).into());
        }
    }
    let changes = gate.change.is_some() || gate.change_lower.is_some();
    if changes && results.regression.is_none() {
        return Err(
            Failure::usage("a gate is on a change, and there is no earlier run")
                .hint("name its report with `--earlier`")
                .into(),
        );
    }
    Ok(())
}
