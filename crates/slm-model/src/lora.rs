//! Low-rank adapters: their settings, initial values, and PEFT's files.
//!
//! `y = W x + (alpha / rank) B A x` (Hu et al. 2021; rsLoRA: `alpha / sqrt rank`).
//! Does not know the decoder's layers, only their names.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::checkpoint::{Checkpoint, NamedTensor, StoredType, write_atomically, write_safetensors};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};

/// An adapter's settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank of the update.
    pub rank: usize,
    /// Numerator of the scale.
    pub alpha: f64,
    /// Whether the scale divides by the rank's square root.
    pub use_rslora: bool,
    /// Adapted layers, some of the model's [`ModelConfig::target_modules`].
    pub target_modules: Vec<String>,
}

impl LoraConfig {
    /// Factor on the low-rank update.
    pub fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha / if self.use_rslora { rank.sqrt() } else { rank }
    }

    /// Checks the settings against a model.
    ///
    /// # Errors
    /// When the rank is 0 or above a layer's width, or a target is unknown (the known are listed).
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let known = config.target_modules();
        for target in &self.target_modules {
            if !known.contains(&target.as_str()) {
                return Err(ModelError::setting(
                    format!("unknown target module `{target}`"),
                    format!("this model has: {}; or `all-linear`", known.join(", ")),
                ));
            }
        }
        let linears = config.linears();
        let widths = linears
            .iter()
            .map(|linear| linear.inputs.min(linear.outputs));
        let narrowest = widths.min().unwrap_or(0);
        if self.rank == 0 || self.rank > narrowest {
            return Err(ModelError::setting(
                format!(
                    "LoRA rank {} does not fit layers as narrow as {narrowest}",
                    self.rank
                ),
                format!("choose a rank in 1..={narrowest}"),
            ));
        }
        Ok(())
    }

    /// Reads `adapter_config.json` in `dir`.
    ///
    /// # Errors
    /// When it is missing, malformed, or of a kind not supported here.
    pub fn load(dir: &Path) -> Result<Self> {
        let path = dir.join("adapter_config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| ModelError::io("read", &path, e))?;
        let value: Value = serde_json::from_str(&text).map_err(|e| {
            ModelError::invalid(&path, format!("not valid JSON: {e}"), "restore the file")
        })?;
        let refuse = |problem: &str| {
            ModelError::invalid(&path, problem, "only plain LoRA adapters load here")
        };
        if value["peft_type"] != "LORA" {
            return Err(refuse("`peft_type` is not LORA"));
        }
        for key in ["rank_pattern", "alpha_pattern"] {
            if value[key]
                .as_object()
                .is_some_and(|pattern| !pattern.is_empty())
            {
                return Err(refuse(&format!("`{key}` is not supported")));
            }
        }
        for key in ["use_dora", "fan_in_fan_out"] {
            if value[key] == true {
                return Err(refuse(&format!("`{key}: true` is not supported")));
            }
        }
        let number = |key: &str| {
            value[key]
                .as_f64()
                .ok_or_else(|| refuse(&format!("`{key}` is missing")))
        };
        let targets = value["target_modules"]
            .as_array()
            .ok_or_else(|| refuse("`target_modules` is not a list"))?;
        Ok(Self {
            rank: number("r")? as usize,
            alpha: number("lora_alpha")?,
            use_rslora: value["use_rslora"] == true,
            target_modules: targets
                .iter()
                .filter_map(Value::as_str)
                .map(String::from)
                .collect(),
        })
    }

    /// The settings as PEFT's `adapter_config.json`.
    pub fn to_peft(&self, base: &str) -> Value {
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "revision": null,
            "inference_mode": true, "r": self.rank, "lora_alpha": self.alpha, "lora_dropout": 0.0,
            "target_modules": self.target_modules, "bias": "none", "fan_in_fan_out": false,
            "use_rslora": self.use_rslora, "use_dora": false, "modules_to_save": null,
            "rank_pattern": {}, "alpha_pattern": {}, "init_lora_weights": true
        })
    }
}

/// One adapted layer: `A` [rank, in] and `B` [out, rank].
#[derive(Debug, Clone, PartialEq)]
pub struct LoraPair {
    /// Module path, such as `model.layers.0.self_attn.q_proj`.
    pub module: String,
    /// Inputs of the layer.
    pub inputs: usize,
    /// Outputs of the layer.
    pub outputs: usize,
    /// Down projection, row-major.
    pub a: Vec<f32>,
    /// Up projection, row-major.
    pub b: Vec<f32>,
}

