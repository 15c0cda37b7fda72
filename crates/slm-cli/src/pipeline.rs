//! A recipe's stages in their order, each with the artefacts of the one before.
//!
//! Knows the names of artefacts in the workspace; does not know what a stage does.

use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_train::heap::Heap;

use crate::commands::Context;
use crate::failure::Failure;
use crate::recipe::{Data, Evaluate, Method, Recipe, Split, Synthesize, System, Train, Width};
use crate::results::{gates_of, show_results};
use crate::stages;
use crate::stages::dataset::{LEAVES_FILE, VALIDATION_FILE};
use crate::stages::evaluate::{Exam, REPORT_FILE};
use crate::stages::import::{TEST_FILE, TRAIN_FILE, held_out_file};
use crate::stages::train::{Job, Lessons, Start};
use crate::workspace::Kind;

/// A recipe at work in a workspace.
pub struct Pipeline<'a> {
    context: &'a Context,
    recipe: &'a Recipe,
}

/// Where the rows of a recipe are.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// To learn from.
    pub train: Vec<PathBuf>,
    /// To watch training on.
    pub validation: Vec<PathBuf>,
    /// Held out for the figures.
    pub test: Vec<PathBuf>,
    /// The leaves that the rows were made from, if they were.
    pub leaves: Option<PathBuf>,
    /// How the rows are written, where the recipe says it.
    pub format: Option<slm_data::Format>,
}

impl<'a> Pipeline<'a> {
    /// The recipe, once its sections are known to go together.
    ///
    /// # Errors
    /// Sections contradict or lack each other.
    pub fn new(context: &'a Context, recipe: &'a Recipe) -> Result<Self> {
        check(recipe)?;
        if recipe.train.is_some() {
            Heap::share();
        }
        Ok(Self { context, recipe })
    }

    /// All stages.
    ///
    /// # Errors
    /// Those of the stages; what was done before stays done.
    pub fn run(&self) -> Result<()> {
        stages::overlap::check_settings(&self.recipe.overlap)?;
        // A missing key or an unknown metric should not be found out after the training.
        if let Some(settings) = &self.recipe.evaluate {
            stages::evaluate::task(&self.recipe.name, settings)?;
        }
        self.check_baseline()?;
        let rows = self.rows()?;
        if let Some(train) = &self.recipe.train {
            self.check_overlap(train, &rows)?;
            self.train(train, &rows)?;
            self.quantize()?;
        }
        match &self.recipe.evaluate {
            Some(settings) => self.evaluate(settings, rows),
            None => Ok(()),
        }
    }

    /// Whether the baseline can be asked; nothing is asked yet.
    fn check_baseline(&self) -> Result<()> {
        let Some(baseline) = &self.recipe.baseline else {
            return Ok(());
        };
        let settings = self.recipe.evaluate.clone().unwrap_or_default();
        let prices = settings.prices.as_deref();
        let prices = prices.map(slm_eval::cost::Prices::load).transpose()?;
        let rival = stages::evaluate::Rival {
            name: &baseline.model,
            baseline,
            prices: prices.as_ref(),
            max_tokens: settings.max_tokens,
            purpose: stages::evaluate::RECIPE,
        };
        rival.open(self.context).map(drop)
    }

    /// The stages up to the trained model.
    ///
    /// # Errors
    /// As [`Pipeline::run`], and where the recipe has no `train`.
    pub fn train_only(&self) -> Result<PathBuf> {
        let train = self.recipe.train.as_ref().ok_or_else(|| {
            Failure::new(format!("the recipe `{}` has no `train`", self.recipe.name))
                .hint("add a section `train`, or run the recipe with `slm run`")
        })?;
        stages::overlap::check_settings(&self.recipe.overlap)?;
        let rows = self.rows()?;
        self.check_overlap(train, &rows)?;
        self.train(train, &rows)
    }

    /// Holds what is trained on against what is measured on. Pairs of answers to prefer from are
    /// no rows.
    fn check_overlap(&self, train: &Train, rows: &Rows) -> Result<()> {
        if train.dpo.is_some() || rows.train.is_empty() {
            return Ok(());
        }
        let phases = train.phases.iter().flat_map(|phase| &phase.data);
        let compared = stages::overlap::Rows {
            train: &rows.train.iter().chain(phases).cloned().collect::<Vec<_>>(),
            held_out: &rows.test,
            is_made: self.recipe.taxonomy.is_some(),
        };
        stages::overlap::check(self.context, &compared, &self.recipe.overlap).map(|_| ())
    }

