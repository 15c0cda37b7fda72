//! Where a model's weights come from: a checkpoint's files, or tables in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::bf16;
use safetensors::Dtype;
use serde_json::Value;
use slm_model::lora::{Adapter, LoraPair};
use slm_model::quant::{
    Bits, DenseMatrix, PackedMatrix, QuantizationConfig, QuantizedMatrix, Weights, read_quantized,
};
use slm_model::weights::Weights as Tables;
use slm_model::{Checkpoint, ModelConfig, ModelError};

use crate::error::Result;

/// Gives weights by the path of their module, such as `model.layers.0.self_attn.q_proj`.
pub trait WeightSource {
    /// The matrix [rows, columns] of `module`.
    ///
    /// # Errors
    /// When it is not there or not of that shape.
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights>;

    /// The vector of `module`.
    ///
    /// # Errors
    /// When it is not there or not of that length.
    fn vector(&mut self, module: &str, length: usize) -> Result<Vec<f32>>;
}

/// How matrices are held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WeightFormat {
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// Linear layers in 8 or 4 bits, the embedding and the head in 8.
    Quantized(Bits),
}

/// A checkpoint's folder, and an adapter to merge.
pub struct Files {
    dir: PathBuf,
    checkpoint: Checkpoint,
    quantization: Option<QuantizationConfig>,
    pairs: BTreeMap<String, LoraPair>,
    rank: usize,
    scale: f64,
}

impl Files {
    /// Opens the folder of a checkpoint and that of an adapter.
    ///
    /// # Errors
    /// When either cannot be read, or the adapter does not fit the model.
    pub fn open(dir: &Path, config: &ModelConfig, adapter: Option<&Path>) -> Result<Self> {
        let path = dir.join("config.json");
        let text = std::fs::read_to_string(&path).map_err(|e| ModelError::io("read", &path, e))?;
        let json: Value = serde_json::from_str(&text).map_err(|e| {
            ModelError::invalid(&path, format!("not valid JSON: {e}"), "restore it")
        })?;
        let quantization = QuantizationConfig::from_json(&json, &path)?;
        let checkpoint = Checkpoint::open(dir)?;
        let adapter = adapter.map(|dir| Adapter::load(dir, config)).transpose()?;
        let (rank, scale) = adapter
            .as_ref()
            .map_or((0, 0.0), |a| (a.config.rank, a.config.scale()));
        let pairs = adapter.into_iter().flat_map(|adapter| adapter.pairs);
        let pairs = pairs.map(|pair| (pair.module.clone(), pair)).collect();
        Ok(Self {
            dir: dir.to_path_buf(),
            checkpoint,
            quantization,
            pairs,
            rank,
            scale,
        })
    }

    fn stored(&self, module: &str, rows: usize, columns: usize) -> Result<Stored> {
        let name = format!("{module}.weight");
        let quantized = self.quantization.as_ref().and_then(|q| q.bits(module));
        if let (Some(bits), false) = (quantized, self.checkpoint.contains(&name)) {
            let matrix = read_quantized(&self.checkpoint, &self.dir, module, rows, columns, bits)?;
            return Ok(Stored::Quantized(matrix));
        }
        let values = self.checkpoint.read(&name, &[rows, columns])?;
        let narrow = matches!(self.checkpoint.raw(&name), Some((_, Dtype::BF16, _)));
        Ok(if narrow {
            Stored::Bf16(values)
        } else {
            Stored::F32(values)
        })
    }
}

/// A matrix as its file has it; bfloat16 widened.
enum Stored {
    F32(Vec<f32>),
    Bf16(Vec<f32>),
    Quantized(QuantizedMatrix),
}

impl WeightSource for Files {
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights> {
        let stored = self.stored(module, rows, columns)?;
        if let Some(pair) = self.pairs.get(module) {
            let mut values = match stored {
                Stored::F32(values) | Stored::Bf16(values) => values,
                Stored::Quantized(matrix) => matrix.dequantize(),
            };
            pair.merge_into(&mut values, self.rank, self.scale);
            return Ok(Weights::Dense(DenseMatrix::from_f32(
                &values, rows, columns,
            )));
        }
        Ok(match stored {
            Stored::F32(values) => Weights::Dense(DenseMatrix::from_f32(&values, rows, columns)),
            Stored::Bf16(values) => dense_bf16(&values, rows, columns),
            Stored::Quantized(matrix) => Weights::Quantized(PackedMatrix::new(&matrix)),
        })
    }

    fn vector(&mut self, module: &str, length: usize) -> Result<Vec<f32>> {
        Ok(self
            .checkpoint
            .read(&format!("{module}.weight"), &[length])?)
    }
}

/// Tables in memory, held in a format of choice.
pub struct InMemory {
    /// The weights by name.
    pub tables: Tables,
    /// How matrices are held.
    pub format: WeightFormat,
}

impl InMemory {
    fn take(&mut self, module: &str, length: usize) -> Result<Vec<f32>> {
        let name = format!("{module}.weight");
        let values = self
            .tables
            .take(&name)
            .filter(|values| values.len() == length);
        Ok(values.ok_or_else(|| {
            let problem = format!("weight `{name}` with {length} numbers is missing");
            ModelError::setting(problem, "the weights do not belong to this config")
        })?)
    }
}

impl WeightSource for InMemory {
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights> {
        let values = self.take(module, rows * columns)?;
        let table = module == "lm_head" || module.ends_with("embed_tokens");
        Ok(match self.format {
            WeightFormat::F32 => Weights::Dense(DenseMatrix::from_f32(&values, rows, columns)),
            WeightFormat::Bf16 => dense_bf16(&values, rows, columns),
            WeightFormat::Quantized(bits) => {
                let bits = if table { Bits::Int8 } else { bits };
                let matrix = QuantizedMatrix::quantize(&values, rows, columns, bits)?;
                Weights::Quantized(PackedMatrix::new(&matrix))
            }
        })
    }

    fn vector(&mut self, module: &str, length: usize) -> Result<Vec<f32>> {
        self.take(module, length)
    }
}

fn dense_bf16(values: &[f32], rows: usize, columns: usize) -> Weights {
    let narrow: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
    Weights::Dense(DenseMatrix::from_bf16(&narrow, rows, columns))
}
