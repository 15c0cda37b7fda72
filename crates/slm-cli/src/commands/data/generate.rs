//! `slm data generate`: rows from leaves, by the built-in teacher.
//!
//! Does not know how rows are made.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::say_dataset;
use crate::commands::Context;
use crate::recipe::{Split, Synthesize};
use crate::stages;
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
}

impl Generate {
    /// Makes the rows and prints where they are.
    pub fn run(self, context: &Context) -> Result<()> {
        let artefact = context.workspace.artefact(Kind::Datasets, &self.name);
        let _lock = context.workspace.lock(&format!("datasets-{}", self.name))?;
        stages::synthesize::synthesize(
            context,
            &self.paths,
            &Synthesize {
                rows_per_leaf: self.rows_per_leaf,
            },
            &Split {
                test: self.test,
                validation: self.validation,
            },
            self.seed,
            artefact.clone(),
        )?;
        say_dataset(context, &artefact)
    }
}