/// An adapter: settings and the pairs of every adapted layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Settings.
    pub config: LoraConfig,
    /// Pairs in the model's order.
    pub pairs: Vec<LoraPair>,
}

impl Adapter {
    /// A fresh adapter: `A` uniform as PEFT draws it (Kaiming with `a = sqrt 5`), `B` zero.
    ///
    /// # Errors
    /// When the settings do not fit the model.
    pub fn new(config: LoraConfig, model: &ModelConfig, seed: u64) -> Result<Self> {
        config.check(model)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut pairs = Vec::new();
        for (module, outputs, inputs) in adapted(&config, model) {
            let bound = 1.0 / (inputs as f32).sqrt();
            let a = (0..config.rank * inputs)
                .map(|_| rng.random_range(-bound..bound))
                .collect();
            pairs.push(LoraPair {
                module,
                inputs,
                outputs,
                a,
                b: vec![0.0; outputs * config.rank],
            });
        }
        Ok(Self { config, pairs })
    }

    /// Reads a PEFT adapter folder for `model`.
    ///
    /// # Errors
    /// When a file is missing or malformed, or a shape does not fit the model.
    pub fn load(dir: &Path, model: &ModelConfig) -> Result<Self> {
        let config = LoraConfig::load(dir)?;
        config.check(model)?;
        let file = Checkpoint::open_file(&dir.join("adapter_model.safetensors"))?;
        let mut pairs = Vec::new();
        for (module, outputs, inputs) in adapted(&config, model) {
            let a = file.read(&tensor_name(&module, 'A'), &[config.rank, inputs])?;
            let b = file.read(&tensor_name(&module, 'B'), &[outputs, config.rank])?;
            pairs.push(LoraPair {
                module,
                inputs,
                outputs,
                a,
                b,
            });
        }
        Ok(Self { config, pairs })
    }

    /// Writes the adapter as PEFT does; `base` names the model it was trained on.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, dir: &Path, base: &str) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
        let mut tensors = Vec::new();
        for pair in &self.pairs {
            let mut push = |which, shape: [usize; 2], values: &[f32]| {
                tensors.push(NamedTensor {
                    name: tensor_name(&pair.module, which),
                    shape: shape.to_vec(),
                    values: values.to_vec(),
                });
            };
            push('A', [self.config.rank, pair.inputs], &pair.a);
            push('B', [pair.outputs, self.config.rank], &pair.b);
        }
        write_safetensors(
            &dir.join("adapter_model.safetensors"),
            &tensors,
            StoredType::F32,
        )?;
        let text = serde_json::to_string_pretty(&self.config.to_peft(base)).unwrap_or_default();
        write_atomically(&dir.join("adapter_config.json"), text.as_bytes())
    }
}

impl LoraPair {
    /// Adds `scale B A` to the layer's weight [out, in].
    pub fn merge_into(&self, weight: &mut [f32], rank: usize, scale: f64) {
        use crate::kernels::gemm::{Threads, View, Write, product};
        let (b, a) = (
            View::new(&self.b, self.outputs, rank),
            View::new(&self.a, rank, self.inputs),
        );
        product(
            weight,
            self.inputs,
            b,
            a,
            Write::Add,
            scale as f32,
            Threads::All,
        );
    }
}

fn tensor_name(module: &str, which: char) -> String {
    format!("base_model.model.{module}.lora_{which}.weight")
}

/// Module path, outputs and inputs of every adapted layer, in the model's order.
fn adapted(config: &LoraConfig, model: &ModelConfig) -> Vec<(String, usize, usize)> {
    let wanted = |module: &str| {
        config
            .target_modules
            .iter()
            .any(|target| module.ends_with(&format!(".{target}")))
    };
    let linear = model
        .tensors()
        .into_iter()
        .filter(|(_, shape)| shape.len() == 2);
    let named = linear.map(|(name, shape)| {
        (
            name.trim_end_matches(".weight").to_string(),
            shape[0],
            shape[1],
        )
    });
    named.filter(|(module, ..)| wanted(module)).collect()
}
