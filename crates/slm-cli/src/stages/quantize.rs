//! A model becomes a smaller one.
//!
//! Does not know the arithmetic; that is slm-model's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_model::quant::{Bits, QuantizeSettings, quantize_checkpoint};

use crate::commands::Context;
use crate::recipe::Width;
use crate::terminal::bytes;
use crate::workspace::{Input, Stage, run_stage, write_atomically};

/// What quantization did to each tensor.
const REPORT_FILE: &str = "quantization.json";

/// Quantizes `model` to `artefact`.
///
/// # Errors
/// The model cannot be read, or the artefact cannot be written.
pub fn quantize(
    context: &Context,
    model: &Path,
    width: Width,
    tables: bool,
    artefact: PathBuf,
) -> Result<()> {
    let stage = Stage {
        name: "quantize",
        version: 1,
        artefact,
        inputs: vec![Input::new("model", model)],
        settings: json!({"weights": width, "tables": tables}),
        resumable: false,
    };
    run_stage(&context.terminal, &stage, |folder| {
        let bits = match width {
            Width::Int8 => Bits::Int8,
            Width::Int4 => Bits::Int4,
        };
        // The library puts a whole folder in place; ours is filled file by file.
        let quantized = folder.join("model");
        let report = quantize_checkpoint(model, &quantized, QuantizeSettings { bits, tables })?;
        lift(&quantized, folder)?;
        context.terminal.note(format!(
            "quantize: {} from {} to {}, {:.2} bits per weight",
            width.name(),
            bytes(report.bytes_before as u64),
            bytes(report.bytes_after as u64),
            report.bits_per_weight,
        ));
        let text = serde_json::to_string_pretty(&report)?;
        write_atomically(&folder.join(REPORT_FILE), text.as_bytes())
    })?;
    Ok(())
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
