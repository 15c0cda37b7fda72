//! Settings of a training run, validated once.

use serde::{Deserialize, Serialize};
use slm_model::Device;
use slm_model::lora::LoraConfig;
use slm_model::weights::Held;

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
    /// A low-rank adapter; the base is frozen and packed: linear layers in NF4, tables in bfloat16.
    Qlora(LoraConfig),
}

impl Method {
    /// The adapter's settings, where there is one.
    pub fn adapter(&self) -> Option<&LoraConfig> {
        match self {
            Self::Full => None,
            Self::Lora(config) | Self::Qlora(config) => Some(config),
        }
    }

    /// How the base is held in memory.
    pub fn held(&self) -> Held {
        match self {
            Self::Full | Self::Lora(_) => Held::Full,
            Self::Qlora(_) => Held::Packed,
        }
    }
}

/// The number format that a frozen base's matrices are held and multiplied in. Adapters, norms,
/// sums of losses and the optimizer are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32 bits.
    F32,
    /// bfloat16, on CUDA. The packed matrices of QLoRA are unpacked to it there in any case.
    Bf16,
}

impl Precision {
    /// What is usual for a method on a device.
    pub fn usual(method: &Method, device: Device) -> Self {
        match (method, device) {
            (Method::Full, _) => Self::F32,
            (_, Device::Cuda(_)) => Self::Bf16,
            (_, Device::Flex | Device::NdArray) => Self::F32,
        }
    }
}

/// Which optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// AdamW (Loshchilov and Hutter 2019) on everything.
    AdamW,
    /// Muon (Jordan et al. 2024) on the blocks' matrices, AdamW on embedding, head and norms.
    Muon,
    /// Lion (Chen et al. 2023) on everything: the sign of a momentum, half of AdamW's memory.
    Lion,
}

impl OptimizerKind {
    /// The decays of the moments that its authors use.
    pub fn usual_betas(self) -> (f64, f64) {
        match self {
            Self::AdamW | Self::Muon => (0.9, 0.999),
            Self::Lion => (0.9, 0.99),
        }
    }
}

/// What is minimized.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Mean cross-entropy per learned token.
    CrossEntropy,
    /// Cross-entropy, mixed with the divergence from a larger model's predictions.
    Distillation {
        /// Softens both predictions.
        temperature: f64,
        /// Share of the divergence in the loss; the rest is cross-entropy's.
        weight: f64,
    },
    /// Direct preference optimization (Rafailov et al. 2023) against the base without adapter.
    Preference {
        /// How far the model may move from the base: the larger, the less.
        beta: f64,
    },
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
    /// How many times the learning rate of the adapters' `A` that of their `B` is (LoRA+, Hayou et
    /// al. 2024); 1 for LoRA as it was.
    pub loraplus_lr_ratio: f64,
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
    /// What is minimized.
    pub objective: Objective,
    /// Size of the noise on embeddings (NEFTune, Jain et al. 2023); 0 for none.
    pub neftune_alpha: f64,
    /// Share of the prompts' tokens that each step leaves out (their embedding is zero), of those
    /// that do not occur in the answer; 0 for none.
    pub prompt_dropout: f64,
    /// Evaluations in a row without a lower loss after which training ends; 0 for never.
    pub early_stopping_patience: u64,
    /// Whether the result is the state of the lowest validation loss instead of the last.
    pub load_best: bool,
    /// Whether blocks are computed again in the backward instead of keeping what it needs.
    pub gradient_checkpointing: bool,
    /// What a frozen base is held and multiplied in.
    pub precision: Precision,
}

impl TrainSettings {
    /// Defaults that work for LoRA fine-tuning, for `steps` steps.
    pub fn new(method: Method, steps: u64) -> Self {
        Self {
            method,
            optimizer: OptimizerKind::AdamW,
            learning_rate: 2e-4,
            loraplus_lr_ratio: 1.0,
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
            objective: Objective::CrossEntropy,
            neftune_alpha: 0.0,
            prompt_dropout: 0.0,
            early_stopping_patience: 0,
            load_best: false,
            gradient_checkpointing: false,
            precision: Precision::F32,
        }
    }

