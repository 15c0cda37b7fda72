//! A model learns from rows, or from the project's own corpus.
//!
//! Resumes from its own checkpoints in the partial run folder. Does not know the
//! training loop; that is slm-train's.

pub mod encode;
mod observer;
mod preferences;
mod source;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use slm_model::checkpoint::StoredType;
use slm_model::lineage;
use slm_model::lora::{Adapter, LoraConfig};
use slm_model::weights::Weights;
use slm_model::{Checkpoint, Device, ModelConfig, Tokenizer};
use slm_train::batch::Dataset;
use slm_train::checkpoint::BEST;
use slm_train::forecast::{Forecast, available_bytes};
use slm_train::heap::Heap;
use slm_train::run::{Base, RunInputs, Teacher, train as run_training};
use slm_train::schedule::Schedule as Shape;
use slm_train::settings::OptimizerKind;
use slm_train::{Example, Objective, Precision, Source, TrainSettings};

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Corpus, Create, Method, Optimizer, Schedule, TargetModules, Train};
use crate::stages::create;
use crate::terminal::bytes;
use crate::workspace::{Input, Stage, hash_bytes, hash_path, run_stage};
use encode::Encoder;
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
    /// JSONL or Parquet files of rows.
    Rows {
        /// To learn from.
        train: Vec<PathBuf>,
        /// To watch training on.
        validation: Vec<PathBuf>,
        /// Beginnings of the paths of the leaves whose rows are learned; all where there are none.
        leaves: &'a [String],
        /// How they are written, where the recipe says it.
        format: Option<slm_data::Format>,
    },
    /// The project's own corpus.
    Corpus(&'a Corpus),
}

/// A training run.
pub struct Job<'a> {
    /// Where the model comes from.
    pub start: Start<'a>,
    /// An adapter of the same base to go on from.
    pub adapter: Option<PathBuf>,
    /// The folder of the larger model of a distillation.
    pub teacher: Option<PathBuf>,
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
        Method::Lora | Method::Qlora => job.artefact.join("adapter"),
        Method::Full => job.artefact.join("model"),
    })
}

fn stage(context: &Context, job: &Job) -> Stage {
    let inputs = inputs(job).into_iter();
    let (corpus, leaves, format) = match &job.lessons {
        Lessons::Corpus(corpus) => (Some(corpus), None, &None),
        Lessons::Rows { leaves, format, .. } => (None, Some(leaves), format),
    };
    let create = match &job.start {
        Start::New(create, _) => Some(create),
        Start::From(_) => None,
    };
    Stage {
        name: "train",
        version: 3,
        artefact: job.artefact.clone(),
        inputs: inputs.map(|(name, path)| Input::new(name, path)).collect(),
        settings: json!({
            "train": job.settings,
            "create": create,
            "corpus": corpus,
            "leaves": leaves,
            "format": format,
            "seed": job.seed,
            "device": context.device.to_string(),
        }),
        resumable: true,
    }
}

/// All that is read.
fn inputs<'a>(job: &'a Job) -> Vec<(&'static str, &'a Path)> {
    let mut inputs = vec![("start", job.start.folder())];
    inputs.extend(job.adapter.iter().map(|path| ("adapter", path.as_path())));
    inputs.extend(job.teacher.iter().map(|path| ("teacher", path.as_path())));
    if let Lessons::Rows {
        train, validation, ..
    } = &job.lessons
    {
        inputs.extend(train.iter().map(|path| ("train", path.as_path())));
        inputs.extend(validation.iter().map(|path| ("validation", path.as_path())));
    }
    inputs
}

fn work(context: &Context, job: &Job, folder: &Path) -> Result<()> {
    let home = job.start.folder();
    let tokenizer = Tokenizer::load(home)?.at(encode::DAY);
    let config = match &job.start {
        Start::From(folder) => ModelConfig::load(folder)?,
        Start::New(create, _) => create::config(create, &tokenizer)?,
    };
    tokenizer.check_fits(config.vocab_size)?;
    let teacher = match &job.teacher {
        Some(folder) => Some((folder, teacher_config(job, folder)?)),
        None => None,
    };
    // What does not depend on the rows is said before they are read.
    let mut settings = settings(job, &config, context.device);
    settings.check()?;
    settings.check_device(context.device)?;
    if let Some(adapter) = settings.method.adapter() {
        adapter.check(&config)?;
    }
    let lessons = lessons(context, job, tokenizer, &config)?;
    settings.steps = steps(job.settings, lessons.epoch_steps)?;
    settings.check()?;
    let forecast = Forecast::new(
        &config,
        &settings,
        lessons.largest_batch,
        teacher.as_ref().map(|(_, config)| config),
    );
    say_and_check(context, &forecast, &settings)?;
    let _heap = Heap::keep(forecast.bytes());
    let base = base(job, config, &settings, teacher)?;
    let inputs = RunInputs {
        source: lessons.source.as_ref(),
        validation: &lessons.validation,
        inputs_hash: inputs_hash(job)?,
        dir: folder,
    };
    let mut shown = Shown::new(&context.terminal);
    let outcome = run_training(base, &settings, &inputs, context.device, &mut shown);
    shown.finish();
    let outcome = outcome?;
    if let (Start::From(base), Some(_)) = (&job.start, settings.method.adapter()) {
        lineage::record(&outcome.result, &lineage::base_hash(base)?)?;
    }
    remove_checkpoints(folder)
}

