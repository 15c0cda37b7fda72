//! `slm data generate`: rows from leaves, by the built-in teacher or by a flow.
//!
//! Does not know how rows are made.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use slm_data::SeedLeaf;
use slm_data::flow::{Estimate, Flow, FlowSettings, FlowTeacher};
use slm_data::teacher::Nobody;
use slm_model::Tokenizer;

use super::say_dataset;
use crate::commands::Context;
use crate::documents::Repositories;
use crate::failure::Failure;
use crate::recipe::{Overlap, Split, Synthesize};
use crate::stages;
use crate::stages::dataset::VALIDATION_FILE;
use crate::stages::flow::FlowRun;
use crate::stages::import::{TEST_FILE, TRAIN_FILE};
use crate::teacher::{AnyTeacher, TeacherArguments};
use crate::terminal::clock;
use crate::workspace::Kind;

/// Arguments of `slm data generate`.
#[derive(Debug, Args)]
pub struct Generate {
    /// Leaves (`qna.yaml`) or folders that hold them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The dataset's name in the workspace
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Rows from each leaf, held-out ones included
    #[arg(long, value_name = "COUNT", default_value_t = 300)]
    rows_per_leaf: usize,
    /// Share held out for the figures
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    test: f64,
    /// Share held out to watch training
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    validation: f64,
    /// Seeds everything that is drawn by chance
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
    /// Drop rows at least so similar to an earlier one (Jaccard, word 3-grams), such as 0.8;
    /// equal ones are always dropped
    #[arg(long, value_name = "SIMILARITY")]
    near_duplicates: Option<f64>,
    /// Drop rows with personal data or secrets, beside counting them
    #[arg(long)]
    drop_personal_data: bool,
    #[command(flatten)]
    overlap: OverlapArguments,
    #[command(flatten)]
    by_flow: ByFlow,
}

/// Arguments of the gate on rows that give an evaluation away.
#[derive(Debug, Args)]
struct OverlapArguments {
    /// Rows of an evaluation that no training row may give away, beside those held out; may be
    /// given several times
    #[arg(long = "eval", value_name = "FILE")]
    evals: Vec<PathBuf>,
    /// Words in a row that a training row may not share with an evaluation
    #[arg(long, value_name = "COUNT", default_value_t = slm_data::split::RUN)]
    overlap_words: usize,
    /// The share of an evaluation's rows that may be in training rows
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    overlap_at_most: f64,
    /// Why more than that does not matter; it is told instead of refused
    #[arg(long, value_name = "REASON")]
    waive_overlap: Option<String>,
}

impl OverlapArguments {
    /// What they say.
    ///
    /// # Errors
    /// It makes no sense.
    fn settings(&self) -> Result<Overlap> {
        let settings = Overlap {
            evals: self.evals.clone(),
            words: self.overlap_words,
            at_most: self.overlap_at_most,
            waived: self.waive_overlap.clone(),
        };
        stages::overlap::check_settings(&settings)?;
        Ok(settings)
    }

    /// Holds the rows of a dataset against evaluations.
    fn check(&self, context: &Context, dataset: &Path) -> Result<()> {
        let rows = stages::overlap::Rows {
            train: &[dataset.join(TRAIN_FILE)],
            held_out: &[dataset.join(TEST_FILE), dataset.join(VALIDATION_FILE)],
            is_made: true,
        };
        let settings = self.settings()?;
        let looked_for = stages::overlap::check(context, &rows, &settings)?;
        context.terminal.note(format!(
            "overlap: {looked_for} evaluation rows were looked for in training, by {} words in a row",
            settings.words
        ));
        Ok(())
    }
}

