//! A model's weights as plain f32 tables by name: loading, merging an adapter, saving.
//!
//! The neutral form between files, the decoder on burn and the inference engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::checkpoint::{Checkpoint, StoredType, write_atomically, write_tables};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::lora::Adapter;
use crate::quant::{FrozenMatrix, QuantizationConfig, StoredWeight};

/// Files beside the weights that make up a model's folder.
pub const COMPANIONS: [&str; 8] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "README.md",
];

/// Every weight by its Hugging Face name.
#[derive(Debug, Clone)]
pub struct Weights {
    tables: BTreeMap<String, Vec<f32>>,
    frozen: BTreeMap<String, Arc<FrozenMatrix>>,
}

/// How a base that does not learn is held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// In f32.
    Full,
    /// For QLoRA: the blocks' linear layers in NF4, embedding and head in bfloat16, the rest in
    /// f32. Packed tensor by tensor, so that the whole is never in memory in f32.
    Packed,
}

impl Weights {
    /// Reads the weights that `config` asks for from `dir`.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape.
    pub fn load(dir: &Path, config: &ModelConfig) -> Result<Self> {
        Self::load_held(dir, config, Held::Full)
    }

    /// [`Weights::load`], held as asked for.
    ///
    /// # Errors
    /// As [`Weights::load`]; and when a weight to pack is not finite.
    pub fn load_held(dir: &Path, config: &ModelConfig, held: Held) -> Result<Self> {
        let checkpoint = Checkpoint::open(dir)?;
        let quantization = QuantizationConfig::from_json(&config.json(), dir)?;
        let stored = |name: &str, shape: &[usize]| {
            let module = name.strip_suffix(".weight").unwrap_or(name);
            match (&quantization, shape) {
                (Some(quantization), &[rows, columns]) => {
                    quantization.read(&checkpoint, dir, module, rows, columns)
                }
                _ => Ok(None),
            }
        };
        let mut weights = Self::from_tables(BTreeMap::new());
        for (name, shape) in config.tensors() {
            match stored(&name, &shape)? {
                // What is quantized stays as it is; only adapters can learn on it.
                Some(StoredWeight::Packed(matrix)) => {
                    let matrix = Arc::new(FrozenMatrix::codes(matrix));
                    weights.frozen.insert(name, matrix);
                }
                Some(StoredWeight::Nf4(nf4)) => {
                    let [rows, columns] = [shape[0], shape[1]];
                    let matrix = Arc::new(FrozenMatrix::packed_nf4(nf4, rows, columns));
                    weights.frozen.insert(name, matrix);
                }
                Some(StoredWeight::Floats(values)) => weights.put(name, &shape, values, held)?,
                None => {
                    let values = checkpoint.read(&name, &shape)?;
                    let put = weights.put(name, &shape, values, held);
                    put.map_err(|error| error.of_file(dir))?;
                }
            }
        }
        Ok(weights)
    }

    /// Whether some weights are packed, so that only adapters can learn.
    pub fn is_packed(&self) -> bool {
        !self.frozen.is_empty()
    }

    /// Fresh weights: normal with deviation 0.02, those that write to the residual stream divided
    /// by `sqrt(2 layers)` (GPT-2), norms multiplying by one, biases zero.
    pub fn random(config: &ModelConfig, seed: u64) -> Self {
        let mut draw = Draw::new(config, seed);
        let tensors = config.tensors().into_iter();
        let tables = tensors.map(|(name, shape)| {
            let values = draw.values(&name, &shape);
            (name, values)
        });
        Self::from_tables(tables.collect())
    }

    /// [`Weights::random`], held as asked for.
    ///
    /// # Errors
    /// When a weight cannot be packed.
    pub fn random_held(config: &ModelConfig, seed: u64, held: Held) -> Result<Self> {
        let mut draw = Draw::new(config, seed);
        let mut weights = Self::from_tables(BTreeMap::new());
        for (name, shape) in config.tensors() {
            let values = draw.values(&name, &shape);
            weights.put(name, &shape, values, held)?;
        }
        Ok(weights)
    }

    /// Takes a weight over, held as asked for.
    fn put(&mut self, name: String, shape: &[usize], values: Vec<f32>, held: Held) -> Result<()> {
        match (held, shape) {
            (Held::Packed, &[rows, columns]) => {
                let matrix = match name.starts_with("model.layers.") {
                    true => FrozenMatrix::nf4(&values, rows, columns)?,
                    false => FrozenMatrix::bf16(&values, rows, columns),
                };
                self.frozen.insert(name, Arc::new(matrix));
            }
            _ => {
                self.tables.insert(name, values);
            }
        }
        Ok(())
    }