/// Loads the base, and what goes with it.
fn base(
    job: &Job,
    config: ModelConfig,
    settings: &TrainSettings,
    teacher: Option<(&PathBuf, ModelConfig)>,
) -> Result<Base> {
    let held = settings.method.held();
    let weights = match job.start {
        Start::From(folder) => Weights::load_held(folder, &config, held)?,
        Start::New(..) => Weights::random_held(&config, job.seed, held)?,
    };
    if weights.is_packed() && settings.method.adapter().is_none() {
        let folder = job.start.folder().display();
        return Err(Failure::new(format!(
            "`{folder}` is quantized, and its own weights cannot learn"
        ))
        .hint("train an adapter (`train.method: lora`), or the model it was made from")
        .into());
    }
    let teacher = teacher.map(|(folder, config)| -> Result<Teacher> {
        Ok(Teacher {
            weights: Weights::load(folder, &config)?,
            config,
        })
    });
    let adapter = job.adapter.as_ref();
    Ok(Base {
        adapter: adapter.map(|dir| Adapter::load(dir, &config)).transpose()?,
        config,
        weights,
        source: Some(job.start.folder().to_owned()),
        stored: match job.start {
            Start::From(folder) => Checkpoint::open(folder)?.stored_type(),
            Start::New(..) => StoredType::Bf16,
        },
        name: job.start.folder().display().to_string(),
        teacher: teacher.transpose()?,
    })
}

/// Says what the run will take, and refuses what cannot fit.
fn say_and_check(context: &Context, forecast: &Forecast, settings: &TrainSettings) -> Result<()> {
    let needed = bytes(forecast.bytes());
    let Some(available) = available_bytes(context.device) else {
        let text = format!("train: about {needed} of memory");
        context.terminal.note(text);
        return Ok(());
    };
    let text = format!(
        "train: about {needed} of memory, {} available",
        bytes(available)
    );
    context.terminal.note(text);
    Ok(forecast.check(settings, available)?)
}

/// The teacher's config, once its tokens are known to be the model's.
fn teacher_config(job: &Job, teacher: &Path) -> Result<ModelConfig> {
    let file = |folder: &Path| hash_path(&folder.join("tokenizer.json"));
    if file(teacher)? != file(job.start.folder())? {
        return Err(Failure::new(format!(
            "the teacher `{}` has another tokenizer than the model",
            teacher.display()
        ))
        .hint("distil from a model with the same `tokenizer.json`")
        .into());
    }
    Ok(ModelConfig::load(teacher)?)
}

/// What is learned from, in tokens.
struct Prepared {
    source: Box<dyn Source>,
    validation: Vec<Example>,
    /// Steps that the epochs have; none where the rows never end.
    epoch_steps: Option<u64>,
    /// Tokens of the largest batch.
    largest_batch: usize,
}

fn lessons(
    context: &Context,
    job: &Job,
    tokenizer: Tokenizer,
    config: &ModelConfig,
) -> Result<Prepared> {
    let train = job.settings;
    let (files, watched, leaves, format) = match &job.lessons {
        Lessons::Corpus(corpus) => {
            let endless = Endless::new(tokenizer, job.seed, corpus.renamed)?;
            return Ok(Prepared {
                validation: endless.held_out(corpus.validation)?,
                source: Box::new(endless),
                epoch_steps: None,
                largest_batch: train.batch_tokens,
            });
        }
        Lessons::Rows {
            train,
            validation,
            leaves,
            format,
        } => (train, validation, *leaves, *format),
    };
    let longest = config.max_position_embeddings;
    let encoder = Encoder {
        tokenizer: &tokenizer,
        format,
        limit: encode::limit(train.max_length, longest)?,
        over_long: train.over_long,
    };
    let read = |label: &str, files: &[PathBuf], leaves: &[String]| match train.dpo {
        Some(_) => {
            let pairs = files
                .iter()
                .map(|file| preferences::read_pairs(file, &tokenizer, encoder.limit));
            Ok(pairs.collect::<Result<Vec<_>>>()?.concat())
        }
        None => encoder.encode_all(label, files, leaves, &context.terminal),
    };
    let learned = read("train", files, leaves)?;
    if learned.is_empty() {
        return Err(no_rows(files).into());
    }
    let (rows, origins) = learned.into_iter().unzip();
    let validation = read("validation", watched, &[])?.into_iter();
    let mut dataset = Dataset::new(rows, train.epochs, job.seed, longest)?.with_origins(origins);
    if train.dpo.is_some() {
        dataset = dataset.in_pairs()?;
    }
    Ok(Prepared {
        validation: validation.map(|(example, _)| example).collect(),
        epoch_steps: Some(dataset.steps(train.batch_tokens, train.gradient_accumulation_steps)?),
        largest_batch: dataset.largest_batch(train.batch_tokens),
        source: Box::new(dataset),
    })
}

