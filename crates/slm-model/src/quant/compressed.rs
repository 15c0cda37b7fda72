//! The compressed-tensors layout (`pack-quantized`), which vLLM loads: codes packed into 32-bit
//! words, low bits first, each as value + half the range; scales in bfloat16 or half precision; the
//! shape.
//!
//! Knows the tensors of one weight and `quantization_config`; not folders.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};

use super::GROUP;
use super::gptq_format::{self, GptqSettings};
use super::matrix::{Bits, Format, Group, QuantizedMatrix, ScaleType};
use super::nf4::Nf4;
use super::nf4_format;
use crate::checkpoint::Checkpoint;
use crate::error::{ModelError, Result};

/// Which modules are quantized, and how; from `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationConfig {
    /// Target (a module's path, or the class `Linear` or `Embedding`) and format.
    targets: Vec<(String, Format)>,
    layout: Layout,
}

/// How weights are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    /// As compressed-tensors has them.
    Compressed,
    /// As GPTQ checkpoints have them.
    Gptq(GptqSettings),
    /// As bitsandbytes has NF4.
    Nf4,
}

impl QuantizationConfig {
    /// Linear layers of the blocks in `format`; the embedding and the head too, in 8 bits, if
    /// `tables`.
    pub fn new(format: Format, tables: bool) -> Self {
        let mut targets = vec![("Linear".to_string(), format)];
        if tables {
            let table = Format::grouped(Bits::Int8);
            targets.push(("Embedding".to_string(), table));
            targets.push(("lm_head".to_string(), table));
        }
        let layout = Layout::Compressed;
        Self { targets, layout }
    }

    /// Linear layers of the blocks in NF4, as bitsandbytes stores it.
    pub fn nf4() -> Self {
        let layout = Layout::Nf4;
        Self {
            targets: Vec::new(),
            layout,
        }
    }

    /// As [`QuantizationConfig::new`], with the modules named one by one.
    pub(crate) fn of_modules(targets: Vec<(String, Format)>) -> Self {
        let layout = Layout::Compressed;
        Self { targets, layout }
    }

    /// Reads `quantization_config` of a `config.json`; nothing when the model is not quantized.
    /// `path` is for messages.
    ///
    /// # Errors
    /// When the method, the format or a group's settings are none that load here; each is named.
    pub fn from_json(config: &Value, path: &Path) -> Result<Option<Self>> {
        let Some(value) = config
            .get("quantization_config")
            .filter(|value| !value.is_null())
        else {
            return Ok(None);
        };
        let refuse = |what: &str, got: &Value, expected: &str| {
            let problem = format!("quantization_config: `{what}` is {got}");
            ModelError::invalid(path, problem, format!("supported: {expected}"))
        };
        if value["quant_method"] == "gptq" {
            let settings = GptqSettings::read(value, &refuse)?;
            return Ok(Some(Self {
                targets: vec![("Linear".to_string(), settings.format())],
                layout: Layout::Gptq(settings),
            }));
        }
        if value["quant_method"] == "bitsandbytes" {
            nf4_format::check(value, &refuse)?;
            return Ok(Some(Self::nf4()));
        }
        for (key, expected) in [
            ("quant_method", "compressed-tensors"),
            ("format", "pack-quantized"),
        ] {
            if value[key] != expected {
                let others = match key {
                    "quant_method" => "compressed-tensors, gptq, bitsandbytes",
                    _ => expected,
                };
                return Err(refuse(key, &value[key], others));
            }
        }
        let groups = value["config_groups"].as_object();
        let groups =
            groups.ok_or_else(|| refuse("config_groups", &value["config_groups"], "an object"))?;
        let mut targets = Vec::new();
        for group in groups.values() {
            let format = group_format(&group["weights"], &refuse)?;
            if !group["input_activations"].is_null() {
                return Err(refuse(
                    "input_activations",
                    &group["input_activations"],
                    "null",
                ));
            }
            let names = group["targets"].as_array();
            let names =
                names.ok_or_else(|| refuse("targets", &group["targets"], "a list of names"))?;
            targets.extend(
                names
                    .iter()
                    .filter_map(Value::as_str)
                    .map(|name| (name.to_string(), format)),
            );
        }
        let layout = Layout::Compressed;
        Ok(Some(Self { targets, layout }))
    }

