//! A training run: from a base model and examples to an adapter or a new model, resumable.
//!
//! Killed at any moment, the same call goes on from the newest whole checkpoint and ends with the
//! same bits: data order, moments and schedule are functions of the saved place.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::backend::{Flex, NdArray};
use sha2::{Digest, Sha256};
use slm_model::checkpoint::StoredType;
use slm_model::lora::Adapter;
use slm_model::ops::DecoderBackend;
use slm_model::weights::Weights;
use slm_model::{Device, ModelConfig, ModelError};

use crate::batch::{Batch, Example, Source, take};
use crate::checkpoint::{Progress, Snapshot};
use crate::error::{Result, TrainError};
use crate::events::{Event, Log, Observer};
use crate::learner::{Learner, build};
use crate::settings::{Method, TrainSettings};

/// The model that training starts from.
pub struct Base {
    /// Its shape.
    pub config: ModelConfig,
    /// Its weights.
    pub weights: Weights,
    /// Adapter to go on from, if any.
    pub adapter: Option<Adapter>,
    /// Folder that its tokenizer is copied from.
    pub source: Option<PathBuf>,
    /// Name or path written into the adapter's config.
    pub name: String,
}

/// A run's inputs besides the model.
pub struct RunInputs<'a> {
    /// Training examples in order.
    pub source: &'a dyn Source,
    /// Validation examples; may be empty.
    pub validation: &'a [Example],
    /// Hash of base model and data, part of the run's identity.
    pub inputs_hash: String,
    /// Folder of the run: checkpoints, `events.jsonl`, and the result.
    pub dir: &'a Path,
}

/// What a run made.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Folder of the adapter (LoRA) or the model (full).
    pub result: PathBuf,
    /// Loss of the last step.
    pub final_loss: f64,
    /// Loss on the validation rows at the end, if there are any.
    pub validation_loss: Option<f64>,
    /// Steps in all.
    pub steps: u64,
    /// Tokens seen in all, learned or not, by this process.
    pub tokens: u64,
}

/// Trains on `device`.
///
/// # Errors
/// When settings or inputs do not fit, the disk cannot be written, or the loss is not finite.
pub fn train(
    base: Base,
    settings: &TrainSettings,
    inputs: &RunInputs<'_>,
    device: Device,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    settings.check()?;
    match device {
        Device::Flex => train_on::<Flex>(base, settings, inputs, &Default::default(), observer),
        Device::NdArray => {
            train_on::<NdArray>(base, settings, inputs, &Default::default(), observer)
        }
        #[cfg(feature = "cuda")]
        Device::Cuda(number) => {
            let device = burn::backend::cuda::CudaDevice::new(number);
            train_on::<burn::backend::Cuda>(base, settings, inputs, &device, observer)
        }
        #[cfg(not(feature = "cuda"))]
        Device::Cuda(_) => Err(TrainError::setting(
            "this build has no CUDA",
            "build with `--features cuda`, or use `--device cpu`",
        )),
    }
}

fn train_on<B: DecoderBackend>(
    base: Base,
    settings: &TrainSettings,
    inputs: &RunInputs<'_>,
    device: &B::Device,
    observer: &mut dyn Observer,
) -> Result<Outcome> {
    std::fs::create_dir_all(inputs.dir).map_err(|e| ModelError::io("write", inputs.dir, e))?;
    let keep = (base.config.clone(), base.source.clone(), base.name.clone());
    let learner = build::<B>(base, &settings.method, settings.seed, device)?;
    let log = Log::open(&inputs.dir.join("events.jsonl"))?;
    let validation = pack_all(inputs.validation, settings.batch_tokens);
    let identity = identity(settings, &inputs.inputs_hash);
    let place = Progress {
        step: 0,
        position: 0,
        identity,
    };
    let mut run = Run {
        learner,
        settings,
        inputs,
        log,
        observer,
        place,
        validation,
        start: Instant::now(),
        tokens: 0,
        loss: f64::NAN,
    };
    run.resume()?;
    run.all_steps()?;
    let validation_loss =
        (!run.validation.is_empty()).then(|| run.learner.evaluate(&run.validation));
    if let Some(loss) = validation_loss {
        run.tell(Event::Evaluation {
            step: run.place.step,
            loss,
        })?;
    }
    let result = save_result(&mut run.learner, settings, inputs.dir, keep)?;
    Ok(Outcome {
        result,
        final_loss: run.loss,
        validation_loss,
        steps: settings.steps,
        tokens: run.tokens,
    })
}

