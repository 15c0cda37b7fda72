//! The sections of a recipe, with their defaults.
//!
//! Names follow PEFT and torchtune. Does not know which sections go together.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Leaves of a taxonomy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxonomy {
    /// Leaves (`qna.yaml`) or folders that hold them.
    pub paths: Vec<PathBuf>,
}

/// Rows made elsewhere: a public set to import, or files in the messages format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The public set to import; `from` is then its local copy.
    #[serde(default)]
    pub import: Option<Import>,
    /// The local copy of the set to import.
    #[serde(default)]
    pub from: Option<PathBuf>,
    /// JSONL files to train on, where nothing is imported.
    #[serde(default)]
    pub train: Vec<PathBuf>,
    /// JSONL files held out from training.
    #[serde(default)]
    pub validation: Vec<PathBuf>,
}

/// A public data set that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Import {
    /// SNIPS: 7 intents with slots (sonos/nlu-benchmark).
    Snips,
    /// Banking77: 77 intents (PolyAI-LDN/task-specific-datasets).
    Banking77,
    /// NLU++: several intents and typed slots (PolyAI-LDN/task-specific-datasets).
    Nlupp,
}

/// How rows are made from the leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthesize {
    /// Rows asked for from each leaf.
    pub rows_per_leaf: usize,
}

impl Default for Synthesize {
    fn default() -> Self {
        Self { rows_per_leaf: 300 }
    }
}

/// What is held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Split {
    /// Share of the rows held out for the final figures.
    pub test: f64,
    /// Share of the rows held out to watch training.
    pub validation: f64,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            test: 0.2,
            validation: 0.0,
        }
    }
}

/// Which weights learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Low-rank adapters beside frozen weights.
    Lora,
    /// All weights.
    Full,
}

/// How the learning rate moves after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// Half a cosine, down to `min_learning_rate`.
    Cosine,
    /// A straight line, down to `min_learning_rate`.
    Linear,
    /// No change.
    Constant,
}

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    Adamw,
}

/// The linear layers that get adapters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TargetModules {
    /// `all-linear`.
    Named(String),
    /// A list such as `[q_proj, v_proj]`.
    List(Vec<String>),
}

/// How the model learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Train {
    /// `lora` or `full`.
    pub method: Method,
    /// Rank of the adapters.
    pub rank: usize,
    /// Scale of the adapters; their product is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// `all-linear`, or a list of layer names.
    pub target_modules: TargetModules,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Where the schedule ends.
    pub min_learning_rate: f64,
    /// `cosine`, `linear` or `constant`.
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises from zero.
    pub warmup_ratio: f64,
    /// Passes over the rows.
    pub epochs: f64,
    /// Stop after this many optimizer steps.
    pub max_steps: Option<usize>,
    /// Tokens per optimizer step, padding included.
    pub batch_tokens: usize,
    /// Longest sample, in tokens.
    pub max_length: usize,
    /// The optimizer.
    pub optimizer: Optimizer,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradients.
    pub gradient_clip: f64,
    /// Optimizer steps between checkpoints.
    pub checkpoint_steps: usize,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            rank: 16,
            alpha: 32.0,
            target_modules: TargetModules::Named("all-linear".to_owned()),
            learning_rate: 2e-3,
            min_learning_rate: 0.0,
            schedule: Schedule::Cosine,
            warmup_ratio: 0.05,
            epochs: 2.0,
            max_steps: None,
            batch_tokens: 4096,
            max_length: 512,
            optimizer: Optimizer::Adamw,
            weight_decay: 0.0,
            gradient_clip: 1.0,
            checkpoint_steps: 50,
        }
    }
}

/// The smaller copies of the tuned model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The widths: `int8`, `int4`.
    pub weights: Vec<String>,
}

/// Something that answers the held-out rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// The model before training.
    Base,
    /// The model after training.
    Tuned,
    /// The tuned model with INT8 weights.
    TunedInt8,
    /// The tuned model with 4-bit weights.
    TunedInt4,
    /// The answer of the most similar training row.
    Nearest,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// The task; its own `data` is not read, the held-out rows are.
    pub task: Option<PathBuf>,
    /// Answer only this many rows (0: all), spread evenly.
    pub rows: usize,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// Who answers.
    pub systems: Vec<System>,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            task: None,
            rows: 0,
            max_tokens: 192,
            systems: vec![
                System::Base,
                System::Tuned,
                System::TunedInt8,
                System::TunedInt4,
                System::Nearest,
            ],
        }
    }
}

/// A frontier model behind an OpenAI-compatible endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// For example `https://api.example.com/v1`.
    pub endpoint: String,
    /// The model's name at that endpoint.
    pub model: String,
    /// The environment variable that holds the key; none for a server without one.
    #[serde(default)]
    pub api_key_env: Option<String>,
    /// Longest wait for an answer.
    #[serde(default = "default_timeout_seconds")]
    pub timeout_seconds: u64,
    /// How often a failed request is sent again.
    #[serde(default = "default_retries")]
    pub retries: u32,
}

fn default_timeout_seconds() -> u64 {
    120
}

fn default_retries() -> u32 {
    5
}
