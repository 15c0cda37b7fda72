//! The section `train` of a recipe, with its defaults.
//!
//! Names follow PEFT and torchtune. Does not know which keys go together.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use slm_train::Precision;

/// Which weights learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Low-rank adapters beside frozen weights.
    Lora,
    /// Low-rank adapters beside frozen weights in 4 bits.
    Qlora,
    /// All weights.
    Full,
}

/// How the learning rate moves after its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Half a cosine, down to zero.
    Cosine,
    /// A straight line, down to zero.
    Linear,
    /// No change.
    Constant,
    /// No change until 60% of the steps, then a straight line down to zero.
    StableDecay,
}

/// The optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Muon on the blocks' matrices, AdamW on the rest.
    Muon,
    /// The sign of a momentum, with half of AdamW's memory.
    Lion,
}

/// What becomes of rows that are longer than `max_length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverLong {
    /// Training does not begin.
    Refuse,
    /// They are left out.
    Drop,
    /// They are cut into parts that fit; parts without anything to learn are left out.
    Split,
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
    /// `lora`, `qlora` (the frozen linear layers in NF4, about 4.1 bits a weight, embedding and
    /// head in bfloat16) or `full`.
    pub method: Method,
    /// Rank of the adapters.
    pub rank: usize,
    /// Scale of the adapters; their product is multiplied by `alpha / rank`.
    pub alpha: f64,
    /// Whether `alpha` is divided by the square root of the rank instead.
    pub use_rslora: bool,
    /// Whether each output of an adapted layer has a learned magnitude (DoRA).
    pub use_dora: bool,
    /// `all-linear` (every linear layer but the head), or a list of layer names.
    pub target_modules: TargetModules,
    /// `adamw`, `muon` or `lion`.
    pub optimizer: Optimizer,
    /// Peak learning rate of AdamW and Lion (for which a tenth to a third serves).
    pub learning_rate: f64,
    /// How many times `learning_rate` the adapters' `B` learns at (LoRA+); 1 for plain LoRA.
    pub loraplus_lr_ratio: f64,
    /// Peak learning rate of Muon.
    pub muon_learning_rate: f64,
    /// Decay of the first and second moments; where absent, the optimizer's usual:
    /// `[0.9, 0.999]`, for Lion `[0.9, 0.99]`.
    pub betas: Option<(f64, f64)>,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradients; 0 for no clipping.
    pub clip_grad_norm: f64,
    /// `cosine`, `linear`, `constant` or `stable_decay`.
    pub schedule: Schedule,
    /// Share of the steps in which the learning rate rises from zero.
    pub warmup_ratio: f64,
    /// Passes over the rows.
    pub epochs: u64,
    /// Most optimizer steps, should the epochs have more.
    pub max_steps: Option<u64>,
    /// Longest row, in tokens; the model's context where this is not given.
    pub max_length: Option<usize>,
    /// What becomes of longer rows: `refuse`, `drop` or `split`.
    pub over_long: OverLong,
    /// Tokens of a packed batch, at most.
    pub batch_tokens: usize,
    /// Batches whose gradients make one step; each learned token weighs the same in it.
    pub gradient_accumulation_steps: usize,
    /// Whether blocks are computed again in the backward: about a third more time, and only one
    /// block's activations in memory. The gradients are the same to the bit.
    pub gradient_checkpointing: bool,
    /// What a frozen base is held and multiplied in: `bf16` (the default on CUDA) or `f32` (the
    /// default elsewhere, where it is the only one).
    pub precision: Option<Precision>,
    /// Size of uniform noise on the embeddings while training (NEFTune; 5 is usual); 0 for none.
    pub neftune_alpha: f64,
    /// Share of the prompts' tokens, of those that do not occur in the answer, that each step
    /// leaves out: a model of few and similar rows then learns more than one reason for an
    /// answer. 0 for none; 0.1 to 0.2 is usual.
    pub prompt_dropout: f64,
    /// Optimizer steps between checkpoints. The newest two are kept, and the best one where
    /// `load_best` asks for it; a finished run keeps none.
    pub checkpoint_every: u64,
    /// Optimizer steps between evaluations on the validation rows; 0 for none.
    pub evaluate_every: u64,
    /// Evaluations in a row without a lower loss after which training ends; 0 for never.
    pub early_stopping_patience: u64,
    /// Whether the result is the state of the lowest validation loss instead of the last.
    pub load_best: bool,
    /// Learn from the predictions of a larger local model as well.
    pub distillation: Option<Distillation>,
    /// Learn which of two answers is better (DPO) instead of how to answer. The rows of
    /// `data.train` then have `prompt` or `messages`, `chosen` and `rejected`.
    pub dpo: Option<Preference>,
    /// Runs one after the other, each from what the one before has learned, such as knowledge and
    /// then skills. Each is a run of its own (`runs/NAME-PHASE`), done once and resumable.
    pub phases: Vec<Phase>,
}

