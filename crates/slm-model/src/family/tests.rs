//! Every family's config: what it describes, what it refuses, and that no JSON panics.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::Family;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::kernels::gated::Activation;
use crate::rotary::RopeScaling;

/// A small config of `model_type`, with `more` keys set.
fn with(model_type: &str, more: Value) -> Value {
    let mut config = json!({"model_type": model_type, "vocab_size": 50, "hidden_size": 32,
        "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64});
    if model_type == "granitemoehybrid" {
        config["num_local_experts"] = json!(0);
        config["layer_types"] = json!(["attention", "attention", "full_attention", "attention"]);
        config["position_embedding_type"] = json!("rope");
        config["shared_intermediate_size"] = json!(40);
    }
    for (key, value) in more.as_object().unwrap() {
        config[key.as_str()] = value.clone();
    }
    config
}

fn read(value: &Value) -> Result<ModelConfig> {
    ModelConfig::from_json(value, Path::new("config.json"))
}

fn windows(config: &ModelConfig) -> Vec<Option<usize>> {
    config.layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn each_family_describes_its_own_decoder() {
    let plain = |model_type: &str| read(&with(model_type, json!({}))).unwrap();
    for family in Family::ALL {
        let config = plain(family.model_type());
        assert_eq!(config.family, family);
        assert_eq!(config.layers.len(), 4);
        let biased = config
            .tensors()
            .iter()
            .any(|(name, _)| name.ends_with(".bias"));
        assert_eq!(biased, family == Family::Qwen2, "{family}");
    }
    assert!(plain("qwen3").modules.head_norms.is_some());
    assert_eq!(windows(&plain("mistral")), vec![Some(4096); 4]);
    let nano = plain("granitemoehybrid");
    assert_eq!(
        nano.target_modules(),
        [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "input_linear",
            "output_linear"
        ]
    );
    assert_eq!((nano.intermediate_size, nano.score_scale()), (40, 1.0));
    let phi = plain("phi3");
    assert_eq!(
        phi.target_modules(),
        ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    );
    assert_eq!(phi.linears()[0].outputs, 32 + 2 * 16);
    assert_eq!(phi.linears()[2].outputs, 96);
    assert_eq!((phi.rms_norm_eps, windows(&phi)), (1e-5, vec![None; 4]));
    let gemma2 = plain("gemma2");
    assert!(gemma2.tie_word_embeddings);
    assert_eq!(gemma2.activation, Activation::GeluTanh);
    assert_eq!(gemma2.score_scale(), 1.0 / 16.0);
    assert_eq!(
        (gemma2.attention_softcap, gemma2.logits_softcap),
        (Some(50.0), Some(30.0))
    );
    assert_eq!(windows(&gemma2), [Some(4096), None, Some(4096), None]);
    assert!(gemma2.tensors().iter().any(|(name, shape)| {
        name == "model.layers.3.post_feedforward_layernorm.weight" && *shape == [32]
    }));
}

#[test]
fn gemma3_has_a_rope_for_each_kind_of_layer() {
    let config = read(&with(
        "gemma3_text",
        json!({"sliding_window_pattern": 2, "sliding_window": 8,
            "rope_scaling": {"rope_type": "linear", "factor": 8.0}}),
    ))
    .unwrap();
    let thetas: Vec<f64> = config.ropes.iter().map(|rope| rope.theta).collect();
    assert_eq!(thetas, [1e6, 1e4]);
    assert_eq!(config.ropes[0].scaling, RopeScaling::Linear(8.0));
    assert_eq!(config.ropes[1].scaling, RopeScaling::Default);
    let ropes: Vec<usize> = config.layers.iter().map(|layer| layer.rope).collect();
    assert_eq!(ropes, [1, 0, 1, 0]);
    let nested = read(&with(
        "gemma3_text",
        json!({"layer_types": ["full_attention", "sliding_attention", "full_attention", "full_attention"],
            "rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 5e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}}),
    ))
    .unwrap();
    let thetas: Vec<f64> = nested.ropes.iter().map(|rope| rope.theta).collect();
    assert_eq!(thetas, [5e5, 100.0]);
    assert_eq!(windows(&nested), [None, Some(4096), None, None]);
}

#[test]
fn windows_follow_the_family() {
    let qwen = |more: Value| windows(&read(&with("qwen2", more)).unwrap());
    assert_eq!(
        qwen(json!({"use_sliding_window": true, "sliding_window": 5, "max_window_layers": 3})),
        [None, None, None, Some(5)]
    );
    assert_eq!(
        qwen(json!({"use_sliding_window": false, "sliding_window": 5, "max_window_layers": 0})),
        [None; 4]
    );
    let all =
        |model_type: &str| windows(&read(&with(model_type, json!({"sliding_window": 7}))).unwrap());
    assert_eq!(all("mistral"), [Some(7); 4]);
    assert_eq!(all("phi3"), [Some(7); 4]);
    let none = read(&with("mistral", json!({"sliding_window": null}))).unwrap();
    assert_eq!(windows(&none), [None; 4]);
}

#[test]
fn ropes_are_read_from_old_and_new_keys() {
    let rope = |more: Value| read(&with("llama", more)).unwrap().ropes.remove(0);
    assert_eq!(rope(json!({})).theta, 1e4);
    assert_eq!(rope(json!({"rope_theta": 77})).theta, 77.0);
    let nested =
        json!({"rope_theta": 77, "rope_parameters": {"rope_type": "default", "rope_theta": 88}});
    assert_eq!(rope(nested).theta, 88.0);
    let old = json!({"rope_scaling": {"type": "linear", "factor": 2}, "rope_theta": 3.0});
    assert_eq!(rope(old.clone()).scaling, RopeScaling::Linear(2.0));
    assert_eq!(rope(old).theta, 3.0);
    let yarn = rope(json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0,
        "original_max_position_embeddings": 16, "mscale": 2.0, "mscale_all_dim": 1.0}}));
    let expected = (0.2 * 4f64.ln() + 1.0) / (0.1 * 4f64.ln() + 1.0);
    assert!((yarn.attention_factor() - expected).abs() < 1e-12);
    // Without a factor, the stretch is that of the context; without the original, the context's.
    let RopeScaling::Yarn(whole) =
        rope(json!({"rope_scaling": {"rope_type": "yarn", "factor": null}})).scaling
    else {
        panic!("not yarn");
    };
    assert_eq!(
        (whole.factor, whole.original_max_position_embeddings),
        (1.0, 64.0)
    );
    let phi = read(&with(
        "phi3",
        json!({"partial_rotary_factor": 0.5, "original_max_position_embeddings": 16,
            "rope_scaling": {"type": "su", "short_factor": [1, 2], "long_factor": [3, 4]}}),
    ))
    .unwrap();
    assert_eq!(phi.ropes[0].width, 4);
    assert_eq!(phi.ropes[0].longest_short(), Some(16));
    assert!((phi.ropes[0].attention_factor() - 1.5f64.sqrt()).abs() < 1e-12);
    let none = with("granitemoehybrid", json!({"position_embedding_type": null}));
    assert_eq!(read(&none).unwrap().ropes[0].pairs(), 0);
}

#[test]
fn what_would_change_the_result_is_refused_by_name() {
    let cases = [
        (
            "gpt_oss",
            json!({}),
            "model_type `gpt_oss` is not supported",
        ),
        ("gemma3", json!({}), "model_type `gemma3` is not supported"),
        (
            "llama",
            json!({"architectures": ["LlamaForSequenceClassification"]}),
            "architecture `LlamaForSequenceClassification` is not supported",
        ),
        (
            "llama",
            json!({"hidden_act": "relu"}),
            "`hidden_act: \"relu\"` is not supported",
        ),
        (
            "llama",
            json!({"num_local_experts": 8}),
            "`num_local_experts: 8` is not supported for `llama`",
        ),
        (
            "llama",
            json!({"sliding_window": 8}),
            "`sliding_window: 8` is not supported for `llama`",
        ),
        (
            "llama",
            json!({"partial_rotary_factor": 0.5}),
            "`partial_rotary_factor: 0.5` is not supported",
        ),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "proportional"}}),
            "`rope_type: \"proportional\"`",
        ),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8}}),
            "lacks `low_freq_factor`",
        ),
        (
            "llama",
            json!({"rope_scaling": {"rope_type": "default", "mrope_section": [1]}}),
            "`rope setting mrope_section: [1]` is not supported",
        ),
        (
            "llama",
            json!({"layer_types": ["mamba", "attention", "attention", "attention"]}),
            "layer type `mamba` is not supported",
        ),
        (
            "mistral",
            json!({"attention_bias": true}),
            "`attention_bias: true` is not supported for `mistral`",
        ),
        (
            "qwen2",
            json!({"layer_types": vec!["sliding_attention"; 4]}),
            "`use_sliding_window` is false",
        ),
        (
            "qwen3",
            json!({"num_experts": 128}),
            "`num_experts: 128` is not supported",
        ),
        (
            "granite",
            json!({"attn_logit_softcapping": 30.0}),
            "`attn_logit_softcapping: 30.0`",
        ),
        (
            "granitemoehybrid",
            json!({"num_local_experts": 4}),
            "`num_local_experts: 4` is not supported",
        ),
        (
            "granitemoehybrid",
            json!({"num_local_experts": null}),
            "`num_local_experts: 8` is not supported",
        ),
        (
            "granitemoehybrid",
            json!({"layer_types": ["mamba", "attention", "mamba", "mamba"]}),
            "layer type `mamba` is not supported",
        ),
        (
            "granitemoehybrid",
            json!({"layer_types": null}),
            "`layer_types` is missing",
        ),
        (
            "phi3",
            json!({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}),
            "rope types default and longrope",
        ),
        (
            "phi3",
            json!({"rope_scaling": {"rope_type": "longrope", "short_factor": [1], "long_factor": [1]}}),
            "`short_factor` is not a list of 4 positive numbers",
        ),
        (
            "gemma2",
            json!({"use_bidirectional_attention": true}),
            "`use_bidirectional_attention: true`",
        ),
        (
            "gemma2",
            json!({"sliding_window": null}),
            "need `sliding_window`",
        ),
        (
            "gemma2",
            json!({"hidden_activation": "gelu"}),
            "`hidden_activation: \"gelu\"` is not supported",
        ),
        (
            "gemma3_text",
            json!({"attn_logit_softcapping": 50.0}),
            "`attn_logit_softcapping: 50.0`",
        ),
        ("llama", json!({"num_key_value_heads": 3}), "must divide"),
        (
            "llama",
            json!({"head_dim": 7}),
            "cannot be rotated in pairs",
        ),
        (
            "llama",
            json!({"num_hidden_layers": 1u64 << 60}),
            "outside 1..=4096",
        ),
        ("llama", json!({"head_dim": u64::MAX}), "outside 1..="),
        (
            "llama",
            json!({"vocab_size": -1}),
            "`vocab_size` is not a whole number",
        ),
        (
            "llama",
            json!({"vocab_size": null}),
            "`vocab_size` is missing",
        ),
        (
            "llama",
            json!({"rms_norm_eps": "tiny"}),
            "`rms_norm_eps` is not a number",
        ),
        (
            "llama",
            json!({"tie_word_embeddings": "yes"}),
            "`tie_word_embeddings` is not true or false",
        ),
        ("llama", json!({"rope_theta": 0}), "`rope_theta` is 0"),
    ];
    for (model_type, more, expected) in cases {
        let message = match read(&with(model_type, more.clone())) {
            Ok(_) => "(accepted)".to_string(),
            Err(error) => error.to_string(),
        };
        assert!(
            message.contains(expected) && message.contains("\nhint: "),
            "{model_type} with {more}: {message}"
        );
    }
}

