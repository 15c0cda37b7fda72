//! The sections of a recipe, with their defaults.
//!
//! Names follow PEFT and torchtune. Does not know which sections go together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Leaves of a taxonomy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taxonomy {
    /// Leaves (`qna.yaml`) or folders that hold them.
    pub paths: Vec<PathBuf>,
}

/// Rows made elsewhere: a public set to import, or files of rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    /// The public set to import; `from` is then its local copy.
    #[serde(default)]
    pub import: Option<Import>,
    /// The local copy of the set to import.
    #[serde(default)]
    pub from: Option<PathBuf>,
    /// How the rows of the files below are written: `messages`, `sharegpt`,
    /// `prompt-completion`, `raw-prompt-completion`, `alpaca` or `text`; each file's first row
    /// tells it where this is not given.
    #[serde(default)]
    pub format: Option<slm_data::Format>,
    /// JSONL or Parquet files to train on, where nothing is imported.
    #[serde(default)]
    pub train: Vec<PathBuf>,
    /// JSONL or Parquet files to watch training on.
    #[serde(default)]
    pub validation: Vec<PathBuf>,
    /// JSONL or Parquet files held out for the figures.
    #[serde(default)]
    pub test: Vec<PathBuf>,
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

impl Import {
    /// The name on the command line and in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Snips => "snips",
            Self::Banking77 => "banking77",
            Self::Nlupp => "nlupp",
        }
    }

    /// The name as its makers write it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Snips => "SNIPS",
            Self::Banking77 => "Banking77",
            Self::Nlupp => "NLU++",
        }
    }

    /// Where a copy can be had.
    pub fn source(self) -> &'static str {
        match self {
            Self::Snips => {
                "`2017-06-custom-intent-engines` of https://github.com/sonos/nlu-benchmark"
            }
            Self::Banking77 => {
                "`banking_data` of https://github.com/PolyAI-LDN/task-specific-datasets"
            }
            Self::Nlupp => "`nlupp/data` of https://github.com/PolyAI-LDN/task-specific-datasets",
        }
    }
}

/// How rows are made from the leaves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Synthesize {
    /// Rows asked for from each leaf.
    pub rows_per_leaf: usize,
    /// Rows asked for from single leaves instead, by their names.
    pub rows_of: BTreeMap<String, usize>,
    /// Rows at least so similar (word 3-grams) to an earlier one are dropped; equal ones always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub near_duplicates: Option<f64>,
    /// Whether rows with personal data or secrets are dropped, beside being counted.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub drop_personal_data: bool,
}

impl Default for Synthesize {
    fn default() -> Self {
        Self {
            rows_per_leaf: 300,
            rows_of: BTreeMap::new(),
            near_duplicates: None,
            drop_personal_data: false,
        }
    }
}

impl Synthesize {
    /// What is dropped.
    pub fn filters(&self) -> slm_data::synthesize::Filters {
        slm_data::synthesize::Filters {
            near_duplicates: self.near_duplicates,
            personal_data: self.drop_personal_data,
        }
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

/// When training rows give an evaluation away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overlap {
    /// Evaluations beside the job's own held-out rows.
    pub evals: Vec<PathBuf>,
    /// Words in a row that a training row may not share with a row of an evaluation. Shorter rows
    /// are looked for as a whole, those of less than 8 words as a whole row of training.
    pub words: usize,
    /// The share of an evaluation's rows that may be in training rows.
    pub at_most: f64,
    /// Why more than that is taken as it is; it is told instead of refused.
    pub waived: Option<String>,
}

impl Default for Overlap {
    fn default() -> Self {
        Self {
            evals: Vec::new(),
            words: slm_data::split::RUN,
            at_most: 0.0,
            waived: None,
        }
    }
}

/// A model made from nothing, instead of one to start from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Create {
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Texts that the tokenizer is trained on.
    pub tokenizer_texts: u64,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width of the MLP.
    pub intermediate_size: usize,
    /// Number of blocks.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Longest sequence, in tokens.
    pub max_position_embeddings: usize,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
}

impl Default for Create {
    fn default() -> Self {
        Self {
            vocabulary: 12_288,
            tokenizer_texts: 200_000,
            hidden_size: 256,
            intermediate_size: 832,
            num_hidden_layers: 6,
            num_attention_heads: 8,
            num_key_value_heads: 4,
            max_position_embeddings: 1024,
            rope_theta: 10_000.0,
        }
    }
}

/// The endless corpus of structured jobs that the project generates itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Corpus {
    /// Examples of held-out families that training is watched on.
    pub validation: u64,
    /// Share of the examples whose copied words become random tokens.
    #[serde(skip_serializing_if = "is_zero")]
    pub renamed: f64,
}

