//! Every family's decoder, fused on flex against composed on ndarray: logits, loss, and the
//! gradient of every parameter, on random weights of odd sizes.

use std::path::Path;
use std::sync::Arc;

use burn::backend::{Autodiff, Flex, NdArray};
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use slm_model::ModelConfig;
use slm_model::decoder::Decoder;
use slm_model::linear::ParameterMut;
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::ops::{DecoderBackend, Labels, Packing};
use slm_model::weights::Weights;

/// A config of odd sizes, with `more` keys set.
fn config(model_type: &str, more: Value) -> ModelConfig {
    let mut config = json!({"model_type": model_type, "vocab_size": 61, "hidden_size": 36,
        "intermediate_size": 44, "num_hidden_layers": 3, "num_attention_heads": 6,
        "num_key_value_heads": 3, "head_dim": 10, "max_position_embeddings": 64,
        "tie_word_embeddings": false});
    for (key, value) in more.as_object().unwrap() {
        config[key.as_str()] = value.clone();
    }
    ModelConfig::from_json(&config, Path::new("shape")).unwrap()
}

/// At least one of each family, with the options that change its arithmetic.
fn all() -> Vec<(&'static str, ModelConfig)> {
    let list = [
        ("llama", json!({"tie_word_embeddings": true})),
        (
            "llama",
            json!({"attention_bias": true, "mlp_bias": true, "rope_scaling": {"rope_type": "llama3",
                "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": 16}}),
        ),
        (
            "llama",
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}}),
        ),
        (
            "qwen2",
            json!({"use_sliding_window": true, "sliding_window": 4, "max_window_layers": 1}),
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
                "shared_intermediate_size": 20, "position_embedding_type": "rope",
                "attention_multiplier": 0.2, "residual_multiplier": 0.3, "logits_scaling": 2.5}),
        ),
        (
            "phi3",
            json!({"partial_rotary_factor": 0.6, "original_max_position_embeddings": 9,
                "sliding_window": 7, "rope_scaling": {"type": "longrope",
                "short_factor": [1.0, 1.1, 1.2], "long_factor": [1.5, 2.0, 4.0]}}),
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

fn tokens(count: usize, vocabulary: usize) -> Vec<u32> {
    (0..count)
        .map(|i| (i * i * 7 + 3 * i) as u32 % vocabulary as u32)
        .collect()
}

fn host<B: DecoderBackend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().into_vec().unwrap()
}

fn packing() -> Arc<Packing> {
    Arc::new(Packing::of_lengths(&[1, 23, 9]))
}

/// Logits, and the gradients of a loss towards every trained parameter by name.
fn run<B: DecoderBackend>(
    config: &ModelConfig,
    adapter: Option<&Adapter>,
) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let device: B::Device = Default::default();
    let mut decoder = Decoder::<Autodiff<B>>::new(config, weights(config), &device).unwrap();
    if let Some(adapter) = adapter {
        decoder.attach(adapter).unwrap();
    }
    let train = |parameter: ParameterMut<'_, Autodiff<B>>| match parameter {
        ParameterMut::Vector(p) => p.value = p.value.clone().require_grad(),
        ParameterMut::Matrix(p) => p.value = p.value.clone().require_grad(),
    };
    match adapter {
        None => decoder.base_parameters_mut().into_iter().for_each(train),
        Some(_) => decoder.adapter_parameters_mut().into_iter().for_each(train),
    }
    let input = tokens(33, config.vocab_size);
    let logits = host(decoder.logits(&input, &packing()).inner());
    let hidden = decoder.hidden(&input, &packing());
    let rows: Vec<u32> = (1..33).step_by(2).collect();
    let labels = Labels {
        tokens: tokens(rows.len(), config.vocab_size),
        weights: vec![0.1; rows.len()],
    };
    let rows = Autodiff::<B>::select_rows(hidden, &rows);
    let loss = decoder.head().cross_entropy(rows, &labels);
    let mut grads = loss.backward();
    let mut gradient = |parameter: ParameterMut<'_, Autodiff<B>>| match parameter {
        ParameterMut::Vector(p) => (
            p.name.clone(),
            host(p.value.grad_remove(&mut grads).unwrap()),
        ),
        ParameterMut::Matrix(p) => (
            p.name.clone(),
            host(p.value.grad_remove(&mut grads).unwrap()),
        ),
    };
    let trained = match adapter {
        None => decoder.base_parameters_mut(),
        Some(_) => decoder.adapter_parameters_mut(),
    };
    (logits, trained.into_iter().map(&mut gradient).collect())
}

fn assert_close(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    let scale = b.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    assert!(scale > 0.0, "{what} is zero");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= 2e-4 * scale,
            "{what} at {i}: fused {a}, composed {b}, largest {scale}"
        );
    }
}