    /// Makes or finds the rows.
    fn rows(&self) -> Result<Rows> {
        let recipe = self.recipe;
        if let Some(taxonomy) = &recipe.taxonomy {
            let artefact = self.artefact(Kind::Datasets, "");
            stages::synthesize::synthesize(
                self.context,
                &taxonomy.paths,
                recipe.synthesize.as_ref().unwrap_or(&Synthesize::default()),
                recipe.split.as_ref().unwrap_or(&Split::default()),
                recipe.seed,
                artefact.clone(),
            )?;
            return Ok(Rows {
                train: vec![artefact.join(TRAIN_FILE)],
                validation: vec![artefact.join(VALIDATION_FILE)],
                test: vec![artefact.join(TEST_FILE)],
                leaves: Some(artefact.join(LEAVES_FILE)),
                format: None,
            });
        }
        match &recipe.data {
            Some(data) => self.data_rows(data),
            None => Ok(Rows::default()),
        }
    }

    fn data_rows(&self, data: &Data) -> Result<Rows> {
        let (Some(set), Some(from)) = (data.import, &data.from) else {
            return Ok(Rows {
                train: data.train.clone(),
                validation: data.validation.clone(),
                test: data.test.clone(),
                leaves: None,
                format: data.format,
            });
        };
        let artefact = self.artefact(Kind::Datasets, "");
        stages::import::import(self.context, set, from, artefact.clone())?;
        Ok(Rows {
            train: vec![artefact.join(TRAIN_FILE)],
            validation: data.validation.clone(),
            test: vec![artefact.join(held_out_file(set))],
            leaves: None,
            format: None,
        })
    }

    /// Trains, and gives the folder of the model that came out, adapter merged.
    fn train(&self, train: &Train, rows: &Rows) -> Result<PathBuf> {
        let base = self.base()?;
        let trained = match train.phases.is_empty() {
            true => self.train_once(train, rows, &base)?,
            false => self.train_in_phases(train, rows, &base)?,
        };
        let model = self.artefact(Kind::Models, "");
        match train.method {
            Method::Lora | Method::Qlora => {
                stages::merge::merge(self.context, &base, &trained, None, model.clone())?;
            }
            Method::Full => stages::merge::adopt(self.context, &trained, model.clone())?,
        }
        Ok(model)
    }

    fn train_once(&self, train: &Train, rows: &Rows, base: &Path) -> Result<PathBuf> {
        let start = match &self.recipe.create {
            Some(create) => Start::New(create, base),
            None => Start::From(base),
        };
        let lessons = match &self.recipe.corpus {
            Some(corpus) => Lessons::Corpus(corpus),
            None => Lessons::Rows {
                train: rows.train.clone(),
                validation: rows.validation.clone(),
                leaves: &[],
                format: rows.format,
            },
        };
        let job = Job {
            start,
            adapter: None,
            teacher: self.teacher(train)?,
            lessons,
            settings: train,
            seed: self.recipe.seed,
            artefact: self.artefact(Kind::Runs, ""),
        };
        stages::train::train(self.context, &job)
    }

    /// One run after the other: the adapter of each goes on from that of the one before; full
    /// training from its model.
    fn train_in_phases(&self, train: &Train, rows: &Rows, base: &Path) -> Result<PathBuf> {
        let mut last: Option<PathBuf> = None;
        for phase in &train.phases {
            let settings = phase.settings(train);
            let start = match (&last, train.method, &self.recipe.create) {
                (Some(model), Method::Full, _) => Start::From(model),
                (None, _, Some(create)) => Start::New(create, base),
                _ => Start::From(base),
            };
            let adapter = last.clone().filter(|_| train.method != Method::Full);
            let job = Job {
                start,
                adapter,
                teacher: self.teacher(train)?,
                lessons: Lessons::Rows {
                    train: match phase.data.is_empty() {
                        true => rows.train.clone(),
                        false => phase.data.clone(),
                    },
                    validation: rows.validation.clone(),
                    leaves: &phase.leaves,
                    format: rows.format,
                },
                settings: &settings,
                seed: self.recipe.seed,
                artefact: self.artefact(Kind::Runs, &format!("-{}", phase.name)),
            };
            let name = &phase.name;
            self.context.terminal.note(format!("train: phase `{name}`"));
            last = Some(stages::train::train(self.context, &job)?);
        }
        last.ok_or_else(|| Failure::new("`train.phases` is empty").into())
    }

    fn teacher(&self, train: &Train) -> Result<Option<PathBuf>> {
        let teacher = train.distillation.as_ref();
        teacher
            .map(|distillation| self.context.workspace.model(&distillation.teacher))
            .transpose()
    }

