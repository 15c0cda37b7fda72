//! The compressed-tensors layout (`pack-quantized`), which vLLM loads: codes packed into 32-bit
//! words, low bits first, each as value + half the range; scales in bfloat16; the shape.
//!
//! Knows the tensors of one weight and `quantization_config`; not folders.

use std::path::Path;

use half::bf16;
use safetensors::Dtype;
use serde_json::{Value, json};

use super::GROUP;
use super::matrix::{Bits, QuantizedMatrix};
use crate::checkpoint::Checkpoint;
use crate::error::{ModelError, Result};

/// Which modules are quantized, and to how many bits; from `config.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationConfig {
    /// Target (a module's path, or the class `Linear` or `Embedding`) and bits.
    targets: Vec<(String, Bits)>,
}

impl QuantizationConfig {
    /// Linear layers of the blocks in `bits`; the embedding and the head too, in 8 bits, if
    /// `tables`.
    pub fn new(bits: Bits, tables: bool) -> Self {
        let mut targets = vec![("Linear".to_string(), bits)];
        if tables {
            targets.push(("Embedding".to_string(), Bits::Int8));
            targets.push(("lm_head".to_string(), Bits::Int8));
        }
        Self { targets }
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
        for (key, expected) in [
            ("quant_method", "compressed-tensors"),
            ("format", "pack-quantized"),
        ] {
            if value[key] != expected {
                return Err(refuse(key, &value[key], expected));
            }
        }
        let groups = value["config_groups"].as_object();
        let groups =
            groups.ok_or_else(|| refuse("config_groups", &value["config_groups"], "an object"))?;
        let mut targets = Vec::new();
        for group in groups.values() {
            let bits = group_bits(&group["weights"], &refuse)?;
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
                    .map(|name| (name.to_string(), bits)),
            );
        }
        Ok(Some(Self { targets }))
    }

    /// As `config.json` has it.
    pub fn to_json(&self) -> Value {
        let mut groups = serde_json::Map::new();
        for bits in [Bits::Int4, Bits::Int8] {
            let targets: Vec<&str> = self
                .targets
                .iter()
                .filter(|(_, b)| *b == bits)
                .map(|(name, _)| name.as_str())
                .collect();
            if targets.is_empty() {
                continue;
            }
            let weights = json!({
                "num_bits": bits.width(), "type": "int", "symmetric": true, "strategy": "group",
                "group_size": GROUP, "dynamic": false, "actorder": null, "block_structure": null,
                "observer": "minmax", "observer_kwargs": {}
            });
            let group = json!({"targets": targets, "weights": weights,
                "input_activations": null, "output_activations": null});
            groups.insert(format!("group_{}", groups.len()), group);
        }
        let ignore: &[&str] = if self.bits("lm_head").is_some() {
            &[]
        } else {
            &["lm_head"]
        };
        json!({
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "quantization_status": "compressed", "config_groups": groups, "ignore": ignore,
            "kv_cache_scheme": null, "global_compression_ratio": null
        })
    }

    /// Bits of `module`, such as `model.layers.0.mlp.up_proj`; none when it is kept in floats.
    pub fn bits(&self, module: &str) -> Option<Bits> {
        let class = match module {
            "lm_head" => "lm_head",
            name if name.ends_with("embed_tokens") => "Embedding",
            _ => "Linear",
        };
        let find = |target: &str| self.targets.iter().find(|(name, _)| name == target);
        find(module).or_else(|| find(class)).map(|(_, bits)| *bits)
    }
}

fn group_bits(weights: &Value, refuse: &dyn Fn(&str, &Value, &str) -> ModelError) -> Result<Bits> {
    let group = Value::from(GROUP);
    let checks = [
        ("type", json!("int")),
        ("symmetric", json!(true)),
        ("strategy", json!("group")),
        ("group_size", group),
    ];
    for (key, expected) in checks {
        if weights[key] != expected {
            return Err(refuse(key, &weights[key], &expected.to_string()));
        }
    }
    match weights["num_bits"].as_u64() {
        Some(4) => Ok(Bits::Int4),
        Some(8) => Ok(Bits::Int8),
        _ => Err(refuse("num_bits", &weights["num_bits"], "4, 8")),
    }
}

/// The three tensors of one quantized weight, as bytes.
pub struct PackedTensors {
    /// `weight_packed`: I32 [rows, words].
    pub packed: Vec<u8>,
    /// `weight_scale`: BF16 [rows, groups].
    pub scale: Vec<u8>,
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
            .flat_map(|scale| scale.to_le_bytes())
            .collect();
        let sizes = [matrix.rows() as i64, matrix.columns() as i64];
        let shape = sizes.iter().flat_map(|size| size.to_le_bytes()).collect();
        Self {
            packed,
            scale,
            shape,
            words,
            groups: matrix.columns().div_ceil(GROUP),
        }
    }
}

/// Reads the quantized weight of `module`, which must be [rows, columns] in `bits`.
///
/// # Errors
/// When a tensor is missing or has another shape or number format.
pub fn read_quantized(
    checkpoint: &Checkpoint,
    dir: &Path,
    module: &str,
    rows: usize,
    columns: usize,
    bits: Bits,
) -> Result<QuantizedMatrix> {
    let per_word = 32 / bits.width();
    let groups = columns.div_ceil(GROUP);
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
    let scales = scale
        .as_chunks::<2>()
        .0
        .iter()
        .map(|bytes| match scale_type {
            Dtype::F16 => bf16::from_f32(half::f16::from_le_bytes(*bytes).to_f32()),
            _ => bf16::from_le_bytes(*bytes),
        });
    let codes = unpack(packed, columns, bits);
    QuantizedMatrix::from_parts(rows, columns, bits, codes, scales.collect())
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
        let scales = vec![bf16::from_f32(0.5)];
        let matrix = QuantizedMatrix::from_parts(1, 9, Bits::Int4, codes.clone(), scales).unwrap();
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
            QuantizationConfig::new(Bits::Int4, true),
            QuantizationConfig::new(Bits::Int8, false),
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
                assert_eq!(back.bits(module), config.bits(module), "{module}");
            }
        }
        assert_eq!(
            QuantizationConfig::from_json(&json!({}), path).unwrap(),
            None
        );
        let mut value =
            json!({"quantization_config": QuantizationConfig::new(Bits::Int4, false).to_json()});
        value["quantization_config"]["config_groups"]["group_0"]["weights"]["group_size"] =
            json!(128);
        let refused = QuantizationConfig::from_json(&value, path)
            .unwrap_err()
            .to_string();
        assert_eq!(
            refused,
            "config.json: quantization_config: `group_size` is 128\nhint: supported: 32"
        );
    }
}
