//! A model's shape and options as llama.cpp reads them, or why it would compute something else.

use std::path::Path;

use super::blocks::BlockType;
use super::format::Metadata;
use super::names::{ARCHITECTURES, Architecture};
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::family::Family;
use crate::kernels::gated::Activation;
use crate::rotary::{Rope, RopeScaling, YarnScaling};

/// What a file says of its model, besides weights and tokenizer.
pub struct Description {
    /// The model as llama.cpp knows it.
    pub architecture: Architecture,
    /// Keys and values.
    pub metadata: Vec<(String, Metadata)>,
    /// Tensors of what rotary frequencies are divided by.
    pub factors: Vec<(&'static str, Vec<f32>)>,
    /// Longest context, where it is shorter than the model's: the width of a window that llama.cpp
    /// does not have.
    pub shortened: Option<usize>,
}

/// Describes the model in `dir`, packed as `kind`.
///
/// # Errors
/// When llama.cpp does not know the model, or would compute it otherwise.
pub fn describe(dir: &Path, config: &ModelConfig, kind: BlockType) -> Result<Description> {
    let refuse = |problem: String| {
        let known: Vec<&str> = ARCHITECTURES
            .iter()
            .map(|a| a.family.model_type())
            .collect();
        let hint = format!("exported: {}, as llama.cpp knows them", known.join(", "));
        ModelError::invalid(&dir.join("config.json"), problem, hint)
    };
    let found = ARCHITECTURES.iter().find(|a| a.family == config.family);
    let architecture = *found.ok_or_else(|| {
        refuse(format!(
            "models of type `{}` are not exported",
            config.family
        ))
    })?;
    if let Some(problem) = differs(config, architecture) {
        return Err(refuse(problem.to_owned()));
    }
    let window = config.layers.iter().filter_map(|layer| layer.window).min();
    let limit = window.filter(|_| !gemma(config));
    let context = config.max_position_embeddings;
    let shortened = limit.filter(|window| *window < context);
    let key = |name: &str| format!("{}.{name}", architecture.name);
    let mut metadata = general(architecture, kind);
    let mut put = |name: &str, value: Metadata| metadata.push((key(name), value));
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("context_length", shortened.unwrap_or(context)),
        ("embedding_length", config.hidden_size),
        ("block_count", config.num_hidden_layers),
        ("feed_forward_length", config.intermediate_size),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
    ];
    for (name, size) in sizes {
        put(name, Metadata::U32(size as u32));
    }
    let number = |value: f64| Metadata::F32(value as f32);
    put(
        "attention.layer_norm_rms_epsilon",
        number(config.rms_norm_eps),
    );
    if architecture.name == "granite" {
        put("attention.scale", Metadata::F32(config.score_scale()));
        put("embedding_scale", number(config.embedding_multiplier));
        put("residual_scale", number(config.residual_multiplier));
        put("logit_scale", number(config.logits_scaling));
    }
    if let Some(bound) = config.attention_softcap {
        put("attn_logit_softcapping", number(bound));
    }
    if let Some(bound) = config.logits_softcap {
        put("final_logit_softcapping", number(bound));
    }
    if let Some(window) = window.filter(|_| gemma(config)) {
        put("attention.sliding_window", Metadata::U32(window as u32));
        let slides = |layer: &crate::config::LayerAttention| i32::from(layer.window.is_some());
        let pattern = config.layers.iter().map(slides).collect();
        put(
            "attention.sliding_window_pattern",
            Metadata::Integers(pattern),
        );
    }
    let mut factors = Vec::new();
    let (full, sliding) = ropes(config);
    if let Some(sliding) = sliding {
        put("rope.freq_base_swa", number(sliding.theta));
    }
    match full {
        Some(rope) if rope.width > 0 => {
            put("rope.dimension_count", Metadata::U32(rope.width as u32));
            put("rope.freq_base", number(rope.theta));
            for (name, value) in stretched(rope, &mut factors) {
                put(name, value);
            }
        }
        _ => {
            put(
                "rope.dimension_count",
                Metadata::U32(config.head_dim as u32),
            );
            put("rope.scaling.finetuned", Metadata::Bool(false));
        }
    }
    Ok(Description {
        architecture,
        metadata,
        factors,
        shortened,
    })
}

fn general(architecture: Architecture, kind: BlockType) -> Vec<(String, Metadata)> {
    let file_type = match kind {
        BlockType::F32 => 0,
        BlockType::F16 => 1,
        BlockType::Q4_0 => 2,
        BlockType::Q8_0 => 7,
        BlockType::Bf16 => 32,
    };
    let entries = [
        (
            "general.architecture",
            Metadata::Text(architecture.name.to_owned()),
        ),
        ("general.file_type", Metadata::U32(file_type)),
        ("general.quantization_version", Metadata::U32(2)),
    ];
    let owned = |(key, value): (&str, Metadata)| (key.to_owned(), value);
    entries.map(owned).to_vec()
}

fn gemma(config: &ModelConfig) -> bool {
    matches!(config.family, Family::Gemma2 | Family::Gemma3)
}

/// The rotary embedding of layers that see everything, and that of layers with a window where
/// there are such; the first stands for all where no layer sees everything.
fn ropes(config: &ModelConfig) -> (Option<&Rope>, Option<&Rope>) {
    let of = |slides: bool| {
        let mut layers = config.layers.iter();
        let layer = layers.find(|layer| layer.window.is_some() == slides)?;
        config.ropes.get(layer.rope)
    };
    match (of(false), of(true)) {
        (None, sliding) => (sliding, sliding),
        found => found,
    }
}