    /// Checks that the device can do what is asked.
    ///
    /// # Errors
    /// When it is bfloat16 on a device without it, or in full training.
    pub fn check_device(&self, device: Device) -> Result<()> {
        let able = Precision::usual(&self.method, device);
        if self.precision == Precision::Bf16 && able == Precision::F32 {
            let problem = match self.method {
                Method::Full => "full training is in f32, and `precision` is bf16".to_string(),
                _ => format!("`precision` is bf16, and `{device}` multiplies in f32 only"),
            };
            return Err(TrainError::setting(
                problem,
                "leave `precision` out; bf16 is for adapters on CUDA",
            ));
        }
        Ok(())
    }

    /// Steps of warm-up.
    pub fn warmup_steps(&self) -> u64 {
        (self.steps as f64 * self.warmup_ratio).ceil() as u64
    }

    /// Checks ranges, and that settings go together.
    ///
    /// # Errors
    /// Names the first setting out of its range, or two that contradict each other.
    pub fn check(&self) -> Result<()> {
        self.check_numbers()?;
        self.check_objective()?;
        let watches = self.early_stopping_patience > 0 || self.load_best;
        if watches && self.evaluate_every == 0 {
            return Err(TrainError::setting(
                "`early_stopping_patience` and `load_best` need evaluations, and `evaluate_every` is 0",
                "set `evaluate_every` to a number of steps",
            ));
        }
        Ok(())
    }

    fn check_objective(&self) -> Result<()> {
        match self.objective {
            Objective::CrossEntropy => Ok(()),
            Objective::Distillation {
                temperature,
                weight,
            } if temperature > 0.0 && temperature.is_finite() && (0.0..=1.0).contains(&weight) => {
                Ok(())
            }
            Objective::Distillation {
                temperature,
                weight,
            } => Err(TrainError::setting(
                format!("distillation at temperature {temperature} with weight {weight}"),
                "the temperature must be above 0, the weight in 0..=1",
            )),
            Objective::Preference { beta } if !(beta > 0.0 && beta.is_finite()) => {
                Err(TrainError::setting(
                    format!("`beta` is {beta}"),
                    "it must be above 0; 0.1 is usual",
                ))
            }
            Objective::Preference { .. } if self.method == Method::Full => {
                Err(TrainError::setting(
                    "preferences are learned against the base, which full training would change",
                    "use `method: lora` or `qlora`",
                ))
            }
            Objective::Preference { .. } => Ok(()),
        }
    }

    fn check_numbers(&self) -> Result<()> {
        let positive = [
            ("learning_rate", self.learning_rate),
            ("loraplus_lr_ratio", self.loraplus_lr_ratio),
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
        let not_negative = [
            ("neftune_alpha", self.neftune_alpha),
            ("weight_decay", self.weight_decay),
            ("clip_grad_norm", self.clip_grad_norm),
        ];
        if let Some((name, value)) = not_negative
            .into_iter()
            .find(|(_, value)| !value.is_finite() || *value < 0.0)
        {
            return Err(TrainError::setting(
                format!("`{name}` is {value}"),
                "it must be 0 or above",
            ));
        }
        let shares = [
            ("warmup_ratio", self.warmup_ratio),
            ("prompt_dropout", self.prompt_dropout),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfloat16_is_for_adapters_on_cuda() {
        let adapter = LoraConfig {
            rank: 4,
            alpha: 8.0,
            use_rslora: false,
            use_dora: false,
            target_modules: vec!["q_proj".into()],
        };
        let lora = Method::Lora(adapter);
        for (method, device, able) in [
            (lora.clone(), Device::Cuda(0), true),
            (lora, Device::Flex, false),
            (Method::Full, Device::Cuda(0), false),
        ] {
            let mut settings = TrainSettings::new(method.clone(), 1);
            settings.check_device(device).unwrap();
            settings.precision = Precision::Bf16;
            assert_eq!(settings.check_device(device).is_ok(), able);
            assert_eq!(
                Precision::usual(&method, device) == Precision::Bf16,
                able,
                "{method:?} on {device}"
            );
        }
    }
}
