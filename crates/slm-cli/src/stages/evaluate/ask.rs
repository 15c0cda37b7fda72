//! One system after the other answers the rows that it has not answered yet.
//!
//! Does not know how answers are judged.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde_json::Value;
use slm_eval::baseline::{Majority, NearestExample};
use slm_eval::log::{EvalLog, LogEntry, prompt_hash};
use slm_eval::metrics::validity::schema_of;
use slm_eval::predictions::Prediction;
use slm_eval::results::SystemInfo;
use slm_eval::subject::{Subject, SubjectError};
use slm_eval::{Row, Task};

use super::{Exam, info_of, local_settings, rows, settings_of};
use crate::commands::Context;
use crate::failure::Failure;
use crate::local::LocalModel;
use crate::recipe::System;
use crate::terminal::Terminal;
use crate::workspace::{hash_path, write_atomically};

/// Answers between two additions to the log, so many that a batch is never thin.
const CHUNK: usize = 64;

/// What is known about the systems beyond their answers, kept beside the log.
pub struct Known {
    path: PathBuf,
    systems: BTreeMap<String, SystemInfo>,
}

impl Known {
    /// What an earlier attempt found out.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_default();
        Self {
            path: path.to_owned(),
            systems: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// The info of a system.
    pub fn info(&self, name: &str) -> SystemInfo {
        self.systems.get(name).cloned().unwrap_or_default()
    }

    /// Adds what was found out about a system.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&mut self, name: &str, info: SystemInfo) -> Result<()> {
        self.systems.insert(name.to_owned(), info);
        let text = serde_json::to_string_pretty(&self.systems)?;
        write_atomically(&self.path, text.as_bytes())
    }
}

/// A system that is asked, and how the log names it.
pub struct Asked<'a> {
    /// Shows progress.
    pub terminal: &'a Terminal,
    /// What is asked.
    pub task: &'a Task,
    /// The rows to answer.
    pub rows: &'a [Row],
    /// The system's name in results.
    pub name: String,
    /// The model, as exactly as it is known.
    pub model: String,
    /// What else shapes the answers.
    pub settings: Value,
    /// Whether answers are held to rows' schemas or labels, so that these shape them.
    pub held: bool,
    /// Whether rows are asked again whose answer was an error.
    pub mends_errors: bool,
}

/// A row to ask, for the which time, and the hash of its prompt.
pub struct Open {
    repeat: u32,
    row: Row,
    hash: String,
}

impl Asked<'_> {
    /// The rows without an answer in the log by this very system: of another model under its name,
    /// or under other settings, answers do not count.
    ///
    /// # Errors
    /// A row cannot be made a prompt.
    pub fn open_rows(&self, log: &EvalLog) -> Result<Vec<Open>> {
        self.rows_that(|entry| !log.has(entry) || (self.mends_errors && log.has_failed(entry)))
    }

    /// The repeats and ids of rows that are not altered copies and have no answer, be it an error.
    ///
    /// # Errors
    /// A row cannot be made a prompt.
    pub fn unanswered(&self, log: &EvalLog) -> Result<Vec<(u32, String)>> {
        let open = self.rows_that(|entry| !log.has(entry))?;
        let own = open.into_iter().filter(|open| open.row.origin.is_none());
        Ok(own.map(|open| (open.repeat, open.row.id)).collect())
    }

    fn rows_that(&self, holds: impl Fn(&LogEntry) -> bool) -> Result<Vec<Open>> {
        let mut found = Vec::new();
        for repeat in 0..self.task.repeats {
            // Altered copies are compared with the first answers only.
            let rows = self.rows.iter();
            for row in rows.filter(|row| repeat == 0 || row.origin.is_none()) {
                let messages = slm_eval::prompt::messages(self.task, row)?;
                let hash = prompt_hash(&messages, &self.beside(row));
                let entry = self.entry(repeat, hash.clone(), Prediction::text(&row.id, ""));
                if holds(&entry) {
                    found.push(Open {
                        repeat,
                        row: row.clone(),
                        hash,
                    });
                }
            }
        }
        Ok(found)
    }

    /// What is asked beside the messages: tools, and what answers are held to.
    fn beside(&self, row: &Row) -> Vec<Value> {
        let mut beside = row.tools.clone();
        if self.held {
            beside.extend(schema_of(self.task, row).cloned());
            let labels = row.declared_labels(self.task);
            beside.extend((!labels.is_empty()).then(|| Value::from(labels)));
        }
        beside
    }

    fn entry(&self, repeat: u32, prompt_hash: String, prediction: Prediction) -> LogEntry {
        LogEntry {
            system: self.name.clone(),
            prompt_hash,
            model: self.model.clone(),
            settings: self.settings.clone(),
            repeat,
            prediction,
        }
    }

    /// Has the open rows answered and logged.
    ///
    /// # Errors
    /// The subject cannot go on, or the log cannot be written.
    pub fn ask(&self, open: Vec<Open>, subject: &mut dyn Subject, log: &mut EvalLog) -> Result<()> {
        let label = format!("evaluate {}", self.name);
        let altered = self.rows.iter().filter(|row| row.origin.is_some()).count();
        let own = (self.rows.len() - altered) * self.task.repeats as usize;
        let total = (own + altered) as u64;
        let mut progress = self.terminal.progress(&label, total, "rows");
        let mut done = total - open.len() as u64;
        progress.resume_at(done);
        for asked_together in open.chunk_by(|one, next| one.repeat == next.repeat) {
            for chunk in asked_together.chunks(CHUNK) {
                let repeat = chunk[0].repeat;
                let rows: Vec<Row> = chunk.iter().map(|open| open.row.clone()).collect();
                subject.begin_repeat(repeat);
                let answered =
                    subject.answer(&rows, &mut |count| progress.set(done + count as u64, ""));
                for prediction in answered.map_err(with_hint)? {
                    let place = chunk.iter().find(|open| open.row.id == prediction.id);
                    let hash = place.map_or(String::new(), |open| open.hash.clone());
                    log.append(&self.entry(repeat, hash, prediction))?;
                }
                done += rows.len() as u64;
            }
        }
        progress.finish();
        Ok(())
    }
}