    /// The folder to start from: a checkpoint, or the tokenizer of a model to be made.
    fn base(&self) -> Result<PathBuf> {
        if let Some(create) = &self.recipe.create {
            let tokenizer = self.artefact(Kind::Runs, "-tokenizer");
            let seed = self.recipe.seed;
            stages::create::tokenizer(self.context, create, seed, tokenizer.clone())?;
            return Ok(tokenizer);
        }
        match &self.recipe.model {
            Some(name) => self.context.workspace.model(name),
            None => Err(no_model(self.recipe).into()),
        }
    }

    /// Makes the smaller copies of the trained model.
    fn quantize(&self) -> Result<()> {
        let Some(quantize) = &self.recipe.quantize else {
            return Ok(());
        };
        let model = self.artefact(Kind::Models, "");
        for &width in &quantize.weights {
            let artefact = self.artefact(Kind::Models, &format!("-{}", width.name()));
            let plan = stages::quantize::Plan::plain(width, quantize.tables);
            stages::quantize::quantize(self.context, &model, &plan, artefact)?;
        }
        Ok(())
    }

    /// Measures everyone, and shows the table.
    fn evaluate(&self, settings: &Evaluate, rows: Rows) -> Result<()> {
        let artefact = self.artefact(Kind::Evals, "");
        let results = stages::evaluate::evaluate(
            self.context,
            &Exam {
                name: &self.recipe.name,
                settings,
                test: rows.test,
                train: rows.train,
                leaves: rows.leaves,
                format: rows.format,
                models: self.models()?,
                baseline: self.recipe.baseline.as_ref(),
                artefact: artefact.clone(),
            },
        )?;
        show_results(self.context, &results)?;
        let report = artefact.join(REPORT_FILE);
        self.context
            .terminal
            .note(format!("report: {}", report.display()));
        gates_of(&results)
    }

    /// The models that the recipe names or makes.
    fn models(&self) -> Result<Vec<(System, PathBuf)>> {
        let mut models = Vec::new();
        if let Some(name) = &self.recipe.model {
            models.push((System::Base, self.context.workspace.model(name)?));
        }
        if self.recipe.train.is_some() {
            models.push((System::Tuned, self.artefact(Kind::Models, "")));
        }
        for width in self.recipe.quantize.iter().flat_map(|q| &q.weights) {
            let system = match width {
                Width::Int8 => System::TunedInt8,
                Width::Int4 => System::TunedInt4,
                Width::Nf4 => System::TunedNf4,
            };
            let folder = self.artefact(Kind::Models, &format!("-{}", width.name()));
            models.push((system, folder));
        }
        Ok(models)
    }

    fn artefact(&self, kind: Kind, suffix: &str) -> PathBuf {
        let name = format!("{}{suffix}", self.recipe.name);
        self.context.workspace.artefact(kind, &name)
    }
}

/// Whether the sections of a recipe go together.
fn check(recipe: &Recipe) -> Result<()> {
    check_name(&recipe.name)?;
    check_source(recipe)?;
    if let Some(data) = &recipe.data {
        check_data(data)?;
    }
    check_model(recipe)?;
    if let Some(train) = &recipe.train {
        check_train(recipe, train)?;
    }
    if let Some(settings) = &recipe.evaluate
        && settings
            .constrained
            .iter()
            .any(|system| matches!(system, System::Nearest | System::Majority))
    {
        return Err(
            Failure::new("`evaluate.constrained` names a baseline that generates nothing")
                .hint("name models only: base, tuned, tuned-int8, tuned-int4, tuned-nf4")
                .into(),
        );
    }
    let tests = recipe.data.as_ref().map(|data| (data.import, &data.test));
    match (&recipe.evaluate, tests) {
        (Some(_), Some((None, test))) if test.is_empty() => Err(Failure::new(
            "the recipe has `evaluate`, but `data` has no `test` rows",
        )
        .hint("name the held-out rows in `data.test`")
        .into()),
        _ => Ok(()),
    }
}

/// A recipe's name becomes the name of folders.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && !name.starts_with('.') && name.chars().all(plain) {
        return Ok(());
    }
    Err(Failure::new(format!("`{name}` is no name for a recipe"))
        .hint("`name` becomes a folder's name: letters, digits, `-`, `_` and `.`")
        .into())
}

