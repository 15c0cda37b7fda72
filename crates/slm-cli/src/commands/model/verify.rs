//! `slm model verify`: a checkpoint against what Hugging Face transformers and PEFT
//! computed on it.
//!
//! The folder holds the checkpoint and the recorded outputs beside it (`expected.json`,
//! `expected.safetensors`, `adapter/`, `train/`); sections whose files are absent are
//! left out. Does not know how a reference is made.

mod reference;
mod text;
mod train;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_infer::{Engine, EngineSettings, Model, Request};
use slm_model::Device;
use slm_model::quant::Threads;
use slm_train::Precision;

use crate::commands::Context;
use crate::failure::Failure;
use reference::Reference;
use text::Cases;
use train::TrainDifference;

/// Largest difference of logits that counts as none.
const LOGITS_TOLERANCE: f32 = 1e-3;

/// Arguments of `slm model verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// A checkpoint's folder with recorded outputs
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What the base is multiplied in while training: `f32`, or `bf16` on CUDA
    #[arg(long, value_name = "FORMAT", default_value = "f32", value_parser = precision_of)]
    precision: Precision,
}

fn precision_of(name: &str) -> Result<Precision, String> {
    match name {
        "f32" => Ok(Precision::F32),
        "bf16" => Ok(Precision::Bf16),
        _ => Err("known are f32 and bf16".into()),
    }
}

/// What was compared, and how far apart it is.
#[derive(Debug, Default, Serialize)]
struct Report {
    #[serde(skip_serializing_if = "Option::is_none")]
    tokenizer: Option<Cases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_template: Option<Cases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assistant_mask: Option<Cases>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generate: Option<Mismatches>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adapter: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    train: Option<TrainDifference>,
}

/// The largest difference of two tables of numbers.
#[derive(Debug, Serialize)]
struct Difference {
    max_abs_diff: f32,
}

/// How many answers differ.
#[derive(Debug, Serialize)]
struct Mismatches {
    mismatches: usize,
}

impl Verify {
    /// Compares, prints, and fails where something is beyond tolerance.
    pub fn run(self, context: &Context) -> Result<()> {
        let report = self.compare(context)?;
        if context.terminal.is_json() {
            context.terminal.json(&report)?;
        } else {
            context.terminal.data(&report.as_text())?;
        }
        match report.is_within_tolerance() {
            true => Ok(()),
            false => Err(Failure::new(format!(
                "`{}` computes something else than its reference",
                self.folder.display()
            ))
            .into()),
        }
    }

    fn compare(&self, context: &Context) -> Result<Report> {
        let mut report = Report::default();
        let expected = self.folder.join("expected.json");
        if expected.is_file() {
            let compared = text::compare(&self.folder, &expected)?;
            (
                report.tokenizer,
                report.chat_template,
                report.assistant_mask,
            ) = compared;
        }
        // A GPU multiplies in bfloat16, which is not what was recorded.
        let place = match context.device {
            Device::NdArray => context.place(),
            Device::Flex | Device::Cuda(_) => None,
        };
        let expected = self.folder.join("expected.safetensors");
        if expected.is_file() {
            let model = Model::load_at(&self.folder, None, place.as_deref())?;
            let reference = Reference::open(&expected)?;
            report.logits = Some(logits(&model, &reference)?);
            report.generate = generate(model, &reference)?;
        }
        let adapter = self.folder.join("adapter");
        let expected = adapter.join("expected.safetensors");
        if expected.is_file() {
            let model = Model::load_at(&self.folder, Some(&adapter), place.as_deref())?;
            report.adapter = Some(logits(&model, &Reference::open(&expected)?)?);
        }
        if self.folder.join("train/batches.safetensors").is_file() {
            report.train = Some(train::compare(context, &self.folder, self.precision)?);
        }
        if report.is_empty() {
            return Err(nothing_to_compare(&self.folder).into());
        }
        Ok(report)
    }
}

fn nothing_to_compare(folder: &Path) -> Failure {
    Failure::new(format!("`{}` holds no recorded outputs", folder.display()))
        .hint("put `expected.json` and `expected.safetensors` beside the checkpoint; `slm model inspect` describes a checkpoint without them")
}

fn logits(model: &Model, reference: &Reference) -> Result<Difference> {
    let (inputs, shape) = reference.tokens("input_ids")?;
    let length = shape.last().copied().unwrap_or(1).max(1);
    reference.check_vocabulary(&inputs, model.config().vocab_size)?;
    let ours: Vec<f32> = inputs
        .chunks(length)
        .flat_map(|row| model.all_logits(row, Threads::All))
        .collect();
    let max_abs_diff = reference.largest_difference("logits", &ours)?;
    Ok(Difference { max_abs_diff })
}

fn generate(model: Model, reference: &Reference) -> Result<Option<Mismatches>> {
    if !reference.has("generate_prompt") {
        return Ok(None);
    }
    let (prompt, _) = reference.tokens("generate_prompt")?;
    let (whole, _) = reference.tokens("generate_output")?;
    let new = whole.len().saturating_sub(prompt.len());
    let engine = Engine::with_settings(model, EngineSettings { batch: 1 });
    // The reference ignores the end of a turn.
    let request = Request::greedy(prompt.clone(), new, Vec::new());
    let mut answers = engine.generate(&[request], &mut |_| ());
    let ours = match answers.pop() {
        Some(answer) => answer?.tokens,
        None => Vec::new(),
    };
    let mismatches = usize::from(ours != whole[prompt.len().min(whole.len())..]);
    Ok(Some(Mismatches { mismatches }))
}

impl Report {
    fn is_empty(&self) -> bool {
        self.tokenizer.is_none()
            && self.logits.is_none()
            && self.adapter.is_none()
            && self.train.is_none()
    }

    fn is_within_tolerance(&self) -> bool {
        // A difference that is not a number is beyond any tolerance.
        let close = |found: &Option<Difference>| match found {
            Some(found) => found.max_abs_diff < LOGITS_TOLERANCE,
            None => true,
        };
        let cases = [&self.tokenizer, &self.chat_template, &self.assistant_mask];
        cases
            .into_iter()
            .flatten()
            .all(|cases| cases.mismatches == 0)
            && close(&self.logits)
            && close(&self.adapter)
            && self
                .generate
                .as_ref()
                .is_none_or(|found| found.mismatches == 0)
            && self
                .train
                .as_ref()
                .is_none_or(TrainDifference::is_within_tolerance)
    }

    fn as_text(&self) -> String {
        let mut text = String::new();
        let mut line =
            |label: &str, value: String| text.push_str(&format!("{label:<15} {value}\n"));
        let cases = [
            ("tokenizer", &self.tokenizer),
            ("chat template", &self.chat_template),
            ("assistant mask", &self.assistant_mask),
        ];
        for (label, found) in cases {
            if let Some(found) = found {
                line(
                    label,
                    format!("{} of {} differ", found.mismatches, found.cases),
                );
            }
        }
        for (label, found) in [("logits", &self.logits), ("adapter", &self.adapter)] {
            if let Some(found) = found {
                line(
                    label,
                    format!("largest difference {:.1e}", found.max_abs_diff),
                );
            }
        }
        if let Some(found) = &self.generate {
            line("generate", format!("{} answers differ", found.mismatches));
        }
        if let Some(found) = &self.train {
            line("train", found.as_text());
        }
        text
    }
}
