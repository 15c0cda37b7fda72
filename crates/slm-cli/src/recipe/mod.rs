//! Recipes: a job as YAML. The sections that a recipe has are the stages that it runs.
//!
//! Knows the keys and their types; does not know how a stage does its work.

mod load;
mod overrides;
mod sections;
mod training;

pub use load::load;
pub use sections::{
    Baseline, Corpus, Create, Data, Evaluate, Import, Overlap, Quantize, Split, Synthesize, System,
    Taxonomy, Width,
};
pub use training::{Method, Optimizer, OverLong, Schedule, TargetModules, Train};

use serde::{Deserialize, Serialize};

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Names the artefacts in the workspace.
    pub name: String,
    /// Seeds everything that is drawn by chance.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The base model: a name in the workspace's `models/`, or a path.
    #[serde(default)]
    pub model: Option<String>,
    /// A model made from nothing, instead of `model`.
    #[serde(default)]
    pub create: Option<Create>,
    /// The project's own corpus to learn from.
    #[serde(default)]
    pub corpus: Option<Corpus>,
    /// Leaves to learn from.
    #[serde(default)]
    pub taxonomy: Option<Taxonomy>,
    /// Rows to learn from, made elsewhere.
    #[serde(default)]
    pub data: Option<Data>,
    /// How rows are made from the taxonomy.
    #[serde(default)]
    pub synthesize: Option<Synthesize>,
    /// What is held out from training.
    #[serde(default)]
    pub split: Option<Split>,
    /// When training rows give an evaluation away.
    #[serde(default)]
    pub overlap: Overlap,
    /// How the model learns.
    #[serde(default)]
    pub train: Option<Train>,
    /// Which smaller copies of the tuned model are made.
    #[serde(default)]
    pub quantize: Option<Quantize>,
    /// What is measured, and on whom.
    #[serde(default)]
    pub evaluate: Option<Evaluate>,
    /// The frontier model to compare with, if there is an endpoint for one.
    #[serde(default)]
    pub baseline: Option<Baseline>,
}

fn default_seed() -> u64 {
    7
}
