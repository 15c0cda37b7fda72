//! Recorded training steps, taken again.
//!
//! Does not know the training loop.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use slm_model::ModelConfig;
use slm_model::lora::Adapter;
use slm_model::weights::Weights;
use slm_train::run::{Base, RunInputs, train};
use slm_train::schedule::Schedule;
use slm_train::{Event, Example, Method, Observer, Precision, Source, TrainSettings};

use super::reference::Reference;
use crate::commands::Context;
use crate::failure::Failure;
use crate::workspace::remove_folder;

/// Largest difference of a loss, and largest relative difference of a gradient norm, that count
/// as none. bfloat16 has 8 bits of precision where f32 has 24.
const TOLERANCES: (f64, f64) = (2e-3, 1e-2);
const BF16_TOLERANCES: (f64, f64) = (5e-2, 1e-1);

/// How far the steps are apart.
#[derive(Debug, Serialize)]
pub struct TrainDifference {
    precision: Precision,
    loss_max_abs_diff: f64,
    grad_norm_max_rel_diff: f64,
}

impl TrainDifference {
    /// Whether both differences count as none.
    pub fn is_within_tolerance(&self) -> bool {
        let (loss, norm) = match self.precision {
            Precision::F32 => TOLERANCES,
            Precision::Bf16 => BF16_TOLERANCES,
        };
        self.loss_max_abs_diff < loss && self.grad_norm_max_rel_diff < norm
    }

    /// For people.
    pub fn as_text(&self) -> String {
        format!(
            "largest difference of a loss {:.1e}, of a gradient norm {:.2}%",
            self.loss_max_abs_diff,
            self.grad_norm_max_rel_diff * 100.0
        )
    }
}

#[derive(Deserialize)]
struct Expected {
    train: Recorded,
}

/// Settings and outcome of the recorded steps.
#[derive(Deserialize)]
struct Recorded {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    clip_grad_norm: f64,
    losses: Vec<f64>,
    grad_norms_before_clip: Vec<f64>,
}

/// Takes the recorded steps from the recorded adapter on.
///
/// # Errors
/// The recorded files cannot be read, or training fails.
pub fn compare(context: &Context, folder: &Path, precision: Precision) -> Result<TrainDifference> {
    let path = folder.join("expected.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| Failure::io("read the reference", &path, &error))?;
    let expected: Expected = serde_json::from_str(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    let recorded = expected.train;
    let lessons = Lessons::read(&folder.join("train/batches.safetensors"))?;
    let config = ModelConfig::load(folder)?;
    let adapter = Adapter::load(&folder.join("train/initial_adapter"), &config)?;
    let steps = recorded.losses.len() as u64;
    let settings = TrainSettings {
        learning_rate: recorded.lr,
        betas: recorded.betas,
        epsilon: recorded.eps,
        weight_decay: recorded.weight_decay,
        clip_grad_norm: recorded.clip_grad_norm,
        schedule: Schedule::Constant,
        warmup_ratio: 0.0,
        batch_tokens: lessons.batch * lessons.length,
        checkpoint_every: steps.max(1),
        precision,
        ..TrainSettings::new(Method::Lora(adapter.config.clone()), steps)
    };
    let base = Base {
        weights: Weights::load(folder, &config)?,
        config,
        adapter: Some(adapter),
        source: None,
        stored: slm_model::checkpoint::StoredType::Bf16,
        name: folder.display().to_string(),
        teacher: None,
    };
    let work = context
        .workspace
        .cache()
        .join(format!("verify-{}", std::process::id()));
    let inputs = RunInputs {
        source: &lessons,
        validation: &[],
        inputs_hash: String::new(),
        dir: &work,
    };
    let mut steps = Steps::default();
    let outcome = train(base, &settings, &inputs, context.device, &mut steps);
    remove_folder(&work)?;
    outcome?;
    Ok(steps.difference(&recorded, precision))
}

/// The recorded batches, row by row.
struct Lessons {
    rows: Vec<Example>,
    batch: usize,
    length: usize,
}

impl Lessons {
    fn read(path: &Path) -> Result<Self> {
        let reference = Reference::open(path)?;
        let (tokens, shape) = reference.tokens("input_ids")?;
        let (labels, _) = reference.integers("labels")?;
        let &[_, batch, length] = shape.as_slice() else {
            return Err(Failure::new(format!(
                "{}: the tensor `input_ids` is not of steps, rows and tokens",
                path.display()
            ))
            .into());
        };
        let rows = tokens
            .chunks(length.max(1))
            .zip(labels.chunks(length.max(1)))
            .map(|(tokens, labels)| Example {
                tokens: tokens.to_vec(),
                trained: labels.iter().map(|&label| label >= 0).collect(),
            })
            .collect();
        Ok(Self {
            rows,
            batch,
            length,
        })
    }
}

impl Source for Lessons {
    fn example(&self, position: u64) -> slm_train::Result<Option<Example>> {
        let place = usize::try_from(position).unwrap_or(usize::MAX);
        Ok(self.rows.get(place).cloned())
    }
}

/// Losses and gradient norms as they come.
#[derive(Default)]
struct Steps {
    losses: Vec<f64>,
    norms: Vec<f64>,
}

impl Steps {
    fn difference(&self, recorded: &Recorded, precision: Precision) -> TrainDifference {
        let whole = self.losses.len() == recorded.losses.len();
        let worst = |ours: &[f64], theirs: &[f64], of: fn(f64, f64) -> f64| {
            let differences = ours.iter().zip(theirs).map(|(a, b)| of(*a, *b));
            let worst = differences.fold(0.0, f64::max);
            if whole { worst } else { f64::INFINITY }
        };
        TrainDifference {
            precision,
            loss_max_abs_diff: worst(&self.losses, &recorded.losses, |a, b| (a - b).abs()),
            grad_norm_max_rel_diff: worst(&self.norms, &recorded.grad_norms_before_clip, |a, b| {
                (a / b - 1.0).abs()
            }),
        }
    }
}

impl Observer for Steps {
    fn event(&mut self, event: &Event) {
        if let Event::Step {
            loss,
            gradient_norm,
            ..
        } = event
        {
            self.losses.push(*loss);
            self.norms.push(*gradient_norm);
        }
    }
}
