//! A training run: from a base model and examples to an adapter or a new model, resumable.
//!
//! Killed at any moment, the same call goes on from the newest whole checkpoint and ends with the
//! same bits: data order, noise, moments, schedule and the patience of early stopping are
//! functions of the saved place.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::backend::{Flex, NdArray};
use sha2::{Digest, Sha256};
use slm_model::checkpoint::StoredType;
use slm_model::lora::Adapter;
use slm_model::ops::DecoderBackend;
use slm_model::weights::Weights;
use slm_model::{Device, ModelConfig, ModelError};

use crate::batch::{Batch, Example, Source, pack_all, take};
use crate::checkpoint::{Evaluated, Progress, Snapshot};
use crate::error::{Result, TrainError};
use crate::events::{Event, Log, Observer};
use crate::heap::resident_bytes;
use crate::learner::{Learner, build};
use crate::settings::TrainSettings;
use crate::tensorboard::Board;

/// The step behind which the pace of a run is told: the first sets things up.
const PACE_STEP: u64 = 3;

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
    /// How a fully trained model is written.
    pub stored: StoredType,
    /// Name or path written into the adapter's config.
    pub name: String,
    /// The larger model of a distillation.
    pub teacher: Option<Teacher>,
}

/// A larger model to learn from, with the same tokenizer.
pub struct Teacher {
    /// Its shape.
    pub config: ModelConfig,
    /// Its weights.
    pub weights: Weights,
}

