//! Weights as bitsandbytes has them in NF4 with double quantization: what transformers and vLLM load
//! under `quant_method: bitsandbytes`.
//!
//! `weight` U8 [ceil(n / 2), 1], `weight.absmax` U8 [blocks], `weight.quant_map` F32 [16],
//! `weight.nested_absmax` F32 [ceil(blocks / 256)], `weight.nested_quant_map` F32 [256], and
//! `weight.quant_state.bitsandbytes__nf4`, a JSON object as U8. Knows the tensors of one weight;
//! not folders.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Value, json};

use super::folder::Stored;
use super::nf4::{BLOCK, CODE, Nf4};
use super::nf4_scales::{self, NESTED_BLOCK, Nf4Scales};
use crate::checkpoint::Checkpoint;
use crate::error::{ModelError, Result};

/// What is named in errors about a weight.
const HINT: &str = "supported: nf4 in blocks of 64, scales in 8 bits in blocks of 256";

/// Refuses settings of `quantization_config` that no weight here has; `refuse` makes the error for a
/// key, its value and what is supported.
pub(super) fn check(
    value: &Value,
    refuse: &dyn Fn(&str, &Value, &str) -> ModelError,
) -> Result<()> {
    for (key, expected) in [
        ("load_in_4bit", json!(true)),
        ("bnb_4bit_quant_type", json!("nf4")),
        ("bnb_4bit_use_double_quant", json!(true)),
        ("bnb_4bit_quant_storage", json!("uint8")),
    ] {
        // transformers writes this one always, older versions not.
        let absent = key == "bnb_4bit_quant_storage" && value[key].is_null();
        if value[key] != expected && !absent {
            return Err(refuse(key, &value[key], &expected.to_string()));
        }
    }
    Ok(())
}

/// As `config.json` has it, in the words of transformers.
pub(super) fn to_json() -> Value {
    json!({
        "quant_method": "bitsandbytes", "load_in_4bit": true, "load_in_8bit": false,
        "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true,
        "bnb_4bit_compute_dtype": "bfloat16", "bnb_4bit_quant_storage": "uint8",
        "llm_int8_enable_fp32_cpu_offload": false, "llm_int8_has_fp16_weight": false,
        "llm_int8_skip_modules": ["lm_head"], "llm_int8_threshold": 6.0
    })
}

/// The tensors of the weight of `module`, [rows, columns].
pub(super) fn stored(module: &str, nf4: &Nf4, rows: usize, columns: usize) -> Vec<Stored> {
    let floats = |values: &[f32]| {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let scales = nf4.scales();
    let state = json!({
        "quant_type": "nf4", "blocksize": BLOCK, "dtype": "bfloat16", "shape": [rows, columns],
        "nested_blocksize": NESTED_BLOCK, "nested_dtype": "float32",
        "nested_offset": scales.offset()
    });
    let state = state.to_string().into_bytes();
    let map = nf4_scales::code();
    let tensors: [(&str, Dtype, Vec<usize>, Vec<u8>); 6] = [
        (
            "",
            Dtype::U8,
            vec![nf4.packed().len(), 1],
            nf4.packed().to_vec(),
        ),
        (
            ".absmax",
            Dtype::U8,
            vec![scales.codes().len()],
            scales.codes().to_vec(),
        ),
        (".quant_map", Dtype::F32, vec![CODE.len()], floats(&CODE)),
        (
            ".nested_absmax",
            Dtype::F32,
            vec![scales.nested().len()],
            floats(scales.nested()),
        ),
        (
            ".nested_quant_map",
            Dtype::F32,
            vec![map.len()],
            floats(map),
        ),
        (STATE, Dtype::U8, vec![state.len()], state),
    ];
    let stored = tensors
        .into_iter()
        .map(|(suffix, dtype, shape, bytes)| Stored {
            name: format!("{module}.weight{suffix}"),
            dtype,
            shape,
            bytes,
        });
    stored.collect()
}

const STATE: &str = ".quant_state.bitsandbytes__nf4";

/// The suffixes of a module's tensors.
pub const SUFFIXES: [&str; 6] = [
    "weight",
    "weight.absmax",
    "weight.quant_map",
    "weight.nested_absmax",
    "weight.nested_quant_map",
    "weight.quant_state.bitsandbytes__nf4",
];

/// Whether the weight of `module` is stored so.
pub(super) fn is_stored(checkpoint: &Checkpoint, module: &str) -> bool {
    checkpoint.contains(&format!("{module}.weight.absmax"))
}

/// Reads the weight of `module`, which must be [rows, columns].
///
/// # Errors
/// When a tensor is missing or has another shape or number format, or says another code.
pub(super) fn read(
    checkpoint: &Checkpoint,
    dir: &Path,
    module: &str,
    rows: usize,
    columns: usize,
) -> Result<Nf4> {
    let refused = |problem: String| ModelError::invalid(dir, problem, HINT);
    let tensor = |suffix: &str, dtype: Dtype, shape: &[usize]| {
        let name = format!("{module}.weight{suffix}");
        match checkpoint.raw(&name) {
            Some((bytes, found, size)) if found == dtype && size == shape => Ok(bytes),
            Some((_, found, size)) => Err(refused(format!(
                "tensor `{name}` is {found:?} {size:?}, not {dtype:?} {shape:?}"
            ))),
            None => Err(refused(format!("tensor `{name}` is missing"))),
        }
    };
    let floats = |bytes: &[u8]| -> Vec<f32> {
        let words = bytes.as_chunks::<4>().0.iter();
        words.map(|word| f32::from_le_bytes(*word)).collect()
    };
    let state = format!("{module}.weight{STATE}");
    let Some((bytes, ..)) = checkpoint.raw(&state) else {
        return Err(refused(format!("tensor `{state}` is missing")));
    };
    let settings: Value = serde_json::from_slice(bytes)
        .map_err(|error| refused(format!("tensor `{state}` is no JSON: {error}")))?;
    for (key, expected) in [
        ("quant_type", json!("nf4")),
        ("blocksize", json!(BLOCK)),
        ("shape", json!([rows, columns])),
        ("nested_blocksize", json!(NESTED_BLOCK)),
    ] {
        if settings[key] != expected {
            let problem = format!(
                "tensor `{state}`: `{key}` is {}, not {expected}",
                settings[key]
            );
            return Err(refused(problem));
        }
    }
    let offset = settings["nested_offset"].as_f64();
    let offset = offset.filter(|offset| offset.is_finite()).ok_or_else(|| {
        refused(format!(
            "tensor `{state}`: `nested_offset` is {}",
            settings["nested_offset"]
        ))
    })?;
    for (suffix, map) in [
        (".quant_map", &CODE[..]),
        (".nested_quant_map", nf4_scales::code()),
    ] {
        if floats(tensor(suffix, Dtype::F32, &[map.len()])?) != map {
            return Err(refused(format!(
                "tensor `{module}.weight{suffix}` is another code"
            )));
        }
    }
    let count = rows * columns;
    let blocks = count.div_ceil(BLOCK);
    let nested = tensor(
        ".nested_absmax",
        Dtype::F32,
        &[blocks.div_ceil(NESTED_BLOCK)],
    )?;
    let codes = tensor(".absmax", Dtype::U8, &[blocks])?;
    let packed = tensor("", Dtype::U8, &[count.div_ceil(2), 1])?;
    let scales = Nf4Scales::from_parts(codes.to_vec(), floats(nested), offset as f32);
    Ok(Nf4::from_parts(count, packed.to_vec(), scales))
}
