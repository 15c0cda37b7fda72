//! One model being trained on one backend: gradients and the optimizer's step.
//!
//! Knows the decoder, the objective and the optimizers; not runs, files or time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::backend::Autodiff;
use burn::backend::autodiff::grads::Gradients;
use burn::tensor::{Tensor, TensorData};
use slm_model::decoder::Decoder;
use slm_model::linear::{Parameter, ParameterMut};
use slm_model::lora::Adapter;
use slm_model::ops::DecoderBackend;

use crate::batch::Batch;
use crate::error::{Result, TrainError};
use crate::noise::Noise;
use crate::objective::Goal;
use crate::optimizer::{Moments, global_norm};
use crate::run::Base;
use crate::settings::{Method, Objective, Precision, TrainSettings};
use crate::update::{Rule, host, set};

/// A decoder with its trained parameters' moments.
pub struct Learner<B: DecoderBackend> {
    decoder: Decoder<Autodiff<B>>,
    moments: Vec<Moments>,
    goal: Goal<B>,
    full: bool,
    recompute: bool,
}

/// What one step did.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Mean loss per learned token, or per pair.
    pub loss: f64,
    /// Global gradient norm before clipping.
    pub gradient_norm: f64,
    /// Global gradient norm after clipping.
    pub clipped_norm: f64,
}

/// Name, values and moments of a trained parameter.
pub type Trained = (String, Vec<f32>, Moments);