    /// As `config.json` has it.
    pub fn to_json(&self) -> Value {
        if self.layout == Layout::Nf4 {
            return nf4_format::to_json();
        }
        let mut groups = serde_json::Map::new();
        let mut left: Vec<&(String, Format)> = self.targets.iter().collect();
        while let Some((_, format)) = left.first().copied() {
            let same = left.extract_if(.., |(_, other)| other == format);
            let targets: Vec<&str> = same.map(|(name, _)| name.as_str()).collect();
            let (strategy, group_size) = match format.group {
                Group::Columns(width) => ("group", json!(width)),
                Group::Channel => ("channel", Value::Null),
            };
            let weights = json!({
                "num_bits": format.bits.width(), "type": "int", "symmetric": true,
                "strategy": strategy, "group_size": group_size, "dynamic": false,
                "actorder": null, "block_structure": null, "observer": "minmax",
                "observer_kwargs": {}
            });
            let group = json!({"targets": targets, "weights": weights,
                "input_activations": null, "output_activations": null});
            groups.insert(format!("group_{}", groups.len()), group);
        }
        let ignore: &[&str] = match self.format("lm_head") {
            Some(_) => &[],
            None => &["lm_head"],
        };
        json!({
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "quantization_status": "compressed", "config_groups": groups, "ignore": ignore,
            "kv_cache_scheme": null, "global_compression_ratio": null
        })
    }

    /// Whether the weight of `module` is quantized.
    pub fn quantizes(&self, module: &str) -> bool {
        match self.layout {
            Layout::Nf4 => class(module) == "Linear",
            _ => self.format(module).is_some(),
        }
    }

    /// Format of `module`, such as `model.layers.0.mlp.up_proj`; none when it is kept in floats, or
    /// in NF4, which is no format of integers.
    pub fn format(&self, module: &str) -> Option<Format> {
        let find = |target: &str| self.targets.iter().find(|(name, _)| name == target);
        let found = find(module).or_else(|| find(class(module)));
        found.map(|(_, format)| *format)
    }

    /// Reads the quantized weight of `module`, [rows, columns]; none when the checkpoint has it in
    /// floats.
    ///
    /// # Errors
    /// When a tensor is missing or has another shape or number format.
    pub fn read(
        &self,
        checkpoint: &Checkpoint,
        dir: &Path,
        module: &str,
        rows: usize,
        columns: usize,
    ) -> Result<Option<StoredWeight>> {
        if self.layout == Layout::Nf4 {
            return match nf4_format::is_stored(checkpoint, module) {
                true => nf4_format::read(checkpoint, dir, module, rows, columns)
                    .map(|nf4| Some(StoredWeight::Nf4(nf4))),
                false => Ok(None),
            };
        }
        let in_floats = checkpoint.contains(&format!("{module}.weight"));
        let Some(format) = self.format(module).filter(|_| !in_floats) else {
            return Ok(None);
        };
        match &self.layout {
            Layout::Gptq(settings) => {
                gptq_format::read(checkpoint, dir, module, rows, columns, settings).map(Some)
            }
            _ => read_quantized(checkpoint, dir, module, rows, columns, format)
                .map(|matrix| Some(StoredWeight::Packed(matrix))),
        }
    }
}

/// The class that targets call a module by.
fn class(module: &str) -> &'static str {
    match module {
        "lm_head" => "lm_head",
        name if name.ends_with("embed_tokens") => "Embedding",
        _ => "Linear",
    }
}

/// A quantized weight as read.
pub enum StoredWeight {
    /// Codes and scales.
    Packed(QuantizedMatrix),
    /// NF4, row-major.
    Nf4(Nf4),
    /// The values, row-major, of a layout whose codes no kernel here reads.
    Floats(Vec<f32>),
}

