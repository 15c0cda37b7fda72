//! Where a model's weights come from: a checkpoint's files, or tables in memory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::bf16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use slm_model::lora::{Adapter, LoraPair};
use slm_model::quant::nf4::Nf4;
use slm_model::quant::{
    Bits, DenseMatrix, FrozenMatrix, PackedMatrix, QuantizationConfig, QuantizedMatrix,
    StoredWeight, Weights, nf4_format,
};
use slm_model::weights::Weights as Tables;
use slm_model::{Checkpoint, ModelConfig, ModelError};

use crate::error::Result;

/// Gives matrices by the path of their module, such as `model.layers.0.self_attn.q_proj`, and
/// vectors by their name.
pub trait WeightSource {
    /// The matrix [rows, columns] of `module`.
    ///
    /// # Errors
    /// When it is not there or not of that shape.
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights>;

    /// The same for a device, packed as it is stored.
    ///
    /// # Errors
    /// As [`WeightSource::matrix`].
    fn frozen(&mut self, module: &str, rows: usize, columns: usize) -> Result<FrozenMatrix>;

    /// The vector `name`, such as `model.norm.weight`.
    ///
    /// # Errors
    /// When it is not there or not of that length.
    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>>;
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
    /// Linear layers in NF4, the embedding and the head in bfloat16.
    Nf4,
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
        let quantization = QuantizationConfig::from_json(&config.json(), &path)?;
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

    /// The quantized weight of `module`, where the checkpoint has it quantized.
    fn quantized(&self, module: &str, rows: usize, columns: usize) -> Result<Option<StoredWeight>> {
        let Some(quantization) = &self.quantization else {
            return Ok(None);
        };
        let read = quantization.read(&self.checkpoint, &self.dir, module, rows, columns)?;
        if read.is_some() {
            let parts = ["weight_packed", "weight_scale", "qweight", "scales"];
            for part in parts.into_iter().chain(nf4_format::SUFFIXES) {
                self.checkpoint.release(&format!("{module}.{part}"));
            }
        }
        Ok(read)
    }

    /// The weight of `module` with its adapter's update, in f32.
    fn adapted(&self, pair: &LoraPair, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let module = &pair.module;
        let mut values = match self.quantized(module, rows, columns)? {
            Some(stored) => stored.values(),
            None => self
                .checkpoint
                .read(&format!("{module}.weight"), &[rows, columns])?,
        };
        pair.merge_into(&mut values, self.rank, self.scale);
        Ok(values)
    }
}

impl WeightSource for Files {
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights> {
        if let Some(pair) = self.pairs.get(module) {
            let values = self.adapted(pair, rows, columns)?;
            let matrix = DenseMatrix::from_f32(&values, rows, columns);
            return Ok(Weights::Dense(matrix));
        }
        match self.quantized(module, rows, columns)? {
            Some(StoredWeight::Packed(matrix)) => {
                return Ok(Weights::Quantized(PackedMatrix::new(&matrix)));
            }
            Some(StoredWeight::Nf4(nf4)) => {
                return Ok(Weights::Dense(DenseMatrix::from_nf4(&nf4, rows, columns)));
            }
            Some(StoredWeight::Floats(values)) => {
                let matrix = DenseMatrix::from_f32(&values, rows, columns);
                return Ok(Weights::Dense(matrix));
            }
            None => {}
        }
        let name = format!("{module}.weight");
        let mut stream = self.checkpoint.stream(&name, &[rows, columns])?;
        Ok(Weights::Dense(match stream.is_bf16() {
            true => DenseMatrix::from_bf16_rows(rows, columns, |row| stream.read_bf16(row)),
            false => DenseMatrix::from_rows(rows, columns, |row| stream.read(row)),
        }))
    }

    fn frozen(&mut self, module: &str, rows: usize, columns: usize) -> Result<FrozenMatrix> {
        if let Some(pair) = self.pairs.get(module) {
            let values = self.adapted(pair, rows, columns)?;
            return Ok(FrozenMatrix::floats(values, rows, columns));
        }
        match self.quantized(module, rows, columns)? {
            Some(StoredWeight::Packed(matrix)) => return Ok(FrozenMatrix::codes(matrix)),
            Some(StoredWeight::Nf4(nf4)) => {
                return Ok(FrozenMatrix::packed_nf4(nf4, rows, columns));
            }
            Some(StoredWeight::Floats(values)) => {
                return Ok(FrozenMatrix::floats(values, rows, columns));
            }
            None => {}
        }
        let name = format!("{module}.weight");
        let is_bf16 = self.checkpoint.stream(&name, &[rows, columns])?.is_bf16();
        let values = self.checkpoint.read(&name, &[rows, columns])?;
        Ok(match is_bf16 {
            true => FrozenMatrix::bf16(&values, rows, columns),
            false => FrozenMatrix::floats(values, rows, columns),
        })
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        Ok(self.checkpoint.read(name, &[length])?)
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
    fn take(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        let values = self
            .tables
            .take(name)
            .filter(|values| values.len() == length);
        Ok(values.ok_or_else(|| missing(name, length))?)
    }
}

fn missing(name: &str, length: usize) -> ModelError {
    let problem = format!("weight `{name}` with {length} numbers is missing");
    ModelError::setting(problem, "the weights do not belong to this config")
}

impl WeightSource for InMemory {
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights> {
        let values = self.take(&format!("{module}.weight"), rows * columns)?;
        self.format.hold(module, &values, rows, columns)
    }

