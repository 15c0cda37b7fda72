//! A model's folder as a GGUF file.

use std::path::Path;

use serde::Serialize;

use super::blocks::{self, BlockType};
use super::format::{Metadata, Planned, write};
use super::names::{self, ARCHITECTURES, Architecture};
use super::vocabulary;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{ModelError, Result};
use crate::family::Modules;
use crate::quant::{QuantizationConfig, QuantizedMatrix, StoredWeight};

/// What was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExportReport {
    /// Tensors.
    pub tensors: usize,
    /// Those that did not fit the blocks and stayed in half precision.
    pub half_precision: Vec<String>,
    /// llama.cpp's name of the way in which texts are cut.
    pub pre: String,
    /// Whether llama.cpp cuts every text as the tokenizer does.
    pub exact_tokenizer: bool,
}

/// Writes the model in `dir` to a GGUF file, matrices packed as `kind`, with its tokenizer, chat
/// template and stop tokens. With `Q4_0` the embedding and the head are in `Q8_0`. Codes of a
/// quantized model are kept where they fit. `pre` is llama.cpp's name of the way in which texts are
/// cut, where it is not known.
///
/// # Errors
/// When the model is of a family, or has options, that llama.cpp does not compute in the same way.
pub fn export(dir: &Path, path: &Path, kind: BlockType, pre: Option<&str>) -> Result<ExportReport> {
    let config = ModelConfig::load(dir)?;
    let architecture = architecture(dir, &config)?;
    let checkpoint = Checkpoint::open(dir)?;
    let quantization = QuantizationConfig::from_json(&config.json(), &dir.join("config.json"))?;
    let stops = crate::tokenizer_files::TokenizerFiles::read(dir).eos_ids();
    let mut all = config.eos_token_ids.clone();
    all.extend(
        stops
            .into_iter()
            .filter(|stop| !config.eos_token_ids.contains(stop)),
    );
    let vocabulary = vocabulary::read(dir, config.vocab_size, &all, pre)?;
    let mut metadata = description(dir, &config, architecture, kind);
    metadata.extend(vocabulary.metadata);
    let mut half_precision = Vec::new();
    let mut planned = Vec::new();
    let mut sources = Vec::new();
    for (name, shape) in config.tensors() {
        let theirs = names::of(&name).ok_or_else(|| {
            let problem = format!("tensor `{name}` has no name in GGUF");
            ModelError::invalid(dir, problem, "this kind of model is not exported")
        })?;
        let table = !name.starts_with("model.layers.");
        let wanted = match (shape.len(), kind) {
            (1, _) => BlockType::F32,
            (_, BlockType::Q4_0) if table => BlockType::Q8_0,
            _ => kind,
        };
        let fits = shape
            .last()
            .is_some_and(|columns| wanted.bytes(*columns).is_some());
        let kind = match fits {
            true => wanted,
            false => {
                half_precision.push(name.clone());
                BlockType::F16
            }
        };
        planned.push(Planned {
            name: theirs,
            shape: shape.clone(),
            kind,
        });
        sources.push((name, shape));
    }
    if let Some(factors) = rope_factors(&config) {
        planned.push(Planned {
            name: ROPE_FACTORS.to_owned(),
            shape: vec![factors.len()],
            kind: BlockType::F32,
        });
    }
    let tensors = planned.len();
    let mut next = sources.into_iter();
    write(path, &metadata, &planned, |tensor| {
        let Some((name, shape)) = next.next() else {
            return blocks::quantize(&rope_factors(&config).unwrap_or_default(), tensor.kind);
        };
        let order = names::row_order(&config, architecture.interleaved, &name);
        let columns = if shape.len() == 2 { shape[1] } else { 1 };
        let module = name.trim_end_matches(".weight");
        let stored = match (&quantization, shape.as_slice()) {
            (Some(quantization), &[rows, columns]) => {
                quantization.read(&checkpoint, dir, module, rows, columns)?
            }
            _ => None,
        };
        let values = match stored {
            Some(StoredWeight::Packed(matrix)) => {
                let matrix = match &order {
                    Some(order) => reordered(&matrix, order)?,
                    None => matrix,
                };
                if let Some(bytes) = blocks::of_quantized(&matrix, tensor.kind) {
                    return Ok(bytes);
                }
                return blocks::quantize(&matrix.dequantize(), tensor.kind);
            }
            Some(stored) => stored.values(),
            None => checkpoint.read(&name, &shape)?,
        };
        let values = match &order {
            Some(order) => in_order(&values, columns, order),
            None => values,
        };
        blocks::quantize(&values, tensor.kind)
    })?;
    Ok(ExportReport {
        tensors,
        half_precision,
        pre: vocabulary.pre,
        exact_tokenizer: vocabulary.exact,
    })
}

const ROPE_FACTORS: &str = "rope_freqs.weight";

