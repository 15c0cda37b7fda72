//! A model learns from rows, or from the project's own corpus.
//!
//! Resumes from its own checkpoints in the partial run folder. Does not know the
//! training loop; that is slm-train's.

mod observer;
mod source;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_model::lora::{self, LoraConfig};
use slm_model::weights::Weights;
use slm_model::{ModelConfig, Tokenizer};
use slm_train::batch::Dataset;
use slm_train::run::{Base, RunInputs, train as run_training};
use slm_train::schedule::Schedule as Shape;
use slm_train::settings::OptimizerKind;
use slm_train::{Example, Source, TrainSettings};

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Corpus, Create, Method, Optimizer, Schedule, TargetModules, Train};
use crate::stages::create;
use crate::workspace::{Input, Stage, hash_path, run_stage};
use observer::Shown;
use source::Endless;

/// Where the model comes from.
pub enum Start<'a> {
    /// A checkpoint.
    From(&'a Path),
    /// Nothing but a shape, and the tokenizer in a folder.
    New(&'a Create, &'a Path),
}

/// What it learns from.
pub enum Lessons<'a> {
    /// JSONL files of rows.
    Rows {
        /// To learn from.
        train: Vec<PathBuf>,
        /// To watch training on.
        validation: Vec<PathBuf>,
    },
    /// The project's own corpus.
    Corpus(&'a Corpus),
}

/// A training run.
pub struct Job<'a> {
    /// Where the model comes from.
    pub start: Start<'a>,
    /// What it learns from.
    pub lessons: Lessons<'a>,
    /// How.
    pub settings: &'a Train,
    /// Seeds order and first values.
    pub seed: u64,
    /// The run's folder.
    pub artefact: PathBuf,
}

impl Start<'_> {
    /// The folder that holds at least the tokenizer.
    fn folder(&self) -> &Path {
        match self {
            Self::From(folder) | Self::New(_, folder) => folder,
        }
    }
}

/// Trains, and gives the folder of the adapter or of the model.
///
/// # Errors
/// The rows, the model and the settings do not go together, or training fails. Progress
/// up to the last checkpoint is kept.
pub fn train(context: &Context, job: &Job) -> Result<PathBuf> {
    let stage = stage(context, job);
    run_stage(&context.terminal, &stage, |folder| {
        work(context, job, folder)
    })?;
    Ok(match job.settings.method {
        Method::Lora => job.artefact.join("adapter"),
        Method::Full => job.artefact.join("model"),
    })
}

fn stage(context: &Context, job: &Job) -> Stage {
    let mut inputs = vec![Input::new("start", job.start.folder())];
    if let Lessons::Rows { train, validation } = &job.lessons {
        inputs.extend(train.iter().map(|path| Input::new("train", path)));
        inputs.extend(validation.iter().map(|path| Input::new("validation", path)));
    }
    let corpus = match &job.lessons {
        Lessons::Corpus(corpus) => Some(corpus),
        Lessons::Rows { .. } => None,
    };
    let create = match &job.start {
        Start::New(create, _) => Some(create),
        Start::From(_) => None,
    };
    Stage {
        name: "train",
        version: 1,
        artefact: job.artefact.clone(),
        inputs,
        settings: json!({
            "train": job.settings,
            "create": create,
            "corpus": corpus,
            "seed": job.seed,
            "device": context.device.to_string(),
        }),
        resumable: true,
    }
}

fn work(context: &Context, job: &Job, folder: &Path) -> Result<()> {
    let home = job.start.folder();
    let tokenizer = Tokenizer::load(home)?;
    let config = match &job.start {
        Start::From(folder) => ModelConfig::load(folder)?,
        Start::New(create, _) => create::config(create, &tokenizer)?,
    };
    tokenizer.check_fits(config.vocab_size)?;
    let (source, validation, steps) = lessons(job, tokenizer, &config)?;
    let settings = settings(job, steps)?;
    let weights = match job.start {
        Start::From(folder) => Weights::load(folder, &config)?,
        Start::New(..) => Weights::random(&config, job.seed),
    };
    let base = Base {
        config,
        weights,
        adapter: None,
        source: Some(home.to_owned()),
        name: home.display().to_string(),
    };
    let inputs = RunInputs {
        source: source.as_ref(),
        validation: &validation,
        inputs_hash: inputs_hash(job)?,
        dir: folder,
    };
    let mut shown = Shown::new(&context.terminal);
    let outcome = run_training(base, &settings, &inputs, context.device, &mut shown);
    shown.finish();
    outcome?;
    remove_checkpoints(folder)
}

