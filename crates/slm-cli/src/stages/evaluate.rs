//! Systems answer the held-out rows, are scored, and the report is written.
//!
//! Answers go to a log one after the other, so a killed evaluation goes on where it was.
//! Does not know metrics; those are slm-eval's.

mod ask;
mod frontier;
mod rows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};
use slm_eval::cost::Prices;
use slm_eval::log::{self, EvalLog, LogEntry};
use slm_eval::metrics::Metric;
use slm_eval::predictions::Predictions;
use slm_eval::results::{Results, Role, SystemInfo};
use slm_eval::task::MOST_REPEATS;
use slm_eval::{Beside, OutputType, Row, System as Scored, Task, report};
use slm_model::Device;
use slm_taxonomy::nearest;

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Baseline, Evaluate, System};
use crate::results::read_evaluation;
use crate::workspace::{Input, Stage, hash_bytes, run_stage, write_atomically};

pub use ask::{Asked, Known, model_info, turn_name};
pub use frontier::{RECIPE, Rival};

/// All that scoring found.
pub const RESULTS_FILE: &str = "results.json";
/// The report.
pub const REPORT_FILE: &str = "report.html";
/// The report's short form.
pub const SUMMARY_FILE: &str = "summary.md";
/// The rows that were asked.
pub const ROWS_FILE: &str = "rows.jsonl";
/// Each sample with every system's answer and values, as a table.
pub const SAMPLES_FILE: &str = "samples.parquet";
/// Every answer with what shaped it.
pub const LOG_FILE: &str = "log.jsonl";
/// What is known about the systems beyond their answers.
pub const SYSTEMS_FILE: &str = "systems.json";

/// Who answers what.
pub struct Exam<'a> {
    /// The name of the results.
    pub name: &'a str,
    /// What is measured.
    pub settings: &'a Evaluate,
    /// Files of held-out rows.
    pub test: Vec<PathBuf>,
    /// Files of rows that the nearest-example baseline knows.
    pub train: Vec<PathBuf>,
    /// The leaves of the rows, for their schemas.
    pub leaves: Option<PathBuf>,
    /// How the rows are written, where the recipe says it.
    pub format: Option<slm_data::Format>,
    /// The models by what they are, in the report's order.
    pub models: Vec<(System, PathBuf)>,
    /// The frontier model, if there is one.
    pub baseline: Option<&'a Baseline>,
    /// Where the results go.
    pub artefact: PathBuf,
}

impl<'a> Exam<'a> {
    /// The frontier model, as this exam asks it.
    pub fn rival(&self, baseline: &'a Baseline, prices: Option<&'a Prices>) -> Rival<'a> {
        Rival {
            name: &baseline.model,
            baseline,
            prices,
            max_tokens: self.settings.max_tokens,
            purpose: RECIPE,
        }
    }
}

/// Runs the exam and prints its table.
///
/// # Errors
/// Rows or models cannot be read, a system cannot go on, or the disk is full.
pub fn evaluate(context: &Context, exam: &Exam) -> Result<Results> {
    if context.device != Device::Flex {
        let device = context.device;
        let text = format!(
            "evaluate: a recipe trains on `{device}`, and its answers are computed on the CPU"
        );
        context.terminal.note(text);
    }
    let mut inputs = Vec::new();
    let files = exam.test.iter().chain(&exam.train).chain(&exam.leaves);
    inputs.extend(files.map(|path| Input::new("rows", path)));
    let settings = exam.settings;
    for (name, path) in [
        ("task", &settings.task),
        ("prices", &settings.prices),
        ("earlier", &settings.earlier),
        ("recording", &exam.baseline.and_then(|b| b.replay.clone())),
    ] {
        inputs.extend(path.iter().map(|path| Input::new(name, path)));
    }
    let models = exam.models.iter();
    inputs.extend(models.map(|(system, folder)| Input::new(system.name(), folder)));
    let stage = Stage {
        name: "evaluate",
        version: 4,
        artefact: exam.artefact.clone(),
        inputs,
        settings: json!({"evaluate": exam.settings, "baseline": exam.baseline.map(Baseline::shape)}),
        resumable: true,
    };
    run_stage(&context.terminal, &stage, |folder| {
        work(context, exam, folder)
    })?;
    Ok(Results::load(&exam.artefact.join(RESULTS_FILE))?)
}