/// What llama.cpp would compute in another way, if anything.
fn differs(config: &ModelConfig, architecture: Architecture) -> Option<&'static str> {
    let gemma = gemma(config);
    let activation = if gemma {
        Activation::GeluTanh
    } else {
        Activation::Silu
    };
    if config.activation != activation {
        return Some("its activation is another than llama.cpp's for this kind of model");
    }
    let open = matches!(architecture.name, "llama" | "granite");
    if (config.biases.output || config.biases.mlp) && !open {
        return Some("it has biases that llama.cpp does not read for this kind of model");
    }
    let width = config.num_attention_heads * config.head_dim;
    if matches!(architecture.name, "qwen2" | "phi3") && width != config.hidden_size {
        return Some("its heads together are not as wide as the model");
    }
    if config.family == Family::Gemma2 && !config.tie_word_embeddings {
        return Some("its head is not the embedding");
    }
    let bounds = (
        config.attention_softcap.is_some(),
        config.logits_softcap.is_some(),
    );
    let known = match config.family {
        Family::Gemma2 => bounds == (true, true),
        Family::Gemma3 => !bounds.0,
        _ => bounds == (false, false),
    };
    if !known {
        return Some("its bounds on scores are others than llama.cpp's");
    }
    let factors = [
        config.embedding_multiplier,
        config.residual_multiplier,
        config.logits_scaling,
    ];
    // llama.cpp knows Gemma's factors by the number of layers.
    let plain = match (config.family, config.num_hidden_layers) {
        (Family::Gemma2, 46) | (Family::Gemma3, 62) => {
            (config.hidden_size as f64 / config.num_attention_heads as f64).powf(-0.5)
        }
        _ => (config.head_dim as f64).powf(-0.5),
    };
    let scale_differs = (f64::from(config.score_scale()) / plain - 1.0).abs() > 1e-6;
    if gemma && scale_differs {
        return Some("its factor on scores is another than llama.cpp's");
    }
    let scaled = factors.iter().any(|f| *f != 1.0) || scale_differs;
    if scaled && !gemma && architecture.name != "granite" {
        return Some("it has factors that only Granite's may have");
    }
    rope_differs(config, architecture)
}

fn rope_differs(config: &ModelConfig, architecture: Architecture) -> Option<&'static str> {
    let (full, sliding) = ropes(config);
    let gemma = gemma(config);
    let Some(full) = full.filter(|rope| rope.width > 0) else {
        let known = architecture.name == "granite";
        return (!known).then_some("it embeds no positions");
    };
    if config.ropes.len() > 1 && !gemma {
        return Some("it has several rotary embeddings");
    }
    if full.width != config.head_dim && architecture.name != "phi3" {
        return Some("only a part of each head turns");
    }
    if config.family == Family::Gemma3
        && sliding.is_some_and(|rope| rope.scaling != RopeScaling::Default)
    {
        return Some("its rotary embedding of layers with a window is stretched");
    }
    let tensors = matches!(architecture.name, "llama" | "granite");
    match &full.scaling {
        RopeScaling::Default | RopeScaling::Linear(_) => None,
        RopeScaling::Llama3(_) if tensors => None,
        RopeScaling::LongRope(_) if tensors || architecture.name == "phi3" => None,
        RopeScaling::Yarn(yarn) if yarn.truncate && plain_bounds(yarn) && !gemma => None,
        _ => Some("its rotary embedding is stretched in a way that llama.cpp does not know here"),
    }
}

/// Whether the bounds between kept and divided frequencies are those that llama.cpp has built in.
fn plain_bounds(yarn: &YarnScaling) -> bool {
    (yarn.beta_fast, yarn.beta_slow) == (32.0, 1.0)
}

/// How a rotary embedding is stretched; `factors` gets the tensors.
fn stretched(
    rope: &Rope,
    factors: &mut Vec<(&'static str, Vec<f32>)>,
) -> Vec<(&'static str, Metadata)> {
    let number = |value: f64| Metadata::F32(value as f32);
    let kind = |name: &str| ("rope.scaling.type", Metadata::Text(name.to_owned()));
    let original = "rope.scaling.original_context_length";
    match &rope.scaling {
        RopeScaling::Default => Vec::new(),
        RopeScaling::Linear(factor) => {
            vec![kind("linear"), ("rope.scaling.factor", number(*factor))]
        }
        RopeScaling::Llama3(_) => {
            let plain =
                (0..rope.pairs()).map(|i| rope.theta.powf(-2.0 * i as f64 / rope.width as f64));
            let by = plain
                .zip(rope.frequencies(0))
                .map(|(plain, f)| (plain / f) as f32);
            factors.push(("rope_freqs.weight", by.collect()));
            Vec::new()
        }
        RopeScaling::Yarn(yarn) => {
            // llama.cpp multiplies by the recommended factor of its own accord.
            let recommended = 0.1 * yarn.factor.ln() + 1.0;
            let length = yarn.original_max_position_embeddings as u32;
            vec![
                kind("yarn"),
                ("rope.scaling.factor", number(yarn.factor)),
                (original, Metadata::U32(length)),
                (
                    "rope.scaling.attn_factor",
                    number(yarn.attention_factor / recommended),
                ),
            ]
        }
        RopeScaling::LongRope(long) => {
            let sets = [
                ("rope_factors_long.weight", &long.long_factor),
                ("rope_factors_short.weight", &long.short_factor),
            ];
            let narrow = |by: &Vec<f64>| by.iter().map(|by| *by as f32).collect();
            factors.extend(sets.map(|(name, by)| (name, narrow(by))));
            let length = long.original_max_position_embeddings as u32;
            vec![
                kind("longrope"),
                (original, Metadata::U32(length)),
                ("rope.scaling.attn_factor", number(long.attention_factor)),
            ]
        }
    }
}