impl<B: DecoderBackend> Learner<B> {
    /// Marks the trained parameters of `decoder`: all, or the attached adapter's. `teacher` is
    /// the larger model of a distillation.
    pub fn new(
        mut decoder: Decoder<Autodiff<B>>,
        settings: &TrainSettings,
        teacher: Option<Decoder<B>>,
    ) -> Self {
        let full = settings.method == Method::Full;
        let other = match settings.objective {
            Objective::CrossEntropy => None,
            Objective::Distillation { .. } => teacher,
            Objective::Preference { .. } => {
                let mut base = decoder.inner();
                base.detach();
                Some(base)
            }
        };
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
            goal: Goal {
                objective: settings.objective,
                other,
                trains_head: full,
            },
            full,
            recompute: settings.gradient_checkpointing,
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
    pub fn parameters(&mut self) -> Vec<Trained> {
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
    pub fn restore(&mut self, saved: Vec<Trained>) -> bool {
        let mut saved: BTreeMap<_, _> = saved.into_iter().map(|(n, v, m)| (n, (v, m))).collect();
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

    /// Loss and gradients of `batches`, as one: each learned token (or pair) weighs the same.
    ///
    /// Returns the mean loss and one gradient per trained parameter.
    pub fn gradients(&mut self, batches: &[Batch], noise: Option<Noise>) -> (f64, Vec<Vec<f32>>) {
        let total: usize = batches.iter().map(|batch| self.goal.parts(batch)).sum();
        let (mut loss, mut sum) = (0.0, Vec::new());
        for (number, batch) in batches.iter().enumerate() {
            let noise = noise.map(|noise| Noise {
                batch: number as u64,
                ..noise
            });
            let (part, gradients) =
                on_the_pool(|| self.batch_gradients(batch, total.max(1), noise));
            loss += part;
            add_all(&mut sum, gradients);
        }
        (loss, sum)
    }

    fn batch_gradients(
        &mut self,
        batch: &Batch,
        total: usize,
        noise: Option<Noise>,
    ) -> (f64, Vec<Vec<f32>>) {
        let mut found = vec![Vec::new(); self.moments.len()];
        let loss = match self.recompute {
            true => self.recomputed(batch, total, noise, &mut found),
            false => self.direct(batch, total, noise, &mut found),
        };
        let trained = trained_parameters(&mut self.decoder, self.full);
        for (gradient, parameter) in found.iter_mut().zip(&trained) {
            if gradient.is_empty() {
                *gradient = vec![0.0; elements(parameter)];
            }
        }
        (loss, found)
    }

    /// Gradients by one backward over the whole graph.
    fn direct(
        &mut self,
        batch: &Batch,
        total: usize,
        noise: Option<Noise>,
        found: &mut [Vec<f32>],
    ) -> f64 {
        let decoder = &self.decoder;
        let mut x = embedded(decoder, batch, noise);
        for (block, context) in decoder.contexts(&batch.packing).iter().enumerate() {
            x = decoder.block(block, x, context);
        }
        let rows = <Autodiff<B>>::select_rows(decoder.finish(x), &batch.rows);
        let cost = self.goal.cost(rows, &decoder.head(), batch, total);
        self.collect(&mut cost.surrogate.backward(), found);
        cost.value
    }

    /// The same gradients, bit for bit, with one block's graph at a time: the blocks are run
    /// without a graph, keeping their inputs; then, from the last to the first, each is run again
    /// and the gradient that came from above goes through it (Chen et al. 2016).
    fn recomputed(
        &mut self,
        batch: &Batch,
        total: usize,
        noise: Option<Noise>,
        found: &mut [Vec<f32>],
    ) -> f64 {
        let plain = self.decoder.inner();
        let contexts = plain.contexts(&batch.packing);
        let mut inputs = vec![];
        let mut x = embedded(&plain, batch, noise);
        for (block, context) in contexts.iter().enumerate() {
            inputs.push(x.clone());
            x = plain.block(block, x, context);
        }
        drop(plain);
        let top = Tensor::from_inner(x).require_grad();
        let rows = <Autodiff<B>>::select_rows(self.decoder.finish(top.clone()), &batch.rows);
        let cost = self.goal.cost(rows, &self.decoder.head(), batch, total);
        let mut grads = cost.surrogate.backward();
        self.collect(&mut grads, found);
        let mut above = top.grad_remove(&mut grads);
        for (block, input) in inputs.into_iter().enumerate().rev() {
            let Some(gradient) = above.take() else {
                return cost.value;
            };
            let x = Tensor::<Autodiff<B>, 2>::from_inner(input);
            // Below the first block only the embedding could want a gradient.
            let x = x.set_require_grad(block > 0 || self.full);
            let y = self.decoder.block(block, x.clone(), &contexts[block]);
            let mut grads = (y * Tensor::from_inner(gradient)).sum().backward();
            self.collect(&mut grads, found);
            above = x.grad_remove(&mut grads);
        }
        if let (Some(gradient), true) = (above, self.full) {
            let x = embedded(&self.decoder, batch, noise);
            let mut grads = (x * Tensor::from_inner(gradient)).sum().backward();
            self.collect(&mut grads, found);
        }
        cost.value
    }

    /// Adds the gradients of the trained parameters.
    fn collect(&mut self, grads: &mut Gradients, found: &mut [Vec<f32>]) {
        let trained = trained_parameters(&mut self.decoder, self.full);
        for (parameter, found) in trained.into_iter().zip(found) {
            let gradient = match parameter {
                ParameterMut::Vector(p) => p.value.grad_remove(grads).map(host),
                ParameterMut::Matrix(p) => p.value.grad_remove(grads).map(host),
            };
            match gradient {
                Some(gradient) if found.is_empty() => *found = gradient,
                Some(gradient) => add(found, &gradient),
                None => {}
            }
        }
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
        let (loss, gradients) = self.gradients(batches, Noise::of(settings, step));
        let norm = global_norm(&gradients);
        let limit = settings.clip_grad_norm;
        let clip = if limit > 0.0 && norm > limit {
            (limit / (norm + 1e-6)) as f32
        } else {
            1.0
        };
        let report = StepReport {
            loss,
            gradient_norm: norm,
            clipped_norm: norm * clip as f64,
        };
        if !loss.is_finite() || !norm.is_finite() {
            return Err(report);
        }
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

    /// Mean loss per learned token (or pair), without gradients and without noise.
    pub fn evaluate(&self, batches: &[Batch]) -> f64 {
        let decoder = self.decoder.inner();
        let total: usize = batches.iter().map(|batch| self.goal.parts(batch)).sum();
        let cost = |batch: &Batch| {
            let hidden = decoder.hidden(&batch.tokens, &batch.packing);
            let rows = B::select_rows(hidden, &batch.rows);
            self.goal.value(rows, &decoder.head(), batch, total.max(1))
        };
        batches.iter().map(cost).sum()
    }
}

/// Runs `work` on one of rayon's threads, so that each parallel loop in it begins without waking
/// another: on two processors a step of a small model takes a quarter less time. One caller at a
/// time, because a thread that waits in one caller's loop would take up the next caller's work,
/// which waits for the first one's graph.
fn on_the_pool<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    if rayon::current_thread_index().is_some() {
        return work();
    }
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    rayon::scope(|_| work())
}

/// Rows before the first block, with tokens left out and NEFTune's noise where the settings say so.
fn embedded<B: DecoderBackend>(
    decoder: &Decoder<B>,
    batch: &Batch,
    noise: Option<Noise>,
) -> Tensor<B, 2> {
    let mut x = decoder.embed(&batch.tokens);
    let Some(noise) = noise else { return x };
    let ([rows, width], device) = (x.dims(), x.device());
    if noise.dropout > 0.0 {
        let kept = TensorData::new(noise.kept(batch), [rows, 1]);
        x = x * Tensor::from_data(kept, &device);
    }
    if noise.alpha > 0.0 {
        let values = TensorData::new(noise.values(&batch.packing, width), [rows, width]);
        x = x + Tensor::from_data(values, &device);
    }
    x
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

fn elements<B: DecoderBackend>(parameter: &ParameterMut<'_, B>) -> usize {
    match parameter {
        ParameterMut::Vector(p) => p.value.shape().num_elements(),
        ParameterMut::Matrix(p) => p.value.shape().num_elements(),
    }
}

fn add_all(sum: &mut Vec<Vec<f32>>, more: Vec<Vec<f32>>) {
    if sum.is_empty() {
        *sum = more;
        return;
    }
    for (sum, more) in sum.iter_mut().zip(&more) {
        add(sum, more);
    }
}

fn add(sum: &mut [f32], more: &[f32]) {
    sum.iter_mut().zip(more).for_each(|(s, m)| *s += m);
}

fn replace<B: DecoderBackend, const D: usize>(
    parameter: &mut Parameter<Autodiff<B>, D>,
    saved: &mut BTreeMap<String, (Vec<f32>, Moments)>,
) -> Option<Moments> {
    let (values, moments) = saved.remove(&parameter.name)?;
    if values.len() != parameter.value.shape().num_elements() {
        return None;
    }
    set(parameter, values);
    Some(moments)
}

/// Makes a learner from a model's parts.
///
/// # Errors
/// When weights or adapter do not fit the config, or the teacher does not fit the model.
pub fn build<B: DecoderBackend>(
    base: Base,
    settings: &TrainSettings,
    device: &B::Device,
) -> Result<Learner<B>> {
    let mut decoder = Decoder::<Autodiff<B>>::new(&base.config, base.weights, device)?;
    if let Some(config) = settings.method.adapter() {
        if settings.precision == Precision::Bf16 {
            decoder.narrow();
        }
        let adapter = match base.adapter {
            Some(adapter) => adapter,
            None => Adapter::new(config.clone(), &base.config, settings.seed)?,
        };
        decoder.attach(&adapter)?;
    }
    let teacher = match (base.teacher, settings.objective) {
        (Some(teacher), Objective::Distillation { .. }) => {
            if teacher.config.vocab_size != base.config.vocab_size {
                return Err(TrainError::setting(
                    format!(
                        "the teacher's vocabulary has {} tokens, the model's {}",
                        teacher.config.vocab_size, base.config.vocab_size
                    ),
                    "distil from a model with the same tokenizer",
                ));
            }
            let teacher = Decoder::<B>::new(&teacher.config, teacher.weights, device)?;
            Some(teacher)
        }
        (None, Objective::Distillation { .. }) => {
            return Err(TrainError::setting(
                "there is no teacher to distil from",
                "name a larger model",
            ));
        }
        _ => None,
    };
    Ok(Learner::new(decoder, settings, teacher))
}
