//! A GGUF file as a model's folder: codes and scales of Q8_0 and Q4_0 as they are, in
//! compressed-tensors layout; floats in their own width.

use std::path::Path;

use safetensors::Dtype;
use serde_json::{Map, Value, json};

use super::blocks::{self, BlockType};
use super::export::{in_order, is_norm, reordered};
use super::format::{GgufFile, Metadata};
use super::names::{self, ARCHITECTURES, Architecture};
use super::vocabulary;
use crate::checkpoint::write_atomically;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::family::Family;
use crate::quant::folder::{Stored, packed, write_folder, write_stored};
use crate::quant::{Format, QuantizationConfig, QuantizedMatrix, ScaleType};

/// Makes a model's folder `target` of a GGUF file.
///
/// # Errors
/// When the file is damaged, or of a model, packing or tokenizer that is not known here.
pub fn import(path: &Path, target: &Path) -> Result<()> {
    let file = GgufFile::open(path)?;
    let refuse = |problem: String, hint: &str| ModelError::invalid(path, problem, hint);
    let name = match file.get("general.architecture") {
        Some(Metadata::Text(name)) => name.as_str(),
        _ => "(none)",
    };
    let architecture = ARCHITECTURES.iter().find(|a| a.name == name);
    let architecture = *architecture.ok_or_else(|| {
        let mut known: Vec<&str> = ARCHITECTURES.iter().map(|a| a.name).collect();
        known.dedup();
        refuse(
            format!("models of architecture `{name}` are not read"),
            &format!("known: {}", known.join(", ")),
        )
    })?;
    let factors = ["rope_freqs", "rope_factors_long", "rope_factors_short"];
    if factors
        .iter()
        .any(|name| file.contains(&format!("{name}.weight")))
    {
        let hint = "fetch the model's Hugging Face checkpoint";
        return Err(refuse("its rotary frequencies are scaled".to_owned(), hint));
    }
    let mut json = config_json(&file, architecture)?;
    let config = ModelConfig::from_json(&json, path)?;
    let (mut stored, mut targets) = (Vec::new(), Vec::new());
    for (name, shape) in config.tensors() {
        let parts = names::parts(&config, architecture, &name, &shape);
        let (theirs, rows) = match parts.into_iter().next() {
            Some(part) => (part.name, part.rows),
            None => (name.clone(), names::Rows::All),
        };
        let Some((found, kind, bytes)) = file.tensor(&theirs) else {
            let problem = format!("tensor `{theirs}` is missing");
            return Err(refuse(problem, "the file is not whole; fetch it again"));
        };
        if found != shape {
            let problem = format!("tensor `{theirs}` is {found:?}, not {shape:?}");
            return Err(refuse(problem, "the file is damaged; fetch it again"));
        }
        let order = rows.order().map(|order| names::inverse(&order));
        let module = name.trim_end_matches(".weight");
        match (blocks::codes(bytes, kind), shape.as_slice()) {
            (Some((bits, codes, scales)), &[rows, columns]) => {
                let (format, kind) = (Format::grouped(bits), ScaleType::F16);
                let matrix =
                    QuantizedMatrix::from_parts(rows, columns, format, codes, scales, kind)?;
                let matrix = match &order {
                    Some(order) => reordered(&matrix, order)?,
                    None => matrix,
                };
                targets.push((module.to_owned(), format));
                stored.extend(packed(module, &matrix));
            }
            (Some(_), _) => {
                let problem = format!("tensor `{theirs}` is no matrix and is packed");
                return Err(refuse(problem, "the file is damaged; fetch it again"));
            }
            (None, _) if config.norm_offset != 0.0 && is_norm(&name) => {
                let offset = config.norm_offset as f32;
                let values = blocks::dequantize(bytes, kind).into_iter();
                let bytes = values.flat_map(|value| (value - offset).to_le_bytes());
                stored.push(Stored {
                    name,
                    dtype: Dtype::F32,
                    bytes: bytes.collect(),
                    shape,
                });
            }
            (None, _) => {
                let width = kind.block().1;
                let row = width * if shape.len() == 2 { shape[1] } else { 1 };
                stored.push(Stored {
                    name,
                    dtype: match kind {
                        BlockType::F32 => Dtype::F32,
                        BlockType::Bf16 => Dtype::BF16,
                        _ => Dtype::F16,
                    },
                    bytes: match &order {
                        Some(order) => in_order(bytes, row, order),
                        None => bytes.to_vec(),
                    },
                    shape,
                });
            }
        }
    }
    if !targets.is_empty() {
        json["quantization_config"] = QuantizationConfig::of_modules(targets).to_json();
    }
    let files = vocabulary::restore(&file)?;
    write_folder(target, |folder| {
        for (name, text) in &files {
            write_atomically(&folder.join(name), text.as_bytes())?;
        }
        write_stored(folder, &stored, &json)
    })
}

