//! A model of a few thousand parameters, rows for it, and runs of it.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::BTreeMap;
use std::path::Path;

use burn::backend::Flex;
use slm_model::lora::LoraConfig;
use slm_model::weights::Weights;
use slm_model::{Device, ModelConfig};
use slm_train::batch::{Batch, Dataset};
use slm_train::learner::{Learner, build};
use slm_train::run::{Base, Outcome, RunInputs, train};
use slm_train::{Event, Example, Method, Observer, Result, TrainSettings};

/// Its shape; columns that no block of 64 divides.
pub fn config() -> ModelConfig {
    config_of_width(16)
}

/// The same model with another width.
pub fn config_of_width(hidden_size: usize) -> ModelConfig {
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": 40, "hidden_size": hidden_size, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true, "eos_token_id": 2
    });
    ModelConfig::from_json(&json, Path::new("config.json")).unwrap()
}

/// Larger weights than fresh ones, so that gradients are not all alike.
pub fn weights() -> Weights {
    let mut fresh = Weights::random(&config(), 3);
    let tables = config().tensors().into_iter().map(|(name, shape)| {
        let factor = if shape.len() == 2 { 8.0 } else { 1.0 };
        let values: Vec<f32> = fresh
            .take(&name)
            .unwrap()
            .iter()
            .map(|v| v * factor)
            .collect();
        (name, values)
    });
    Weights::from_tables(tables.collect::<BTreeMap<_, _>>())
}

pub fn base() -> Base {
    Base {
        config: config(),
        weights: weights(),
        adapter: None,
        source: None,
        stored: slm_model::checkpoint::StoredType::Bf16,
        name: "tiny".into(),
        teacher: None,
    }
}

pub fn lora() -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        use_rslora: false,
        use_dora: false,
        target_modules: vec!["q_proj".into(), "down_proj".into()],
    }
}

pub fn dora() -> LoraConfig {
    LoraConfig {
        use_dora: true,
        ..lora()
    }
}

/// Rows of 8 to 12 tokens.
pub fn examples(count: u32) -> Vec<Example> {
    let example = |i: u32| {
        let length = 8 + i % 5;
        Example {
            tokens: (0..length).map(|t| (i * 7 + t * 3) % 40).collect(),
            trained: (0..length).map(|t| t > 3).collect(),
        }
    };
    (0..count).map(example).collect()
}

pub fn dataset() -> Dataset {
    Dataset::new(examples(30), 3, 5, 64).unwrap()
}

pub fn settings(method: Method) -> TrainSettings {
    let mut settings = TrainSettings::new(method, 12);
    settings.learning_rate = 1e-2;
    settings.batch_tokens = 40;
    settings.gradient_accumulation_steps = 2;
    settings.checkpoint_every = 5;
    settings
}

pub fn learner(base: Base, settings: &TrainSettings) -> Learner<Flex> {
    build::<Flex>(base, settings, &Default::default()).unwrap()
}

/// One batch of all examples, or one batch for each.
pub fn batches(examples: &[Example], packed: bool) -> Vec<Batch> {
    match packed {
        true => vec![Batch::pack(examples)],
        false => examples.chunks(1).map(Batch::pack).collect(),
    }
}

/// Keeps the events, and stops behind a step.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<Event>,
    pub stop_behind: Option<u64>,
    pub stop: bool,
}

impl Observer for Recorder {
    fn event(&mut self, event: &Event) {
        if let Event::Step { step, .. } = event
            && self.stop_behind == Some(*step)
        {
            self.stop = true;
        }
        self.events.push(event.clone());
    }

    fn should_stop(&mut self) -> bool {
        self.stop
    }
}

/// Trains the tiny model in `dir`, watching `validation`.
pub fn run(
    dir: &Path,
    settings: &TrainSettings,
    validation: &[Example],
    recorder: &mut Recorder,
) -> Result<Outcome> {
    let dataset = dataset();
    let inputs = RunInputs {
        source: &dataset,
        validation,
        inputs_hash: "x".into(),
        dir,
    };
    train(base(), settings, &inputs, Device::Flex, recorder)
}

/// The bytes of the weights that a run made.
pub fn result(outcome: &Outcome) -> Vec<u8> {
    let model = outcome.result.join("model.safetensors");
    let adapter = outcome.result.join("adapter_model.safetensors");
    std::fs::read(if model.is_file() { model } else { adapter }).unwrap()
}
