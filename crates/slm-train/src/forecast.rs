//! What a run will need in memory, before anything is loaded.
//!
//! The figures follow what the fused operations keep (see slm-model's `ops`): they are within some
//! 15% of what is measured on flex. Does not know files or time.

use slm_model::{Device, ModelConfig};

use crate::error::{Result, TrainError};
use crate::settings::{Method, Objective, OptimizerKind, Precision, TrainSettings};

/// What the program needs beside the model: code, tokenizer, rows, the allocator's slack.
const PROGRAM_BYTES: u64 = 60_000_000;

/// Bits of a weight in NF4 with double quantization.
const NF4_BITS: f64 = 4.0 + 8.0 / 64.0 + 32.0 / (64.0 * 256.0);

/// Memory that a run will hold at its peak, by part, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    /// The base, and the teacher of a distillation.
    pub weights: u64,
    /// Trained values beside the base, gradients and moments.
    pub learning: u64,
    /// What the forward keeps for the backward.
    pub activations: u64,
    /// Logits of one chunk of rows, and the program.
    pub rest: u64,
}

impl Forecast {
    /// Foretells a run on batches of at most `batch_tokens`, with a teacher of a distillation.
    pub fn new(
        config: &ModelConfig,
        settings: &TrainSettings,
        batch_tokens: usize,
        teacher: Option<&ModelConfig>,
    ) -> Self {
        let (trained, rank) = trained(config, &settings.method);
        let moments = match settings.optimizer {
            OptimizerKind::AdamW => 2,
            OptimizerKind::Muon | OptimizerKind::Lion => 1,
        };
        let sums = u64::from(settings.gradient_accumulation_steps > 1);
        let beside = u64::from(settings.method != Method::Full);
        let chunk = match (&settings.method, settings.objective) {
            (_, Objective::Distillation { .. }) => 5 * 128,
            (Method::Qlora(_), _) => 128,
            _ => 512,
        };
        let logits = batch_tokens.min(chunk) * config.vocab_size;
        Self {
            weights: base_bytes(config, settings) + teacher.map_or(0, full_bytes),
            learning: 4 * trained * (1 + moments + sums + beside),
            activations: activation_bytes(config, settings, batch_tokens as u64, rank),
            rest: 4 * logits as u64 + PROGRAM_BYTES,
        }
    }

    /// All parts together. A checkpoint copies values and moments, while no activations are held.
    pub fn bytes(&self) -> u64 {
        let checkpoint = self.learning;
        self.weights + self.learning + self.activations.max(checkpoint) + self.rest
    }

    /// Refuses what does not fit into `available` bytes, with what to change.
    ///
    /// # Errors
    /// When it does not fit.
    pub fn check(&self, settings: &TrainSettings, available: u64) -> Result<()> {
        if self.bytes() <= available {
            return Ok(());
        }
        let mut advice = Vec::new();
        if self.activations > self.weights / 2 {
            advice.push(format!(
                "lower `batch_tokens` (now {})",
                settings.batch_tokens
            ));
            if !settings.gradient_checkpointing {
                advice.push("set `gradient_checkpointing: true`".to_string());
            }
        }
        match settings.method {
            Method::Full => advice.push("use `method: lora`".into()),
            Method::Lora(_) => advice.push("use `method: qlora`".into()),
            Method::Qlora(_) => {}
        }
        advice.push("choose a smaller model, or a machine with more memory".into());
        let gigabytes = |bytes: u64| bytes as f64 / 1e9;
        Err(TrainError::setting(
            format!(
                "training needs about {:.1} GB of memory, and {:.1} GB are available: \
                 weights {:.1}, activations {:.1}, gradients and moments {:.1}",
                gigabytes(self.bytes()),
                gigabytes(available),
                gigabytes(self.weights),
                gigabytes(self.activations),
                gigabytes(self.learning),
            ),
            advice.join("; "),
        ))
    }
}

/// Memory that this process may still take on a device's host, where that can be told: what the
/// system has available, within the limits of its control group and of its address space.
pub fn available_bytes(device: Device) -> Option<u64> {
    if matches!(device, Device::Cuda(_)) {
        return None;
    }
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let system = read("/proc/meminfo").and_then(|text| field(&text, "MemAvailable:", 1024));
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    let used = read("/sys/fs/cgroup/memory.current").and_then(|text| text.trim().parse().ok());
    let group = group.map(|most: u64| most.saturating_sub(used.unwrap_or(0)));
    let space = read("/proc/self/limits").and_then(|text| field(&text, "Max address space", 1));
    [system, group, space].into_iter().flatten().min()
}

/// The first number behind a label, if it is one.
fn field(text: &str, label: &str, unit: u64) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * unit)
}