/// `config.json` by the file's metadata.
fn config_json(file: &GgufFile, architecture: Architecture) -> Result<Value> {
    let get = |name: &str| file.get(&format!("{}.{name}", architecture.name));
    let missing = |name: &str| {
        let problem = format!("`{}.{name}` is missing or no number", architecture.name);
        ModelError::invalid(file.path(), problem, "the file is damaged; fetch it again")
    };
    let integer = |name: &str| match get(name) {
        Some(Metadata::U32(value)) => Ok(*value),
        _ => Err(missing(name)),
    };
    let number = |name: &str| match get(name) {
        Some(Metadata::F32(value)) => Ok(exact(*value)),
        _ => Err(missing(name)),
    };
    let Some((&[rows, width], ..)) = file.tensor("token_embd.weight") else {
        let problem = "tensor `token_embd.weight` is missing";
        return Err(ModelError::invalid(
            file.path(),
            problem,
            "fetch the file again",
        ));
    };
    let heads = integer("attention.head_count")?;
    let layers = integer("block_count")?;
    if layers as usize > file.tensors() {
        let problem = format!("it has {} tensors for {layers} layers", file.tensors());
        let hint = "the file is damaged; fetch it again";
        return Err(ModelError::invalid(file.path(), problem, hint));
    }
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| map.insert(key.to_owned(), value);
    put("architectures", json!([architecture.family.architecture()]));
    put("model_type", json!(architecture.family.model_type()));
    put("vocab_size", json!(rows));
    put("hidden_size", json!(width));
    put("intermediate_size", json!(integer("feed_forward_length")?));
    put("num_hidden_layers", json!(layers));
    put("num_attention_heads", json!(heads));
    put(
        "num_key_value_heads",
        json!(integer("attention.head_count_kv").unwrap_or(heads)),
    );
    let head_dim = integer("attention.key_length").unwrap_or(width as u32 / heads.max(1));
    put("head_dim", json!(head_dim));
    put("max_position_embeddings", json!(integer("context_length")?));
    put(
        "rms_norm_eps",
        json!(number("attention.layer_norm_rms_epsilon")?),
    );
    put(
        "rope_theta",
        json!(number("rope.freq_base").unwrap_or(10_000.0)),
    );
    put(
        "tie_word_embeddings",
        json!(!file.contains("output.weight")),
    );
    let gemma = matches!(architecture.family, Family::Gemma2 | Family::Gemma3);
    match gemma {
        true => put("hidden_activation", json!("gelu_pytorch_tanh")),
        false => put("hidden_act", json!("silu")),
    };
    if !matches!(architecture.name, "qwen2" | "phi3") {
        put("attention_bias", json!(file.contains("blk.0.attn_q.bias")));
    }
    if let Some(scaling) = scaling(file, &get)? {
        put("rope_scaling", scaling);
    }
    let turning = integer("rope.dimension_count").unwrap_or(head_dim);
    if architecture.name == "phi3" {
        put(
            "partial_rotary_factor",
            json!(f64::from(turning) / f64::from(head_dim)),
        );
    } else if turning != head_dim || get("rope.scaling.finetuned") == Some(&Metadata::Bool(false)) {
        let problem = "its positions are embedded in part of each head, or not at all";
        let hint = "fetch the model's Hugging Face checkpoint";
        return Err(ModelError::invalid(file.path(), problem, hint));
    }
    if gemma {
        // llama.cpp knows the factor on scores by the number of layers.
        let scale = match (architecture.name, layers) {
            ("gemma2", 46) | ("gemma3", 62) => width as u32 / heads.max(1),
            _ => head_dim,
        };
        let pattern = if architecture.name == "gemma2" { 2 } else { 6 };
        put("query_pre_attn_scalar", json!(scale));
        put(
            "sliding_window",
            json!(integer("attention.sliding_window").unwrap_or(4096)),
        );
        let slides = |layer: usize| match get("attention.sliding_window_pattern") {
            Some(Metadata::Integers(listed)) => listed.get(layer).is_some_and(|kind| *kind != 0),
            Some(Metadata::U32(period)) => !(layer + 1).is_multiple_of(*period as usize),
            _ => !(layer + 1).is_multiple_of(pattern),
        };
        let kind = |layer| match slides(layer) {
            true => "sliding_attention",
            false => "full_attention",
        };
        let kinds: Vec<&str> = (0..layers as usize).map(kind).collect();
        put("layer_types", json!(kinds));
        let bound = |name: &str| number(name).map_or(Value::Null, |bound| json!(bound));
        put("final_logit_softcapping", bound("final_logit_softcapping"));
        match architecture.name {
            "gemma2" => put("attn_logit_softcapping", bound("attn_logit_softcapping")),
            _ => put(
                "rope_local_base_freq",
                json!(number("rope.freq_base_swa").unwrap_or(10_000.0)),
            ),
        };
    }
    if architecture.name == "granite" {
        let factors = [
            ("attention_multiplier", "attention.scale"),
            ("embedding_multiplier", "embedding_scale"),
            ("residual_multiplier", "residual_scale"),
            ("logits_scaling", "logit_scale"),
        ];
        for (key, name) in factors {
            put(key, json!(number(name)?));
        }
    }
    let ends: Vec<u32> = ["eos", "eot", "eom"]
        .iter()
        .filter_map(
            |key| match file.get(&format!("tokenizer.ggml.{key}_token_id")) {
                Some(Metadata::U32(id)) => Some(*id),
                _ => None,
            },
        )
        .collect();
    put(
        "eos_token_id",
        match ends.as_slice() {
            [one] => json!(one),
            many => json!(many),
        },
    );
    Ok(Value::Object(map))
}