impl StoredWeight {
    /// The values, row-major.
    pub fn values(self) -> Vec<f32> {
        match self {
            Self::Packed(matrix) => matrix.dequantize(),
            Self::Nf4(nf4) => nf4.values(),
            Self::Floats(values) => values,
        }
    }
}

fn group_format(
    weights: &Value,
    refuse: &dyn Fn(&str, &Value, &str) -> ModelError,
) -> Result<Format> {
    for (key, expected) in [("type", json!("int")), ("symmetric", json!(true))] {
        if weights[key] != expected {
            return Err(refuse(key, &weights[key], &expected.to_string()));
        }
    }
    let group = match weights["strategy"].as_str() {
        Some("channel") => Group::Channel,
        Some("group") => match weights["group_size"].as_u64() {
            Some(size) if size > 0 && size.is_multiple_of(GROUP as u64) => {
                Group::Columns(size as usize)
            }
            _ => {
                let expected = format!("multiples of {GROUP}");
                return Err(refuse("group_size", &weights["group_size"], &expected));
            }
        },
        _ => return Err(refuse("strategy", &weights["strategy"], "group, channel")),
    };
    let bits = match weights["num_bits"].as_u64() {
        Some(4) => Bits::Int4,
        Some(8) => Bits::Int8,
        _ => return Err(refuse("num_bits", &weights["num_bits"], "4, 8")),
    };
    Ok(Format { bits, group })
}

/// The three tensors of one quantized weight, as bytes.
pub struct PackedTensors {
    /// `weight_packed`: I32 [rows, words].
    pub packed: Vec<u8>,
    /// `weight_scale`: [rows, groups].
    pub scale: Vec<u8>,
    /// Its number format.
    pub scale_type: Dtype,
    /// `weight_shape`: I64 [2].
    pub shape: Vec<u8>,
    /// Words per row.
    pub words: usize,
    /// Groups per row.
    pub groups: usize,
}

impl PackedTensors {
    /// Packs `matrix`.
    pub fn new(matrix: &QuantizedMatrix) -> Self {
        let per_word = 32 / matrix.bits().width();
        let words = matrix.columns().div_ceil(per_word);
        let mut packed = Vec::with_capacity(words * 4 * matrix.rows());
        for row in matrix.codes().chunks_exact(matrix.columns()) {
            for codes in row.chunks(per_word) {
                let word = codes.iter().enumerate().fold(0u32, |word, (i, code)| {
                    let stored = (i32::from(*code) + matrix.bits().half()) as u32;
                    word | stored << (i * matrix.bits().width())
                });
                packed.extend(word.to_le_bytes());
            }
        }
        let scale = matrix
            .scales()
            .iter()
            .flat_map(|scale| matrix.scale_type().bits(*scale).to_le_bytes())
            .collect();
        let sizes = [matrix.rows() as i64, matrix.columns() as i64];
        let shape = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        Self {
            packed,
            scale,
            scale_type: match matrix.scale_type() {
                ScaleType::Bf16 => Dtype::BF16,
                ScaleType::F16 => Dtype::F16,
            },
            shape,
            words,
            groups: matrix.format().group.count(matrix.columns()),
        }
    }
}

