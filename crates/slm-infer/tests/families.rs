//! Every family in the engine: against the decoder that trains, batched against single, prefill
//! against decode, and quantized.

use std::path::Path;
use std::sync::Arc;

use burn::backend::Flex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use slm_infer::load::InMemory;
use slm_infer::{Cache, Engine, EngineSettings, Model, Request, WeightFormat};
use slm_model::ModelConfig;
use slm_model::checkpoint::StoredType;
use slm_model::decoder::Decoder;
use slm_model::ops::Packing;
use slm_model::quant::{Bits, QuantizeSettings, Threads, quantize_checkpoint};
use slm_model::weights::Weights;

/// A config of odd sizes, with `more` keys set.
fn config(model_type: &str, more: Value) -> ModelConfig {
    let mut config = json!({"model_type": model_type, "vocab_size": 61, "hidden_size": 36,
        "intermediate_size": 44, "num_hidden_layers": 3, "num_attention_heads": 6,
        "num_key_value_heads": 3, "head_dim": 10, "max_position_embeddings": 128,
        "tie_word_embeddings": false});
    for (key, value) in more.as_object().unwrap() {
        config[key.as_str()] = value.clone();
    }
    ModelConfig::from_json(&config, Path::new("shape")).unwrap()
}

/// At least one of each family, with the options that change its arithmetic.
fn all() -> Vec<(&'static str, ModelConfig)> {
    let list = [
        ("llama", json!({"attention_bias": true, "mlp_bias": true})),
        (
            "qwen2",
            json!({"use_sliding_window": true, "sliding_window": 20, "max_window_layers": 1}),
        ),
        ("qwen3", json!({"num_key_value_heads": 1})),
        ("mistral", json!({"sliding_window": 5})),
        (
            "granite",
            json!({"embedding_multiplier": 3.0, "attention_multiplier": 0.2,
                "residual_multiplier": 0.3, "logits_scaling": 2.5}),
        ),
        (
            "granitemoehybrid",
            json!({"layer_types": ["attention", "attention", "attention"], "num_local_experts": 0,
                "shared_intermediate_size": 20, "attention_multiplier": 0.2}),
        ),
        (
            "phi3",
            json!({"partial_rotary_factor": 0.6, "sliding_window": 33}),
        ),
        (
            "gemma2",
            json!({"sliding_window": 5, "query_pre_attn_scalar": 7, "tie_word_embeddings": true,
                "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0}),
        ),
        (
            "gemma3_text",
            json!({"sliding_window": 5, "query_pre_attn_scalar": 7, "sliding_window_pattern": 2}),
        ),
    ];
    list.into_iter()
        .map(|(model_type, more)| (model_type, config(model_type, more)))
        .collect()
}

/// Phi-3 whose frequencies change behind 40 tokens.
fn longrope() -> ModelConfig {
    config(
        "phi3",
        json!({"original_max_position_embeddings": 40, "rope_scaling": {"type": "longrope",
            "short_factor": [1.0, 1.0, 1.1, 1.2, 1.3], "long_factor": [1.5, 2.0, 4.0, 5.0, 6.0]}}),
    )
}

/// Weights of which each matters: norms and biases are random, too.
fn weights(config: &ModelConfig) -> Weights {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut table = |(name, shape): (String, Vec<usize>)| {
        let is_norm = shape.len() == 1 && !name.ends_with(".bias");
        let middle = if is_norm {
            1.0 - config.norm_offset as f32
        } else {
            0.0
        };
        let count = shape.iter().product();
        let values = (0..count).map(|_| middle + 0.3 * rng.random_range(-1.0..1.0f32));
        (name, values.collect())
    };
    Weights::from_tables(config.tensors().into_iter().map(&mut table).collect())
}

fn model(config: &ModelConfig, format: WeightFormat) -> Model {
    let tables = weights(config);
    Model::build(config.clone(), &mut InMemory { tables, format }).unwrap()
}

fn prompt(seed: u64, length: usize) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..length).map(|_| rng.random_range(0..61)).collect()
}

#[test]
fn the_engine_computes_what_the_trained_decoder_does() {
    let mut all = all();
    all.push(("longrope", longrope()));
    for (family, config) in all {
        let engine = model(&config, WeightFormat::F32);
        let decoder = Decoder::<Flex>::new(&config, weights(&config), &Default::default()).unwrap();
        for length in [1, 39, 77] {
            let tokens = prompt(2, length);
            let found = engine.all_logits(&tokens, Threads::All);
            let packing = Arc::new(Packing::of_lengths(&[length]));
            let expected = decoder.logits(&tokens, &packing).into_data();
            let expected: Vec<f32> = expected.into_vec().unwrap();
            let scale = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
                assert!(
                    (a - b).abs() < 2e-4 * scale,
                    "{family}, {length} tokens, at {i}: {a}, not {b}"
                );
            }
        }
    }
}

