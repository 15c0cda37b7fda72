//! Low-rank adapters: their settings, initial values, and PEFT's files.
//!
//! `y = W x + (alpha / rank) B A x` (Hu et al. 2021; rsLoRA: `alpha / sqrt rank`, Kalajdzievski
//! 2023; DoRA: rows of the sum scaled to learned magnitudes, Liu et al. 2024).
//! Does not know the decoder's layers, only their names.

use std::path::Path;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

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
    /// Whether the rows of the adapted weights have learned magnitudes (DoRA).
    #[serde(default)]
    pub use_dora: bool,
    /// Adapted layers by the last part of their names, some of the model's
    /// [`ModelConfig::target_modules`].
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
    /// When the rank is 0 or above an adapted layer's width, or a target is unknown (the known are
    /// listed) or is the head or the embedding.
    pub fn check(&self, config: &ModelConfig) -> Result<()> {
        let known = config.target_modules();
        if let Some(target) = self.target_modules.iter().find(|t| !known.contains(t)) {
            return Err(wrong_target(target, config, &known));
        }
        let widths = adapted(self, config)
            .into_iter()
            .map(|(_, outputs, inputs)| outputs.min(inputs));
        let Some(narrowest) = widths.min() else {
            return Err(ModelError::setting(
                "`target_modules` names no layer",
                format!("this model has: {}; or `all-linear`", known.join(", ")),
            ));
        };
        if self.rank == 0 || self.rank > narrowest {
            return Err(ModelError::setting(
                format!(
                    "LoRA rank {} does not fit layers as narrow as {narrowest}",
                    self.rank
                ),
                format!("choose a rank in 1..={narrowest}"),
            ));
        }
        if !self.alpha.is_finite() {
            return Err(ModelError::setting(
                format!("LoRA alpha is {}", self.alpha),
                "twice the rank is usual",
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
            ModelError::invalid(&path, problem, "LoRA, rsLoRA and DoRA adapters load here")
        };
        if value["peft_type"] != "LORA" {
            return Err(refuse("`peft_type` is not LORA"));
        }
        if let Some(key) = UNSUPPORTED.into_iter().find(|key| is_set(&value[*key])) {
            return Err(refuse(&format!("`{key}: {}` is not supported", value[key])));
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
            use_dora: value["use_dora"] == true,
            target_modules: targets
                .iter()
                .filter_map(Value::as_str)
                .map(String::from)
                .collect(),
        })
    }

    /// The settings as PEFT's `adapter_config.json`.
    pub fn to_peft(&self, base: &str) -> Value {
        // PEFT writes a whole alpha as an integer.
        let alpha = match self.alpha.fract() == 0.0 && self.alpha.abs() < 1e15 {
            true => json!(self.alpha as i64),
            false => json!(self.alpha),
        };
        json!({
            "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": base, "revision": null,
            "inference_mode": true, "r": self.rank, "lora_alpha": alpha, "lora_dropout": 0.0,
            "target_modules": self.target_modules, "bias": "none", "fan_in_fan_out": false,
            "use_rslora": self.use_rslora, "use_dora": self.use_dora, "modules_to_save": null,
            "rank_pattern": {}, "alpha_pattern": {}, "init_lora_weights": true
        })
    }
}

/// Options of PEFT that change the arithmetic or the layers, and that are not known here.
const UNSUPPORTED: [&str; 16] = [
    "rank_pattern",
    "alpha_pattern",
    "fan_in_fan_out",
    "modules_to_save",
    "lora_bias",
    "layers_to_transform",
    "layer_replication",
    "exclude_modules",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "use_qalora",
    "use_bdlora",
    "monteclora_config",
    "velora_config",
];

/// Whether an option has another value than nothing.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    }
}

