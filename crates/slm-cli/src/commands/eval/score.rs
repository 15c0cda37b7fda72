//! `slm eval score`: answers from anywhere, scored.
//!
//! Does not ask anyone anything.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use slm_eval::predictions::Predictions;
use slm_eval::results::{Role, SystemInfo};
use slm_eval::{System, Task};

use super::baselines::{baselines, lessons};
use super::beside::{BesideFiles, complete};
use super::{Named, check_names, note_report};
use crate::commands::Context;
use crate::failure::Failure;
use crate::results::{scored, show_results};
use crate::stages::evaluate::{Known, SYSTEMS_FILE, systems, write_report};
use crate::workspace::{create_folder, hash_path};

/// Arguments of `slm eval score`.
#[derive(Debug, Args)]
pub struct Score {
    /// The task (YAML)
    #[arg(long, value_name = "TASK")]
    task: PathBuf,
    /// A system's answers (JSONL: id, output); may be given several times
    #[arg(long, required_unless_present = "log", value_name = "NAME=FILE")]
    predictions: Vec<Named>,
    /// Score all systems of a log once more, such as `log.jsonl` of `slm eval run`
    #[arg(long, value_name = "LOG", conflicts_with = "predictions")]
    log: Option<PathBuf>,
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
        if self.log.is_none() {
            let names = self.predictions.iter().map(|named| named.name.as_str());
            self.check_known(&names.collect::<Vec<&str>>())?;
        }
        let task = Task::load(&self.task)?;
        let beside = self.beside.read()?;
        let rows = slm_eval::rows::load(&task.data, &task)?;
        let mut systems = Vec::new();
        for named in &self.predictions {
            let file = Path::new(&named.value);
            let mut repeats = Predictions::load_repeats(file, &rows)?;
            systems.push(System {
                name: named.name.clone(),
                predictions: repeats.remove(0),
                repeats,
                info: SystemInfo {
                    role: self.role(&named.name),
                    ..SystemInfo::default()
                },
                setup: [("answers".to_owned(), hash_path(file)?)].into(),
            });
        }
        let lessons = lessons(&self.baseline, self.beside.train(), &task)?;
        systems.extend(baselines(&self.baseline, &lessons, &rows)?);
        if let Some(log) = &self.log {
            let known = Known::read(&log.with_file_name(SYSTEMS_FILE));
            // However often they were asked.
            let every = Task {
                repeats: u32::MAX,
                ..task.clone()
            };
            systems.extend(self::systems(&every, &rows, log, &known)?);
            self.name_roles(&mut systems)?;
        }
        let mut results = scored(&task, &rows, &systems);
        complete(context, &beside, &mut results, &task, &rows, &systems);
        create_folder(&self.out)?;
        write_report(&self.out, &task, &rows, &systems, &results)?;
        self.beside
            .write_samples(context, &self.out, &task, &rows, &systems)?;
        show_results(context, &results)?;
        note_report(context, &self.out);
        Ok(())
    }

    /// The systems of a log play the parts that the arguments give them.
    fn name_roles(&self, systems: &mut [System]) -> Result<()> {
        let names = systems.iter().map(|system| system.name.as_str());
        self.check_known(&names.collect::<Vec<&str>>())?;
        for system in systems {
            system.info.role = self.role(&system.name).or(system.info.role);
        }
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

    fn check_known(&self, names: &[&str]) -> Result<()> {
        let wanted = [&self.frontier, &self.candidate].into_iter().flatten();
        for wanted in wanted {
            if !names.contains(&wanted.as_str()) {
                return Err(Failure::usage(format!("no system is named `{wanted}`"))
                    .hint(format!("there are `{}`", names.join("`, `")))
                    .into());
            }
        }
        Ok(())
    }
}