/// Trained values, and the rank of the adapter.
fn trained(config: &ModelConfig, method: &Method) -> (u64, usize) {
    let Some(adapter) = method.adapter() else {
        return (config.parameters() as u64, 0);
    };
    let of = |(name, shape): (String, Vec<usize>)| {
        let module = name.trim_end_matches(".weight");
        let wanted = adapter
            .target_modules
            .iter()
            .any(|t| module.ends_with(&format!(".{t}")));
        match (wanted, shape.as_slice()) {
            (true, &[outputs, inputs]) => {
                let magnitudes = if adapter.use_dora { outputs } else { 0 };
                (adapter.rank * (outputs + inputs) + magnitudes) as u64
            }
            _ => 0,
        }
    };
    (config.tensors().into_iter().map(of).sum(), adapter.rank)
}

fn full_bytes(config: &ModelConfig) -> u64 {
    4 * config.parameters() as u64
}

fn base_bytes(config: &ModelConfig, settings: &TrainSettings) -> u64 {
    let Method::Qlora(_) = settings.method else {
        return match settings.precision {
            Precision::F32 => full_bytes(config),
            Precision::Bf16 => full_bytes(config) / 2,
        };
    };
    let bytes = |(name, shape): (String, Vec<usize>)| {
        let count = shape.iter().product::<usize>() as f64;
        match (shape.len(), name.starts_with("model.layers.")) {
            (2, true) => count * NF4_BITS / 8.0,
            (2, false) => 2.0 * count,
            _ => 4.0 * count,
        }
    };
    config.tensors().into_iter().map(bytes).sum::<f64>() as u64
}

/// Per row and block: the residual stream twice and both norms' outputs; rotated queries and keys,
/// values and what attention gave; gate, up and their product; the adapters' low ranks.
fn activation_bytes(config: &ModelConfig, settings: &TrainSettings, rows: u64, rank: usize) -> u64 {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let (q, kv) = (config.query_width(), config.key_value_width());
    let mut block = (4 * d + 2 * q + 2 * kv + 3 * f + 7 * rank) as u64;
    let dora = settings
        .method
        .adapter()
        .is_some_and(|adapter| adapter.use_dora);
    if dora {
        // Each adapted layer's output is kept for its magnitudes.
        block += (2 * d + q + 2 * kv + 2 * f) as u64;
    }
    let blocks = config.num_hidden_layers as u64;
    let kept = match settings.gradient_checkpointing {
        true => block + blocks * d as u64,
        false => blocks * block,
    };
    // In the backward, gradients of one block stand beside what is kept.
    4 * rows * (kept + (2 * d + 3 * f) as u64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use slm_model::lora::LoraConfig;

    use super::*;

    fn config() -> ModelConfig {
        let json = serde_json::json!({
            "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "tie_word_embeddings": true
        });
        ModelConfig::from_json(&json, Path::new("config.json")).unwrap()
    }

    fn lora() -> LoraConfig {
        let names = [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
        ];
        LoraConfig {
            rank: 16,
            alpha: 32.0,
            use_rslora: false,
            use_dora: false,
            target_modules: names.map(String::from).to_vec(),
        }
    }

    fn forecast(method: Method, change: impl Fn(&mut TrainSettings)) -> Forecast {
        let mut settings = TrainSettings::new(method, 10);
        change(&mut settings);
        Forecast::new(&config(), &settings, 512, None)
    }

    #[test]
    fn parts_are_those_of_the_shape() {
        let full = forecast(Method::Full, |_| ());
        assert_eq!(full.weights, 4 * 134_515_008);
        assert_eq!(full.learning, 3 * 4 * 134_515_008);
        let adapter = forecast(Method::Lora(lora()), |_| ());
        assert_eq!(adapter.learning, 4 * 4 * 4_884_480);
        let packed = forecast(Method::Qlora(lora()), |_| ());
        assert!(packed.weights < adapter.weights / 4, "{packed:?}");
        let blocks = forecast(Method::Lora(lora()), |s| s.gradient_checkpointing = true);
        assert!(blocks.activations < adapter.activations / 8, "{blocks:?}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_to_change() {
        let settings = TrainSettings::new(Method::Lora(lora()), 10);
        let forecast = forecast(Method::Lora(lora()), |_| ());
        forecast.check(&settings, forecast.bytes()).unwrap();
        let refused = forecast
            .check(&settings, 500_000_000)
            .unwrap_err()
            .to_string();
        assert!(refused.contains("and 0.5 GB are available"), "{refused}");
        for advice in [
            "lower `batch_tokens`",
            "`gradient_checkpointing: true`",
            "`method: qlora`",
        ] {
            assert!(refused.contains(advice), "{refused}");
        }
    }

    #[test]
    fn limits_are_read_as_the_system_writes_them() {
        let text =
            "Limit  Soft Limit  Hard Limit\nMax address space         4096   unlimited  bytes\n";
        assert_eq!(field(text, "Max address space", 1), Some(4096));
        let text = "Max address space         unlimited   unlimited  bytes\n";
        assert_eq!(field(text, "Max address space", 1), None);
        assert_eq!(
            field("MemAvailable:   12 kB\n", "MemAvailable:", 1024),
            Some(12_288)
        );
    }
}