fn wrong_target(target: &str, model: &ModelConfig, known: &[String]) -> ModelError {
    let known = known.join(", ");
    let hint = format!("this model has: {known}; or `all-linear`");
    match target {
        "lm_head" | "embed_tokens" if model.tie_word_embeddings => ModelError::setting(
            format!("`{target}` cannot be adapted: head and embedding of this model are one table"),
            format!("an adapter on one would change the other unseen; {hint}"),
        ),
        "lm_head" | "embed_tokens" => ModelError::setting(
            format!("`{target}` cannot be adapted: head and embedding are left alone"),
            hint,
        ),
        _ => ModelError::setting(format!("unknown target module `{target}`"), hint),
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
    /// DoRA's magnitude of each output; none before training begins, or without DoRA.
    pub magnitude: Option<Vec<f32>>,
}

/// An adapter: settings and the pairs of every adapted layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Adapter {
    /// Settings.
    pub config: LoraConfig,
    /// Pairs in the model's order.
    pub pairs: Vec<LoraPair>,
    /// The `adapter_config.json` that it was read from; its keys are kept when it is saved again.
    pub source: Option<Map<String, Value>>,
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
                magnitude: None,
            });
        }
        Ok(Self {
            config,
            pairs,
            source: None,
        })
    }

    /// Reads a PEFT adapter folder for `model`.
    ///
    /// # Errors
    /// When a file is missing or malformed, a shape does not fit the model, or the file has a
    /// tensor that the settings do not speak of.
    pub fn load(dir: &Path, model: &ModelConfig) -> Result<Self> {
        let config = LoraConfig::load(dir)?;
        config
            .check(model)
            .map_err(|error| error.of_file(&dir.join("adapter_config.json")))?;
        let path = dir.join("adapter_model.safetensors");
        let file = Checkpoint::open_file(&path)?;
        let (mut pairs, mut read) = (Vec::new(), 0);
        for (module, outputs, inputs) in adapted(&config, model) {
            let name = |part: Part| tensor_name(&module, part);
            let magnitude = match config.use_dora {
                true => Some(file.read(&name(Part::Magnitude), &[outputs])?),
                false => None,
            };
            read += 2 + usize::from(config.use_dora);
            pairs.push(LoraPair {
                a: file.read(&name(Part::A), &[config.rank, inputs])?,
                b: file.read(&name(Part::B), &[outputs, config.rank])?,
                magnitude,
                module,
                inputs,
                outputs,
            });
        }
        if file.tensors().count() != read {
            return Err(stray_tensor(&file, &path, &pairs));
        }
        let source = std::fs::read_to_string(dir.join("adapter_config.json")).ok();
        Ok(Self {
            config,
            pairs,
            source: source.and_then(|text| serde_json::from_str(&text).ok()),
        })
    }

    /// Writes the adapter as PEFT does; `base` names the model it was trained on.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn save(&self, dir: &Path, base: &str) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
        let mut tensors = Vec::new();
        for pair in &self.pairs {
            let mut push = |part, shape: &[usize], values: &[f32]| {
                tensors.push(NamedTensor {
                    name: tensor_name(&pair.module, part),
                    shape: shape.to_vec(),
                    values: values.to_vec(),
                });
            };
            push(Part::A, &[self.config.rank, pair.inputs], &pair.a);
            push(Part::B, &[pair.outputs, self.config.rank], &pair.b);
            if let Some(magnitude) = &pair.magnitude {
                push(Part::Magnitude, &[pair.outputs], magnitude);
            }
        }
        write_safetensors(
            &dir.join("adapter_model.safetensors"),
            &tensors,
            StoredType::F32,
        )?;
        let text = serde_json::to_string_pretty(&self.peft_config(base)).unwrap_or_default();
        write_atomically(&dir.join("adapter_config.json"), text.as_bytes())
    }

    /// PEFT's settings; those that it was read with are kept where they are not ours to say.
    fn peft_config(&self, base: &str) -> Value {
        let mut map = self.source.clone().unwrap_or_default();
        if let Value::Object(ours) = self.config.to_peft(base) {
            // The order of targets means nothing, and PEFT writes a set in any.
            let kept = map.contains_key("target_modules");
            let ours = ours
                .into_iter()
                .filter(|(key, _)| !(kept && key == "target_modules"));
            map.extend(ours);
        }
        Value::Object(map)
    }
}

/// The first tensor of a file that belongs to no adapted layer.
fn stray_tensor(file: &Checkpoint, path: &Path, pairs: &[LoraPair]) -> ModelError {
    let known = |name: &str| {
        let parts = [Part::A, Part::B, Part::Magnitude];
        pairs.iter().any(|pair| {
            parts
                .into_iter()
                .any(|part| tensor_name(&pair.module, part) == name)
        })
    };
    let stray = file
        .tensors()
        .map(|(name, _)| name)
        .find(|name| !known(name));
    ModelError::invalid(
        path,
        format!(
            "tensor `{}` belongs to no adapted layer of this model",
            stray.unwrap_or("?")
        ),
        "use the adapter with the base it was trained on",
    )
}

/// A tensor of an adapted layer.
#[derive(Clone, Copy)]
enum Part {
    A,
    B,
    Magnitude,
}

impl LoraPair {
    /// Adds `scale B A` to the layer's weight [out, in], and scales its rows to DoRA's magnitudes.
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
        let rows = weight.chunks_exact_mut(self.inputs.max(1));
        for (row, magnitude) in rows.zip(self.magnitude.iter().flatten()) {
            let square: f64 = row.iter().map(|v| *v as f64 * *v as f64).sum();
            let factor = (*magnitude as f64 / square.sqrt().max(f64::MIN_POSITIVE)) as f32;
            row.iter_mut().for_each(|v| *v *= factor);
        }
    }
}

/// PEFT's name of a tensor; a magnitude's has no `.weight`.
fn tensor_name(module: &str, part: Part) -> String {
    let part = match part {
        Part::A => "lora_A.weight",
        Part::B => "lora_B.weight",
        Part::Magnitude => "lora_magnitude_vector",
    };
    format!("base_model.model.{module}.{part}")
}

/// Module path, outputs and inputs of the blocks' linear layers, in the model's order.
fn linears(model: &ModelConfig) -> impl Iterator<Item = (String, usize, usize)> {
    let matrices = model
        .tensors()
        .into_iter()
        .filter(|(name, shape)| shape.len() == 2 && name.starts_with("model.layers."));
    matrices.map(|(name, shape)| {
        let module = name.trim_end_matches(".weight").to_string();
        (module, shape[0], shape[1])
    })
}

/// Module path, outputs and inputs of every adapted layer, in the model's order.
fn adapted(config: &LoraConfig, model: &ModelConfig) -> Vec<(String, usize, usize)> {
    let wanted = |module: &str| {
        config
            .target_modules
            .iter()
            .any(|target| module.ends_with(&format!(".{target}")))
    };
    linears(model)
        .filter(|(module, ..)| wanted(module))
        .collect()
}
