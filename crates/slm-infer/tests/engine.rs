//! The engine's promises: an answer does not depend on its batch, limits and masks hold, quantized
//! folders load and stay close.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slm_infer::load::InMemory;
use slm_infer::{
    Answer, Cache, Ending, Engine, EngineSettings, Finish, Model, Request, TokenMask, WeightFormat,
};
use slm_model::place::place_of;
use slm_model::quant::{Bits, QuantizeSettings, Threads, quantize_checkpoint};
use slm_model::weights::Weights;
use slm_model::{Device, ModelConfig};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/hf/llama")
}

fn config(context: usize) -> ModelConfig {
    let json = serde_json::json!({"model_type": "llama", "vocab_size": 300, "hidden_size": 80,
        "intermediate_size": 144, "num_hidden_layers": 3, "num_attention_heads": 6,
        "num_key_value_heads": 2, "head_dim": 20, "max_position_embeddings": context,
        "tie_word_embeddings": true});
    ModelConfig::from_json(&json, Path::new("shape")).unwrap()
}

/// A shape with its weights.
fn loud() -> (ModelConfig, Weights) {
    let config = config(256);
    // Ten times the usual deviation, so that answers differ from prompt to prompt.
    let mut tables = Weights::random(&config, 11);
    let loud = config.tensors().into_iter().map(|(name, _)| {
        let values = tables.take(&name).unwrap();
        let factor = if name.contains("norm") { 1.0 } else { 10.0 };
        (name, values.into_iter().map(|v| v * factor).collect())
    });
    let tables = Weights::from_tables(loud.collect());
    (config, tables)
}

fn model(format: WeightFormat) -> Model {
    let (config, tables) = loud();
    Model::build(config, &mut InMemory { tables, format }).unwrap()
}

fn prompt(seed: u32, length: usize) -> Vec<u32> {
    (0..length as u32)
        .map(|i| (seed * 7919 + i * i * 31 + i * 17) % 300)
        .collect()
}

fn answers(engine: &Engine, requests: &[Request]) -> Vec<Answer> {
    engine
        .generate(requests, &mut |_| {})
        .into_iter()
        .map(Result::unwrap)
        .collect()
}

const FORMATS: [WeightFormat; 4] = [
    WeightFormat::F32,
    WeightFormat::Bf16,
    WeightFormat::Quantized(Bits::Int8),
    WeightFormat::Quantized(Bits::Int4),
];

#[test]
fn an_answer_does_not_depend_on_its_batch() {
    let requests: Vec<Request> = (0..23)
        .map(|i| Request {
            temperature: if i % 3 == 0 { 0.8 } else { 0.0 },
            top_p: 0.9,
            seed: i.into(),
            ..Request::greedy(
                prompt(i, 1 + 5 * i as usize % 90),
                1 + i as usize % 20,
                vec![7, 40, 90],
            )
        })
        .collect();
    for format in FORMATS {
        let alone = Engine::with_settings(model(format), EngineSettings { batch: 1 });
        let alone = answers(&alone, &requests);
        assert!(
            alone.iter().any(|a| a.finish == Finish::Stop)
                && alone.iter().any(|a| a.finish == Finish::Length)
        );
        for batch in [2, 5, 16, 64] {
            let together = Engine::with_settings(model(format), EngineSettings { batch });
            for (i, (a, b)) in alone.iter().zip(answers(&together, &requests)).enumerate() {
                assert_eq!(
                    a.tokens, b.tokens,
                    "{format:?}: request {i} in a batch of {batch}"
                );
                assert_eq!(
                    (&a.log_probabilities, a.finish),
                    (&b.log_probabilities, b.finish)
                );
            }
        }
    }
}

#[test]
fn a_common_prefix_changes_no_answer() {
    let begin = prompt(3, 60);
    let mut requests: Vec<Request> = [1, 30, 2, 17, 1]
        .into_iter()
        .map(|more| {
            Request::greedy(
                [begin.clone(), prompt(more, more as usize)].concat(),
                12,
                vec![],
            )
        })
        .collect();
    requests.push(Request::greedy(begin.clone(), 12, vec![]));
    requests.push(Request::greedy(vec![999], 12, vec![]));
    for format in FORMATS {
        let alone = Engine::with_settings(model(format), EngineSettings { batch: 1 });
        let shared = Engine::with_settings(model(format), EngineSettings { batch: 3 });
        let tokens = |engine: &Engine| -> Vec<Option<Vec<u32>>> {
            let answers = engine.generate(&requests, &mut |_| {});
            answers
                .into_iter()
                .map(|answer| answer.ok().map(|answer| answer.tokens))
                .collect()
        };
        let (alone, shared) = (tokens(&alone), tokens(&shared));
        assert_eq!(alone, shared, "{format:?}");
        assert_eq!(alone.iter().flatten().count(), 6);
    }
}