    fn frozen(&mut self, module: &str, rows: usize, columns: usize) -> Result<FrozenMatrix> {
        // Left there: the head may be the embedding, which is asked for as well.
        let values = self.tables.get(&format!("{module}.weight"));
        let values = values.filter(|values| values.len() == rows * columns);
        let values = values.ok_or_else(|| missing(module, rows * columns))?;
        self.format.freeze(module, values, rows, columns)
    }

    fn vector(&mut self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.take(name, length)
    }
}

/// Weights drawn when they are asked for, uniform with deviation 0.02, so that no more than one
/// matrix is ever in memory in f32; norms are ones.
pub struct Drawn {
    /// How matrices are held.
    pub format: WeightFormat,
    rng: ChaCha8Rng,
}

impl Drawn {
    /// The weights of a seed.
    pub fn new(format: WeightFormat, seed: u64) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(seed);
        Self { format, rng }
    }

    fn draw(&mut self, count: usize) -> Vec<f32> {
        let bound = 0.02 * 3f32.sqrt();
        (0..count)
            .map(|_| self.rng.random_range(-bound..bound))
            .collect()
    }
}

impl WeightSource for Drawn {
    fn matrix(&mut self, module: &str, rows: usize, columns: usize) -> Result<Weights> {
        let values = self.draw(rows * columns);
        self.format.hold(module, &values, rows, columns)
    }

    fn frozen(&mut self, module: &str, rows: usize, columns: usize) -> Result<FrozenMatrix> {
        let values = self.draw(rows * columns);
        self.format.freeze(module, &values, rows, columns)
    }

    fn vector(&mut self, _: &str, length: usize) -> Result<Vec<f32>> {
        Ok(vec![1.0; length])
    }
}

fn is_table(module: &str) -> bool {
    module == "lm_head" || module.ends_with("embed_tokens")
}

impl WeightFormat {
    /// As [`WeightFormat::hold`], for a device.
    fn freeze(
        self,
        module: &str,
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Result<FrozenMatrix> {
        let table = is_table(module);
        Ok(match self {
            Self::F32 => FrozenMatrix::floats(values.to_vec(), rows, columns),
            Self::Bf16 => FrozenMatrix::bf16(values, rows, columns),
            Self::Nf4 if table => FrozenMatrix::bf16(values, rows, columns),
            Self::Nf4 => FrozenMatrix::nf4(values, rows, columns)?,
            Self::Quantized(bits) => {
                let bits = if table { Bits::Int8 } else { bits };
                FrozenMatrix::codes(QuantizedMatrix::quantize(values, rows, columns, bits)?)
            }
        })
    }

    fn hold(self, module: &str, values: &[f32], rows: usize, columns: usize) -> Result<Weights> {
        let table = is_table(module);
        Ok(match self {
            Self::F32 => Weights::Dense(DenseMatrix::from_f32(values, rows, columns)),
            Self::Bf16 => dense_bf16(values, rows, columns),
            Self::Nf4 if table => dense_bf16(values, rows, columns),
            Self::Nf4 => {
                let nf4 = Nf4::quantize(values)?;
                Weights::Dense(DenseMatrix::from_nf4(&nf4, rows, columns))
            }
            Self::Quantized(bits) => {
                let bits = if table { Bits::Int8 } else { bits };
                let matrix = QuantizedMatrix::quantize(values, rows, columns, bits)?;
                Weights::Quantized(PackedMatrix::new(&matrix))
            }
        })
    }
}

fn dense_bf16(values: &[f32], rows: usize, columns: usize) -> Weights {
    let narrow: Vec<bf16> = values.iter().map(|value| bf16::from_f32(*value)).collect();
    Weights::Dense(DenseMatrix::from_bf16(&narrow, rows, columns))
}