fn work(context: &Context, exam: &Exam, folder: &Path) -> Result<()> {
    let task = task(exam.name, exam.settings)?;
    rows::write(exam, &task, &folder.join(ROWS_FILE))?;
    let rows = slm_eval::rows::load(&folder.join(ROWS_FILE), &task)?;
    let mut log = EvalLog::open(&folder.join(LOG_FILE))?;
    let mut known = Known::read(&folder.join(SYSTEMS_FILE));
    for (system, turns) in order(exam.settings) {
        let turns = (system, turns.as_slice());
        ask::system(context, exam, &task, &rows, turns, &mut log, &mut known)?;
    }
    let prices = exam.settings.prices.as_deref();
    let prices = prices.map(Prices::load).transpose()?;
    if let Some(baseline) = exam.baseline {
        let log = (&*folder.join(LOG_FILE), &mut log);
        exam.rival(baseline, prices.as_ref())
            .ask(context, &task, &rows, log, &mut known)?;
    }
    let systems = systems(&task, &rows, &folder.join(LOG_FILE), &known)?;
    let mut results = crate::results::scored(&task, &rows, &systems);
    let beside = Beside {
        training: match exam.train.as_slice() {
            [] => None,
            files => Some(questions(files, exam.format)?),
        },
        prices,
        earlier: exam
            .settings
            .earlier
            .as_deref()
            .map(read_evaluation)
            .transpose()?,
    };
    beside.complete(&mut results, &task, &rows, &systems);
    if let Some(leakage) = &results.leakage {
        context.terminal.note(slm_eval::leakage::sentence(leakage));
    }
    if exam.settings.parquet {
        write_samples(context, folder, &task, &rows, &systems)?;
    }
    write_report(folder, &task, &rows, &systems, &results)
}

/// The task of the recipe, or one made for rows that carry their own schemas.
///
/// # Errors
/// The task's file cannot be read or has faults, or a metric is unknown.
pub fn task(name: &str, settings: &Evaluate) -> Result<Task> {
    let mut task = match &settings.task {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(|error| Failure::io("read the task", path, &error))?;
            Task::parse(path, &text)?
        }
        None => Task::of_kind(name, OutputType::Text),
    };
    if let Some(pointer) = &settings.label_field {
        task.label_field = Some(pointer.clone());
    }
    if let Some(repeats) = settings.repeats {
        if !(1..=MOST_REPEATS).contains(&repeats) {
            let message = format!("`evaluate.repeats` is not from 1 to {MOST_REPEATS}");
            return Err(Failure::new(message).into());
        }
        task.repeats = repeats;
    }
    if let Some(temperature) = settings.temperature {
        if !(0.0..=2.0).contains(&temperature) {
            return Err(Failure::new("`evaluate.temperature` is not from 0 to 2").into());
        }
        task.temperature = temperature;
    }
    if !settings.metrics.is_empty() {
        let metrics = settings.metrics.iter();
        task.metrics = metrics.map(|name| metric(name)).collect::<Result<_>>()?;
    }
    Ok(task)
}

