//! One model being trained on one backend: loss, gradients, and the optimizer's step.
//!
//! Knows the decoder and the optimizers; not runs, files or time.

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use slm_model::decoder::Decoder;
use slm_model::linear::{Parameter, ParameterMut};
use slm_model::ops::DecoderBackend;

use crate::batch::Batch;
use crate::error::Result;
use crate::optimizer::{AdamW, Moments, Muon, global_norm};
use crate::settings::{Method, OptimizerKind, TrainSettings};

/// A decoder with its trained parameters' moments.
pub struct Learner<B: DecoderBackend> {
    decoder: Decoder<Autodiff<B>>,
    moments: Vec<Moments>,
    full: bool,
}

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Mean loss per learned token.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
}

impl<B: DecoderBackend> Learner<B> {
    /// Marks the trained parameters of `decoder`: all, or the attached adapter's.
    pub fn new(mut decoder: Decoder<Autodiff<B>>, method: &Method) -> Self {
        let full = *method == Method::Full;
        let mut trained = trained_parameters(&mut decoder, full);
        for parameter in &mut trained {
            match parameter {
                ParameterMut::Vector(p) => p.value = p.value.clone().require_grad(),
                ParameterMut::Matrix(p) => p.value = p.value.clone().require_grad(),
            }
        }
        let moments = vec![Moments::default(); trained.len()];
        Self {
            decoder,
            moments,
            full,
        }
    }

    /// The decoder as it stands.
    pub fn decoder(&self) -> &Decoder<Autodiff<B>> {
        &self.decoder
    }

    /// Number of trained values.
    pub fn trained_count(&mut self) -> u64 {
        self.parameters()
            .iter()
            .map(|(_, values, _)| values.len() as u64)
            .sum()
    }

    /// Name, values and moments of each trained parameter.
    pub fn parameters(&mut self) -> Vec<(String, Vec<f32>, Moments)> {
        let moments = self.moments.clone();
        let trained = trained_parameters(&mut self.decoder, self.full);
        trained
            .into_iter()
            .zip(moments)
            .map(|(p, moments)| {
                let (name, values) = match p {
                    ParameterMut::Vector(p) => (p.name.clone(), host(p.value.clone().inner())),
                    ParameterMut::Matrix(p) => (p.name.clone(), host(p.value.clone().inner())),
                };
                (name, values, moments)
            })
            .collect()
    }

    /// Puts back what [`Learner::parameters`] gave; false when names or sizes differ.
    pub fn restore(&mut self, saved: Vec<(String, Vec<f32>, Moments)>) -> bool {
        let mut saved: std::collections::BTreeMap<_, _> =
            saved.into_iter().map(|(n, v, m)| (n, (v, m))).collect();
        let trained = trained_parameters(&mut self.decoder, self.full);
        if trained.len() != saved.len() {
            return false;
        }
        for (parameter, moments) in trained.into_iter().zip(&mut self.moments) {
            let replaced = match parameter {
                ParameterMut::Vector(p) => replace(p, &mut saved),
                ParameterMut::Matrix(p) => replace(p, &mut saved),
            };
            match replaced {
                Some(old) => *moments = old,
                None => return false,
            }
        }
        true
    }

    /// Loss and gradients of `batches`, as one: each learned token weighs the same.
    ///
    /// Returns the mean loss and one gradient per trained parameter.
    pub fn gradients(&mut self, batches: &[Batch]) -> (f64, Vec<Vec<f32>>) {
        let total: usize = batches.iter().map(|b| b.labels.len()).sum();
        let (mut loss, mut sum) = (0.0, Vec::new());
        for batch in batches {
            let (part, gradients) = self.batch_gradients(batch, total.max(1));
            loss += part;
            add(&mut sum, gradients);
        }
        (loss, sum)
    }

    fn batch_gradients(&mut self, batch: &Batch, total: usize) -> (f64, Vec<Vec<f32>>) {
        let loss = batch_loss(&self.decoder, batch, total);
        let value = host(loss.clone().inner())[0] as f64;
        let mut grads = loss.backward();
        let trained = trained_parameters(&mut self.decoder, self.full);
        let gradients = trained.into_iter().map(|p| match p {
            ParameterMut::Vector(p) => p
                .value
                .grad_remove(&mut grads)
                .map(host)
                .unwrap_or_else(|| vec![0.0; p.value.shape().num_elements()]),
            ParameterMut::Matrix(p) => p
                .value
                .grad_remove(&mut grads)
                .map(host)
                .unwrap_or_else(|| vec![0.0; p.value.shape().num_elements()]),
        });
        (value, gradients.collect())
    }

    /// One optimizer step; `step` counts from 1, `factor` is the schedule's.
    ///
    /// # Errors
    /// Gives back the report without a step when loss or gradient are not finite.
    pub fn step(
        &mut self,
        batches: &[Batch],
        settings: &TrainSettings,
        step: u64,
        factor: f64,
    ) -> std::result::Result<StepReport, StepReport> {
        let (loss, gradients) = self.gradients(batches);
        let norm = global_norm(&gradients);
        let report = StepReport {
            loss,
            gradient_norm: norm,
        };
        if !loss.is_finite() || !norm.is_finite() {
            return Err(report);
        }
        let limit = settings.clip_grad_norm;
        let clip = if limit > 0.0 && norm > limit {
            (limit / (norm + 1e-6)) as f32
        } else {
            1.0
        };
        let rule = Rule::new(settings, step, factor);
        let trained = trained_parameters(&mut self.decoder, self.full);
        for ((parameter, gradient), moments) in
            trained.into_iter().zip(&gradients).zip(&mut self.moments)
        {
            match parameter {
                ParameterMut::Vector(p) => rule.apply(p, gradient, moments, clip),
                ParameterMut::Matrix(p) => rule.apply(p, gradient, moments, clip),
            }
        }
        Ok(report)
    }