fn identity(settings: &TrainSettings, inputs_hash: &str) -> String {
    let text = format!(
        "{}\n{inputs_hash}",
        serde_json::to_string(settings).unwrap_or_default()
    );
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

fn pack_all(examples: &[Example], batch_tokens: usize) -> Vec<Batch> {
    let (mut batches, mut open, mut tokens) = (Vec::new(), Vec::new(), 0);
    for example in examples {
        if !open.is_empty() && tokens + example.tokens.len() > batch_tokens {
            batches.push(Batch::pack(&open));
            (open, tokens) = (Vec::new(), 0);
        }
        tokens += example.tokens.len();
        open.push(example.clone());
    }
    if !open.is_empty() {
        batches.push(Batch::pack(&open));
    }
    batches
}

/// A run in progress.
struct Run<'a, B: DecoderBackend> {
    learner: Learner<B>,
    settings: &'a TrainSettings,
    inputs: &'a RunInputs<'a>,
    log: Log,
    observer: &'a mut dyn Observer,
    place: Progress,
    validation: Vec<Batch>,
    start: Instant,
    tokens: u64,
    loss: f64,
}

impl<B: DecoderBackend> Run<'_, B> {
    fn tell(&mut self, event: Event) -> Result<()> {
        self.log.write(&event)?;
        self.observer.event(&event);
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        let (found, damaged) = Snapshot::newest(self.inputs.dir, &self.place.identity);
        for path in damaged {
            self.tell(Event::Note {
                message: format!(
                    "checkpoint `{}` is damaged; going back to the one before",
                    path.display()
                ),
            })?;
        }
        if let Some(snapshot) = found
            && self.learner.restore(snapshot.parameters)
        {
            self.place = snapshot.progress;
        }
        let trained_parameters = self.learner.trained_count();
        self.tell(Event::Started {
            step: self.place.step,
            steps: self.settings.steps,
            trained_parameters,
        })
    }

    fn all_steps(&mut self) -> Result<()> {
        while self.place.step < self.settings.steps {
            if !self.one_step()? {
                break;
            }
            let (step, settings) = (self.place.step, self.settings);
            let stop = self.observer.should_stop();
            if step.is_multiple_of(settings.checkpoint_every) || step == settings.steps || stop {
                self.checkpoint()?;
            }
            if settings.evaluate_every > 0
                && step.is_multiple_of(settings.evaluate_every)
                && step < settings.steps
                && !self.validation.is_empty()
            {
                let loss = self.learner.evaluate(&self.validation);
                self.tell(Event::Evaluation { step, loss })?;
            }
            if stop && step < settings.steps {
                return Err(TrainError::Stopped { step });
            }
        }
        Ok(())
    }

    /// One optimizer step; false when the data has run out.
    fn one_step(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let (settings, first) = (self.settings, self.place.position);
        let mut batches = Vec::new();
        for _ in 0..settings.gradient_accumulation_steps {
            let examples = take(
                self.inputs.source,
                &mut self.place.position,
                settings.batch_tokens,
            )?;
            if !examples.is_empty() {
                batches.push(Batch::pack(&examples));
            }
        }
        if batches.is_empty() {
            return Ok(false);
        }
        let step = self.place.step + 1;
        let factor = settings
            .schedule
            .factor(step - 1, settings.steps, settings.warmup_steps());
        let report = self
            .learner
            .step(&batches, settings, step, factor)
            .map_err(|report| TrainError::NotFinite {
                what: if report.loss.is_finite() {
                    "gradient"
                } else {
                    "loss"
                },
                step,
                examples: (first..self.place.position).collect(),
            })?;
        self.place.step = step;
        let tokens = batches.iter().map(|b| b.tokens.len() as u64).sum();
        self.tokens += tokens;
        self.loss = report.loss;
        self.tell(Event::Step {
            step,
            steps: settings.steps,
            loss: report.loss,
            learning_rate: settings.learning_rate * factor,
            gradient_norm: report.gradient_norm,
            tokens,
            tokens_per_second: tokens as f64 / begun.elapsed().as_secs_f64(),
            elapsed_seconds: self.start.elapsed().as_secs_f64(),
        })?;
        Ok(true)
    }

    fn checkpoint(&mut self) -> Result<()> {
        Snapshot {
            progress: self.place.clone(),
            parameters: self.learner.parameters(),
        }
        .save(self.inputs.dir)?;
        self.tell(Event::Checkpoint {
            step: self.place.step,
        })
    }
}

fn save_result<B: DecoderBackend>(
    learner: &mut Learner<B>,
    settings: &TrainSettings,
    dir: &Path,
    base: (ModelConfig, Option<PathBuf>, String),
) -> Result<PathBuf> {
    let (config, source, name) = base;
    match &settings.method {
        Method::Lora(lora) => {
            let path = dir.join("adapter");
            learner.decoder().adapter(lora).save(&path, &name)?;
            Ok(path)
        }
        Method::Full => {
            let path = dir.join("model");
            let tables = learner
                .parameters()
                .into_iter()
                .map(|(name, values, _)| (name, values))
                .collect();
            Weights::from_tables(tables).save(
                &path,
                &config,
                source.as_deref(),
                StoredType::Bf16,
            )?;
            Ok(path)
        }
    }
}
