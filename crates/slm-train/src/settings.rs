//! Settings of a training run, validated once.

use serde::{Deserialize, Serialize};
use slm_model::lora::LoraConfig;

use crate::error::{Result, TrainError};
use crate::schedule::Schedule;

/// What is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Every weight.
    Full,
    /// A low-rank adapter; the base is frozen.
    Lora(LoraConfig),
}

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW (Loshchilov and Hutter 2019) on everything.
    AdamW,
    /// Muon (Jordan et al. 2024) on the blocks' matrices, AdamW on embedding, head and norms.
    Muon,
}

/// Settings of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// What is trained.
    pub method: Method,
    /// Optimizer.
    pub optimizer: OptimizerKind,
    /// Peak learning rate of AdamW.
    pub learning_rate: f64,
    /// Peak learning rate of Muon, whose updates are scaled to AdamW's size (Liu et al. 2025).
    pub muon_learning_rate: f64,
    /// Decay of first and second moments.
    pub betas: (f64, f64),
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, on matrices.
    pub weight_decay: f64,
    /// Largest global gradient norm; 0 for no clipping.
    pub clip_grad_norm: f64,
    /// Shape of the learning rate.
    pub schedule: Schedule,
    /// Share of the steps spent warming up.
    pub warmup_ratio: f64,
    /// Optimizer steps.
    pub steps: u64,
    /// Tokens of a packed batch, at most (a longer example forms a batch of its own).
    pub batch_tokens: usize,
    /// Batches whose gradients make one step.
    pub gradient_accumulation_steps: usize,
    /// Seed of the adapter's first values.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between evaluations on the validation rows; 0 for none.
    pub evaluate_every: u64,
}

impl TrainSettings {
    /// Defaults that work for LoRA fine-tuning, for `steps` steps.
    pub fn new(method: Method, steps: u64) -> Self {
        Self {
            method,
            optimizer: OptimizerKind::AdamW,
            learning_rate: 2e-4,
            muon_learning_rate: 4e-3,
            betas: (0.9, 0.999),
            epsilon: 1e-8,
            weight_decay: 0.0,
            clip_grad_norm: 1.0,
            schedule: Schedule::Cosine,
            warmup_ratio: 0.05,
            steps,
            batch_tokens: 2048,
            gradient_accumulation_steps: 1,
            seed: 0,
            checkpoint_every: 100,
            evaluate_every: 0,
        }
    }

    /// Steps of warm-up.
    pub fn warmup_steps(&self) -> u64 {
        (self.steps as f64 * self.warmup_ratio).ceil() as u64
    }

    /// Checks ranges.
    ///
    /// # Errors
    /// Names the first setting out of its range.
    pub fn check(&self) -> Result<()> {
        let positive = [
            ("learning_rate", self.learning_rate),
            ("muon_learning_rate", self.muon_learning_rate),
            ("epsilon", self.epsilon),
        ];
        if let Some((name, value)) = positive
            .into_iter()
            .find(|(_, value)| !value.is_finite() || *value <= 0.0)
        {
            return Err(TrainError::setting(
                format!("`{name}` is {value}"),
                "it must be above 0",
            ));
        }
        let counts = [
            ("steps", self.steps),
            ("batch_tokens", self.batch_tokens as u64),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps as u64,
            ),
            ("checkpoint_every", self.checkpoint_every),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(TrainError::setting(
                format!("`{name}` is 0"),
                "it must be at least 1",
            ));
        }
        let shares = [
            ("warmup_ratio", self.warmup_ratio),
            ("betas.0", self.betas.0),
            ("betas.1", self.betas.1),
        ];
        if let Some((name, value)) = shares
            .into_iter()
            .find(|(_, value)| !(0.0..1.0).contains(value))
        {
            return Err(TrainError::setting(
                format!("`{name}` is {value}"),
                "it must be in 0..1",
            ));
        }
        Ok(())
    }
}