/// Keeps the settings of runs without renaming, and so their identity, as they were.
fn is_zero(share: &f64) -> bool {
    *share == 0.0
}

impl Default for Corpus {
    fn default() -> Self {
        Self {
            validation: 400,
            renamed: 0.0,
        }
    }
}

/// The smaller copies of the tuned model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The widths of the linear layers: `int8`, `int4`.
    pub weights: Vec<Width>,
    /// Whether the embedding and the head are quantized too, to 8 bits.
    #[serde(default)]
    pub tables: bool,
}

/// The width of quantized weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// 8 bits.
    Int8,
    /// 4 bits.
    Int4,
    /// 4-bit NormalFloat.
    Nf4,
}

impl Width {
    /// The name in recipes, file names and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Nf4 => "nf4",
        }
    }
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
    /// The tuned model with weights in NF4.
    TunedNf4,
    /// The answer of the most similar training row.
    Nearest,
    /// The most frequent answer of the training rows.
    Majority,
}

impl System {
    /// The name in recipes and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Tuned => "tuned",
            Self::TunedInt8 => "tuned-int8",
            Self::TunedInt4 => "tuned-int4",
            Self::TunedNf4 => "tuned-nf4",
            Self::Nearest => "nearest",
            Self::Majority => "majority",
        }
    }

    /// The kind of its weights, as reports name it.
    pub fn weights(self) -> &'static str {
        match self {
            Self::Base | Self::Tuned => "bf16",
            Self::TunedInt8 => "int8",
            Self::TunedInt4 => "int4",
            Self::TunedNf4 => "nf4",
            Self::Nearest | Self::Majority => "none",
        }
    }
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Evaluate {
    /// The task; its own `data` is not read, the held-out rows are.
    pub task: Option<PathBuf>,
    /// JSON pointer of the field whose label F1 is reported.
    pub label_field: Option<String>,
    /// What is measured, the most telling first; the task's metrics where this is empty.
    pub metrics: Vec<String>,
    /// Answer only this many rows (0: all), spread evenly.
    pub rows: usize,
    /// Longest answer, in tokens.
    pub max_tokens: usize,
    /// How often each row is asked; the task says it where this is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeats: Option<u32>,
    /// 0 for the likeliest answer; the task says it where this is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// A price table, for the baseline's cost limit, costs, break-even and payback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prices: Option<PathBuf>,
    /// An earlier report, its folder or `results.json`, to show what changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub earlier: Option<PathBuf>,
    /// Who answers.
    pub systems: Vec<System>,
    /// Which of them answer a second time, as `NAME-constrained`, under the grammar of each row's
    /// schema, labels or tools.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub constrained: Vec<System>,
    /// Write each sample with every system's answer and values to `samples.parquet`, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub parquet: bool,
}

impl Default for Evaluate {
    fn default() -> Self {
        Self {
            task: None,
            label_field: None,
            metrics: Vec::new(),
            rows: 0,
            max_tokens: 192,
            repeats: None,
            temperature: None,
            prices: None,
            earlier: None,
            systems: vec![
                System::Base,
                System::Tuned,
                System::TunedInt8,
                System::TunedInt4,
                System::Nearest,
            ],
            constrained: Vec::new(),
            parquet: false,
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
    /// Requests under way at once.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Requests sent in any minute, at most.
    #[serde(default)]
    pub requests_per_minute: Option<u64>,
    /// Tokens sent and allowed for in any minute, at most.
    #[serde(default)]
    pub tokens_per_minute: Option<u64>,
    /// Stop asking before the answers cost more than this, by the model's price in
    /// `evaluate.prices`.
    #[serde(default)]
    pub max_cost: Option<f64>,
    /// Whether rows' JSON Schemas are sent along; a server that refuses them is asked without.
    #[serde(default = "default_json_schema")]
    pub json_schema: bool,
    /// Count rows that the server fails to answer as wrong, instead of stopping.
    #[serde(default)]
    pub accept_errors: bool,
    /// Keep the answers in this folder, to replay them, instead of in the workspace's cache.
    #[serde(default)]
    pub record: Option<PathBuf>,
    /// Answer from such a recording, offline.
    #[serde(default)]
    pub replay: Option<PathBuf>,
}

impl Baseline {
    /// What of it shapes results; how patiently it is asked does not.
    pub fn shape(&self) -> Value {
        json!({
            "endpoint": self.endpoint,
            "model": self.model,
            "max_cost": self.max_cost,
            "json_schema": self.json_schema,
            "accept_errors": self.accept_errors,
        })
    }
}

fn default_concurrency() -> usize {
    8
}

fn default_json_schema() -> bool {
    true
}

fn default_timeout_seconds() -> u64 {
    120
}

fn default_retries() -> u32 {
    5
}