    /// Makes weights from tables by name.
    pub fn from_tables(tables: BTreeMap<String, Vec<f32>>) -> Self {
        Self {
            tables,
            frozen: BTreeMap::new(),
        }
    }

    /// Takes one packed weight out.
    pub fn take_frozen(&mut self, name: &str) -> Option<Arc<FrozenMatrix>> {
        self.frozen.remove(name)
    }

    /// One weight's values.
    pub fn get(&self, name: &str) -> Option<&[f32]> {
        self.tables.get(name).map(Vec::as_slice)
    }

    /// Takes one weight out.
    pub fn take(&mut self, name: &str) -> Option<Vec<f32>> {
        self.tables.remove(name)
    }

    /// Widens what is packed, so that every weight is a table.
    pub fn unpack(&mut self) {
        for (name, matrix) in std::mem::take(&mut self.frozen) {
            self.tables.insert(name, matrix.dequantize());
        }
    }

    /// Adds an adapter's update to the layers it adapts.
    ///
    /// # Errors
    /// When the adapter names a layer that is not there.
    pub fn merge(&mut self, adapter: &Adapter) -> Result<()> {
        for pair in &adapter.pairs {
            let name = format!("{}.weight", pair.module);
            let weight = self
                .tables
                .get_mut(&name)
                .filter(|w| w.len() == pair.inputs * pair.outputs)
                .ok_or_else(|| {
                    ModelError::setting(
                        format!("the adapter's layer `{}` is not in the model", pair.module),
                        "use the adapter with the base it was trained on",
                    )
                })?;
            pair.merge_into(weight, adapter.config.rank, adapter.config.scale());
        }
        Ok(())
    }

    /// Writes a Hugging Face folder: weights, config, and the companions copied from `source`.
    ///
    /// # Errors
    /// When the folder cannot be written; files are replaced one by one, each atomically, the
    /// config last, so that a half-written folder is never loadable as a whole.
    pub fn save(
        &self,
        dir: &Path,
        config: &ModelConfig,
        source: Option<&Path>,
        stored: StoredType,
    ) -> Result<()> {
        std::fs::create_dir_all(dir).map_err(|e| ModelError::io("write", dir, e))?;
        let tensors = config.tensors();
        for (name, shape) in &tensors {
            let count: usize = shape.iter().product();
            if self.get(name).is_none_or(|values| values.len() != count) {
                return Err(ModelError::setting(
                    format!("weight `{name}` is missing or of another size"),
                    "the weights do not belong to this config",
                ));
            }
        }
        let tables = tensors.into_iter().filter_map(|(name, shape)| {
            let values = self.get(&name)?;
            Some((name, shape, values))
        });
        write_tables(&dir.join("model.safetensors"), tables, stored)?;
        if let Some(source) = source {
            copy_companions(source, dir)?;
        }
        let json = config.to_hugging_face(stored.hugging_face());
        let text = serde_json::to_string_pretty(&json).unwrap_or_default();
        write_atomically(&dir.join("config.json"), text.as_bytes())
    }
}

/// Copies tokenizer, template and card from one model folder to another.
///
/// # Errors
/// When a file cannot be read or written.
pub fn copy_companions(from: &Path, to: &Path) -> Result<()> {
    for name in COMPANIONS {
        let source = from.join(name);
        if source.is_file() {
            let data = std::fs::read(&source).map_err(|e| ModelError::io("read", &source, e))?;
            write_atomically(&to.join(name), &data)?;
        }
    }
    Ok(())
}

/// Fresh weights, drawn in checkpoint order.
struct Draw<'a> {
    config: &'a ModelConfig,
    rng: ChaCha8Rng,
    residual: f32,
}

impl<'a> Draw<'a> {
    fn new(config: &'a ModelConfig, seed: u64) -> Self {
        Self {
            config,
            rng: ChaCha8Rng::seed_from_u64(seed),
            residual: 1.0 / (2.0 * config.num_hidden_layers as f32).sqrt(),
        }
    }

    fn values(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        let count = shape.iter().product();
        let modules = &self.config.modules;
        let ends = |module: &str| name.ends_with(&format!(".{module}.weight"));
        let writes = ends(modules.output) || ends(modules.down);
        let deviation = 0.02 * if writes { self.residual } else { 1.0 };
        if name.ends_with(".bias") {
            vec![0.0; count]
        } else if shape.len() == 1 {
            vec![1.0 - self.config.norm_offset as f32; count]
        } else {
            let draw = |_| normal(&mut self.rng) * deviation;
            (0..count).map(draw).collect()
        }
    }
}

/// A standard normal draw (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let radius = (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
    (radius * (2.0 * std::f64::consts::PI * rng.random::<f64>()).cos()) as f32
}