/// Reads the quantized weight of `module`, which must be [rows, columns] in `format`.
///
/// # Errors
/// When a tensor is missing or has another shape or number format.
pub fn read_quantized(
    checkpoint: &Checkpoint,
    dir: &Path,
    module: &str,
    rows: usize,
    columns: usize,
    format: Format,
) -> Result<QuantizedMatrix> {
    let per_word = 32 / format.bits.width();
    let groups = format.group.count(columns);
    let read = |suffix: &str, dtypes: &[Dtype], shape: [usize; 2]| {
        let name = format!("{module}.{suffix}");
        match checkpoint.raw(&name) {
            Some((bytes, dtype, found)) if dtypes.contains(&dtype) && found == shape => {
                Ok((bytes, dtype))
            }
            Some((_, dtype, found)) => {
                let problem = format!(
                    "tensor `{name}` is {dtype:?} {found:?}, not {:?} {shape:?}",
                    dtypes[0]
                );
                Err(ModelError::invalid(
                    dir,
                    problem,
                    "the weights do not belong to this config.json",
                ))
            }
            None => {
                let problem = format!("tensor `{name}` is missing");
                Err(ModelError::invalid(
                    dir,
                    problem,
                    "the weights do not belong to this config.json",
                ))
            }
        }
    };
    let (packed, _) = read(
        "weight_packed",
        &[Dtype::I32],
        [rows, columns.div_ceil(per_word)],
    )?;
    let (scale, scale_type) = read("weight_scale", &[Dtype::BF16, Dtype::F16], [rows, groups])?;
    let scale_type = match scale_type {
        Dtype::F16 => ScaleType::F16,
        _ => ScaleType::Bf16,
    };
    let bits = scale.as_chunks::<2>().0.iter();
    let scales = bits.map(|bytes| scale_type.value(u16::from_le_bytes(*bytes)));
    let codes = unpack(packed, columns, format.bits);
    QuantizedMatrix::from_parts(rows, columns, format, codes, scales.collect(), scale_type)
}

fn unpack(packed: &[u8], columns: usize, bits: Bits) -> Vec<i8> {
    let (width, mask) = (bits.width(), (1u32 << bits.width()) - 1);
    let words_per_row = columns.div_ceil(32 / width);
    let row = |words: &[u8]| -> Vec<i8> {
        let words = words
            .as_chunks::<4>()
            .0
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes));
        let codes = words.flat_map(|word| (0..32 / width).map(move |i| word >> (i * width) & mask));
        codes
            .take(columns)
            .map(|code| (code as i32 - bits.half()) as i8)
            .collect()
    };
    packed
        .chunks_exact(4 * words_per_row.max(1))
        .flat_map(row)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_follows_the_layout() {
        let codes = vec![-8, -7, 0, 7, 1, 2, 3, 4, 5];
        let format = Format::grouped(Bits::Int4);
        let matrix =
            QuantizedMatrix::from_parts(1, 9, format, codes.clone(), vec![0.5], ScaleType::Bf16)
                .unwrap();
        let tensors = PackedTensors::new(&matrix);
        assert_eq!((tensors.words, tensors.groups), (2, 1));
        assert_eq!(
            tensors.packed,
            0xCBA9_F810_u32
                .to_le_bytes()
                .iter()
                .chain(&13u32.to_le_bytes())
                .copied()
                .collect::<Vec<u8>>()
        );
        assert_eq!(unpack(&tensors.packed, 9, Bits::Int4), codes);
    }

    #[test]
    fn config_round_trips_and_refuses_by_name() {
        let path = Path::new("config.json");
        for config in [
            QuantizationConfig::new(Format::grouped(Bits::Int4), true),
            QuantizationConfig::new(Format::grouped(Bits::Int8), false),
            QuantizationConfig::new(
                Format {
                    bits: Bits::Int8,
                    group: Group::Channel,
                },
                true,
            ),
        ] {
            let value = json!({"quantization_config": config.to_json()});
            let back = QuantizationConfig::from_json(&value, path)
                .unwrap()
                .unwrap();
            for module in [
                "lm_head",
                "model.embed_tokens",
                "model.layers.3.mlp.up_proj",
            ] {
                assert_eq!(back.format(module), config.format(module), "{module}");
            }
        }
        assert_eq!(
            QuantizationConfig::from_json(&json!({}), path).unwrap(),
            None
        );
        let config = QuantizationConfig::new(Format::grouped(Bits::Int4), false);
        let mut value = json!({"quantization_config": config.to_json()});
        value["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] =
            json!(48);
        let refused = QuantizationConfig::from_json(&value, path)
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "config.json: quantization_config: `group_size` is 48\nhint: supported: multiples of 32"
        );
    }
}
