//! The optimizer's rule of one step, applied to parameters on a device.
//!
//! Knows which rule serves which parameter; not where gradients come from.

use burn::backend::Autodiff;
use burn::tensor::{Tensor, TensorData};
use slm_model::linear::Parameter;
use slm_model::ops::DecoderBackend;

use crate::optimizer::{AdamW, Lion, Moments, Muon};
use crate::settings::{OptimizerKind, TrainSettings};

/// The update rule of one step.
pub(crate) struct Rule {
    kind: Kind,
    /// How many times faster the adapters' `B` learns.
    b_ratio: f64,
}

enum Kind {
    /// AdamW on everything.
    AdamW(AdamW),
    /// Muon on the blocks' matrices, AdamW on the rest.
    Muon(Muon, AdamW),
    /// Lion on everything.
    Lion(Lion),
}

impl Rule {
    /// The rule of a step, from 1, with the schedule's factor.
    pub fn new(settings: &TrainSettings, step: u64, factor: f64) -> Self {
        let adam = AdamW {
            learning_rate: settings.learning_rate * factor,
            betas: settings.betas,
            epsilon: settings.epsilon,
            weight_decay: settings.weight_decay,
            step,
        };
        let kind = match settings.optimizer {
            OptimizerKind::AdamW => Kind::AdamW(adam),
            OptimizerKind::Muon => {
                let muon = Muon {
                    learning_rate: settings.muon_learning_rate * factor,
                    momentum: 0.95,
                    weight_decay: settings.weight_decay,
                };
                Kind::Muon(muon, adam)
            }
            OptimizerKind::Lion => Kind::Lion(Lion {
                learning_rate: settings.learning_rate * factor,
                betas: settings.betas,
                weight_decay: settings.weight_decay,
            }),
        };
        Self {
            kind,
            b_ratio: settings.loraplus_lr_ratio,
        }
    }

    /// Moves a parameter; `clip` scales its gradient first. Vectors do not decay.
    pub fn apply<B: DecoderBackend, const D: usize>(
        &self,
        parameter: &mut Parameter<Autodiff<B>, D>,
        gradient: &[f32],
        moments: &mut Moments,
        clip: f32,
    ) {
        let dims = parameter.value.dims();
        let mut values = host(parameter.value.clone().inner());
        let in_block = parameter.name.starts_with("model.layers.");
        let ratio = match parameter.name.ends_with(".lora_B") {
            true => self.b_ratio,
            false => 1.0,
        };
        match &self.kind {
            Kind::Muon(muon, _) if D == 2 && in_block => {
                let muon = Muon {
                    learning_rate: muon.learning_rate * ratio,
                    ..*muon
                };
                muon.update(&mut values, gradient, moments, clip, dims[0]);
            }
            Kind::AdamW(adam) | Kind::Muon(_, adam) => {
                let weight_decay = if D == 2 { adam.weight_decay } else { 0.0 };
                let adam = AdamW {
                    learning_rate: adam.learning_rate * ratio,
                    weight_decay,
                    ..*adam
                };
                adam.update(&mut values, gradient, moments, clip);
            }
            Kind::Lion(lion) => {
                let weight_decay = if D == 2 { lion.weight_decay } else { 0.0 };
                let lion = Lion {
                    learning_rate: lion.learning_rate * ratio,
                    weight_decay,
                    ..*lion
                };
                lion.update(&mut values, gradient, moments, clip);
            }
        }
        set(parameter, values);
    }
}

/// Values in host memory.
pub(crate) fn host<B: DecoderBackend, const D: usize>(tensor: Tensor<B, D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .into_vec::<f32>()
        .unwrap_or_default()
}

/// Replaces a parameter's values.
pub(crate) fn set<B: DecoderBackend, const D: usize>(
    parameter: &mut Parameter<Autodiff<B>, D>,
    values: Vec<f32>,
) {
    let (shape, device) = (parameter.value.dims(), parameter.value.device());
    parameter.value = Tensor::from_data(TensorData::new(values, shape), &device).require_grad();
}
