//! `slm bench generate`: prefill and decode.
//!
//! Does not know how tokens are made.

use anyhow::Result;
use clap::Args;
use serde_json::json;
use slm_infer::{BenchSettings, SharedReport, SharedSettings, WeightFormat, bench, bench_shared};
use slm_model::quant::Bits;

use super::{peak_rss_bytes, shape};
use crate::commands::Context;

/// How weights are held.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// 8 bits.
    Int8,
    /// 4 bits.
    Int4,
    /// 4-bit NormalFloat.
    Nf4,
}

/// Arguments of `slm bench generate`.
#[derive(Debug, Args)]
pub struct BenchGenerate {
    /// A shape by name, or a `config.json`
    #[arg(long, value_name = "SHAPE", default_value = "smollm2-135m")]
    shape: String,
    /// How weights are held
    #[arg(long, value_name = "FORMAT", default_value = "int8")]
    weights: Format,
    /// Tokens of each prompt
    #[arg(long, value_name = "TOKENS", default_value_t = 512)]
    prompt: usize,
    /// Tokens generated after each
    #[arg(long, value_name = "TOKENS", default_value_t = 64)]
    new: usize,
    /// Sequences decoded together
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    batch: usize,
    /// Answer this many requests, one by one and then `--batch` together (at least 16)
    #[arg(long, value_name = "COUNT", requires = "prefix")]
    requests: Option<usize>,
    /// Tokens that the prompts of `--requests` begin with; `--prompt` follow in each
    #[arg(long, value_name = "TOKENS", requires = "requests")]
    prefix: Option<usize>,
}

impl BenchGenerate {
    /// Measures and prints.
    pub fn run(self, context: &Context) -> Result<()> {
        let place = context.place();
        let config = shape::shape(&self.shape)?;
        let format = match self.weights {
            Format::F32 => WeightFormat::F32,
            Format::Bf16 => WeightFormat::Bf16,
            Format::Int8 => WeightFormat::Quantized(Bits::Int8),
            Format::Int4 => WeightFormat::Quantized(Bits::Int4),
            Format::Nf4 => WeightFormat::Nf4,
        };
        if let (Some(requests), Some(prefix)) = (self.requests, self.prefix) {
            let settings = SharedSettings {
                format,
                requests,
                prefix,
                own: self.prompt,
                new: self.new,
                batch: self.batch.max(16),
                seed: 0,
            };
            return show_shared(context, &bench_shared(&config, settings, place.as_deref())?);
        }
        let settings = BenchSettings {
            format,
            prompt: self.prompt,
            new: self.new,
            batch: self.batch,
            seed: 0,
        };
        let report = bench(&config, settings, place.as_deref())?;
        let peak = peak_rss_bytes();
        if context.terminal.is_json() {
            let mut value = serde_json::to_value(&report)?;
            value["peak_rss_bytes"] = json!(peak);
            return context.terminal.json(&value);
        }
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        context.terminal.data(&format!(
            "prefill  {:.1} tokens/s\ndecode   {:.1} tokens/s\nengine   {:.1} tokens/s\nweights  {:.1} MB\npeak     {:.1} MB\nkernels  {}, {} threads\n",
            report.prefill_tokens_per_second,
            report.decode_tokens_per_second,
            report.engine_tokens_per_second,
            megabytes(report.weight_bytes as u64),
            megabytes(peak.unwrap_or(0)),
            report.instruction_set,
            report.threads,
        ))
    }
}

fn show_shared(context: &Context, report: &SharedReport) -> Result<()> {
    if context.terminal.is_json() {
        return context.terminal.json(report);
    }
    let same = if report.same_answers {
        "the same"
    } else {
        "DIFFERENT"
    };
    context.terminal.data(&format!(
        "one by one  {:.2} s\ntogether    {:.2} s\nratio       {:.2}, {same} answers\nkernels     {}, {} threads\n",
        report.one_by_one_seconds,
        report.together_seconds,
        report.ratio,
        report.instruction_set,
        report.threads,
    ))
}
