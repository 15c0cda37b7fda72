//! `slm eval run`: local models, a frontier model and baselines on a task.
//!
//! Answers go to a log, so that a killed run goes on where it was. Does not know metrics.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_eval::log::EvalLog;
use slm_eval::task::MOST_REPEATS;
use slm_eval::{Beside, Task};
use slm_model::Device;

use super::baselines::{baselines, lessons};
use super::beside::{BesideFiles, complete};
use super::rival::{FLAGS, RivalArguments};
use super::{Named, check_names, note_report};
use crate::adapter::check_base;
use crate::commands::Context;
use crate::failure::Failure;
use crate::local::LocalModel;
use crate::recipe::Baseline;
use crate::results::{gates_of, scored, show_results};
use crate::stages::evaluate::{
    Asked, Known, LOG_FILE, Rival, SYSTEMS_FILE, local_settings, model_info, settings_of, systems,
    turn_name, write_report,
};
use crate::workspace::{create_folder, hash_path};

/// Arguments of `slm eval run`.
#[derive(Debug, Args)]
pub struct RunTask {
    /// The task (YAML)
    #[arg(value_name = "TASK")]
    task: PathBuf,
    /// A model by name or folder; may be given several times
    #[arg(long, value_name = "NAME=MODEL")]
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
    rival: RivalArguments,
    /// A baseline made from the rows of `--train`; may be given several times
    #[arg(long, value_name = "BASELINE", value_parser = ["nearest", "majority"], requires = "train")]
    baseline: Vec<String>,
    /// Ask each row so often [default: the task's `repeats`, or once]
    #[arg(long, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPEATS)))]
    repeats: Option<u32>,
    /// 0 for the likeliest answer; above it answers are drawn [default: the task's, or 0]
    #[arg(long, value_name = "NUMBER")]
    temperature: Option<f64>,
    #[command(flatten)]
    beside: BesideFiles,
    /// The folder for the log, `results.json`, `report.html` and `summary.md`
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl RunTask {
    /// Asks the models, scores their answers and shows the table.
    pub fn run(self, context: &Context) -> Result<()> {
        let task = self.task()?;
        let beside = self.beside.read()?;
        let rival = self.rival.named(context)?;
        let names = self.model.iter().map(|named| named.name.as_str());
        let names = names.chain(self.baseline.iter().map(String::as_str));
        check_names(names.chain(rival.iter().map(|(name, _)| name.as_str())))?;
        if let Some((name, baseline)) = &rival {
            // A missing key should not be found out after the local models.
            self.rival(name, baseline, &beside).open(context)?;
        }
        let rows = slm_eval::rows::load(&task.data, &task)?;
        let lessons = lessons(&self.baseline, self.beside.train(), &task)?;
        create_folder(&self.out)?;
        let log_path = self.out.join(LOG_FILE);
        let mut log = EvalLog::open(&log_path)?;
        let mut known = Known::read(&self.out.join(SYSTEMS_FILE));
        for named in &self.model {
            self.ask(context, &task, &rows, named, &mut log, &mut known)?;
        }
        if let Some((name, baseline)) = &rival {
            let log = (log_path.as_path(), &mut log);
            self.rival(name, baseline, &beside)
                .ask(context, &task, &rows, log, &mut known)?;
        }
        let mut systems = systems(&task, &rows, &log_path, &known)?;
        systems.extend(baselines(&self.baseline, &lessons, &rows)?);
        let mut results = scored(&task, &rows, &systems);
        complete(context, &beside, &mut results, &task, &rows, &systems);
        write_report(&self.out, &task, &rows, &systems, &results)?;
        self.beside
            .write_samples(context, &self.out, &task, &rows, &systems)?;
        show_results(context, &results)?;
        note_report(context, &self.out);
        gates_of(&results)
    }

    /// The task as the arguments change it.
    fn task(&self) -> Result<Task> {
        if self.model.is_empty() && self.baseline.is_empty() && self.rival.is_empty() {
            return Err(Failure::usage("nobody is named who could answer")
                .hint("give `--model NAME=MODEL`, `--frontier NAME=URL`, `--replay DIR` or `--baseline BASELINE`")
                .into());
        }
        let mut task = Task::load(&self.task)?;
        task.repeats = self.repeats.unwrap_or(task.repeats);
        task.temperature = self.temperature.unwrap_or(task.temperature);
        if !(0.0..=2.0).contains(&task.temperature) {
            return Err(Failure::usage("`--temperature` is a number from 0 to 2").into());
        }
        Ok(task)
    }

    fn rival<'a>(&self, name: &'a str, baseline: &'a Baseline, beside: &'a Beside) -> Rival<'a> {
        Rival {
            name,
            baseline,
            prices: beside.prices.as_ref(),
            max_tokens: self.max_tokens,
            purpose: FLAGS,
        }
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
        if let Some(adapter) = &adapter {
            check_base(context, adapter, &folder, self.force)?;
        }
        let adapted = adapter.as_deref().map(hash_path).transpose()?;
        let (model, adapter) = (hash_path(&folder)?, adapter.as_deref());
        let mut loaded: Option<LocalModel> = None;
        let turns = if self.constrained { 2 } else { 1 };
        for &constrained in &[false, true][..turns] {
            let mut settings = settings_of(task, self.max_tokens, constrained);
            if let Some(adapter) = &adapted {
                settings["adapter"] = adapter.as_str().into();
            }
            if context.device != Device::Flex {
                // Floats there are not the host's integers, so answers may differ.
                settings["device"] = context.device.to_string().into();
            }
            let asked = Asked {
                terminal: &context.terminal,
                task,
                rows,
                name: turn_name(&named.name, constrained),
                model: model.clone(),
                settings: local_settings(settings, &folder)?,
                held: constrained,
                mends_errors: false,
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
                    context.place().as_deref(),
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