const FORMATS: [WeightFormat; 3] = [
    WeightFormat::F32,
    WeightFormat::Bf16,
    WeightFormat::Quantized(Bits::Int4),
];

fn tokens(model: Model, batch: usize, requests: &[Request]) -> Vec<Vec<u32>> {
    let engine = Engine::with_settings(model, EngineSettings { batch });
    let answers = engine.generate(requests, &mut |_| {}).into_iter();
    answers.map(|answer| answer.unwrap().tokens).collect()
}

#[test]
fn an_answer_does_not_depend_on_its_batch() {
    let mut all = all();
    all.push(("longrope", longrope()));
    let begin = prompt(8, 20);
    let mut requests: Vec<Request> = (0..7)
        .map(|i| Request::greedy(prompt(i, 1 + 9 * i as usize), 12, vec![]))
        .collect();
    requests.extend((0..4).map(|i| {
        let prompt = [begin.clone(), prompt(i, 1 + 11 * i as usize)].concat();
        Request::greedy(prompt, 15, vec![])
    }));
    for (family, config) in all {
        for format in FORMATS {
            let alone = tokens(model(&config, format), 1, &requests);
            let together = tokens(model(&config, format), 5, &requests);
            assert_eq!(alone, together, "{family} {format:?}");
            // With a beginning that all share, computed once.
            let shared = tokens(model(&config, format), 3, &requests[7..]);
            assert_eq!(alone[7..], shared, "{family} {format:?}");
        }
    }
}

#[test]
fn prefill_and_decode_give_the_same_bits() {
    for (family, config) in all() {
        for format in FORMATS {
            let model = model(&config, format);
            let tokens = prompt(5, 71);
            let whole = model.all_logits(&tokens, Threads::All);
            let mut cache = Cache::new(model.config(), 71);
            let mut logits = model.prefill(&mut cache, &tokens[..33], Threads::One);
            for (position, token) in tokens.iter().enumerate().skip(33) {
                let expected = &whole[(position - 1) * 61..position * 61];
                assert_eq!(logits, expected, "{family} {format:?}: at {position}");
                logits = model.decode(&mut [(&mut cache, *token)], Threads::One);
            }
            assert_eq!(logits, whole[70 * 61..]);
        }
    }
}

#[test]
fn a_sequence_that_outgrows_short_frequencies_is_computed_anew() {
    let model = model(&longrope(), WeightFormat::F32);
    let tokens = prompt(5, 60);
    let mut cache = Cache::new(model.config(), 60);
    let mut logits = model.prefill(&mut cache, &tokens[..33], Threads::One);
    for length in 33..60 {
        let whole = model.all_logits(&tokens[..length], Threads::One);
        assert_eq!(logits, whole[(length - 1) * 61..], "{length} tokens");
        logits = model.decode(&mut [(&mut cache, tokens[length])], Threads::One);
    }
    let short = model.all_logits(&tokens[..40], Threads::One);
    let long = model.all_logits(&tokens[..41], Threads::One);
    assert_ne!(short[..61 * 40], long[..61 * 40], "other frequencies hold");
    cache.truncate(10);
    let back = model.prefill(&mut cache, &tokens[10..20], Threads::One);
    assert_eq!(
        back,
        model.all_logits(&tokens[..20], Threads::One)[19 * 61..]
    );
}

#[test]
fn quantized_folders_load_and_stay_close() {
    let norm = |x: &[f32]| x.iter().map(|v| f64::from(v * v)).sum::<f64>().sqrt();
    for (family, config) in all() {
        let room = tempfile::tempdir().unwrap();
        let (source, target) = (room.path().join("a"), room.path().join("b"));
        let tables = weights(&config);
        tables
            .save(&source, &config, None, StoredType::F32)
            .unwrap();
        let tokens = prompt(3, 30);
        let plain = Model::load(&source)
            .unwrap()
            .all_logits(&tokens, Threads::All);
        for (bits, tables, tolerance) in [(Bits::Int8, true, 0.1), (Bits::Int4, false, 0.8)] {
            quantize_checkpoint(&source, &target, QuantizeSettings::new(bits, tables)).unwrap();
            let model = Model::load(&target).unwrap();
            assert_eq!(model.config().family, config.family);
            let logits = model.all_logits(&tokens, Threads::All);
            let error: Vec<f32> = logits.iter().zip(&plain).map(|(a, b)| a - b).collect();
            let relative = norm(&error) / norm(&plain);
            assert!(
                relative > 0.0 && relative < tolerance,
                "{family} {bits:?}: {relative}"
            );
        }
    }
}