impl Default for Train {
    fn default() -> Self {
        Self {
            method: Method::Lora,
            rank: 16,
            alpha: 32.0,
            use_rslora: false,
            use_dora: false,
            target_modules: TargetModules::Named("all-linear".to_owned()),
            optimizer: Optimizer::Adamw,
            learning_rate: 2e-3,
            loraplus_lr_ratio: 1.0,
            muon_learning_rate: 4e-3,
            betas: None,
            weight_decay: 0.0,
            clip_grad_norm: 1.0,
            schedule: Schedule::Cosine,
            warmup_ratio: 0.05,
            epochs: 2,
            max_steps: None,
            max_length: None,
            over_long: OverLong::Refuse,
            batch_tokens: 2048,
            gradient_accumulation_steps: 1,
            gradient_checkpointing: false,
            precision: None,
            neftune_alpha: 0.0,
            prompt_dropout: 0.0,
            checkpoint_every: 50,
            evaluate_every: 0,
            early_stopping_patience: 0,
            load_best: false,
            distillation: None,
            dpo: None,
            phases: Vec::new(),
        }
    }
}

/// A larger model to learn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distillation {
    /// The teacher: a name in the workspace's `models/`, or a path. Its tokenizer must be the
    /// model's.
    pub teacher: String,
    /// Softens both models' predictions.
    #[serde(default = "default_temperature")]
    pub temperature: f64,
    /// Share of the divergence from the teacher in the loss; the rest is the rows' own.
    #[serde(default = "default_distillation_weight")]
    pub weight: f64,
}

fn default_temperature() -> f64 {
    2.0
}

fn default_distillation_weight() -> f64 {
    0.5
}

/// Direct preference optimization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preference {
    /// How strongly the model is held to the base: the larger, the closer.
    pub beta: f64,
}

impl Default for Preference {
    fn default() -> Self {
        Self { beta: 0.1 }
    }
}

/// One of several runs in a row. What it leaves out is as `train` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Names its run.
    pub name: String,
    /// Beginnings of the paths of leaves whose rows it learns from, such as `knowledge`; all rows
    /// where this is empty.
    #[serde(default)]
    pub leaves: Vec<String>,
    /// Files of rows to learn from instead of the recipe's.
    #[serde(default)]
    pub data: Vec<PathBuf>,
    /// Passes over its rows.
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Most optimizer steps.
    #[serde(default)]
    pub max_steps: Option<u64>,
    /// Peak learning rate.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// How the learning rate moves after its warm-up.
    #[serde(default)]
    pub schedule: Option<Schedule>,
    /// Share of its steps in which the learning rate rises from zero.
    #[serde(default)]
    pub warmup_ratio: Option<f64>,
    /// Tokens of a packed batch, at most.
    #[serde(default)]
    pub batch_tokens: Option<usize>,
}

impl Phase {
    /// The settings of this phase's run.
    pub fn settings(&self, train: &Train) -> Train {
        Train {
            epochs: self.epochs.unwrap_or(train.epochs),
            max_steps: self.max_steps.or(train.max_steps),
            learning_rate: self.learning_rate.unwrap_or(train.learning_rate),
            schedule: self.schedule.unwrap_or(train.schedule),
            warmup_ratio: self.warmup_ratio.unwrap_or(train.warmup_ratio),
            batch_tokens: self.batch_tokens.unwrap_or(train.batch_tokens),
            phases: Vec::new(),
            ..train.clone()
        }
    }
}
