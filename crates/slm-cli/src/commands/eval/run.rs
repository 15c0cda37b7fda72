//! `slm eval run`: local models on a task.
//!
//! Answers go to a log, so that a killed run goes on where it was. Does not know metrics.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_eval::log::EvalLog;
use slm_eval::{Options, Task};

use super::beside::{BesideFiles, complete};
use super::{Named, check_names, note_report};
use crate::adapter::check_base;
use crate::commands::Context;
use crate::local::LocalModel;
use crate::results::{gates_of, show_results};
use crate::stages::evaluate::{
    Asked, Known, LOG_FILE, SYSTEMS_FILE, model_info, settings_of, systems, turn_name, write_report,
};
use crate::workspace::{create_folder, hash_path};

/// Arguments of `slm eval run`.
#[derive(Debug, Args)]
pub struct RunTask {
    /// The task (YAML)
    #[arg(value_name = "TASK")]
    task: PathBuf,
    /// A model by name or folder; may be given several times
    #[arg(long, required = true, value_name = "NAME=MODEL")]
    model: Vec<Named>,
    /// An adapter for one of the models
    #[arg(long, value_name = "NAME=DIR")]
    adapter: Vec<Named>,
    /// Use an adapter even though it was trained on another base
    #[arg(long)]
    force: bool,
    /// Longest answer, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    max_tokens: usize,
    /// Have each model answer a second time, as NAME-constrained, held to each row's schema,
    /// labels or tools
    #[arg(long)]
    constrained: bool,
    #[command(flatten)]
    beside: BesideFiles,
    /// The folder for the log, `results.json`, `report.html` and `summary.md`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl RunTask {
    /// Asks the models, scores their answers and shows the table.
    pub fn run(self, context: &Context) -> Result<()> {
        check_names(self.model.iter().map(|named| named.name.as_str()))?;
        let task = Task::load(&self.task)?;
        let beside = self.beside.read()?;
        let rows = slm_eval::rows::load(&task.data, &task)?;
        create_folder(&self.out)?;
        let log_path = self.out.join(LOG_FILE);
        let mut log = EvalLog::open(&log_path)?;
        let mut known = Known::read(&self.out.join(SYSTEMS_FILE));
        for named in &self.model {
            self.ask(context, &task, &rows, named, &mut log, &mut known)?;
        }
        let systems = systems(&rows, &log_path, &known)?;
        let mut results = slm_eval::score(&task, &rows, &systems, &Options::default());
        complete(context, &beside, &mut results, &task, &rows, &systems);
        write_report(&self.out, &task, &rows, &systems, &results)?;
        self.beside
            .write_samples(context, &self.out, &task, &rows, &systems)?;
        show_results(context, &results)?;
        note_report(context, &self.out);
        gates_of(&results)
    }

    fn ask(
        &self,
        context: &Context,
        task: &Task,
        rows: &[slm_eval::Row],
        named: &Named,
        log: &mut EvalLog,
        known: &mut Known,
    ) -> Result<()> {
        let folder = context.workspace.model(&named.value)?;
        let adapters = self.adapter.iter();
        let adapter = adapters
            .filter(|adapter| adapter.name == named.name)
            .map(|adapter| PathBuf::from(&adapter.value))
            .next();
        let mut model = hash_path(&folder)?;
        if let Some(adapter) = &adapter {
            check_base(context, adapter, &folder, self.force)?;
            model = format!("{model} + {}", hash_path(adapter)?);
        }
        let adapter = adapter.as_deref();
        let mut loaded: Option<LocalModel> = None;
        let turns = if self.constrained { 2 } else { 1 };
        for &constrained in &[false, true][..turns] {
            let asked = Asked {
                terminal: &context.terminal,
                task,
                rows,
                name: turn_name(&named.name, constrained),
                model: model.clone(),
                settings: settings_of(self.max_tokens, constrained),
            };
            let open = asked.open_rows(log)?;
            if open.is_empty() {
                continue;
            }
            let subject = match &mut loaded {
                Some(subject) => subject,
                none => none.insert(LocalModel::load(
                    &folder,
                    adapter,
                    task.clone(),
                    self.max_tokens,
                )?),
            };
            subject.begin(&asked.name, constrained)?;
            asked.ask(open, subject, log)?;
            known.keep(&asked.name, model_info(subject, &folder))?;
        }
        Ok(())
    }
}
