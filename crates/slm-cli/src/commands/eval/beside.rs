//! What `slm eval` may be told beside rows and answers.
//!
//! Does not know what follows from it; that is slm-eval's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use slm_eval::cost::Prices;
use slm_eval::leakage::sentence;
use slm_eval::{Beside, Results, Row, System, Task};

use crate::commands::Context;
use crate::commands::eval::baselines::asked;
use crate::results::read_evaluation;
use crate::stages::evaluate::write_samples;

/// Arguments that several commands share.
#[derive(Debug, Default, Args)]
pub struct BesideFiles {
    /// Training data, to check that the test does not stand in it; may be given several times
    #[arg(long, value_name = "FILE")]
    train: Vec<PathBuf>,
    /// A price table (YAML), to reckon costs, break-even and payback
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// An earlier report, folder or `results.json`, to show what changed
    #[arg(long, value_name = "PATH")]
    earlier: Option<PathBuf>,
    /// Write each sample with every system's answer and values to `samples.parquet`, too
    #[arg(long)]
    parquet: bool,
}

impl BesideFiles {
    /// The files of training data.
    pub fn train(&self) -> &[PathBuf] {
        &self.train
    }

    /// Writes the samples as a table into `folder`, where that was asked for.
    ///
    /// # Errors
    /// There are none, or the disk is full.
    pub fn write_samples(
        &self,
        context: &Context,
        folder: &Path,
        task: &Task,
        rows: &[Row],
        systems: &[System],
    ) -> Result<()> {
        match self.parquet {
            true => write_samples(context, folder, task, rows, systems),
            false => Ok(()),
        }
    }

    /// Reads what was named, before anything that takes long.
    ///
    /// # Errors
    /// A file cannot be read or is of another form.
    pub fn read(&self) -> Result<Beside> {
        Ok(Beside {
            training: match self.train.as_slice() {
                [] => None,
                files => Some(asked(files)?),
            },
            prices: self.prices.as_deref().map(Prices::load).transpose()?,
            earlier: self.earlier.as_deref().map(read_evaluation).transpose()?,
        })
    }
}

/// Adds what follows to results, and says what was found about leakage.
pub fn complete(
    context: &Context,
    beside: &Beside,
    results: &mut Results,
    task: &Task,
    rows: &[Row],
    systems: &[System],
) {
    beside.complete(results, task, rows, systems);
    if let Some(leakage) = &results.leakage {
        context.terminal.note(sentence(leakage));
    }
}