fn no_rows(files: &[PathBuf]) -> Failure {
    let names = files.iter().map(|file| format!("`{}`", file.display()));
    let names = names.collect::<Vec<_>>().join(", ");
    Failure::new(format!("the dataset has no rows to learn from: {names}"))
        .hint("give it rows; over-long ones are left out under `over_long: drop`")
}

/// Steps to take: those of the epochs, at most `max_steps`.
fn steps(train: &Train, epoch_steps: Option<u64>) -> Result<u64> {
    match (epoch_steps, train.max_steps) {
        (Some(steps), Some(most)) => Ok(steps.min(most)),
        (Some(steps), None) | (None, Some(steps)) => Ok(steps),
        (None, None) => Err(Failure::new(
            "the corpus has no end, and `train.max_steps` is not set",
        )
        .hint("set `train.max_steps`")
        .into()),
    }
}

/// The recipe's settings in the terms of slm-train, for one step as long as the rows are not
/// counted.
fn settings(job: &Job, config: &ModelConfig, device: Device) -> TrainSettings {
    let train = job.settings;
    let adapter = || LoraConfig {
        rank: train.rank,
        alpha: train.alpha,
        use_rslora: train.use_rslora,
        use_dora: train.use_dora,
        target_modules: target_modules(&train.target_modules, config),
    };
    let method = match train.method {
        Method::Full => slm_train::Method::Full,
        Method::Lora => slm_train::Method::Lora(adapter()),
        Method::Qlora => slm_train::Method::Qlora(adapter()),
    };
    let usual = Precision::usual(&method, device);
    let optimizer = match train.optimizer {
        Optimizer::Adamw => OptimizerKind::AdamW,
        Optimizer::Muon => OptimizerKind::Muon,
        Optimizer::Lion => OptimizerKind::Lion,
    };
    TrainSettings {
        optimizer,
        learning_rate: train.learning_rate,
        loraplus_lr_ratio: train.loraplus_lr_ratio,
        muon_learning_rate: train.muon_learning_rate,
        betas: train.betas.unwrap_or(optimizer.usual_betas()),
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
        objective: objective(train),
        neftune_alpha: train.neftune_alpha,
        prompt_dropout: train.prompt_dropout,
        early_stopping_patience: train.early_stopping_patience,
        load_best: train.load_best,
        gradient_checkpointing: train.gradient_checkpointing,
        precision: train.precision.unwrap_or(usual),
        ..TrainSettings::new(method, 1)
    }
}

fn objective(train: &Train) -> Objective {
    match (&train.distillation, &train.dpo) {
        (Some(distillation), _) => Objective::Distillation {
            temperature: distillation.temperature,
            weight: distillation.weight,
        },
        (None, Some(preference)) => Objective::Preference {
            beta: preference.beta,
        },
        (None, None) => Objective::CrossEntropy,
    }
}

fn target_modules(targets: &TargetModules, config: &ModelConfig) -> Vec<String> {
    match targets {
        TargetModules::Named(name) if name == "all-linear" => config.target_modules(),
        TargetModules::Named(name) => vec![name.clone()],
        TargetModules::List(names) => names.clone(),
    }
}

/// What ties a checkpoint to this base and these rows.
fn inputs_hash(job: &Job) -> Result<String> {
    let mut hashes = Vec::new();
    for (_, path) in inputs(job) {
        hashes.push(hash_path(path)?);
    }
    if let Lessons::Rows { leaves, .. } = &job.lessons {
        hashes.extend(leaves.iter().cloned());
    }
    Ok(hash_bytes(hashes.join(" ").as_bytes()))
}

/// A finished run needs its checkpoints no more.
fn remove_checkpoints(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && (name.starts_with("checkpoint-") || name == BEST) {
            crate::workspace::remove_folder(&path)?;
        }
    }
    Ok(())
}
