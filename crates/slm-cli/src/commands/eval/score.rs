//! `slm eval score`: answers from anywhere, scored.
//!
//! Does not ask anyone anything.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use slm_eval::predictions::Predictions;
use slm_eval::results::{Role, SystemInfo};
use slm_eval::{Options, System, Task};

use super::{Named, check_names, note_report};
use crate::commands::Context;
use crate::results::show_results;
use crate::stages::evaluate::write_report;
use crate::workspace::create_folder;

/// Arguments of `slm eval score`.
#[derive(Debug, Args)]
pub struct Score {
    /// The task (YAML)
    #[arg(long, value_name = "TASK")]
    task: PathBuf,
    /// A system's answers (JSONL: id, output); may be given several times
    #[arg(long, required = true, value_name = "NAME=FILE")]
    predictions: Vec<Named>,
    /// Which of the systems is the frontier model to compare with
    #[arg(long, value_name = "NAME")]
    frontier: Option<String>,
    /// The folder for `results.json`, `report.html` and `summary.md`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Score {
    /// Scores the answers, writes the report and shows the table.
    pub fn run(self, context: &Context) -> Result<()> {
        check_names(self.predictions.iter().map(|named| named.name.as_str()))?;
        let task = Task::load(&self.task)?;
        let rows = slm_eval::rows::load(&task.data, &task)?;
        let mut systems = Vec::new();
        for named in &self.predictions {
            let predictions = Predictions::load(Path::new(&named.value), &rows)?;
            let is_frontier = self.frontier.as_deref() == Some(named.name.as_str());
            systems.push(System {
                name: named.name.clone(),
                predictions,
                info: SystemInfo {
                    role: is_frontier.then_some(Role::Frontier),
                    ..SystemInfo::default()
                },
            });
        }
        let results = slm_eval::score(&task, &rows, &systems, &Options::default());
        create_folder(&self.out)?;
        write_report(&self.out, &task, &rows, &systems, &results)?;
        show_results(context, &results)?;
        note_report(context, &self.out);
        Ok(())
    }
}
