//! Quantizing a whole model folder to another, in the layout of compressed-tensors or bitsandbytes.
//!
//! The new folder appears whole, by a rename, or not at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::bf16;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;
use serde_json::Value;

use super::compressed::{PackedTensors, QuantizationConfig, StoredWeight};
use super::matrix::{Bits, Format, Method, QuantizedMatrix};
use super::nf4::Nf4;
use super::nf4_format;
use crate::checkpoint::{Checkpoint, write_atomically, write_views};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::weights::copy_companions;

/// What to quantize, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuantizeSettings {
    /// Format of the linear layers' weights.
    pub format: Format,
    /// How their scales are chosen.
    pub method: Method,
    /// Whether the embedding and the head are quantized too, to 8 bits; otherwise bfloat16.
    pub tables: bool,
}

impl QuantizeSettings {
    /// Groups of 32, with a search over scales at 4 bits.
    pub fn new(bits: Bits, tables: bool) -> Self {
        Self {
            format: Format::grouped(bits),
            method: match bits {
                Bits::Int8 => Method::Nearest,
                Bits::Int4 => Method::Search,
            },
            tables,
        }
    }

    /// Quantizes one weight; tables always as [`QuantizedMatrix::quantize`] does.
    fn quantize(
        self,
        module: &str,
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Result<QuantizedMatrix> {
        match module == "lm_head" || module.ends_with("embed_tokens") {
            true => QuantizedMatrix::quantize(values, rows, columns, Bits::Int8),
            false => QuantizedMatrix::quantize_as(values, rows, columns, self.format, self.method),
        }
    }
}

/// What quantization did to a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantizeReport {
    /// Bytes of all tensors before, as stored.
    pub bytes_before: usize,
    /// Bytes of all tensors after.
    pub bytes_after: usize,
    /// Bits stored per weight of the model, scales and floats included.
    pub bits_per_weight: f64,
    /// The quantized tensors, in the model's order.
    pub tensors: Vec<TensorReport>,
}

/// What quantization did to one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorReport {
    /// Hugging Face name.
    pub name: String,
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub columns: usize,
    /// Width of the codes.
    pub bits: usize,
    /// Root of the mean squared error, divided by that of the weights.
    pub relative_error: f64,
}

/// Quantizes the model in `source` to a new folder `target`, which it replaces if it is there.
///
/// # Errors
/// When the source is no model that loads here, is quantized already, or holds a number that is
/// not finite; when the target cannot be written. An older target is then left whole.
pub fn quantize_checkpoint(
    source: &Path,
    target: &Path,
    settings: QuantizeSettings,
) -> Result<QuantizeReport> {
    quantize_checkpoint_with(source, target, settings, BTreeMap::new())
}

/// As [`quantize_checkpoint`], with the weights of some modules quantized already, by the path of
/// the module.
///
/// # Errors
/// As [`quantize_checkpoint`].
pub fn quantize_checkpoint_with(
    source: &Path,
    target: &Path,
    settings: QuantizeSettings,
    mut ready: BTreeMap<String, QuantizedMatrix>,
) -> Result<QuantizeReport> {
    let quantization = QuantizationConfig::new(settings.format, settings.tables);
    let mut quantize = |module: &str, values: &[f32], rows, columns| {
        let matrix = match ready.remove(module) {
            Some(matrix) => Ok(matrix),
            None => settings.quantize(module, values, rows, columns),
        };
        matrix.map(StoredWeight::Packed)
    };
    quantize_folder(source, target, &quantization, &mut quantize)
}

/// Quantizes the linear layers of the model in `source` to NF4 with double quantization, in a new
/// folder `target` in the layout of bitsandbytes. Embedding and head become bfloat16.
///
/// # Errors
/// As [`quantize_checkpoint`].
pub fn quantize_checkpoint_nf4(source: &Path, target: &Path) -> Result<QuantizeReport> {
    let mut quantize = |_: &str, values: &[f32], _, _| Nf4::quantize(values).map(StoredWeight::Nf4);
    quantize_folder(source, target, &QuantizationConfig::nf4(), &mut quantize)
}

