//! Baselines made from training rows: the nearest example, the most frequent answer.
//!
//! Does not know how answers are judged.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde_json::Value;
use slm_data::{Role, Sample};
use slm_eval::baseline::{Majority, NearestExample};
use slm_eval::predictions::Predictions;
use slm_eval::results::{Role as Part, SystemInfo};
use slm_eval::{Row, Subject, System, Task};

use crate::stages::evaluate::questions;

/// Whether a file has rows of evaluations, with a `target`, rather than of a dataset.
fn has_targets(path: &Path) -> bool {
    let Ok(file) = File::open(path) else {
        return false;
    };
    let mut lines = BufReader::new(file).lines().map_while(Result::ok);
    let first = lines.find(|line| !line.trim().is_empty());
    let first = first.and_then(|line| serde_json::from_str::<Value>(&line).ok());
    first.is_some_and(|row| row.get("target").is_some())
}

/// The questions of training files of either kind, for the check of leakage.
///
/// # Errors
/// A file cannot be read.
pub fn asked(files: &[PathBuf]) -> Result<Vec<String>> {
    let mut asked = Vec::new();
    for file in files {
        if !has_targets(file) {
            asked.extend(questions(std::slice::from_ref(file), None)?);
            continue;
        }
        for row in slm_eval::rows::load(file, &Task::default())? {
            let of_user = row.messages.iter().filter(|message| message.role == "user");
            asked.extend(of_user.map(|message| message.content.clone()));
            asked.extend(row.input);
        }
    }
    Ok(asked)
}

/// The rows of training files of either kind, as the task reads them, with answers in place of
/// targets.
///
/// # Errors
/// A file cannot be read.
fn training(files: &[PathBuf], task: &Task) -> Result<Vec<Row>> {
    let whole = Task {
        split: None,
        robustness: None,
        metrics: Vec::new(),
        ..task.clone()
    };
    let mut rows = Vec::new();
    for file in files {
        if has_targets(file) {
            let mut more = slm_eval::rows::load(file, &whole)?;
            for row in &mut more {
                row.target = row.answer_text(row.kind(task)).into();
            }
            rows.extend(more);
        } else {
            rows.extend(slm_data::read_all(file)?.iter().map(of_sample));
        }
    }
    Ok(rows)
}

/// A row of a dataset: what stands before the last answer, and that answer.
fn of_sample(sample: &Sample) -> Row {
    let before = sample
        .messages
        .iter()
        .rposition(|m| m.role == Role::Assistant);
    let before = &sample.messages[..before.unwrap_or(sample.messages.len())];
    let question = match before {
        [only] => only.content.clone(),
        many => many
            .iter()
            .map(|message| format!("{}: {}", message.role.name(), message.content))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Row {
        input: Some(question),
        target: sample.answer().unwrap_or_default().into(),
        ..Row::default()
    }
}

/// What baselines of these names learn from; nothing where there are none.
///
/// # Errors
/// As [`training`].
pub fn lessons(names: &[String], files: &[PathBuf], task: &Task) -> Result<Vec<Row>> {
    match names.is_empty() {
        true => Ok(Vec::new()),
        false => training(files, task),
    }
}

/// The baselines of these names with their answers to the rows.
///
/// # Errors
/// A baseline cannot answer.
pub fn baselines(names: &[String], lessons: &[Row], rows: &[Row]) -> Result<Vec<System>> {
    names
        .iter()
        .map(|name| baseline(name, lessons, rows))
        .collect()
}

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
            role: Some(Part::Baseline),
            ..SystemInfo::default()
        },
        ..System::default()
    })
}
