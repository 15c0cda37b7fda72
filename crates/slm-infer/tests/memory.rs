//! Loading a model takes at most 1.2 times the memory of its weights as they are held: the file is
//! mapped and given back as it is read, and no second copy is made.
//!
//! Each load runs in a process of its own, whose peak the system counts.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::process::Command;

use burn::backend::Flex;
use serde_json::json;
use slm_infer::Model;
use slm_model::ModelConfig;
use slm_model::checkpoint::StoredType;
use slm_model::decoder::Decoder;
use slm_model::weights::Weights;

/// 35 million parameters, a quarter of them in each table.
fn config() -> ModelConfig {
    let shape = json!({"model_type": "llama", "vocab_size": 16_000, "hidden_size": 512,
        "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 8,
        "num_key_value_heads": 4, "max_position_embeddings": 131_072,
        "tie_word_embeddings": false});
    ModelConfig::from_json(&shape, Path::new("shape")).unwrap()
}

/// A line of `/proc/self/status`, in bytes.
fn memory(line: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line));
    let kilobytes = found.unwrap().trim_matches([':', '\t', ' ', 'k', 'B']);
    kilobytes.trim().parse::<f64>().unwrap() * 1024.0
}

/// Loads the folder in `SLM_MEMORY_OF` and prints the peak, over what there was before, in parts of
/// the weights as held.
#[test]
#[ignore = "runs in the processes that the other test starts"]
fn load_alone() {
    let (kind, folder) = (
        std::env::var("SLM_MEMORY_KIND").unwrap(),
        std::env::var("SLM_MEMORY_OF").unwrap(),
    );
    let folder = Path::new(&folder);
    let before = memory("VmRSS");
    let held = match kind.as_str() {
        "decoder" => {
            let config = ModelConfig::load(folder).unwrap();
            let weights = Weights::load(folder, &config).unwrap();
            let decoder = Decoder::<Flex>::new(&config, weights, &Default::default()).unwrap();
            4.0 * decoder.config.parameters() as f64
        }
        _ => Model::load(folder).unwrap().weight_bytes() as f64,
    };
    println!("peak={:.3}=", (memory("VmHWM") - before) / held);
}

#[test]
fn loading_keeps_no_second_copy() {
    let room = tempfile::tempdir().unwrap();
    let config = config();
    for (kind, stored) in [
        ("engine", StoredType::F32),
        ("engine", StoredType::Bf16),
        ("decoder", StoredType::F32),
        ("decoder", StoredType::Bf16),
    ] {
        let folder = room.path().join(format!("{stored:?}"));
        if !folder.exists() {
            let weights = Weights::random(&config, 1);
            weights.save(&folder, &config, None, stored).unwrap();
        }
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "load_alone", "--ignored", "--nocapture"])
            .env("SLM_MEMORY_KIND", kind)
            .env("SLM_MEMORY_OF", &folder)
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&child.stdout).into_owned();
        assert!(child.status.success(), "{output}");
        let peak: f64 = output
            .split("peak=")
            .nth(1)
            .unwrap()
            .split('=')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        println!("{kind} from {stored:?}: {peak} times the weights as held");
        assert!(
            peak > 0.9 && peak < 1.2,
            "{kind} from {stored:?}: {peak} times the weights as held"
        );
    }
}
