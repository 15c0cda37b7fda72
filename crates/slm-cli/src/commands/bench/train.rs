//! `slm bench train`: LoRA steps with every position supervised.
//!
//! Does not know the training loop.

use anyhow::Result;
use clap::Args;
use serde::Serialize;
use slm_model::lora::LoraConfig;
use slm_model::weights::Weights;
use slm_train::forecast::Forecast;
use slm_train::heap::Heap;
use slm_train::run::{Base, RunInputs, train};
use slm_train::{Event, Example, Method, Observer, Precision, Source, TrainSettings};

use super::{peak_rss_bytes, shape};
use crate::commands::Context;
use crate::workspace::remove_folder;

/// Arguments of `slm bench train`.
#[derive(Debug, Args)]
pub struct BenchTrain {
    /// A shape by name, or a `config.json`
    #[arg(long, value_name = "SHAPE", default_value = "smollm2-135m")]
    shape: String,
    /// Sequences of a step
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    batch: usize,
    /// Tokens of a sequence
    #[arg(long, value_name = "TOKENS", default_value_t = 256)]
    seq_len: usize,
    /// Rank of the adapters
    #[arg(long, value_name = "RANK", default_value_t = 16)]
    rank: usize,
    /// How the base is held: `lora` in f32, `qlora` in 4 bits
    #[arg(long, value_name = "METHOD", default_value = "lora")]
    method: BenchMethod,
    /// Compute blocks again in the backward instead of keeping their activations
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Steps to measure, after one that is not
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    steps: u64,
}

/// How the base is held.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum BenchMethod {
    /// In f32.
    Lora,
    /// Linear layers in NF4, the embedding in bfloat16.
    Qlora,
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Measured {
    tokens_per_second: f64,
    step_seconds: Vec<f64>,
    peak_rss_bytes: Option<u64>,
}

impl BenchTrain {
    /// Measures and prints.
    pub fn run(self, context: &Context) -> Result<()> {
        let config = shape::shape(&self.shape)?;
        let source = Arbitrary {
            length: self.seq_len.max(2),
            vocabulary: config.vocab_size as u64,
        };
        let adapter = LoraConfig {
            rank: self.rank,
            alpha: 2.0 * self.rank as f64,
            use_rslora: false,
            use_dora: false,
            target_modules: config.target_modules(),
        };
        let method = match self.method {
            BenchMethod::Lora => Method::Lora(adapter),
            BenchMethod::Qlora => Method::Qlora(adapter),
        };
        let steps = self.steps.max(1) + 1;
        let settings = TrainSettings {
            batch_tokens: self.batch.max(1) * source.length,
            checkpoint_every: steps,
            gradient_checkpointing: self.gradient_checkpointing,
            precision: Precision::usual(&method, context.device),
            ..TrainSettings::new(method.clone(), steps)
        };
        let forecast = Forecast::new(&config, &settings, settings.batch_tokens, None);
        Heap::share();
        let _heap = Heap::keep(forecast.bytes());
        let base = Base {
            weights: Weights::random_held(&config, 0, method.held())?,
            config,
            adapter: None,
            source: None,
            stored: slm_model::checkpoint::StoredType::Bf16,
            name: self.shape.clone(),
            teacher: None,
        };
        let folder = context
            .workspace
            .cache()
            .join(format!("bench-{}", std::process::id()));
        let inputs = RunInputs {
            source: &source,
            validation: &[],
            inputs_hash: String::new(),
            dir: &folder,
        };
        let mut clock = Clock::default();
        let outcome = train(base, &settings, &inputs, context.device, &mut clock);
        remove_folder(&folder)?;
        outcome?;
        show(context, &clock.measured())
    }
}

fn show(context: &Context, measured: &Measured) -> Result<()> {
    if context.terminal.is_json() {
        return context.terminal.json(measured);
    }
    let seconds: Vec<String> = measured
        .step_seconds
        .iter()
        .map(|seconds| format!("{seconds:.2}"))
        .collect();
    context.terminal.data(&format!(
        "train    {:.1} tokens/s\nsteps    {} s\npeak     {:.1} MB\n",
        measured.tokens_per_second,
        seconds.join(", "),
        measured.peak_rss_bytes.unwrap_or(0) as f64 / 1e6,
    ))
}

/// Sequences of tokens without meaning, all of them learned.
struct Arbitrary {
    length: usize,
    vocabulary: u64,
}

impl Source for Arbitrary {
    fn example(&self, position: u64) -> slm_train::Result<Option<Example>> {
        let mut state = position + 1;
        let tokens = (0..self.length)
            .map(|_| {
                // Knuth's MMIX generator; only spread matters here.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                ((state >> 33) % self.vocabulary) as u32
            })
            .collect();
        Ok(Some(Example {
            tokens,
            trained: vec![true; self.length],
        }))
    }
}

/// Takes the time of each step.
#[derive(Default)]
struct Clock {
    steps: Vec<(u64, f64)>,
}

impl Clock {
    /// All steps but the first, which sets things up.
    fn measured(&self) -> Measured {
        let counted = self.steps.get(1..).unwrap_or_default();
        let tokens: u64 = counted.iter().map(|(tokens, _)| tokens).sum();
        let seconds: f64 = counted.iter().map(|(_, seconds)| seconds).sum();
        Measured {
            tokens_per_second: tokens as f64 / seconds.max(1e-9),
            step_seconds: counted.iter().map(|(_, seconds)| *seconds).collect(),
            peak_rss_bytes: peak_rss_bytes(),
        }
    }
}

impl Observer for Clock {
    fn event(&mut self, event: &Event) {
        if let Event::Step {
            tokens,
            tokens_per_second,
            ..
        } = event
        {
            self.steps
                .push((*tokens, *tokens as f64 / tokens_per_second));
        }
    }
}
