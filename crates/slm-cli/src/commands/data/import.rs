//! `slm data import`: a public set, from a local copy.
//!
//! Does not download anything.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::say_dataset;
use crate::commands::Context;
use crate::recipe::Import;
use crate::stages;
use crate::workspace::Kind;

/// Arguments of `slm data import`.
#[derive(Debug, Args)]
pub struct ImportSet {
    /// The set
    set: Import,
    /// The folder of the local copy
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The dataset's name in the workspace [default: the set's]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl ImportSet {
    /// Imports the set and prints where it is.
    pub fn run(self, context: &Context) -> Result<()> {
        let name = self.name.unwrap_or_else(|| self.set.name().to_owned());
        let artefact = context.workspace.artefact(Kind::Datasets, &name);
        let _lock = context.workspace.lock(&format!("datasets-{name}"))?;
        stages::import::import(context, self.set, &self.from, artefact.clone())?;
        say_dataset(context, &artefact)
    }
}