#[test]
fn options_at_their_neutral_values_are_accepted() {
    let more = json!({"attention_bias": false, "num_local_experts": 0, "sliding_window": null,
        "residual_multiplier": 1.0, "layer_types": vec!["full_attention"; 4],
        "rope_scaling": null, "architectures": ["LlamaForCausalLM"], "pretraining_tp": 1,
        "something_of_a_later_version": {"a": [1]}});
    read(&with("llama", more)).unwrap();
}

#[test]
fn biases_are_read_where_the_family_has_them() {
    let config = read(&with(
        "llama",
        json!({"attention_bias": true, "mlp_bias": true}),
    ))
    .unwrap();
    assert!(config.linears().iter().all(|linear| linear.bias));
    let qwen3 = read(&with("qwen3", json!({"attention_bias": true}))).unwrap();
    let biased: Vec<bool> = qwen3.linears().iter().map(|linear| linear.bias).collect();
    assert_eq!(biased, [true, true, true, true, false, false, false]);
    let count = |config: &ModelConfig| config.parameters();
    let plain = read(&with("llama", json!({}))).unwrap();
    assert_eq!(
        count(&config) - count(&plain),
        4 * (32 + 16 + 16 + 32 + 48 + 48 + 32)
    );
}

#[test]
fn a_config_is_written_back_as_it_was() {
    for family in Family::ALL {
        let mut value = with(
            family.model_type(),
            json!({"made_by": "hand", "dtype": "float16",
            "quantization_config": {"bits": 4}}),
        );
        let written = read(&value).unwrap().to_hugging_face("bfloat16");
        value
            .as_object_mut()
            .unwrap()
            .shift_remove("quantization_config");
        value["dtype"] = json!("bfloat16");
        assert_eq!(written, value);
        assert_eq!(read(&written).unwrap().family, family);
    }
    let old = read(&with("llama", json!({}))).unwrap();
    assert_eq!(old.to_hugging_face("float32")["torch_dtype"], "float32");
}

