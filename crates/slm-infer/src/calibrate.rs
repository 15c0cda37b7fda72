//! GPTQ over a whole model: block by block, each by the inputs that it has once the blocks before
//! it are quantized.
//!
//! Does not know how a weight is rounded; that is slm-model's.

use std::collections::BTreeMap;
use std::path::Path;

use slm_model::kernels::gemm::linear_dw;
use slm_model::quant::gptq::Moments;
use slm_model::quant::{Format, PackedMatrix, QuantizedMatrix, Weights};
use slm_model::{Checkpoint, ModelError};

use crate::awake::awake;
use crate::cache::Cache;
use crate::error::{InferError, Result};
use crate::forward::Site;
use crate::model::Model;

/// Quantizes the linear layers of the model in `dir` by the sequences that it will meet; `done`
/// hears how many of how many blocks are ready. Weights come by the path of their module.
///
/// # Errors
/// When the model cannot be read or is quantized already, or a sequence does not fit it or there is
/// none.
pub fn calibrate(
    dir: &Path,
    sequences: &[Vec<u32>],
    format: Format,
    done: &mut dyn FnMut(usize, usize),
) -> Result<BTreeMap<String, QuantizedMatrix>> {
    let mut model = Model::load(dir)?;
    let config = model.config().clone();
    let quantized = config
        .json()
        .get("quantization_config")
        .is_some_and(|v| !v.is_null());
    if quantized {
        let problem = "the model is quantized already";
        return Err(ModelError::invalid(dir, problem, "quantize the original").into());
    }
    check_sequences(&model, sequences)?;
    let checkpoint = Checkpoint::open(dir)?;
    let longest = sequences.iter().map(Vec::len).max().unwrap_or_default();
    let mut cache = Cache::new(&config, longest);
    let mut states: Vec<Vec<f32>> = sequences.iter().map(|tokens| model.embed(tokens)).collect();
    let mut ready = BTreeMap::new();
    for number in 0..config.num_hidden_layers {
        let sums = awake(|| moments(&model, number, sequences, &states, &mut cache));
        let mut linears = config.linears().into_iter();
        for (site, (width, sums)) in Site::ALL.into_iter().zip(sums) {
            let moments = Moments::new(&sums, width)?;
            let layers = match site {
                Site::QueryKeyValue => config.modules.qkv.len(),
                Site::GateUp => config.modules.gate_up.len(),
                Site::Output | Site::Down => 1,
            };
            let mut weights = Vec::new();
            for linear in linears.by_ref().take(layers) {
                let module = format!("model.layers.{number}.{}", linear.module);
                let shape = [linear.outputs, linear.inputs];
                let values = checkpoint.read(&format!("{module}.weight"), &shape)?;
                let matrix = moments.quantize(&values, linear.outputs, format)?;
                weights.push(Weights::Quantized(PackedMatrix::new(&matrix)));
                ready.insert(module, matrix);
            }
            model.layers[number].at(site).replace(weights);
        }
        awake(|| {
            for (tokens, x) in sequences.iter().zip(&mut states) {
                model.through(number, x, tokens, &mut cache, &mut |_, _| ());
            }
        });
        done(number + 1, config.num_hidden_layers);
    }
    Ok(ready)
}

/// Width and `X^T X` of the inputs of each place of a block.
fn moments(
    model: &Model,
    number: usize,
    sequences: &[Vec<u32>],
    states: &[Vec<f32>],
    cache: &mut Cache,
) -> Vec<(usize, Vec<f32>)> {
    let mut sums: Vec<(usize, Vec<f32>)> = vec![(0, Vec::new()); Site::ALL.len()];
    for (tokens, x) in sequences.iter().zip(states) {
        let mut x = x.clone();
        model.through(number, &mut x, tokens, cache, &mut |site, inputs| {
            let rows = tokens.len();
            let width = inputs.len() / rows;
            let products = linear_dw(inputs, inputs, rows, width, width);
            let place = Site::ALL.iter().position(|one| *one == site);
            let (known, sums) = &mut sums[place.unwrap_or_default()];
            *known = width;
            sums.resize(width * width, 0.0);
            for (sum, product) in sums.iter_mut().zip(products) {
                *sum += product;
            }
        });
    }
    sums
}

/// Refuses sequences that the model cannot take, and none at all.
pub(crate) fn check_sequences(model: &Model, sequences: &[Vec<u32>]) -> Result<()> {
    let (vocabulary, context) = {
        let config = model.config();
        (config.vocab_size, config.max_position_embeddings)
    };
    if sequences.is_empty() || sequences.iter().any(Vec::is_empty) {
        return Err(InferError::EmptyPrompt);
    }
    for tokens in sequences {
        if tokens.len() > context {
            let prompt = tokens.len();
            return Err(InferError::PromptTooLong { prompt, context });
        }
        let unknown = tokens
            .iter()
            .position(|token| *token as usize >= vocabulary);
        if let Some(position) = unknown {
            let token = tokens[position];
            return Err(InferError::UnknownToken {
                token,
                position,
                vocabulary,
            });
        }
    }
    Ok(())
}