#[test]
fn prefill_and_decode_give_the_same_bits() {
    for format in FORMATS {
        let model = model(format);
        let tokens = prompt(5, 71);
        let whole = model.all_logits(&tokens, Threads::All);
        let mut cache = Cache::new(model.config(), 71);
        let mut logits = model.prefill(&mut cache, &tokens[..33], Threads::One);
        for (position, token) in tokens.iter().enumerate().skip(33) {
            assert_eq!(
                logits,
                whole[(position - 1) * 300..position * 300],
                "{format:?}: at {position}"
            );
            logits = model.decode(&mut [(&mut cache, *token)], Threads::One);
        }
        assert_eq!(logits, whole[70 * 300..]);
        assert_eq!(cache.len(), 71);
    }
}

#[test]
fn limits_are_kept_and_faults_told() {
    let engine = Engine::new(model(WeightFormat::F32));
    let long = Request::greedy(prompt(1, 256), 1, vec![]);
    let unknown = Request::greedy(vec![1, 2, 300], 1, vec![]);
    let empty = Request::greedy(vec![], 1, vec![]);
    let cold = Request {
        temperature: -1.0,
        ..Request::greedy(vec![1], 1, vec![])
    };
    let full = Request::greedy(prompt(1, 250), 100, vec![]);
    let none = Request::greedy(vec![1], 0, vec![]);
    let mut heard = Vec::new();
    let got = engine.generate(&[long, unknown, empty, cold, full, none], &mut |done| {
        heard.push(done)
    });
    let message = |i: usize| got[i].as_ref().unwrap_err().to_string();
    assert_eq!(
        message(0),
        "the prompt has 256 tokens, the model's context 256\nhint: shorten the prompt to at most 255 tokens"
    );
    assert!(
        message(1)
            .starts_with("token 300 at position 2 of the prompt is outside the vocabulary of 300")
    );
    assert!(message(2).starts_with("the prompt is empty"));
    assert!(message(3).starts_with("`temperature` is -1"));
    let full = got[4].as_ref().unwrap();
    assert_eq!(
        (full.tokens.len(), full.finish, full.prefill_tokens),
        (6, Finish::Length, 250)
    );
    assert_eq!(got[5].as_ref().unwrap().tokens.len(), 0);
    assert_eq!(heard, [1, 2, 3, 4, 5, 6]);
    assert!(engine.generate(&[], &mut |_| {}).is_empty());
}

/// Allows one token after another of a list, then none.
struct Script {
    tokens: Vec<u32>,
    at: usize,
}

impl TokenMask for Script {
    fn allow(&mut self, logits: &mut [f32]) {
        let allowed = self.tokens.get(self.at).map(|token| *token as usize);
        for (token, logit) in logits.iter_mut().enumerate() {
            if Some(token) != allowed {
                *logit = f32::NEG_INFINITY;
            }
        }
    }

    fn accept(&mut self, _: u32) {
        self.at += 1;
    }

    fn ending(&mut self) -> Ending {
        Ending::Possible
    }
}

#[test]
fn a_mask_decides_what_may_come() {
    let script = || {
        Box::new(Script {
            tokens: vec![9, 8, 7],
            at: 0,
        }) as Box<dyn TokenMask>
    };
    let masked = |stop: Vec<u32>| Request {
        mask: Some(Arc::new(script)),
        ..Request::greedy(vec![1, 2], 10, stop)
    };
    let engine = Engine::new(model(WeightFormat::F32));
    let got = answers(&engine, &[masked(vec![]), masked(vec![7])]);
    assert_eq!(
        (got[0].tokens.as_slice(), got[0].finish),
        ([9, 8, 7].as_slice(), Finish::DeadEnd)
    );
    assert_eq!(
        (got[1].tokens.as_slice(), got[1].finish),
        ([9, 8].as_slice(), Finish::Stop)
    );
    assert_eq!(got[0].log_probabilities, [0.0; 3]);
}

