//! A model's folder as a GGUF file.

use std::path::Path;

use serde::Serialize;

use super::blocks::{self, BlockType};
use super::describe::describe;
use super::format::{Planned, write};
use super::names;
use super::vocabulary;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::Result;
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
    /// The context that the file allows, where it is shorter than the model's.
    pub context: Option<usize>,
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
    let description = describe(dir, &config, kind)?;
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
    let mut metadata = description.metadata;
    metadata.extend(vocabulary.metadata);
    let mut half_precision = Vec::new();
    let mut planned = Vec::new();
    let mut sources = Vec::new();
    for (name, shape) in config.tensors() {
        let table = !name.starts_with("model.layers.");
        for part in names::parts(&config, description.architecture, &name, &shape) {
            let wanted = match (shape.len(), kind) {
                (1, _) => BlockType::F32,
                (_, BlockType::Q4_0) if table => BlockType::Q8_0,
                _ => kind,
            };
            let fits = shape
                .last()
                .is_some_and(|columns| wanted.bytes(*columns).is_some());
            if !fits {
                half_precision.push(part.name.clone());
            }
            planned.push(Planned {
                name: part.name,
                shape: part.shape,
                kind: if fits { wanted } else { BlockType::F16 },
            });
            sources.push((name.clone(), shape.clone(), part.rows));
        }
    }
    for (name, factors) in &description.factors {
        planned.push(Planned {
            name: (*name).to_owned(),
            shape: vec![factors.len()],
            kind: BlockType::F32,
        });
    }
    let tensors = planned.len();
    let mut next = sources.into_iter();
    let mut factors = description.factors.iter();
    write(path, &metadata, &planned, |tensor| {
        let Some((name, shape, rows)) = next.next() else {
            let values = factors.next().map(|(_, values)| values.as_slice());
            return blocks::quantize(values.unwrap_or_default(), tensor.kind);
        };
        let order = rows.order();
        let columns = if shape.len() == 2 { shape[1] } else { 1 };
        let module = name.trim_end_matches(".weight");
        let stored = match (&quantization, shape.as_slice()) {
            (Some(quantization), &[rows, columns]) => {
                quantization.read(&checkpoint, dir, module, rows, columns)?
            }
            _ => None,
        };
        let mut values = match stored {
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
        if is_norm(&name) {
            let offset = config.norm_offset as f32;
            values.iter_mut().for_each(|value| *value += offset);
        }
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
        context: description.shortened,
    })
}

/// Whether a tensor is a norm's weight, to which llama.cpp has Gemma's one added.
pub(super) fn is_norm(name: &str) -> bool {
    name.ends_with("norm.weight")
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
        order.len(),
        columns,
        format,
        in_order(matrix.codes(), columns, order),
        in_order(matrix.scales(), format.group.count(columns), order),
        matrix.scale_type(),
    )
}
