//! A model becomes a smaller one, and is compared with its original.
//!
//! Does not know the arithmetic; that is slm-model's and slm-infer's.

mod compare;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::json;
use slm_infer::{Fidelity, calibrate};
use slm_model::quant::{
    Bits, Format, Group, Method, QuantizeReport, QuantizeSettings, quantize_checkpoint,
    quantize_checkpoint_nf4, quantize_checkpoint_with,
};

pub use compare::{TaskChange, Texts};

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::Width;
use crate::terminal::bytes;
use crate::workspace::{Input, Stage, run_stage, write_atomically};

/// What quantization did to the model.
const REPORT_FILE: &str = "quantization.json";

/// How a weight's codes are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Rounding {
    /// To nearest, the scale by the largest magnitude.
    Nearest,
    /// To nearest, the scale with the least squared error among several.
    Search,
    /// By GPTQ, with rows for calibration.
    Gptq,
}

/// How a model is made smaller.
pub struct Plan {
    /// Width of the linear layers' codes.
    pub width: Width,
    /// Columns that share a scale; none where a whole row does.
    pub group: Option<usize>,
    /// How codes are chosen.
    pub rounding: Rounding,
    /// Whether the embedding and the head are quantized too.
    pub tables: bool,
    /// Rows for calibration.
    pub calibration: Option<Texts>,
    /// Rows on which model and original are compared.
    pub check: Option<Texts>,
    /// Tasks that both answer.
    pub tasks: Vec<PathBuf>,
    /// Longest answer to a task's rows, in tokens.
    pub max_tokens: usize,
}

