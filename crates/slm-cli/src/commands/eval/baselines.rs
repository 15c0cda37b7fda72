//! Baselines made from training rows: the nearest example, the most frequent answer.
//!
//! Does not know how answers are judged.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use slm_eval::baseline::{Majority, NearestExample};
use slm_eval::predictions::Predictions;
use slm_eval::results::{Role, SystemInfo};
use slm_eval::{Row, Subject, System, Task};

/// The rows of training files, as the task reads them, with answers in place of targets.
///
/// # Errors
/// A file cannot be read.
pub fn training(files: &[PathBuf], task: &Task) -> Result<Vec<Row>> {
    let whole = Task {
        split: None,
        robustness: None,
        ..task.clone()
    };
    let mut rows = Vec::new();
    for file in files {
        rows.extend(slm_eval::rows::load(file, &whole)?);
    }
    for row in &mut rows {
        row.target = row.answer_text(row.kind(task)).into();
    }
    Ok(rows)
}

/// The baselines of these names with their answers to the rows.
///
/// # Errors
/// As [`training`].
pub fn baselines(
    names: &[String],
    files: &[PathBuf],
    task: &Task,
    rows: &[Row],
) -> Result<Vec<System>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let training = training(files, task)?;
    names
        .iter()
        .map(|name| baseline(name, &training, rows))
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
            role: Some(Role::Baseline),
            ..SystemInfo::default()
        },
        ..System::default()
    })
}