/// A subject's error with its hint, where it has one.
fn with_hint(error: SubjectError) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) => anyhow::Error::from(*failure),
        Err(error) => anyhow!(error),
    }
}

/// The name of a system's turn in results: free, or held to what rows ask for.
pub fn turn_name(system: &str, constrained: bool) -> String {
    match constrained {
        true => format!("{system}-constrained"),
        false => system.to_owned(),
    }
}

/// Asks one of the recipe's systems, once for each turn: `true` holds its answers to what rows ask
/// for. It is loaded once.
///
/// # Errors
/// The system is not there, or cannot go on.
pub fn system(
    context: &Context,
    exam: &Exam,
    task: &Task,
    rows: &[Row],
    (system, turns): (System, &[bool]),
    log: &mut EvalLog,
    known: &mut Known,
) -> Result<()> {
    let max_tokens = exam.settings.max_tokens;
    let mut loaded: Option<LocalModel> = None;
    for &constrained in turns {
        let asked = Asked {
            terminal: &context.terminal,
            task,
            rows,
            name: turn_name(system.name(), constrained),
            model: match system {
                System::Nearest | System::Majority => known_rows(exam)?,
                _ => hash_path(model_folder(exam, system)?)?,
            },
            settings: match system {
                System::Nearest | System::Majority => Value::Null,
                _ => local_settings(
                    settings_of(task, max_tokens, constrained),
                    model_folder(exam, system)?,
                )?,
            },
            held: constrained,
            mends_errors: false,
        };
        let open = asked.open_rows(log)?;
        if open.is_empty() {
            continue;
        }
        if let System::Nearest | System::Majority = system {
            let training = rows::training(exam, task)?;
            known.keep(&asked.name, info_of(system))?;
            let mut subject: Box<dyn Subject> = match system {
                System::Majority => Box::new(Majority::train(&training)),
                _ => Box::new(NearestExample::train(&training)),
            };
            asked.ask(open, subject.as_mut(), log)?;
            continue;
        }
        let folder = model_folder(exam, system)?;
        let model = match &mut loaded {
            Some(model) => model,
            none => none.insert(LocalModel::load(
                folder,
                None,
                None,
                task.clone(),
                max_tokens,
            )?),
        };
        model.begin(&asked.name, constrained)?;
        asked.ask(open, model, log)?;
        let mut info = model_info(model, folder);
        info.role = match constrained {
            // The report's candidate is the model as it answers by itself.
            true => None,
            false => info_of(system).role,
        };
        info.weights = Some(system.weights().to_owned());
        known.keep(&asked.name, info)?;
    }
    Ok(())
}

/// What is known about a local model once it has answered.
pub fn model_info(model: &LocalModel, folder: &Path) -> SystemInfo {
    let generated = model.generated();
    SystemInfo {
        size_bytes: folder_bytes(folder),
        parameters: Some(model.parameters() as u64),
        tokens_per_second: (generated.tokens > 0 && generated.seconds > 0.0)
            .then(|| generated.tokens as f64 / generated.seconds),
        note: model.forced_share().map(|share| {
            format!(
                "held to the form asked for; {:.0}% of its tokens were forced, not sampled",
                share * 100.0
            )
        }),
        ..SystemInfo::default()
    }
}

/// What a baseline without a model is: the contents of the rows that it knows.
fn known_rows(exam: &Exam) -> Result<String> {
    let hashes = exam.train.iter().map(|path| hash_path(path));
    Ok(hashes.collect::<Result<Vec<_>>>()?.join(" + "))
}

fn model_folder<'a>(exam: &'a Exam, system: System) -> Result<&'a Path> {
    let found = exam.models.iter().find(|(known, _)| *known == system);
    found.map(|(_, folder)| folder.as_path()).ok_or_else(|| {
        Failure::new(format!(
            "`evaluate.systems` names `{}`, which this recipe does not make",
            system.name()
        ))
        .hint("add what makes it (`train`, `quantize`), or remove it from the list")
        .into()
    })
}

/// Bytes of a model's weights on disk.
fn folder_bytes(folder: &Path) -> Option<u64> {
    let entries = fs::read_dir(folder).ok()?;
    let weights = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| ending == "safetensors")
        });
    Some(
        weights
            .filter_map(|path| Some(fs::metadata(path).ok()?.len()))
            .sum(),
    )
}
