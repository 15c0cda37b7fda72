//! `slm eval score`: answers from anywhere, scored.
//!
//! Does not ask anyone anything.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use clap::Args;
use slm_eval::baseline::{Majority, NearestExample};
use slm_eval::predictions::Predictions;
use slm_eval::results::{Role, SystemInfo};
use slm_eval::{Options, Row, Subject, System, Task};

use super::beside::{BesideFiles, complete};
use super::{Named, check_names, note_report};
use crate::commands::Context;
use crate::failure::Failure;
use crate::results::show_results;
use crate::stages::evaluate::write_report;
use crate::workspace::{create_folder, hash_path};

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
    /// Which of the systems is proposed in its place [default: the best]
    #[arg(long, value_name = "NAME")]
    candidate: Option<String>,
    /// A baseline made from the rows of `--train`; may be given several times
    #[arg(long, value_name = "BASELINE", value_parser = ["nearest", "majority"], requires = "train")]
    baseline: Vec<String>,
    #[command(flatten)]
    beside: BesideFiles,
    /// The folder for `results.json`, `report.html` and `summary.md`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Score {
    /// Scores the answers, writes the report and shows the table.
    pub fn run(self, context: &Context) -> Result<()> {
        let named = self.predictions.iter().map(|named| named.name.as_str());
        check_names(named.chain(self.baseline.iter().map(String::as_str)))?;
        for named in [&self.frontier, &self.candidate].into_iter().flatten() {
            self.check_known(named)?;
        }
        let task = Task::load(&self.task)?;
        let beside = self.beside.read()?;
        let rows = slm_eval::rows::load(&task.data, &task)?;
        let mut systems = Vec::new();
        for named in &self.predictions {
            let predictions = Predictions::load(Path::new(&named.value), &rows)?;
            let file = Path::new(&named.value);
            systems.push(System {
                name: named.name.clone(),
                predictions,
                info: SystemInfo {
                    role: self.role(&named.name),
                    ..SystemInfo::default()
                },
                setup: [("answers".to_owned(), hash_path(file)?)].into(),
            });
        }
        if !self.baseline.is_empty() {
            let training = training(self.beside.train(), &task)?;
            for name in &self.baseline {
                systems.push(baseline(name, &training, &rows)?);
            }
        }
        let mut results = slm_eval::score(&task, &rows, &systems, &Options::default());
        complete(context, &beside, &mut results, &task, &rows, &systems);
        create_folder(&self.out)?;
        write_report(&self.out, &task, &rows, &systems, &results)?;
        self.beside
            .write_samples(context, &self.out, &task, &rows, &systems)?;
        show_results(context, &results)?;
        note_report(context, &self.out);
        Ok(())
    }
    fn role(&self, name: &str) -> Option<Role> {
        let is = |wanted: &Option<String>| wanted.as_deref() == Some(name);
        match (is(&self.frontier), is(&self.candidate)) {
            (true, _) => Some(Role::Frontier),
            (_, true) => Some(Role::Candidate),
            _ => None,
        }
    }

    fn check_known(&self, wanted: &str) -> Result<()> {
        if self.predictions.iter().any(|named| named.name == wanted) {
            return Ok(());
        }
        let names: Vec<&str> = self
            .predictions
            .iter()
            .map(|named| named.name.as_str())
            .collect();
        Err(Failure::usage(format!("no system is named `{wanted}`"))
            .hint(format!("there are `{}`", names.join("`, `")))
            .into())
    }
}

/// The rows of training files, as the task reads them.
fn training(files: &[PathBuf], task: &Task) -> Result<Vec<Row>> {
    let whole = Task {
        split: None,
        robustness: None,
        ..task.clone()
    };
    let mut rows = Vec::new();
    for file in files {
        rows.extend(slm_eval::rows::load(file, &whole)?);
    }
    Ok(rows)
}

/// A baseline with its answers to the rows.
fn baseline(name: &str, training: &[Row], rows: &[Row]) -> Result<System> {
    let mut subject: Box<dyn Subject> = match name {
        "majority" => Box::new(Majority::train(training)),
        _ => Box::new(NearestExample::train(training)),
    };
    let answers = subject
        .answer(rows, &mut |_| ())
        .map_err(|error| anyhow!(error))?;
    Ok(System {
        name: name.to_owned(),
        predictions: Predictions::new(answers, rows),
        info: SystemInfo {
            role: Some(Role::Baseline),
            ..SystemInfo::default()
        },
        ..System::default()
    })
}