fn quantize_folder(
    source: &Path,
    target: &Path,
    quantization: &QuantizationConfig,
    quantize: Quantize<'_>,
) -> Result<QuantizeReport> {
    let config = ModelConfig::load(source)?;
    let path = source.join("config.json");
    let mut json = config.json();
    if json
        .get("quantization_config")
        .is_some_and(|value| !value.is_null())
    {
        return Err(ModelError::invalid(
            &path,
            "the model is quantized already",
            "quantize the original",
        ));
    }
    json["quantization_config"] = quantization.to_json();
    let checkpoint = Checkpoint::open(source)?;
    let (stored, tensors) = quantize_tensors(&checkpoint, &config, quantization, quantize)?;
    let bytes_after = stored.iter().map(|tensor| tensor.bytes.len()).sum();
    write_folder(target, |folder| {
        write_stored(folder, &stored, &json)?;
        copy_companions(source, folder)
    })?;
    Ok(QuantizeReport {
        bytes_before: checkpoint.stored_bytes(),
        bytes_after,
        bits_per_weight: 8.0 * bytes_after as f64 / config.parameters() as f64,
        tensors,
    })
}

/// A tensor ready to write.
pub(crate) struct Stored {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

/// Writes weights and config of a checkpoint, the config last.
pub(crate) fn write_stored(folder: &Path, stored: &[Stored], json: &Value) -> Result<()> {
    write_views(&folder.join("model.safetensors"), views(stored, folder)?)?;
    let text = serde_json::to_string_pretty(json).unwrap_or_default();
    write_atomically(&folder.join("config.json"), text.as_bytes())
}

/// Quantizes the weight of a module: its path, values, rows and columns.
type Quantize<'a> = &'a mut dyn FnMut(&str, &[f32], usize, usize) -> Result<StoredWeight>;

fn quantize_tensors(
    checkpoint: &Checkpoint,
    config: &ModelConfig,
    quantization: &QuantizationConfig,
    quantize: Quantize<'_>,
) -> Result<(Vec<Stored>, Vec<TensorReport>)> {
    let (mut stored, mut reports) = (Vec::new(), Vec::new());
    for (name, shape) in config.tensors() {
        let values = checkpoint.read(&name, &shape)?;
        let module = name.trim_end_matches(".weight");
        match (quantization.quantizes(module), shape.as_slice()) {
            (true, &[rows, columns]) => {
                let weight = quantize(module, &values, rows, columns).map_err(|e| {
                    ModelError::setting(format!("tensor `{name}`: {e}"), "see above")
                })?;
                let bits = match &weight {
                    StoredWeight::Packed(matrix) => {
                        stored.extend(packed(module, matrix));
                        matrix.bits().width()
                    }
                    StoredWeight::Nf4(nf4) => {
                        stored.extend(nf4_format::stored(module, nf4, rows, columns));
                        4
                    }
                    StoredWeight::Floats(_) => unreachable!("nothing is quantized to floats"),
                };
                reports.push(TensorReport {
                    name,
                    rows,
                    columns,
                    bits,
                    relative_error: relative_error(&values, &weight.values()),
                });
            }
            (_, shape) => stored.push(kept(&name, shape, &values, checkpoint)),
        }
    }
    Ok((stored, reports))
}

/// Root of the mean squared error, divided by that of the values.
fn relative_error(values: &[f32], quantized: &[f32]) -> f64 {
    let square = |sum: f64, value: f32| sum + f64::from(value) * f64::from(value);
    let errors = values.iter().zip(quantized).map(|(a, b)| a - b);
    let (errors, weights) = (
        errors.fold(0.0, square),
        values.iter().copied().fold(0.0, square),
    );
    match weights > 0.0 {
        true => (errors / weights).sqrt(),
        false => 0.0,
    }
}

pub(crate) fn packed(module: &str, matrix: &QuantizedMatrix) -> [Stored; 3] {
    let tensors = PackedTensors::new(matrix);
    let stored = |suffix: &str, dtype, shape, bytes| Stored {
        name: format!("{module}.{suffix}"),
        dtype,
        shape,
        bytes,
    };
    [
        stored(
            "weight_packed",
            Dtype::I32,
            vec![matrix.rows(), tensors.words],
            tensors.packed,
        ),
        stored(
            "weight_scale",
            tensors.scale_type,
            vec![matrix.rows(), tensors.groups],
            tensors.scale,
        ),
        stored("weight_shape", Dtype::I64, vec![2], tensors.shape),
    ]
}

/// What is not quantized: tables in bfloat16, norms as they were.
fn kept(name: &str, shape: &[usize], values: &[f32], checkpoint: &Checkpoint) -> Stored {
    let (name, shape) = (name.to_string(), shape.to_vec());
    match checkpoint.raw(&name) {
        Some((bytes, dtype, _)) if shape.len() == 1 => Stored {
            name,
            dtype,
            shape,
            bytes: bytes.to_vec(),
        },
        _ => {
            let bytes = values
                .iter()
                .flat_map(|value| bf16::from_f32(*value).to_le_bytes())
                .collect();
            Stored {
                name,
                dtype: Dtype::BF16,
                shape,
                bytes,
            }
        }
    }
}

fn views<'a>(stored: &'a [Stored], folder: &Path) -> Result<Vec<(String, TensorView<'a>)>> {
    let view = |tensor: &'a Stored| {
        TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.bytes)
            .map(|view| (tensor.name.clone(), view))
            .map_err(|e| {
                ModelError::invalid(
                    folder,
                    format!("tensor `{}`: {e}", tensor.name),
                    "report this",
                )
            })
    };
    stored.iter().map(view).collect()
}