#[test]
fn quantized_folders_load_and_stay_close() {
    let room = tempfile::tempdir().unwrap();
    let tokens: Vec<u32> = (4..44).map(|i| i * 37 % 384).collect();
    let plain = Model::load(&fixture())
        .unwrap()
        .all_logits(&tokens, Threads::All);
    let norm = |x: &[f32]| x.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
    for (bits, tables, tolerance) in [
        (Bits::Int8, false, 0.05),
        (Bits::Int8, true, 0.05),
        (Bits::Int4, true, 0.4),
    ] {
        let target = room.path().join(format!("{}-{tables}", bits.width()));
        quantize_checkpoint(&fixture(), &target, QuantizeSettings::new(bits, tables)).unwrap();
        let model = Model::load(&target).unwrap();
        let logits = model.all_logits(&tokens, Threads::All);
        let error: Vec<f32> = logits.iter().zip(&plain).map(|(a, b)| a - b).collect();
        let relative = norm(&error) / norm(&plain);
        assert!(
            relative > 0.0 && relative < tolerance,
            "{bits:?} {tables}: {relative}"
        );
        assert!(target.join("tokenizer.json").is_file());
    }
}

#[test]
fn damaged_folders_are_refused_with_the_place() {
    let room = tempfile::tempdir().unwrap();
    let target = room.path().join("q");
    let settings = QuantizeSettings::new(Bits::Int4, false);
    quantize_checkpoint(&fixture(), &target, settings).unwrap();
    let refusal = |dir: &Path| Model::load(dir).err().expect("refused").to_string();
    let config = std::fs::read_to_string(target.join("config.json")).unwrap();
    std::fs::write(
        target.join("config.json"),
        config.replace("\"num_bits\": 4", "\"num_bits\": 8"),
    )
    .unwrap();
    assert!(
        refusal(&target).contains("q_proj.weight_packed` is I32 [96, 12], not I32 [96, 24]"),
        "{}",
        refusal(&target)
    );
    std::fs::write(target.join("config.json"), config).unwrap();
    let weights = std::fs::read(target.join("model.safetensors")).unwrap();
    std::fs::write(
        target.join("model.safetensors"),
        &weights[..weights.len() / 2],
    )
    .unwrap();
    assert!(
        refusal(&target).contains("not a whole safetensors file"),
        "{}",
        refusal(&target)
    );
}

#[test]
fn linear_layers_on_a_device_answer_as_the_host_does() {
    let place = place_of(Device::NdArray).unwrap();
    let at = |format| {
        let (config, tables) = loud();
        let mut source = InMemory { tables, format };
        let model = Model::build_at(config, &mut source, Some(&*place)).unwrap();
        assert!(model.is_elsewhere());
        model
    };
    let requests: Vec<Request> = (0..5)
        .map(|seed| Request::greedy(prompt(seed, 20 + seed as usize), 12, vec![]))
        .collect();
    for format in FORMATS.into_iter().chain([WeightFormat::Nf4]) {
        let (host, there) = (model(format), at(format));
        // The host rounds what it multiplies integers with to 8 bits; floats are the same there.
        let is_exact = !matches!(format, WeightFormat::Quantized(_));
        let logits = |model: &Model| {
            let mut cache = Cache::new(model.config(), 32);
            model.prefill(&mut cache, &prompt(3, 30), Threads::All)
        };
        let (a, b) = (logits(&host), logits(&there));
        let spread = a.iter().fold(0f32, |most, x| most.max(x.abs()));
        let apart = a
            .iter()
            .zip(&b)
            .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        let allowed = if is_exact { 1e-4 } else { 0.1 };
        assert!(apart < allowed * spread, "{format:?}: {apart} of {spread}");
        let tokens = |model: Model| -> Vec<Vec<u32>> {
            let answers = answers(&Engine::new(model), &requests).into_iter();
            answers.map(|answer| answer.tokens).collect()
        };
        let (a, b) = (tokens(host), tokens(there));
        assert!(!is_exact || a == b, "{format:?}");
    }
}