/// How rotary frequencies are stretched, as `rope_scaling` of `config.json` tells it.
fn scaling<'a>(
    file: &GgufFile,
    get: &impl Fn(&str) -> Option<&'a Metadata>,
) -> Result<Option<Value>> {
    let number = |name: &str, otherwise: f64| match get(name) {
        Some(Metadata::F32(value)) => exact(*value),
        _ => otherwise,
    };
    let factor = number("rope.scaling.factor", 1.0);
    let kind = match get("rope.scaling.type") {
        Some(Metadata::Text(kind)) => kind.as_str(),
        _ => "linear",
    };
    match (kind, get("rope.scaling.original_context_length")) {
        ("none", _) => Ok(None),
        ("linear", _) if factor == 1.0 => Ok(None),
        ("linear", _) => Ok(Some(json!({"rope_type": "linear", "factor": factor}))),
        ("yarn", Some(Metadata::U32(original))) => {
            // llama.cpp multiplies by the recommended factor of its own accord.
            let recommended = 0.1 * factor.ln() + 1.0;
            let attention = recommended * number("rope.scaling.attn_factor", 1.0);
            Ok(Some(json!({"rope_type": "yarn", "factor": factor,
                "original_max_position_embeddings": original, "attention_factor": attention})))
        }
        _ => {
            let problem = format!("its rotary frequencies are stretched as `{kind}`");
            let hint = "fetch the model's Hugging Face checkpoint";
            Err(ModelError::invalid(file.path(), problem, hint))
        }
    }
}