/// A run's inputs besides the model.
pub struct RunInputs<'a> {
    /// Training examples in order.
    pub source: &'a dyn Source,
    /// Validation examples; may be empty.
    pub validation: &'a [Example],
    /// Hash of base model and data, part of the run's identity.
    pub inputs_hash: String,
    /// Folder of the run: checkpoints, `events.jsonl`, `tensorboard`, and the result.
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
    /// Step and validation loss of the state that was taken, where the best was asked for.
    pub best: Option<(u64, f64)>,
    /// Steps done in all; fewer than planned where training ended early or the data ran out.
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
    settings.check_device(device)?;
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
    let watches = settings.early_stopping_patience > 0 || settings.load_best;
    if watches && inputs.validation.is_empty() {
        return Err(TrainError::setting(
            "`early_stopping_patience` and `load_best` need validation rows, and there are none",
            "hold some out: `split.validation: 0.1`, or `data.validation` with files",
        ));
    }
    let keep = Kept {
        config: base.config.clone(),
        source: base.source.clone(),
        name: base.name.clone(),
        stored: base.stored,
    };
    let learner = build::<B>(base, settings, device)?;
    let log = Log::open(&inputs.dir.join("events.jsonl"))?;
    let group = inputs.source.group();
    let mut run = Run {
        learner,
        settings,
        inputs,
        log,
        board: None,
        observer,
        place: Progress::new(identity(settings, &inputs.inputs_hash)),
        validation: pack_all(inputs.validation, group, settings.batch_tokens),
        start: Instant::now(),
        tokens: 0,
        loss: f64::NAN,
        timed: Timed::default(),
    };
    run.resume()?;
    run.all_steps()?;
    run.last_evaluation()?;
    let best = run.take_best()?;
    let result = save_result(&mut run.learner, settings, inputs.dir, keep)?;
    Ok(Outcome {
        result,
        final_loss: run.loss,
        validation_loss: best.or(run.place.evaluated).map(|found| found.loss),
        best: best.map(|found| (found.step, found.loss)),
        steps: run.place.step,
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

/// Steps whose time counts, and their seconds.
#[derive(Default)]
struct Timed {
    steps: u64,
    seconds: f64,
}

/// A run in progress.
struct Run<'a, B: DecoderBackend> {
    learner: Learner<B>,
    settings: &'a TrainSettings,
    inputs: &'a RunInputs<'a>,
    log: Log,
    board: Option<Board>,
    observer: &'a mut dyn Observer,
    place: Progress,
    validation: Vec<Batch>,
    start: Instant,
    tokens: u64,
    loss: f64,
    timed: Timed,
}

impl<B: DecoderBackend> Run<'_, B> {
    fn tell(&mut self, event: Event) -> Result<()> {
        self.log.write(&event)?;
        if let Some(board) = &mut self.board {
            board.write(&event)?;
        }
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
        let board = Board::create(&self.inputs.dir.join("tensorboard"), self.place.step)?;
        self.board = Some(board);
        let trained_parameters = self.learner.trained_count();
        self.tell(Event::Started {
            step: self.place.step,
            steps: self.settings.steps,
            trained_parameters,
        })
    }

    fn all_steps(&mut self) -> Result<()> {
        while self.place.step < self.settings.steps && !self.place.stopped {
            if !self.one_step()? {
                break;
            }
            let (step, settings) = (self.place.step, self.settings);
            let due = settings.evaluate_every > 0 && step.is_multiple_of(settings.evaluate_every);
            if due && step < settings.steps && !self.validation.is_empty() {
                self.evaluate()?;
                self.lose_patience()?;
            }
            let stop = self.observer.should_stop();
            let last = step == settings.steps || stop || self.place.stopped;
            if last || step.is_multiple_of(settings.checkpoint_every) {
                self.checkpoint()?;
            }
            if stop && step < settings.steps && !self.place.stopped {
                return Err(TrainError::Stopped { step });
            }
        }
        Ok(())
    }

    /// Loss on the validation rows; remembers the best, and its state where that is asked for.
    fn evaluate(&mut self) -> Result<()> {
        let (step, loss) = (self.place.step, self.learner.evaluate(&self.validation));
        let found = Evaluated { step, loss };
        self.place.evaluated = Some(found);
        self.tell(Event::Evaluation { step, loss })?;
        // A loss that is not a number is never the best.
        if self.place.best.is_none_or(|best| loss < best.loss) && loss.is_finite() {
            self.place.best = Some(found);
            self.place.stale = 0;
            if self.settings.load_best {
                self.snapshot().save_best(self.inputs.dir)?;
            }
        } else {
            self.place.stale += 1;
        }
        Ok(())
    }

    fn lose_patience(&mut self) -> Result<()> {
        let patience = self.settings.early_stopping_patience;
        if patience == 0 || self.place.stale < patience {
            return Ok(());
        }
        self.place.stopped = true;
        self.tell(Event::StoppedEarly {
            step: self.place.step,
            evaluations: self.place.stale,
        })
    }

    /// The evaluation behind the last step, unless it was evaluated already.
    fn last_evaluation(&mut self) -> Result<()> {
        let step = self.place.step;
        let evaluated = self.place.evaluated.is_some_and(|found| found.step == step);
        if self.validation.is_empty() || evaluated {
            return Ok(());
        }
        self.evaluate()
    }

    /// Goes back to the state of the lowest validation loss, where that is asked for.
    fn take_best(&mut self) -> Result<Option<Evaluated>> {
        let Some(best) = self.place.best.filter(|_| self.settings.load_best) else {
            return Ok(None);
        };
        let Evaluated { step, loss } = best;
        let taken = match Snapshot::best(self.inputs.dir, &self.place.identity, step) {
            Some(snapshot) => self.learner.restore(snapshot.parameters),
            None => false,
        };
        if taken {
            self.tell(Event::BestLoaded { step, loss })?;
            return Ok(Some(best));
        }
        let message =
            format!("the best state, of step {step}, is damaged; the result is the last step's");
        self.tell(Event::Note { message })?;
        Ok(None)
    }

    /// One optimizer step; false when the data has run out.
    fn one_step(&mut self) -> Result<bool> {
        let begun = Instant::now();
        let (settings, first) = (self.settings, self.place.position);
        let batches = self.next_batches()?;
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
                rows: (first..self.place.position)
                    .map(|position| self.inputs.source.origin(position))
                    .collect(),
            })?;
        self.place.step = step;
        let tokens = batches.iter().map(|b| b.tokens.len() as u64).sum();
        self.tokens += tokens;
        self.loss = report.loss;
        let seconds = begun.elapsed().as_secs_f64();
        self.tell(Event::Step {
            step,
            steps: settings.steps,
            loss: report.loss,
            learning_rate: settings.learning_rate * factor,
            gradient_norm: report.gradient_norm,
            clipped_norm: report.clipped_norm,
            tokens,
            tokens_per_second: tokens as f64 / seconds,
            elapsed_seconds: self.start.elapsed().as_secs_f64(),
            memory_bytes: resident_bytes(),
        })?;
        self.tell_pace(seconds)?;
        Ok(true)
    }

    /// The batches of the next step; none when the data has run out.
    fn next_batches(&mut self) -> Result<Vec<Batch>> {
        let mut batches = Vec::new();
        for _ in 0..self.settings.gradient_accumulation_steps {
            let examples = take(
                self.inputs.source,
                &mut self.place.position,
                self.settings.batch_tokens,
            )?;
            if !examples.is_empty() {
                batches.push(Batch::pack(&examples));
            }
        }
        Ok(batches)
    }

    /// Tells the time left once a few steps of this process were measured.
    fn tell_pace(&mut self, seconds: f64) -> Result<()> {
        self.timed.steps += 1;
        if self.timed.steps > 1 {
            self.timed.seconds += seconds;
        }
        if self.timed.steps != PACE_STEP {
            return Ok(());
        }
        let step = self.place.step;
        let step_seconds = self.timed.seconds / (PACE_STEP - 1) as f64;
        let left = self.settings.steps.saturating_sub(step);
        self.tell(Event::Pace {
            step,
            step_seconds,
            seconds_left: step_seconds * left as f64,
        })
    }

    fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            progress: self.place.clone(),
            parameters: self.learner.parameters(),
        }
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.snapshot().save(self.inputs.dir)?;
        self.tell(Event::Checkpoint {
            step: self.place.step,
        })
    }
}

/// What the result takes over from the base.
struct Kept {
    config: ModelConfig,
    source: Option<PathBuf>,
    name: String,
    stored: StoredType,
}

fn save_result<B: DecoderBackend>(
    learner: &mut Learner<B>,
    settings: &TrainSettings,
    dir: &Path,
    base: Kept,
) -> Result<PathBuf> {
    match settings.method.adapter() {
        Some(lora) => {
            let path = dir.join("adapter");
            learner.decoder().adapter(lora).save(&path, &base.name)?;
            Ok(path)
        }
        None => {
            let path = dir.join("model");
            let tables = learner
                .parameters()
                .into_iter()
                .map(|(name, values, _)| (name, values))
                .collect();
            Weights::from_tables(tables).save(
                &path,
                &base.config,
                base.source.as_deref(),
                base.stored,
            )?;
            Ok(path)
        }
    }
}