/// The model as llama.cpp knows it.
fn architecture(dir: &Path, config: &ModelConfig) -> Result<Architecture> {
    let refuse = |problem: String| {
        let known: Vec<&str> = ARCHITECTURES
            .iter()
            .map(|a| a.family.model_type())
            .collect();
        let hint = format!("exported: {}, without further options", known.join(", "));
        Err(ModelError::invalid(&dir.join("config.json"), problem, hint))
    };
    let found = ARCHITECTURES.iter().find(|a| a.family == config.family);
    let Some(architecture) = found else {
        return refuse(format!(
            "models of type `{}` are not exported",
            config.family
        ));
    };
    let plain = Modules {
        head_norms: config.modules.head_norms,
        ..Modules::LLAMA
    };
    if config.modules != plain || config.norm_offset != 0.0 {
        return refuse("its layers are not laid out as Llama's".to_owned());
    }
    if config.layers.iter().any(|layer| layer.window.is_some()) {
        return refuse("it has a sliding window".to_owned());
    }
    let [rope] = config.ropes.as_slice() else {
        return refuse("it has several rotary embeddings".to_owned());
    };
    let simple = rope.attention_factor() == 1.0 && rope.frequency_sets().len() == 1;
    if !simple || 2 * rope.pairs() != config.head_dim {
        return refuse("its rotary embedding has options".to_owned());
    }
    if config.attention_softcap.is_some() || config.logits_softcap.is_some() {
        return refuse("it bounds its scores".to_owned());
    }
    let factors = [
        config.embedding_multiplier,
        config.residual_multiplier,
        config.logits_scaling,
    ];
    let scaled = factors.iter().any(|f| *f != 1.0) || config.attention_scale.is_some();
    if scaled && architecture.name != "granite" {
        return refuse("it has factors that only Granite's may have".to_owned());
    }
    Ok(*architecture)
}

/// What the plain frequencies are divided by, where they are not used as they are.
fn rope_factors(config: &ModelConfig) -> Option<Vec<f32>> {
    let rope = config.ropes.first()?;
    let sets = rope.frequency_sets();
    let width = config.head_dim as f64;
    let factors = sets.first()?.iter().enumerate().map(|(i, frequency)| {
        let plain = rope.theta.powf(-2.0 * i as f64 / width);
        plain / frequency
    });
    let factors: Vec<f64> = factors.collect();
    let plain = factors.iter().all(|factor| (factor - 1.0).abs() < 1e-9);
    (!plain).then(|| factors.iter().map(|factor| *factor as f32).collect())
}

fn description(
    dir: &Path,
    config: &ModelConfig,
    architecture: Architecture,
    kind: BlockType,
) -> Vec<(String, Metadata)> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let file_type = match kind {
        BlockType::F32 => 0,
        BlockType::F16 => 1,
        BlockType::Q4_0 => 2,
        BlockType::Q8_0 => 7,
        BlockType::Bf16 => 32,
    };
    let mut out = vec![
        (
            "general.architecture".to_owned(),
            Metadata::Text(architecture.name.to_owned()),
        ),
        ("general.name".to_owned(), Metadata::Text(name.into_owned())),
        ("general.file_type".to_owned(), Metadata::U32(file_type)),
        ("general.quantization_version".to_owned(), Metadata::U32(2)),
    ];
    let sizes = [
        ("vocab_size", config.vocab_size),
        ("context_length", config.max_position_embeddings),
        ("embedding_length", config.hidden_size),
        ("block_count", config.num_hidden_layers),
        ("feed_forward_length", config.intermediate_size),
        ("rope.dimension_count", config.head_dim),
        ("attention.head_count", config.num_attention_heads),
        ("attention.head_count_kv", config.num_key_value_heads),
        ("attention.key_length", config.head_dim),
        ("attention.value_length", config.head_dim),
    ];
    let key = |name: &str| format!("{}.{name}", architecture.name);
    out.extend(sizes.map(|(name, size)| (key(name), Metadata::U32(size as u32))));
    let theta = config.ropes.first().map_or(10_000.0, |rope| rope.theta);
    let mut factors = vec![
        ("rope.freq_base", theta),
        ("attention.layer_norm_rms_epsilon", config.rms_norm_eps),
    ];
    if architecture.name == "granite" {
        factors.extend([
            ("attention.scale", f64::from(config.score_scale())),
            ("embedding_scale", config.embedding_multiplier),
            ("residual_scale", config.residual_multiplier),
            ("logit_scale", config.logits_scaling),
        ]);
    }
    out.extend(
        factors
            .into_iter()
            .map(|(name, value)| (key(name), Metadata::F32(value as f32))),
    );
    out
}

/// Rows of `columns` numbers, each taken from where `order` says.
pub(super) fn in_order<T: Copy>(values: &[T], columns: usize, order: &[usize]) -> Vec<T> {
    let rows = order
        .iter()
        .map(|from| &values[from * columns..(from + 1) * columns]);
    rows.flatten().copied().collect()
}

pub(super) fn reordered(matrix: &QuantizedMatrix, order: &[usize]) -> Result<QuantizedMatrix> {
    let (columns, format) = (matrix.columns(), matrix.format());
    QuantizedMatrix::from_parts(
        matrix.rows(),
        columns,
        format,
        in_order(matrix.codes(), columns, order),
        in_order(matrix.scales(), format.group.count(columns), order),
        matrix.scale_type(),
    )
}