/// The shortest decimal that is this float, so that 1e-5 does not become 0.00000999....
fn exact(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

#[cfg(test)]
mod tests {
    use super::super::export;
    use super::*;
    use crate::checkpoint::{Checkpoint, StoredType};
    use crate::quant::{Bits, QuantizeSettings, quantize_checkpoint};
    use crate::weights::Weights;

    fn folder(dir: &Path) -> ModelConfig {
        folder_with(dir, json!({}))
    }

    fn folder_with(dir: &Path, more: Value) -> ModelConfig {
        let mut json = json!({"model_type": "llama", "vocab_size": 40, "hidden_size": 64,
            "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": 2, "tie_word_embeddings": false, "eos_token_id": [3, 4],
            "rms_norm_eps": 1e-5, "rope_theta": 5000.0});
        for (key, value) in more.as_object().unwrap() {
            json[key] = value.clone();
        }
        let config = ModelConfig::from_json(&json, dir).unwrap();
        Weights::random(&config, 1)
            .save(dir, &config, None, StoredType::F32)
            .unwrap();
        let tokenizer = json!({"added_tokens": [
                {"id": 3, "content": "<|end|>", "special": true},
                {"id": 4, "content": "<|stop|>", "special": true}],
            "pre_tokenizer": {"type": "ByteLevel", "use_regex": true},
            "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}});
        std::fs::write(dir.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        std::fs::write(dir.join("chat_template.jinja"), "{{ messages }}").unwrap();
        config
    }

    #[test]
    fn a_model_comes_back_as_it_went() {
        let room = tempfile::tempdir().unwrap();
        let dir = |name: &str| room.path().join(name);
        std::fs::create_dir(dir("m")).unwrap();
        let config = folder(&dir("m"));
        let file = dir("m.gguf");
        let original = Checkpoint::open(&dir("m")).unwrap();
        let report = export(&dir("m"), &file, BlockType::F32, None).unwrap();
        assert!(report.exact_tokenizer && report.half_precision.is_empty());
        import(&file, &dir("back")).unwrap();
        let back = ModelConfig::load(&dir("back")).unwrap();
        assert_eq!(
            (back.eos_token_ids.as_slice(), back.rms_norm_eps),
            (&[3, 4][..], 1e-5)
        );
        let read = Checkpoint::open(&dir("back")).unwrap();
        for (name, shape) in config.tensors() {
            let values = read.read(&name, &shape).unwrap();
            assert_eq!(values, original.read(&name, &shape).unwrap(), "{name}");
        }
        let json = std::fs::read_to_string(dir("back").join("tokenizer.json")).unwrap();
        let json: Value = serde_json::from_str(&json).unwrap();
        let vocab = json!({"a": 0, "b": 1, "ab": 2, "<|end|>": 3, "<|stop|>": 4});
        assert_eq!(json["model"]["vocab"], vocab);
        assert_eq!(json["added_tokens"][0]["content"], "<|end|>");
    }

    #[test]
    fn models_that_are_laid_out_otherwise_come_back_too() {
        let yarn = json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.5,
            "original_max_position_embeddings": 64});
        let cases = [
            json!({"model_type": "qwen3", "rope_scaling": yarn}),
            json!({"model_type": "phi3", "partial_rotary_factor": 0.5}),
            json!({"model_type": "gemma2", "tie_word_embeddings": true, "head_dim": 16,
                "query_pre_attn_scalar": 16, "sliding_window": 8}),
            json!({"model_type": "gemma3_text", "head_dim": 16, "query_pre_attn_scalar": 16,
                "sliding_window": 8, "rope_theta": 7000.0, "rope_local_base_freq": 300.0,
                "layer_types": ["full_attention", "sliding_attention"]}),
        ];
        for more in cases {
            let room = tempfile::tempdir().unwrap();
            let dir = |name: &str| room.path().join(name);
            std::fs::create_dir(dir("m")).unwrap();
            let config = folder_with(&dir("m"), more);
            let family = config.family;
            export(&dir("m"), &dir("m.gguf"), BlockType::F32, None).unwrap();
            import(&dir("m.gguf"), &dir("back")).unwrap();
            let back = ModelConfig::load(&dir("back")).unwrap();
            assert_eq!(back.layers, config.layers, "{family}");
            for (ours, theirs) in config.ropes.iter().zip(&back.ropes) {
                assert_eq!((ours.width, ours.theta), (theirs.width, theirs.theta));
                let close = (ours.attention_factor() - theirs.attention_factor()).abs() < 1e-6;
                assert!(close, "{family}");
                assert_eq!(ours.frequencies(0), theirs.frequencies(0), "{family}");
            }
            let bounds = (back.attention_softcap, back.logits_softcap);
            assert_eq!(bounds, (config.attention_softcap, config.logits_softcap));
            let (before, after) = (dir("m"), dir("back"));
            let (before, after) = (Checkpoint::open(&before), Checkpoint::open(&after));
            let (before, after) = (before.unwrap(), after.unwrap());
            for (name, shape) in config.tensors() {
                let (before, after) = (before.read(&name, &shape), after.read(&name, &shape));
                let pairs = before.unwrap().into_iter().zip(after.unwrap());
                // A one is added to Gemma's norms, and taken away.
                let most = pairs.fold(0f32, |most, (a, b)| most.max((a - b).abs()));
                let bound = if config.norm_offset == 0.0 {
                    0.0
                } else {
                    1.2e-7
                };
                assert!(most <= bound, "{family}: {name}: {most}");
            }
        }
    }

    #[test]
    fn a_joined_projection_of_granite_4_is_written_as_two() {
        let room = tempfile::tempdir().unwrap();
        let dir = |name: &str| room.path().join(name);
        std::fs::create_dir(dir("m")).unwrap();
        folder_with(
            &dir("m"),
            json!({"model_type": "granitemoehybrid", "num_local_experts": 0,
                "shared_intermediate_size": 96, "layer_types": ["attention", "attention"],
                "position_embedding_type": "rope", "embedding_multiplier": 2.0,
                "attention_multiplier": 0.25, "residual_multiplier": 0.5, "logits_scaling": 4.0}),
        );
        export(&dir("m"), &dir("m.gguf"), BlockType::F32, None).unwrap();
        import(&dir("m.gguf"), &dir("back")).unwrap();
        let before = Checkpoint::open(&dir("m")).unwrap();
        let after = Checkpoint::open(&dir("back")).unwrap();
        let joined = "model.layers.1.shared_mlp.input_linear.weight";
        let joined = before.read(joined, &[192, 64]).unwrap();
        let read = |name: &str| after.read(&format!("model.layers.1.mlp.{name}.weight"), &[96, 64]);
        let both = [read("gate_proj").unwrap(), read("up_proj").unwrap()];
        assert!(joined == both.concat());
    }

    #[test]
    fn a_window_that_llama_cpp_does_not_have_bounds_the_context() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path();
        folder_with(dir, json!({"model_type": "mistral", "sliding_window": 128}));
        let report = export(dir, &dir.join("m.gguf"), BlockType::F16, None).unwrap();
        assert_eq!(report.context, Some(128));
        let file = GgufFile::open(&dir.join("m.gguf")).unwrap();
        assert_eq!(file.get("llama.context_length"), Some(&Metadata::U32(128)));
    }

    #[test]
    fn codes_of_a_quantized_model_go_and_come_back() {
        let room = tempfile::tempdir().unwrap();
        let dir = |name: &str| room.path().join(name);
        std::fs::create_dir(dir("m")).unwrap();
        let config = folder(&dir("m"));
        for (bits, kind) in [(Bits::Int4, BlockType::Q4_0), (Bits::Int8, BlockType::Q8_0)] {
            quantize_checkpoint(&dir("m"), &dir("q"), QuantizeSettings::new(bits, true)).unwrap();
            export(&dir("q"), &dir("q.gguf"), kind, None).unwrap();
            import(&dir("q.gguf"), &dir("back")).unwrap();
            let opened = |name: &str| {
                let config = ModelConfig::load(&dir(name)).unwrap().json();
                let quantization = QuantizationConfig::from_json(&config, &dir(name)).unwrap();
                (Checkpoint::open(&dir(name)).unwrap(), quantization.unwrap())
            };
            let (before, after) = (opened("q"), opened("back"));
            for (name, shape) in config.tensors() {
                let &[rows, columns] = shape.as_slice() else {
                    continue;
                };
                let module = name.trim_end_matches(".weight");
                let values = |(checkpoint, quantization): &(Checkpoint, QuantizationConfig)| {
                    let read = quantization.read(checkpoint, room.path(), module, rows, columns);
                    read.unwrap().unwrap().values()
                };
                assert_eq!(values(&before), values(&after), "{name}");
            }
        }
    }

    #[test]
    fn what_llama_cpp_would_compute_otherwise_is_refused() {
        let room = tempfile::tempdir().unwrap();
        let dir = room.path();
        let mut json = folder(dir).json();
        json["rope_scaling"] = json!({"rope_type": "yarn", "factor": 4.0, "beta_fast": 16.0,
            "original_max_position_embeddings": 64});
        std::fs::write(dir.join("config.json"), json.to_string()).unwrap();
        let error = export(dir, &dir.join("m.gguf"), BlockType::F16, None);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("rotary embedding is stretched"), "{error}");
        assert!(!dir.join("m.gguf").exists());
    }
}