/// There is one thing to learn from.
fn check_source(recipe: &Recipe) -> Result<()> {
    let sources: Vec<&str> = [
        ("`taxonomy`", recipe.taxonomy.is_some()),
        ("`data`", recipe.data.is_some()),
        ("`corpus`", recipe.corpus.is_some()),
    ]
    .into_iter()
    .filter_map(|(name, present)| present.then_some(name))
    .collect();
    match sources.as_slice() {
        [_] => Ok(()),
        [] => Err(Failure::new("the recipe says nothing to learn from")
            .hint("add one of the sections `taxonomy`, `data` and `corpus`")
            .into()),
        several => Err(
            Failure::new(format!("the recipe has {}", several.join(" and ")))
                .hint("keep one of them")
                .into(),
        ),
    }
}

/// What is trained or made smaller is there.
fn check_model(recipe: &Recipe) -> Result<()> {
    match (&recipe.model, &recipe.create) {
        (None, None) if recipe.train.is_some() => Err(no_model(recipe).into()),
        (Some(_), Some(_)) => Err(Failure::new("the recipe has both `model` and `create`")
            .hint("keep `model` to start from a checkpoint, `create` to start from nothing")
            .into()),
        _ if recipe.quantize.is_some() && recipe.train.is_none() => {
            Err(Failure::new("the recipe has `quantize` but no `train`")
                .hint("`slm quantize` makes a smaller copy of a model that is there already")
                .into())
        }
        _ => Ok(()),
    }
}

/// Keys of `train` that contradict each other or the rest of the recipe.
fn check_train(recipe: &Recipe, train: &Train) -> Result<()> {
    let full = train.method == Method::Full;
    let conflicts = [
        (
            full && train.use_dora,
            "`train.use_dora` needs an adapter, and `train.method` is `full`",
            "use `method: lora` or `qlora`, or drop `use_dora`",
        ),
        (
            full && train.use_rslora,
            "`train.use_rslora` needs an adapter, and `train.method` is `full`",
            "use `method: lora` or `qlora`, or drop `use_rslora`",
        ),
        (
            !full && recipe.create.is_some(),
            "`create` makes a model from nothing, and `train.method` would freeze it",
            "use `method: full`",
        ),
        (
            train.distillation.is_some() && train.dpo.is_some(),
            "`train` has both `distillation` and `dpo`",
            "keep one of them; a second recipe can start from the model of the first",
        ),
        (
            full && train.dpo.is_some(),
            "`train.dpo` compares with the frozen base, and `train.method` is `full`",
            "use `method: lora` or `qlora`",
        ),
        (
            train.dpo.is_some() && recipe.data.as_ref().is_none_or(|d| d.import.is_some()),
            "`train.dpo` needs pairs of answers, which only `data.train` can give",
            "name JSONL or Parquet files with `prompt`, `chosen` and `rejected` in `data.train`",
        ),
        (
            !train.phases.is_empty() && recipe.corpus.is_some(),
            "`train.phases` divides rows, and the `corpus` has no end",
            "use `taxonomy` or `data`, or drop `phases`",
        ),
    ];
    if let Some((_, problem, hint)) = conflicts.into_iter().find(|(conflict, ..)| *conflict) {
        return Err(Failure::new(problem).hint(hint).into());
    }
    let mut names: Vec<&str> = Vec::new();
    for phase in &train.phases {
        check_name(&phase.name)?;
        if names.contains(&phase.name.as_str()) {
            let problem = format!("two phases are called `{}`", phase.name);
            return Err(Failure::new(problem)
                .hint("a phase's name is that of its run")
                .into());
        }
        names.push(&phase.name);
    }
    Ok(())
}

fn check_data(data: &Data) -> Result<()> {
    if let (Some(_), Some(format)) = (data.import, data.format) {
        let format = format.name();
        return Err(
            Failure::new(format!("`data` has both `import` and `format: {format}`"))
                .hint("an imported set has a form of its own; remove `format`")
                .into(),
        );
    }
    match (data.import, &data.from, data.train.is_empty()) {
        (Some(_), Some(_), true) | (None, None, false) => Ok(()),
        (Some(_), None, _) => Err(Failure::new("`data.import` needs `data.from`")
            .hint("give the folder of the local copy: `data.from=DIR`")
            .into()),
        (None, Some(_), _) => Err(Failure::new("`data.from` needs `data.import`")
            .hint("say which set it is, for example `import: snips`")
            .into()),
        (Some(_), Some(_), false) => Err(Failure::new("`data` has both `import` and `train`")
            .hint("keep one of them")
            .into()),
        (None, None, true) => Err(Failure::new("`data` names no rows")
            .hint("give `import` and `from`, or `train` with JSONL or Parquet files")
            .into()),
    }
}

fn no_model(recipe: &Recipe) -> Failure {
    Failure::new(format!(
        "the recipe `{}` has `train` but no `model`",
        recipe.name
    ))
    .hint("add `model: slm-nano`, or another model of `slm model list`")
}