    /// Mean loss per learned token, without gradients.
    pub fn evaluate(&self, batches: &[Batch]) -> f64 {
        let total: usize = batches.iter().map(|b| b.labels.len()).sum();
        batches
            .iter()
            .map(|batch| host(batch_loss(&self.decoder, batch, total.max(1)).inner())[0] as f64)
            .sum()
    }
}

/// Loss of a batch whose labels weigh `1 / total` each; hidden rows without a label never meet
/// the head.
fn batch_loss<B: DecoderBackend>(
    decoder: &Decoder<B>,
    batch: &Batch,
    total: usize,
) -> Tensor<B, 1> {
    let hidden = decoder.hidden(&batch.tokens, &batch.packing);
    let labelled = B::select_rows(hidden, &batch.rows);
    let labels = batch.weighted_labels(total);
    B::cross_entropy(
        labelled,
        decoder.head(),
        &labels,
        decoder.config.logits_softcap,
    )
}

fn trained_parameters<B: DecoderBackend>(
    decoder: &mut Decoder<B>,
    full: bool,
) -> Vec<ParameterMut<'_, B>> {
    if full {
        decoder.base_parameters_mut()
    } else {
        decoder.adapter_parameters_mut()
    }
}

fn host<B: DecoderBackend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .into_vec::<f32>()
        .unwrap_or_default()
}

fn add(sum: &mut Vec<Vec<f32>>, more: Vec<Vec<f32>>) {
    if sum.is_empty() {
        *sum = more;
        return;
    }
    for (sum, more) in sum.iter_mut().zip(&more) {
        sum.iter_mut().zip(more).for_each(|(s, m)| *s += m);
    }
}

fn replace<B: DecoderBackend, const D: usize>(
    parameter: &mut Parameter<Autodiff<B>, D>,
    saved: &mut std::collections::BTreeMap<String, (Vec<f32>, Moments)>,
) -> Option<Moments> {
    let (values, moments) = saved.remove(&parameter.name)?;
    if values.len() != parameter.value.shape().num_elements() {
        return None;
    }
    set(parameter, values);
    Some(moments)
}

fn set<B: DecoderBackend, const D: usize>(
    parameter: &mut Parameter<Autodiff<B>, D>,
    values: Vec<f32>,
) {
    let (shape, device) = (parameter.value.dims(), parameter.value.device());
    parameter.value = Tensor::from_data(TensorData::new(values, shape), &device).require_grad();
}

/// The update rule of one step.
struct Rule {
    adam: AdamW,
    muon: Option<Muon>,
}

impl Rule {
    fn new(settings: &TrainSettings, step: u64, factor: f64) -> Self {
        let adam = AdamW {
            learning_rate: settings.learning_rate * factor,
            betas: settings.betas,
            epsilon: settings.epsilon,
            weight_decay: settings.weight_decay,
            step,
        };
        let muon = Muon {
            learning_rate: settings.muon_learning_rate * factor,
            momentum: 0.95,
            weight_decay: settings.weight_decay,
        };
        Self {
            adam,
            muon: (settings.optimizer == OptimizerKind::Muon).then_some(muon),
        }
    }

    fn apply<B: DecoderBackend, const D: usize>(
        &self,
        parameter: &mut Parameter<Autodiff<B>, D>,
        gradient: &[f32],
        moments: &mut Moments,
        clip: f32,
    ) {
        let dims = parameter.value.dims();
        let mut values = host(parameter.value.clone().inner());
        let in_block = parameter.name.starts_with("model.layers.");
        match &self.muon {
            Some(muon) if D == 2 && in_block => {
                muon.update(&mut values, gradient, moments, clip, dims[0])
            }
            _ => {
                let weight_decay = if D == 2 { self.adam.weight_decay } else { 0.0 };
                AdamW {
                    weight_decay,
                    ..self.adam
                }
                .update(&mut values, gradient, moments, clip);
            }
        }
        set(parameter, values);
    }
}

/// Makes a learner from a model's folder parts.
///
/// # Errors
/// When weights or adapter do not fit the config.
pub fn build<B: DecoderBackend>(
    base: crate::run::Base,
    method: &Method,
    seed: u64,
    device: &B::Device,
) -> Result<Learner<B>> {
    let mut decoder = Decoder::<Autodiff<B>>::new(&base.config, base.weights, device)?;
    if let Method::Lora(config) = method {
        let adapter = match base.adapter {
            Some(adapter) => adapter,
            None => slm_model::lora::Adapter::new(config.clone(), &base.config, seed)?,
        };
        decoder.attach(&adapter)?;
    }
    Ok(Learner::new(decoder, method))
}
