//! A run that is broken off and resumed ends with the bits of an unbroken one; and an adapter
//! changes what the model says.

use std::path::Path;
use std::sync::Arc;

use burn::backend::Flex;
use slm_model::decoder::Decoder;
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::ops::Packing;
use slm_model::weights::Weights;
use slm_model::{Device, ModelConfig};
use slm_train::batch::Dataset;
use slm_train::run::{Base, RunInputs};
use slm_train::settings::OptimizerKind;
use slm_train::{Event, Example, Method, Observer, TrainError, TrainSettings, train};

fn config() -> ModelConfig {
    let json = serde_json::json!({
        "model_type": "llama", "vocab_size": 40, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true, "eos_token_id": 2
    });
    ModelConfig::from_json(&json, Path::new("config.json")).unwrap()
}

fn dataset() -> Dataset {
    let examples = (0..30).map(|i| Example {
        tokens: (0..8 + i % 5)
            .map(|t| ((i * 7 + t * 3) % 40) as u32)
            .collect(),
        trained: (0..8 + i % 5).map(|t| t > 3).collect(),
    });
    Dataset::new(examples.collect(), 3, 5, 64).unwrap()
}

/// Stops behind a step, or never.
struct StopAt(Option<u64>);

impl Observer for StopAt {
    fn event(&mut self, event: &Event) {
        if let Event::Step { step, .. } = event
            && self.0 == Some(*step)
        {
            self.0 = Some(0);
        }
    }

    fn should_stop(&mut self) -> bool {
        self.0 == Some(0)
    }
}

fn run(dir: &Path, method: &Method, stop: Option<u64>) -> Result<Vec<u8>, TrainError> {
    let mut settings = TrainSettings::new(method.clone(), 12);
    settings.optimizer = OptimizerKind::Muon;
    settings.learning_rate = 1e-2;
    settings.batch_tokens = 40;
    settings.gradient_accumulation_steps = 2;
    settings.checkpoint_every = 5;
    let base = Base {
        config: config(),
        weights: Weights::random(&config(), 3),
        adapter: None,
        source: None,
        name: "tiny".into(),
    };
    let dataset = dataset();
    let inputs = RunInputs {
        source: &dataset,
        validation: &[],
        inputs_hash: "x".into(),
        dir,
    };
    let outcome = train(base, &settings, &inputs, Device::Flex, &mut StopAt(stop))?;
    let file = if *method == Method::Full {
        "model.safetensors"
    } else {
        "adapter_model.safetensors"
    };
    Ok(std::fs::read(outcome.result.join(file)).unwrap())
}

fn resumes_to_the_same_bits(method: &Method) {
    let (whole, broken) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = run(whole.path(), method, None).unwrap();
    assert!(matches!(
        run(broken.path(), method, Some(7)),
        Err(TrainError::Stopped { step: 7 })
    ));
    // A kill between checkpoints loses the steps behind the last one, and does them again.
    std::fs::remove_dir_all(broken.path().join("checkpoint-00000007")).unwrap();
    assert_eq!(run(broken.path(), method, None).unwrap(), expected);
}

fn lora() -> LoraConfig {
    LoraConfig {
        rank: 4,
        alpha: 8.0,
        use_rslora: false,
        target_modules: vec!["q_proj".into(), "down_proj".into()],
    }
}

#[test]
fn full_training_resumes() {
    resumes_to_the_same_bits(&Method::Full);
}

#[test]
fn adapter_training_resumes() {
    resumes_to_the_same_bits(&Method::Lora(lora()));
}

#[test]
fn a_trained_adapter_changes_the_logits_and_a_fresh_one_does_not() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &Method::Lora(lora()), None).unwrap();
    let trained = Adapter::load(&dir.path().join("adapter"), &config()).unwrap();
    let fresh = Adapter::new(lora(), &config(), 1).unwrap();
    let logits = |adapter: Option<&Adapter>| {
        let mut decoder = Decoder::<Flex>::new(
            &config(),
            Weights::random(&config(), 3),
            &Default::default(),
        )
        .unwrap();
        adapter.into_iter().for_each(|a| decoder.attach(a).unwrap());
        let packing = Arc::new(Packing::of_lengths(&[5]));
        decoder
            .logits(&[1, 5, 9, 30, 2], &packing)
            .into_data()
            .into_vec::<f32>()
            .unwrap()
    };
    let distance = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| (x - y).abs())
            .fold(0.0, f32::max)
    };
    let base = logits(None);
    assert!(distance(&base, &logits(Some(&fresh))) < 1e-6);
    assert!(distance(&base, &logits(Some(&trained))) > 1e-4);
    let mut merged = Weights::random(&config(), 3);
    merged.merge(&trained).unwrap();
    let decoder = Decoder::<Flex>::new(&config(), merged, &Default::default()).unwrap();
    let packing = Arc::new(Packing::of_lengths(&[5]));
    let merged = decoder
        .logits(&[1, 5, 9, 30, 2], &packing)
        .into_data()
        .into_vec::<f32>()
        .unwrap();
    assert!(
        distance(&merged, &logits(Some(&trained))) < 1e-4,
        "merging must not change the answers"
    );
}

#[test]
fn a_loss_that_is_not_finite_names_the_examples() {
    let dir = tempfile::tempdir().unwrap();
    let mut weights = Weights::random(&config(), 3);
    let mut tables = std::collections::BTreeMap::new();
    for (name, _) in config().tensors() {
        let mut values = weights.take(&name).unwrap();
        if name == "model.norm.weight" {
            values[0] = f32::NAN;
        }
        tables.insert(name, values);
    }
    let base = Base {
        config: config(),
        weights: Weights::from_tables(tables),
        adapter: None,
        source: None,
        name: "tiny".into(),
    };
    let mut settings = TrainSettings::new(Method::Full, 2);
    settings.batch_tokens = 40;
    let dataset = dataset();
    let inputs = RunInputs {
        source: &dataset,
        validation: &[],
        inputs_hash: "x".into(),
        dir: dir.path(),
    };
    let error = train(
        base,
        &settings,
        &inputs,
        Device::Flex,
        &mut slm_train::events::Silent,
    )
    .unwrap_err();
    assert!(
        matches!(&error, TrainError::NotFinite { what: "loss", step: 1, examples } if !examples.is_empty()),
        "{error}"
    );
}