/// Arguments of a run by flow.
#[derive(Debug, Args)]
pub struct ByFlow {
    /// A shipped flow, or the path of one; without it the built-in teacher works
    #[arg(long, value_name = "NAME|FILE")]
    flow: Option<String>,
    /// A document of the leaf (.md, .txt, .html, .pdf); may be given several times
    #[arg(long = "document", value_name = "FILE", requires = "flow")]
    documents: Vec<PathBuf>,
    /// The longest chunk of a document, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 500)]
    chunk_tokens: usize,
    /// The model whose tokens are counted [default: four bytes count as one token]
    #[arg(long, value_name = "MODEL")]
    tokenizer: Option<String>,
    /// How often each seed example or chunk may be used
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    rounds: usize,
    /// Fetch documents from repositories that are not on this machine
    #[arg(long, requires = "flow")]
    fetch_documents: bool,
    /// Use verdicts of judges that nobody measured with `slm data calibrate`; every report names
    /// them
    #[arg(long, requires = "flow")]
    uncalibrated: bool,
    /// Say what it would take, and ask nobody
    #[arg(long, requires = "flow")]
    dry_run: bool,
    /// For the estimate: how long one answer takes
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds_per_call: f64,
    #[command(flatten)]
    teacher: TeacherArguments,
}

impl Generate {
    /// Makes the rows and prints where they are.
    pub fn run(self, context: &Context) -> Result<()> {
        self.overlap.settings()?;
        if let Some(flow) = self.by_flow.flow.clone() {
            return self.run_flow(context, &flow);
        }
        self.by_flow.teacher.refuse_without_flow()?;
        let artefact = context.workspace.artefact(Kind::Datasets, &self.name);
        let _lock = context.workspace.lock(&format!("datasets-{}", self.name))?;
        stages::synthesize::synthesize(
            context,
            &self.paths,
            &self.settings(),
            &Split {
                test: self.test,
                validation: self.validation,
            },
            self.seed,
            artefact.clone(),
        )?;
        self.say(context, &artefact)
    }

    /// The judges of a flow that nobody has measured with the teacher that is named. Of one that
    /// cannot be opened nothing is known.
    fn unknown_judges(&self, context: &Context, flow: &Flow) -> Result<Vec<String>> {
        let teacher = AnyTeacher::open(context, &self.by_flow.teacher);
        let teacher = teacher.unwrap_or(AnyTeacher::Nobody(Nobody));
        let known = stages::flow::calibrations(context)?;
        let unknown = known.of(flow, &teacher).into_iter();
        let unknown = unknown.filter(|(_, found)| found.is_none());
        Ok(unknown.map(|(block, _)| block.name.clone()).collect())
    }

    /// Says where the rows are, and whether they give an evaluation away.
    fn say(&self, context: &Context, artefact: &Path) -> Result<()> {
        say_dataset(context, artefact)?;
        self.overlap.check(context, artefact)
    }

    fn settings(&self) -> Synthesize {
        Synthesize {
            rows_per_leaf: self.rows_per_leaf,
            rows_of: Default::default(),
            near_duplicates: self.near_duplicates,
            drop_personal_data: self.drop_personal_data,
        }
    }