fn metric(name: &str) -> Result<Metric> {
    Metric::parse(name).ok_or_else(|| {
        let names = Metric::names();
        let list = names.join("`, `");
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`? there are `{list}`"),
            None => format!("there are `{list}`"),
        };
        Failure::new(format!("unknown metric `{name}` in `evaluate.metrics`"))
            .hint(hint)
            .into()
    })
}

/// The systems in the order in which they answered.
///
/// # Errors
/// The log cannot be read.
pub fn systems(task: &Task, rows: &[Row], log: &Path, known: &Known) -> Result<Vec<Scored>> {
    let entries = log::read(log)?;
    let mut setups = setups(&entries);
    let answers = log::by_system(entries, task.repeats);
    Ok(answers
        .into_iter()
        .map(|(name, repeats)| {
            let repeats = repeats.into_iter();
            let mut repeats = repeats.map(|answers| Predictions::new(answers, rows));
            Scored {
                setup: setups.remove(&name).unwrap_or_default(),
                predictions: repeats.next().unwrap_or_default(),
                repeats: repeats.collect(),
                info: known.info(&name),
                name,
            }
        })
        .collect())
}

/// What shaped each system's answers, as the log has it; where it changed, the last counts.
fn setups(entries: &[LogEntry]) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut setups: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for entry in entries {
        let setup = setups.entry(entry.system.clone()).or_default();
        setup.insert("model".to_owned(), entry.model.clone());
        for (key, value) in entry.settings.as_object().into_iter().flatten() {
            setup.insert(key.clone(), slm_eval::rows::text_of(value));
        }
    }
    setups
}

/// The questions of training files, for the check of leakage.
///
/// # Errors
/// A file cannot be read.
pub fn questions(files: &[PathBuf], format: Option<slm_data::Format>) -> Result<Vec<String>> {
    let samples = rows::read(files, format)?;
    Ok(samples
        .iter()
        .flat_map(|sample| {
            let asked = sample
                .messages
                .iter()
                .filter(|message| message.role == slm_data::Role::User);
            asked.map(|message| message.content.clone())
        })
        .collect())
}

/// Writes each sample with every system's answer and values as a table.
///
/// # Errors
/// There are no samples or systems, or the disk is full.
pub fn write_samples(
    context: &Context,
    folder: &Path,
    task: &Task,
    rows: &[Row],
    systems: &[Scored],
) -> Result<()> {
    let path = folder.join(SAMPLES_FILE);
    slm_eval::score::write_samples(&path, task, rows, systems)?;
    let note = format!("samples: {}", path.display());
    context.terminal.note(note);
    Ok(())
}

/// Writes results, report and summary.
///
/// # Errors
/// The folder cannot be written.
pub fn write_report(
    folder: &Path,
    task: &Task,
    rows: &[Row],
    systems: &[Scored],
    results: &Results,
) -> Result<()> {
    results.save(&folder.join(RESULTS_FILE))?;
    let page = report::html(results, task, rows, systems);
    write_atomically(&folder.join(REPORT_FILE), page.as_bytes())?;
    write_atomically(
        &folder.join(SUMMARY_FILE),
        report::markdown(results).as_bytes(),
    )
}

/// Who answers in which order, and in which turns: under a grammar behind the free form.
fn order(settings: &Evaluate) -> Vec<(System, Vec<bool>)> {
    let mut order: Vec<(System, Vec<bool>)> = Vec::new();
    for &system in &settings.systems {
        let turns = match settings.constrained.contains(&system) {
            true => vec![false, true],
            false => vec![false],
        };
        order.push((system, turns));
    }
    for &system in &settings.constrained {
        if !order.iter().any(|(known, _)| *known == system) {
            order.push((system, vec![true]));
        }
    }
    order
}

/// The settings under which a system answers, as the log keeps them.
pub fn settings_of(task: &Task, max_tokens: usize, constrained: bool) -> Value {
    let mut settings = json!({"max_tokens": max_tokens, "temperature": task.temperature});
    if constrained {
        settings["constrained"] = true.into();
    }
    settings
}

/// Adds what a local model's own files say: the hash of its chat template and the format of its
/// numbers.
///
/// # Errors
/// `config.json` cannot be read.
pub fn local_settings(mut settings: Value, folder: &Path) -> Result<Value> {
    let path = folder.join("config.json");
    let config = std::fs::read_to_string(&path)
        .map_err(|error| Failure::io("read the model's config", &path, &error))?;
    let config: Value = serde_json::from_str(&config).unwrap_or_default();
    let dtype = ["dtype", "torch_dtype"]
        .iter()
        .find_map(|key| config.get(key));
    settings["dtype"] = dtype.cloned().unwrap_or_default();
    if let Some(quantization) = config.get("quantization_config") {
        settings["quantization"] = quantization.clone();
    }
    let template = std::fs::read_to_string(folder.join("chat_template.jinja")).ok();
    let of_tokenizer = || {
        let text = std::fs::read_to_string(folder.join("tokenizer_config.json")).ok()?;
        let config: Value = serde_json::from_str(&text).ok()?;
        config.get("chat_template").map(slm_eval::rows::text_of)
    };
    if let Some(template) = template.or_else(of_tokenizer) {
        settings["template"] = hash_bytes(template.as_bytes()).into();
    }
    Ok(settings)
}

/// What a system is to the report.
fn role(system: System) -> Role {
    match system {
        System::Base => Role::Base,
        System::Tuned => Role::Candidate,
        System::TunedInt8 | System::TunedInt4 | System::TunedNf4 => Role::Quantized,
        System::Nearest | System::Majority => Role::Baseline,
    }
}

/// A system's info before anything is measured.
fn info_of(system: System) -> SystemInfo {
    SystemInfo {
        role: Some(role(system)),
        ..SystemInfo::default()
    }
}