#[test]
fn fused_decoders_equal_composed_ones() {
    for (family, config) in all() {
        let (fused, composed) = (run::<Flex>(&config, None), run::<NdArray>(&config, None));
        assert_close(&format!("{family}: logits"), &fused.0, &composed.0);
        let names: Vec<&String> = fused.1.iter().map(|(name, _)| name).collect();
        let mut expected: Vec<String> =
            config.tensors().into_iter().map(|(name, _)| name).collect();
        expected.sort();
        let mut found: Vec<String> = names.into_iter().cloned().collect();
        found.sort();
        assert_eq!(found, expected, "{family}: every weight is trained");
        for ((name, a), (_, b)) in fused.1.iter().zip(&composed.1) {
            assert_close(&format!("{family}: gradient of {name}"), a, b);
        }
    }
}

#[test]
fn adapters_sit_on_the_modules_of_the_family() {
    for (family, config) in all() {
        let targets = config.target_modules();
        let lora = LoraConfig {
            rank: 3,
            alpha: 6.0,
            use_rslora: false,
            use_dora: false,
            target_modules: targets.clone(),
        };
        let mut adapter = Adapter::new(lora, &config, 1).unwrap();
        assert_eq!(adapter.pairs.len(), 3 * targets.len(), "{family}");
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        for pair in &mut adapter.pairs {
            pair.b
                .iter_mut()
                .for_each(|b| *b = rng.random_range(-0.1..0.1));
        }
        let fused = run::<Flex>(&config, Some(&adapter));
        let composed = run::<NdArray>(&config, Some(&adapter));
        assert_close(&format!("{family}: adapted logits"), &fused.0, &composed.0);
        for ((name, a), (_, b)) in fused.1.iter().zip(&composed.1) {
            assert_close(&format!("{family}: gradient of {name}"), a, b);
        }
        // Merged into the weights it computes the same.
        let mut merged = weights(&config);
        merged.merge(&adapter).unwrap();
        let decoder = Decoder::<Flex>::new(&config, merged, &Default::default()).unwrap();
        let logits = decoder.logits(&tokens(33, config.vocab_size), &packing());
        assert_close(&format!("{family}: merged logits"), &host(logits), &fused.0);
    }
}

#[test]
fn an_unknown_target_lists_the_familys_modules() {
    for (family, expected) in [
        (
            "phi3",
            "qkv_proj, o_proj, gate_up_proj, down_proj; or `all-linear`",
        ),
        (
            "qwen2",
            "q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj; or `all-linear`",
        ),
    ] {
        let lora = LoraConfig {
            rank: 3,
            alpha: 6.0,
            use_rslora: false,
            use_dora: false,
            target_modules: vec!["qkv".into()],
        };
        let refused = Adapter::new(lora, &config(family, json!({})), 1).unwrap_err();
        let message = refused.to_string();
        assert!(
            message.contains("unknown target module `qkv`") && message.contains(expected),
            "{message}"
        );
    }
}

#[test]
fn packed_samples_do_not_see_each_other() {
    for (family, config) in all() {
        let input = tokens(33, config.vocab_size);
        let decoder = Decoder::<Flex>::new(&config, weights(&config), &Default::default()).unwrap();
        let packed = host(decoder.logits(&input, &packing()));
        for span in [0..1, 1..24, 24..33] {
            let alone = Arc::new(Packing::of_lengths(&[span.len()]));
            let alone = host(decoder.logits(&input[span.clone()], &alone));
            let rows = span.start * config.vocab_size..span.end * config.vocab_size;
            assert_close(&format!("{family}: rows {span:?}"), &packed[rows], &alone);
        }
    }
}

#[test]
fn saved_weights_load_back() {
    for (family, config) in all() {
        let room = tempfile::tempdir().unwrap();
        let stored = slm_model::checkpoint::StoredType::F32;
        weights(&config)
            .save(room.path(), &config, None, stored)
            .unwrap();
        let back = ModelConfig::load(room.path()).unwrap();
        assert_eq!(back.family, config.family);
        let loaded = Weights::load(room.path(), &back).unwrap();
        let original = weights(&config);
        for (name, _) in config.tensors() {
            assert_eq!(loaded.get(&name), original.get(&name), "{family}: {name}");
        }
    }
}

/// [`TensorData`] keeps what it is given; the decoder needs contiguous rows of it.
#[test]
fn joined_rows_take_any_number_of_rows() {
    let (_, config) = all().swap_remove(8);
    let decoder = Decoder::<Flex>::new(&config, weights(&config), &Default::default()).unwrap();
    for count in [1, 2, 40] {
        let packing = Arc::new(Packing::of_lengths(&[count]));
        let data: TensorData = decoder.logits(&tokens(count, 61), &packing).into_data();
        assert_eq!(data.shape.as_slice(), [count, 61]);
    }
}