    fn run_flow(self, context: &Context, flow: &str) -> Result<()> {
        let by_flow = &self.by_flow;
        let flow = find_flow(flow)?;
        if self.rows_per_leaf == 0 || by_flow.rounds == 0 {
            return Err(
                Failure::usage("`--rows-per-leaf` and `--rounds` are numbers from 1").into(),
            );
        }
        let count = counter(context, by_flow.tokenizer.as_deref())?;
        let leaves = stages::synthesize::check_taxonomy(context, &self.paths)?;
        if by_flow.fetch_documents && context.offline {
            return Err(Failure::usage(
                "`--fetch-documents` needs a connection, which `--offline` forbids",
            )
            .hint("leave one of them out")
            .into());
        }
        let (facts, files) = stages::flow::facts(
            &flow,
            &leaves,
            &by_flow.documents,
            &mut Repositories::new(by_flow.fetch_documents),
            by_flow.chunk_tokens,
            &*count,
        )?;
        let split = Split {
            test: self.test,
            validation: self.validation,
        };
        if by_flow.dry_run {
            let prices = by_flow.teacher.prices(by_flow.seconds_per_call);
            let settings = FlowSettings {
                rounds: by_flow.rounds,
                held_out_share: split.test + split.validation,
                ..FlowSettings::default()
            };
            let teacher = FlowTeacher::new(&flow, &Nobody, facts, settings);
            let seeds: Vec<SeedLeaf> = leaves.iter().map(SeedLeaf::from).collect();
            let mut estimate =
                slm_data::flow::estimate(&teacher, &seeds, self.rows_per_leaf, &prices, &*count)?;
            estimate.uncalibrated = self.unknown_judges(context, &flow)?;
            return say_estimate(context, &estimate, by_flow.tokenizer.is_some());
        }
        let teacher = AnyTeacher::open(context, &by_flow.teacher)?;
        let uncalibrated =
            stages::flow::check_judges(context, &flow, &teacher, by_flow.uncalibrated)?;
        let artefact = context.workspace.artefact(Kind::Datasets, &self.name);
        let _lock = context.workspace.lock(&format!("datasets-{}", self.name))?;
        let run = FlowRun {
            flow: &flow,
            teacher: &teacher,
            leaves: &leaves,
            facts,
            inputs: self.paths.iter().cloned().chain(files).collect(),
            rows_per_leaf: self.rows_per_leaf,
            rounds: by_flow.rounds,
            split,
            seed: self.seed,
            filters: self.settings().filters(),
            uncalibrated,
        };
        stages::flow::synthesize(context, run, artefact.clone())?;
        self.say(context, &artefact)
    }
}

/// A flow by its name, or by the path of its file.
pub fn find_flow(name: &str) -> Result<Flow> {
    let is_path = name.ends_with(".yaml") || name.ends_with(".yml") || name.contains('/');
    Ok(match is_path {
        true => slm_data::flow::read_flow(Path::new(name))?,
        false => slm_data::flow::shipped_flow(name)?,
    })
}

/// Counts tokens: a model's, or one for every four bytes.
pub fn counter(context: &Context, model: Option<&str>) -> Result<Box<dyn Fn(&str) -> usize>> {
    let Some(model) = model else {
        return Ok(Box::new(|text| text.len().div_ceil(4)));
    };
    let tokenizer = Tokenizer::load(&context.workspace.model(model)?)?;
    Ok(Box::new(move |text| {
        tokenizer
            .encode(text)
            .map_or_else(|_| text.len().div_ceil(4), |tokens| tokens.len())
    }))
}

fn say_estimate(context: &Context, estimate: &Estimate, counted: bool) -> Result<()> {
    if context.terminal.is_json() {
        return context.terminal.json(estimate);
    }
    let mut text = format!(
        "rows wanted      {:.0}\nrows going in    {:.0}\ncalls            {:.0}\n",
        estimate.rows, estimate.rows_in, estimate.calls
    );
    for (block, calls) in &estimate.blocks {
        text.push_str(&format!("  {block:<22} {calls:.0}\n"));
    }
    text.push_str(&format!(
        "tokens read      {:.0}\ntokens written   {:.0}, at most {:.0}\ncost             {:.2}, at most {:.2}\ntime             {}\n",
        estimate.input_tokens,
        estimate.output_tokens,
        estimate.most_output_tokens,
        estimate.cost,
        estimate.most_cost,
        clock(estimate.seconds)
    ));
    text.push_str("assumed: the shares that the flow expects its blocks to let through, and answers half as long as allowed");
    if !counted {
        text.push_str("; four bytes to a token");
    }
    for judge in &estimate.uncalibrated {
        text.push_str(&format!(
            "\njudge `{judge}` is not calibrated with this teacher: the run asks for `slm data calibrate`, or for `--uncalibrated`"
        ));
    }
    context.terminal.data(&text)
}