impl Plan {
    /// Groups of 32, without calibration or comparison.
    pub fn plain(width: Width, tables: bool) -> Self {
        Self {
            width,
            group: Some(32),
            rounding: match width {
                Width::Int8 | Width::Nf4 => Rounding::Nearest,
                Width::Int4 => Rounding::Search,
            },
            tables,
            calibration: None,
            check: None,
            tasks: Vec::new(),
            max_tokens: 256,
        }
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// NF4 with what it does not have.
    pub fn check(&self) -> Result<()> {
        let what = match self.width {
            Width::Nf4 if self.tables => "an embedding and a head in 8 bits (`tables`)",
            Width::Nf4 if self.group != Some(32) => "groups other than its blocks of 64 (`group`)",
            Width::Nf4 if self.rounding != Rounding::Nearest => "a method but to round to nearest",
            _ => return Ok(()),
        };
        let message = format!("NF4, in the layout of bitsandbytes, does not have {what}");
        Err(Failure::usage(message)
            .hint("leave that setting out, or take `int4`")
            .into())
    }

    /// The integers' format and method; none for NF4.
    fn settings(&self) -> Option<QuantizeSettings> {
        let bits = match self.width {
            Width::Int8 => Bits::Int8,
            Width::Int4 => Bits::Int4,
            Width::Nf4 => return None,
        };
        Some(QuantizeSettings {
            format: Format {
                bits,
                group: self.group.map_or(Group::Channel, Group::Columns),
            },
            method: match self.rounding {
                Rounding::Nearest => Method::Nearest,
                Rounding::Search | Rounding::Gptq => Method::Search,
            },
            tables: self.tables,
        })
    }
}

/// What is written beside the model.
#[derive(Debug, Serialize)]
struct Report {
    #[serde(flatten)]
    weights: QuantizeReport,
    /// How far its predictions are from the original's; none where no rows were given.
    #[serde(skip_serializing_if = "Option::is_none")]
    fidelity: Option<Fidelity>,
    /// Each task's figures before and after.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tasks: Vec<TaskChange>,
}

/// Quantizes `model` to `artefact`; returns each task's figures before and after, as the report
/// beside the model has them.
///
/// # Errors
/// The model, the rows or a task cannot be read, or the artefact cannot be written.
pub fn quantize(
    context: &Context,
    model: &Path,
    plan: &Plan,
    artefact: PathBuf,
) -> Result<Vec<TaskChange>> {
    plan.check()?;
    let mut inputs = vec![Input::new("model", model)];
    let texts = [("calibration", &plan.calibration), ("check", &plan.check)];
    for (name, texts) in texts {
        if let Some(texts) = texts {
            inputs.push(Input::new(name, &texts.path));
        }
    }
    for task in &plan.tasks {
        inputs.push(Input::new("task", task));
    }
    let rows = |texts: &Option<Texts>| texts.as_ref().map(|texts| (texts.skip, texts.rows));
    let stage = Stage {
        name: "quantize",
        version: 2,
        artefact: artefact.clone(),
        inputs,
        settings: json!({
            "weights": plan.width, "tables": plan.tables, "group": plan.group,
            "method": plan.rounding, "calibration_rows": rows(&plan.calibration),
            "check_rows": rows(&plan.check), "max_tokens": plan.max_tokens,
        }),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        // The library puts a whole folder in place; ours is filled file by file.
        let quantized = folder.join("model");
        let weights = match (plan.settings(), plan.rounding) {
            (None, _) => quantize_checkpoint_nf4(model, &quantized)?,
            (Some(settings), Rounding::Gptq) => {
                let ready = calibrated(context, model, plan, settings.format)?;
                quantize_checkpoint_with(model, &quantized, settings, ready)?
            }
            (Some(settings), _) => quantize_checkpoint(model, &quantized, settings)?,
        };
        lift(&quantized, folder)?;
        context.terminal.note(format!(
            "quantize: {} from {} to {}, {:.2} bits per weight",
            plan.width.name(),
            bytes(weights.bytes_before as u64),
            bytes(weights.bytes_after as u64),
            weights.bits_per_weight,
        ));
        let fidelity = match &plan.check {
            Some(texts) => Some(compare::fidelity_of(context, model, folder, texts)?),
            None => None,
        };
        let mut tasks = Vec::new();
        for task in &plan.tasks {
            tasks.push(compare::task(
                context,
                task,
                model,
                folder,
                plan.max_tokens,
            )?);
        }
        let report = Report {
            weights,
            fidelity,
            tasks,
        };
        let text = serde_json::to_string_pretty(&report)?;
        write_atomically(&folder.join(REPORT_FILE), text.as_bytes())
    })?;
    read_tasks(&artefact)
}

fn calibrated(
    context: &Context,
    model: &Path,
    plan: &Plan,
    format: Format,
) -> Result<BTreeMap<String, slm_model::quant::QuantizedMatrix>> {
    let texts = plan.calibration.as_ref().ok_or_else(|| {
        Failure::usage("GPTQ needs rows for calibration")
            .hint("name a dataset with `--calibration`, best rows like those it will meet")
    })?;
    let sequences = texts.read(model)?;
    let blocks = slm_model::ModelConfig::load(model)?.num_hidden_layers;
    let mut progress = context
        .terminal
        .progress("quantize", blocks as u64, "blocks");
    let ready = calibrate(model, &sequences, format, &mut |done, _| {
        progress.set(done as u64, "");
    })?;
    progress.finish();
    Ok(ready)
}

/// The tasks of the report beside a model.
fn read_tasks(artefact: &Path) -> Result<Vec<TaskChange>> {
    let path = artefact.join(REPORT_FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::io("read the report", &path, &error))?;
    let value: serde_json::Value = serde_json::from_str(&text)?;
    match value.get("tasks") {
        Some(tasks) => Ok(serde_json::from_value(tasks.clone())?),
        None => Ok(Vec::new()),
    }
}

/// Moves the files of `inner` up into `folder`.
fn lift(inner: &Path, folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(inner)? {
        let entry = entry?;
        std::fs::rename(entry.path(), folder.join(entry.file_name()))?;
    }
    std::fs::remove_dir(inner)?;
    Ok(())
}
