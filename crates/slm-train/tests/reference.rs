//! Ten training steps against Hugging Face PEFT: losses, gradient norms and the final adapter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::backend::{Flex, NdArray};
use slm_model::ModelConfig;
use slm_model::checkpoint::Checkpoint;
use slm_model::lora::Adapter;
use slm_model::ops::{DecoderBackend, Packing};
use slm_model::weights::Weights;
use slm_train::batch::Batch;
use slm_train::learner::{Learner, build};
use slm_train::run::Base;
use slm_train::settings::{Method, TrainSettings};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/hf")
        .join(name)
}

/// Integers of an I64 tensor, with its shape.
fn integers(file: &Checkpoint, name: &str) -> (Vec<i64>, Vec<usize>) {
    let (bytes, _, shape) = file.raw(name).expect("the reference has this tensor");
    let values = bytes
        .chunks_exact(8)
        .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
        .collect();
    (values, shape.to_vec())
}

/// The batch of one step: labels shifted by one inside each row of the reference.
fn batch(ids: &[i64], labels: &[i64], sequence: usize) -> Batch {
    let count = ids.len() / sequence;
    let learned = (0..ids.len()).filter(|i| i % sequence > 0 && labels[*i] >= 0);
    let (rows, labels) = learned.map(|i| (i as u32 - 1, labels[i] as u32)).unzip();
    Batch {
        tokens: ids.iter().map(|t| *t as u32).collect(),
        packing: Arc::new(Packing::of_lengths(&vec![sequence; count])),
        rows,
        labels,
    }
}

fn learner<B: DecoderBackend>(dir: &Path, settings: &mut TrainSettings) -> Learner<B> {
    let config = ModelConfig::load(dir).unwrap();
    let adapter = Adapter::load(&dir.join("train/initial_adapter"), &config).unwrap();
    settings.method = Method::Lora(adapter.config.clone());
    let weights = Weights::load(dir, &config).unwrap();
    let base = Base {
        config,
        weights,
        adapter: Some(adapter),
        source: None,
        stored: slm_model::checkpoint::StoredType::Bf16,
        name: "llama".into(),
        teacher: None,
    };
    build::<B>(base, settings, &Default::default()).unwrap()
}

fn follows_the_reference<B: DecoderBackend>(family: &str) {
    let dir = fixture(family);
    let expected: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("expected.json")).unwrap()).unwrap();
    let train = &expected["train"];
    let mut settings = TrainSettings::new(Method::Full, 10);
    settings.learning_rate = train["lr"].as_f64().unwrap();
    settings.weight_decay = train["weight_decay"].as_f64().unwrap();
    settings.clip_grad_norm = train["clip_grad_norm"].as_f64().unwrap();
    let mut learner = learner::<B>(&dir, &mut settings);
    let file = Checkpoint::open_file(&dir.join("train/batches.safetensors")).unwrap();
    let ((ids, shape), (labels, _)) = (integers(&file, "input_ids"), integers(&file, "labels"));
    let span = shape[1] * shape[2];
    for step in 0..shape[0] {
        let at = step * span..(step + 1) * span;
        let report = learner
            .step(
                &[batch(&ids[at.clone()], &labels[at], shape[2])],
                &settings,
                step as u64 + 1,
                1.0,
            )
            .unwrap();
        let loss = train["losses"][step].as_f64().unwrap();
        let norm = train["grad_norms_before_clip"][step].as_f64().unwrap();
        assert!(
            (report.loss - loss).abs() < 2e-3,
            "step {step}: loss {}, reference {loss}",
            report.loss
        );
        assert!(
            (report.gradient_norm / norm - 1.0).abs() < 0.01,
            "step {step}: norm {}, reference {norm}",
            report.gradient_norm
        );
    }
    let Method::Lora(config) = &settings.method else {
        unreachable!()
    };
    let last = dir.join("train/final_adapter");
    if !last.is_dir() {
        return;
    }
    let ours = learner.decoder().adapter(config);
    let theirs = Adapter::load(&last, &learner.decoder().config).unwrap();
    for (a, b) in ours.pairs.iter().zip(&theirs.pairs) {
        let worst =
            a.b.iter()
                .zip(&b.b)
                .map(|(x, y)| (x - y).abs())
                .fold(0.0, f32::max);
        assert!(worst < 2e-2, "{}: B differs by {worst}", a.module);
    }
}

#[test]
fn llama_on_flex() {
    follows_the_reference::<Flex>("llama");
}

#[test]
fn llama_on_ndarray() {
    follows_the_reference::<NdArray>("llama");
}

#[test]
fn an_untied_head_and_shards() {
    follows_the_reference::<Flex>("llama-untied");
}

#[test]
fn scaled_rotary_frequencies() {
    follows_the_reference::<Flex>("llama-rope-scaled");
}

#[test]
fn biases() {
    follows_the_reference::<Flex>("qwen2");
}

#[test]
fn joined_projections() {
    follows_the_reference::<Flex>("phi3");
    follows_the_reference::<NdArray>("phi3");
}

#[test]
fn multipliers_and_a_shared_mlp() {
    follows_the_reference::<Flex>("granite4-nano");
}

#[test]
fn bounded_scores_and_logits_and_windows() {
    follows_the_reference::<Flex>("gemma2");
    follows_the_reference::<NdArray>("gemma2");
}

#[test]
fn norms_of_heads() {
    follows_the_reference::<Flex>("gemma3");
}