/// Examples, validation examples, and the steps that the epochs have.
fn lessons(
    job: &Job,
    tokenizer: Tokenizer,
    config: &ModelConfig,
) -> Result<(Box<dyn Source>, Vec<Example>, Option<u64>)> {
    match &job.lessons {
        Lessons::Corpus(corpus) => {
            let endless = Endless::new(tokenizer, job.seed, corpus.renamed)?;
            let validation = endless.held_out(corpus.validation)?;
            Ok((Box::new(endless), validation, None))
        }
        Lessons::Rows { train, validation } => {
            let context_length = config.max_position_embeddings;
            let rows = source::encode_all(train, &tokenizer, context_length)?;
            let validation = source::encode_all(validation, &tokenizer, context_length)?;
            let epochs = job.settings.epochs;
            let dataset = Dataset::new(rows, epochs, job.seed, context_length)?;
            let steps = dataset.steps(
                job.settings.batch_tokens,
                job.settings.gradient_accumulation_steps,
            )?;
            Ok((Box::new(dataset), validation, Some(steps)))
        }
    }
}

/// The recipe's settings in the terms of slm-train.
fn settings(job: &Job, epoch_steps: Option<u64>) -> Result<TrainSettings> {
    let train = job.settings;
    let steps = match (epoch_steps, train.max_steps) {
        (Some(steps), Some(most)) => steps.min(most),
        (Some(steps), None) | (None, Some(steps)) => steps,
        (None, None) => {
            return Err(
                Failure::new("the corpus has no end, and `train.max_steps` is not set")
                    .hint("set `train.max_steps`")
                    .into(),
            );
        }
    };
    let method = match train.method {
        Method::Full => slm_train::Method::Full,
        Method::Lora => slm_train::Method::Lora(LoraConfig {
            rank: train.rank,
            alpha: train.alpha,
            use_rslora: train.use_rslora,
            target_modules: target_modules(&train.target_modules),
        }),
    };
    Ok(TrainSettings {
        optimizer: match train.optimizer {
            Optimizer::Adamw => OptimizerKind::AdamW,
            Optimizer::Muon => OptimizerKind::Muon,
        },
        learning_rate: train.learning_rate,
        muon_learning_rate: train.muon_learning_rate,
        betas: train.betas,
        weight_decay: train.weight_decay,
        clip_grad_norm: train.clip_grad_norm,
        schedule: match train.schedule {
            Schedule::Constant => Shape::Constant,
            Schedule::Linear => Shape::Linear,
            Schedule::Cosine => Shape::Cosine,
            Schedule::StableDecay => Shape::StableDecay,
        },
        warmup_ratio: train.warmup_ratio,
        batch_tokens: train.batch_tokens,
        gradient_accumulation_steps: train.gradient_accumulation_steps,
        seed: job.seed,
        checkpoint_every: train.checkpoint_every,
        evaluate_every: train.evaluate_every,
        ..TrainSettings::new(method, steps)
    })
}

fn target_modules(targets: &TargetModules) -> Vec<String> {
    match targets {
        TargetModules::Named(name) if name == "all-linear" => {
            lora::TARGETS.iter().map(|&name| name.to_owned()).collect()
        }
        TargetModules::Named(name) => vec![name.clone()],
        TargetModules::List(names) => names.clone(),
    }
}

/// What ties a checkpoint to this base and these rows.
fn inputs_hash(job: &Job) -> Result<String> {
    let mut hashes = vec![hash_path(job.start.folder())?];
    if let Lessons::Rows { train, validation } = &job.lessons {
        for path in train.iter().chain(validation) {
            hashes.push(hash_path(path)?);
        }
    }
    Ok(crate::workspace::hash_bytes(hashes.join(" ").as_bytes()))
}

/// A finished run needs its checkpoints no more.
fn remove_checkpoints(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name.starts_with("checkpoint-") {
            crate::workspace::remove_folder(&path)?;
        }
    }
    Ok(())
}
