//! `slm quantize`: a smaller copy of a model.
//!
//! Does not know the arithmetic.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::Context;
use crate::failure::Failure;
use crate::recipe::Width;
use crate::stages::quantize::{Plan, Rounding, TaskChange, Texts, quantize};
use crate::workspace::Kind;

/// Arguments of `slm quantize`.
#[derive(Debug, Args)]
pub struct Quantize {
    /// The model: a name in the workspace, or a folder in Hugging Face layout
    model: String,
    /// The width of the linear layers
    #[arg(long, value_name = "WIDTH")]
    weights: Width,
    /// Inputs that share a scale: a multiple of 32, or `channel` for all of an output's
    #[arg(long, value_name = "COUNT", default_value = "32", value_parser = group_of)]
    group: Columns,
    /// How codes are chosen [default: nearest with int8, search with int4]
    #[arg(long, value_name = "METHOD")]
    method: Option<Rounding>,
    /// Rows for GPTQ, a dataset like those that the model will meet
    #[arg(long, value_name = "FILE")]
    calibration: Option<PathBuf>,
    /// Most rows of `--calibration` to use
    #[arg(long, value_name = "COUNT", default_value_t = 128)]
    calibration_rows: usize,
    /// A dataset on which the model is compared with its original: perplexity, KL divergence and
    /// how often both take the same token [default: the rows of `--calibration` behind those used]
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Most rows to compare on
    #[arg(long, value_name = "COUNT", default_value_t = 64)]
    check_rows: usize,
    /// A task (YAML) that the model and its original answer; may be given several times
    #[arg(long, value_name = "TASK")]
    task: Vec<PathBuf>,
    /// Longest answer to a task's rows, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    max_tokens: usize,
    /// Fail (exit code 100) where a task's F1 falls by more than this
    #[arg(long, value_name = "NUMBER", requires = "task")]
    max_f1_drop: Option<f64>,
    /// Quantize the embedding and the head too, to 8 bits
    #[arg(long)]
    tables: bool,
    /// The new model's name in the workspace [default: MODEL-WIDTH]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// Columns that share a scale; none where a whole row does.
#[derive(Clone, Copy, Debug)]
struct Columns(Option<usize>);

fn group_of(text: &str) -> Result<Columns, String> {
    if text == "channel" {
        return Ok(Columns(None));
    }
    match text.parse::<usize>() {
        Ok(count) if count > 0 && count.is_multiple_of(32) => Ok(Columns(Some(count))),
        _ => Err("give a multiple of 32, or `channel`".to_owned()),
    }
}

impl Quantize {
    /// Quantizes and prints where the new model is.
    pub fn run(self, context: &Context) -> Result<()> {
        context.check_host()?;
        let model = context.workspace.model(&self.model)?;
        let stem = model.file_name().unwrap_or_default().to_string_lossy();
        let name = self
            .name
            .clone()
            .unwrap_or_else(|| format!("{stem}-{}", self.weights.name()));
        let artefact = context.workspace.artefact(Kind::Models, &name);
        if artefact == model {
            return Err(
                Failure::usage("the new model would take the place of its original")
                    .hint("choose another name with `--name`")
                    .into(),
            );
        }
        let _lock = context.workspace.lock(&format!("models-{name}"))?;
        let tasks = quantize(context, &model, &self.plan(), artefact.clone())?;
        if context.terminal.is_json() {
            context
                .terminal
                .json(&serde_json::json!({"model": artefact, "tasks": tasks}))?;
        } else {
            context.terminal.data(&artefact.display().to_string())?;
        }
        match self.max_f1_drop {
            Some(most) => gate(&tasks, most),
            None => Ok(()),
        }
    }

    fn plan(&self) -> Plan {
        let plain = Plan::plain(self.weights, self.tables);
        let texts = |path: &PathBuf, skip: usize, rows: usize| Texts {
            path: path.clone(),
            skip,
            rows,
        };
        let calibration = self.calibration.as_ref();
        let check = match (&self.check, calibration) {
            (Some(path), _) => Some(texts(path, 0, self.check_rows)),
            (None, Some(path)) => Some(texts(path, self.calibration_rows, self.check_rows)),
            (None, None) => None,
        };
        Plan {
            group: self.group.0,
            rounding: self.method.unwrap_or(plain.rounding),
            calibration: calibration.map(|path| texts(path, 0, self.calibration_rows)),
            check,
            tasks: self.task.clone(),
            max_tokens: self.max_tokens,
            ..plain
        }
    }
}

/// Fails where a task lost too much.
fn gate(tasks: &[TaskChange], most: f64) -> Result<()> {
    let fallen: Vec<String> = tasks
        .iter()
        .filter(|task| task.before - task.after > most)
        .map(|task| {
            format!(
                "{} of `{}` fell from {:.4} to {:.4}",
                task.metric, task.task, task.before, task.after
            )
        })
        .collect();
    match fallen.is_empty() {
        true => Ok(()),
        false => Err(Failure::gate(format!("{}, by more than {most}", fallen.join("; "))).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_bounds_what_a_task_may_lose() {
        let task = |before, after| TaskChange {
            task: "t".to_owned(),
            metric: "field_f1".to_owned(),
            before,
            after,
            rows: 10,
        };
        assert!(gate(&[task(0.9, 0.89), task(0.5, 0.6)], 0.02).is_ok());
        let error = gate(&[task(0.9, 0.87)], 0.02).unwrap_err().to_string();
        assert!(
            error.contains("field_f1 of `t` fell from 0.9000 to 0.8700"),
            "{error}"
        );
        assert!(group_of("48").is_err() && group_of("channel").is_ok());
    }
}