/// Keys that some family reads.
const KEYS: [&str; 31] = [
    "model_type",
    "architectures",
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rope_theta",
    "rope_scaling",
    "rope_parameters",
    "rms_norm_eps",
    "tie_word_embeddings",
    "eos_token_id",
    "hidden_act",
    "hidden_activation",
    "attention_bias",
    "sliding_window",
    "use_sliding_window",
    "layer_types",
    "sliding_window_pattern",
    "max_window_layers",
    "query_pre_attn_scalar",
    "final_logit_softcapping",
    "embedding_multiplier",
    "logits_scaling",
    "partial_rotary_factor",
    "rope_local_base_freq",
    "original_max_position_embeddings",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u64..200).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![
            Just("yarn"),
            Just("longrope"),
            Just("llama3"),
            Just("linear"),
            Just("silu"),
            Just("full_attention"),
            Just("sliding_attention"),
            Just("gemma2"),
            Just("")
        ]
        .prop_map(Value::from),
    ];
    let keys = prop_oneof![
        Just("rope_type"),
        Just("type"),
        Just("factor"),
        Just("rope_theta"),
        Just("short_factor"),
        Just("long_factor"),
        Just("beta_fast"),
        Just("full_attention"),
        Just("sliding_attention"),
        Just("original_max_position_embeddings"),
        Just("low_freq_factor"),
        Just("high_freq_factor"),
        Just("partial_rotary_factor"),
        Just("mscale"),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::hash_map(keys.clone(), inner, 0..6).prop_map(|map| {
                let entries = map.into_iter().map(|(key, value)| (key.to_string(), value));
                Value::Object(entries.collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever a config says, it is read or refused; what is read is of a size that can be.
    #[test]
    fn no_config_panics(
        family in 0usize..9,
        changes in prop::collection::vec((0usize..KEYS.len(), json_value()), 0..5),
    ) {
        let mut value = with(Family::ALL[family].model_type(), json!({}));
        for (key, change) in changes {
            value[KEYS[key]] = change;
        }
        if let Ok(config) = read(&value) {
            prop_assert!(config.parameters() < 1 << 60);
            prop_assert_eq!(config.layers.len(), config.num_hidden_layers);
            for rope in &config.ropes {
                prop_assert!(2 * rope.pairs() <= config.head_dim);
                prop_assert!(rope.frequencies(9).iter().all(|f| f.is_finite()));
            }
            prop_assert!(config.layers.iter().all(|layer| layer.rope < config.ropes.len()));
            prop_assert!(config.score_scale().is_finite());
        }
    }
}
