//! PEFT's own adapters: read, written again, and merged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::backend::Flex;
use serde_json::Value;
use slm_model::ModelConfig;
use slm_model::checkpoint::Checkpoint;
use slm_model::decoder::Decoder;
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::ops::Packing;
use slm_model::weights::Weights;

const FAMILIES: [&str; 3] = ["llama", "llama-untied", "llama-rope-scaled"];

fn fixture(family: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/hf")
        .join(family)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn same_tensors(left: &Path, right: &Path) {
    let open = |dir: &Path| Checkpoint::open_file(&dir.join("adapter_model.safetensors")).unwrap();
    let (left, right) = (open(left), open(right));
    let list = |file: &Checkpoint| -> Vec<(String, Vec<usize>)> {
        let tensors = file.tensors();
        tensors
            .map(|(name, shape)| (name.to_string(), shape.to_vec()))
            .collect()
    };
    assert_eq!(list(&left), list(&right));
    for (name, _) in list(&left) {
        assert_eq!(left.raw(&name), right.raw(&name), "{name}");
    }
}

#[test]
fn reading_and_writing_keeps_every_tensor_and_every_key() {
    for family in FAMILIES {
        let dir = fixture(family);
        let config = ModelConfig::load(&dir).unwrap();
        for part in ["adapter", "train/initial_adapter", "train/final_adapter"] {
            let folder = dir.join(part);
            let written = tempfile::tempdir().unwrap();
            let adapter = Adapter::load(&folder, &config).unwrap();
            adapter.save(written.path(), "base").unwrap();
            same_tensors(&folder, written.path());
            let (mut ours, mut theirs) = (
                json(&written.path().join("adapter_config.json")),
                json(&folder.join("adapter_config.json")),
            );
            assert_eq!(ours["base_model_name_or_path"], "base");
            for config in [&mut ours, &mut theirs] {
                config["base_model_name_or_path"] = Value::Null;
            }
            assert_eq!(ours, theirs, "{family}/{part}");
        }
    }
}

#[test]
fn a_fresh_adapters_keys_are_pefts() {
    let dir = fixture("llama");
    let config = ModelConfig::load(&dir).unwrap();
    let settings = LoraConfig {
        rank: 4,
        alpha: 8.0,
        use_rslora: false,
        use_dora: false,
        target_modules: config.target_modules(),
    };
    let theirs = json(&dir.join("adapter/adapter_config.json"));
    for (key, value) in settings.to_peft("base").as_object().unwrap() {
        let count = |value: &Value| value.as_array().map(Vec::len);
        match key.as_str() {
            "base_model_name_or_path" => assert_eq!(value, "base"),
            "target_modules" => assert_eq!(count(value), count(&theirs[key])),
            _ => assert_eq!(value, &theirs[key], "{key}"),
        }
    }
}

#[test]
fn merging_and_attaching_give_the_logits_that_peft_gave() {
    for family in FAMILIES {
        let dir = fixture(family);
        let config = ModelConfig::load(&dir).unwrap();
        let adapter = Adapter::load(&dir.join("adapter"), &config).unwrap();
        let inputs = Checkpoint::open_file(&dir.join("expected.safetensors")).unwrap();
        let (bytes, _, shape) = inputs.raw("input_ids").unwrap();
        let (count, length) = (shape[0], shape[1]);
        let tokens: Vec<u32> = bytes
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as u32)
            .collect();
        let expected = Checkpoint::open_file(&dir.join("adapter/expected.safetensors")).unwrap();
        let shape = [count, length, config.vocab_size];
        let expected = expected.read("logits", &shape).unwrap();
        let packing = Arc::new(Packing::of_lengths(&vec![length; count]));
        let logits = |weights: Weights, adapter: Option<&Adapter>| {
            let mut decoder = Decoder::<Flex>::new(&config, weights, &Default::default()).unwrap();
            adapter
                .into_iter()
                .for_each(|adapter| decoder.attach(adapter).unwrap());
            let logits = decoder.logits(&tokens, &packing).into_data();
            logits.into_vec::<f32>().unwrap()
        };
        let load = || Weights::load(&dir, &config).unwrap();
        let mut merged = load();
        merged.merge(&adapter).unwrap();
        for found in [logits(load(), Some(&adapter)), logits(merged, None)] {
            let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
            let worst = differences.fold(0.0, f32::max);
            assert!(worst < 1e-3, "{family}: {worst}");
        }
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let dir = fixture("llama");
    let config = ModelConfig::load(&dir).unwrap();
    let changed = tempfile::tempdir().unwrap();
    let weights = "adapter_model.safetensors";
    std::fs::copy(
        dir.join("adapter").join(weights),
        changed.path().join(weights),
    )
    .unwrap();
    let load_with = |key: &str, value: Value| {
        let mut settings = json(&dir.join("adapter/adapter_config.json"));
        settings[key] = value;
        let path = changed.path().join("adapter_config.json");
        std::fs::write(path, settings.to_string()).unwrap();
        Adapter::load(changed.path(), &config)
            .unwrap_err()
            .to_string()
    };
    for (key, value) in [
        ("rank_pattern", serde_json::json!({"q_proj": 8})),
        ("modules_to_save", serde_json::json!(["lm_head"])),
        ("lora_bias", Value::Bool(true)),
        ("use_qalora", Value::Bool(true)),
    ] {
        let said = load_with(key, value);
        assert!(said.contains(&format!("`{key}: ")), "{said}");
    }
    let fewer = load_with("target_modules", serde_json::json!(["q_proj"]));
    assert!(fewer.contains("belongs to no adapted layer"), "{fewer}");
    let head = load_with("target_modules", serde_json::json!(["q_proj", "lm_head"]));
    assert!(head.contains("`lm_head` cannot be adapted"), "{head}");
    let missing = load_with("use_dora", Value::Bool(true));
    assert!(missing.contains("lora_magnitude_vector"), "{missing}");
    assert!(load_with("r", serde_json::json!(100_000)).contains("rank 100000"));
}