/// Fills a temporary sibling of `target` and puts it in `target`'s place.
pub(crate) fn write_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let temporary = sibling(target, "tmp");
    let _ = std::fs::remove_dir_all(&temporary);
    std::fs::create_dir_all(&temporary).map_err(|e| ModelError::io("write", &temporary, e))?;
    let done = fill(&temporary).and_then(|()| replace(&temporary, target));
    if done.is_err() {
        let _ = std::fs::remove_dir_all(&temporary);
    }
    done
}

fn replace(temporary: &Path, target: &Path) -> Result<()> {
    let failed = |e| ModelError::io("write", target, e);
    if !target.exists() {
        return std::fs::rename(temporary, target).map_err(failed);
    }
    let old = sibling(target, "old");
    std::fs::rename(target, &old).map_err(failed)?;
    if let Err(e) = std::fs::rename(temporary, target) {
        let _ = std::fs::rename(&old, target);
        return Err(failed(e));
    }
    let _ = std::fs::remove_dir_all(&old);
    Ok(())
}

fn sibling(target: &Path, kind: &str) -> PathBuf {
    let name = target
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    target.with_file_name(format!(".{name}.{kind}-{}", std::process::id()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::StoredType;
    use crate::quant::read_quantized;
    use crate::weights::Weights;

    fn tiny() -> ModelConfig {
        let json = serde_json::json!({"model_type": "llama", "vocab_size": 50, "hidden_size": 48,
            "intermediate_size": 70, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "tie_word_embeddings": true, "eos_token_id": 1});
        ModelConfig::from_json(&json, Path::new("tiny")).unwrap()
    }

    #[test]
    fn a_folder_loads_back_bit_exact_and_replaces_an_older_one() {
        let room = tempfile::tempdir().unwrap();
        let (source, target) = (room.path().join("a"), room.path().join("b"));
        let config = tiny();
        let weights = Weights::random(&config, 3);
        weights
            .save(&source, &config, None, StoredType::Bf16)
            .unwrap();
        std::fs::write(source.join("tokenizer.json"), "{}").unwrap();
        let original = Checkpoint::open(&source).unwrap();
        for (bits, tables, most) in [(Bits::Int8, false, 12.0), (Bits::Int4, true, 8.0)] {
            let report =
                quantize_checkpoint(&source, &target, QuantizeSettings::new(bits, tables)).unwrap();
            assert!(
                report.bits_per_weight < most,
                "{} bits",
                report.bits_per_weight
            );
            assert_eq!(report.tensors.len(), 14 + usize::from(tables));
            let worst = if bits == Bits::Int8 { 0.01 } else { 0.1 };
            assert!(
                report
                    .tensors
                    .iter()
                    .all(|t| t.relative_error > 0.0 && t.relative_error < worst)
            );
            let back = Checkpoint::open(&target).unwrap();
            assert_eq!(back.stored_bytes(), report.bytes_after);
            let json: Value =
                serde_json::from_slice(&std::fs::read(target.join("config.json")).unwrap())
                    .unwrap();
            let quantization = QuantizationConfig::from_json(&json, &target)
                .unwrap()
                .unwrap();
            for (name, shape) in config.tensors() {
                let values = original.read(&name, &shape).unwrap();
                let module = name.trim_end_matches(".weight");
                match quantization.format(module) {
                    Some(format) if shape.len() == 2 => {
                        let fresh =
                            QuantizedMatrix::quantize(&values, shape[0], shape[1], format.bits)
                                .unwrap();
                        let read =
                            read_quantized(&back, &target, module, shape[0], shape[1], format)
                                .unwrap();
                        assert_eq!(read, fresh, "{name}");
                    }
                    _ => assert_eq!(back.read(&name, &shape).unwrap(), values, "{name}"),
                }
            }
            assert!(target.join("tokenizer.json").is_file());
        }
        assert_eq!(
            std::fs::read_dir(room.path()).unwrap().count(),
            2,
            "temporary folders are gone"
        );
        let again = quantize_checkpoint(
            &target,
            &room.path().join("c"),
            QuantizeSettings::new(Bits::Int8, false),
        );
        assert!(again.unwrap_err().to_string().contains("quantized already"));
        assert!(!room.path().join("c").exists());
    }

    #[test]
    fn nf4_comes_back_with_the_codes_that_were_written() {
        let room = tempfile::tempdir().unwrap();
        let (source, target) = (room.path().join("a"), room.path().join("b"));
        let config = tiny();
        let weights = Weights::random(&config, 3);
        weights
            .save(&source, &config, None, StoredType::F32)
            .unwrap();
        let report = quantize_checkpoint_nf4(&source, &target).unwrap();
        assert_eq!(report.tensors.len(), 14);
        assert!(
            report
                .tensors
                .iter()
                .all(|t| t.bits == 4 && t.relative_error < 0.11)
        );
        let (original, back) = (
            Checkpoint::open(&source).unwrap(),
            Checkpoint::open(&target).unwrap(),
        );
        let json = std::fs::read(target.join("config.json")).unwrap();
        let json: Value = serde_json::from_slice(&json).unwrap();
        let quantization = QuantizationConfig::from_json(&json, &target)
            .unwrap()
            .unwrap();
        let read = |name: &str, rows, columns| {
            let module = name.trim_end_matches(".weight");
            quantization.read(&back, &target, module, rows, columns)
        };
        let held = Weights::load(&target, &ModelConfig::load(&target).unwrap()).unwrap();
        assert!(held.is_packed());
        for (name, shape) in config.tensors() {
            let values = original.read(&name, &shape).unwrap();
            match (name.starts_with("model.layers."), shape.as_slice()) {
                (true, &[rows, columns]) => {
                    let fresh = Nf4::quantize(&values).unwrap();
                    let Ok(Some(StoredWeight::Nf4(found))) = read(&name, rows, columns) else {
                        panic!("{name} is not in NF4");
                    };
                    assert_eq!(found, fresh, "{name}");
                    assert!(read(&name, columns + 1, rows).is_err());
                }
                (false, &[rows, columns]) => assert!(read(&name, rows, columns).unwrap().is_none()),
                _ => assert_eq!(back.read(&name, &shape).unwrap(), values, "{name}"),
            }
        }
    }
}
