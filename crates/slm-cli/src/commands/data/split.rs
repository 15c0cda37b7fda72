//! `slm data split`: a dataset divided without leakage.
//!
//! Does not know what makes two rows siblings; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use slm_data::SplitSettings;

use super::say_dataset;
use crate::commands::Context;
use crate::stages::dataset::{LEDGER_FILE, VALIDATION_FILE};
use crate::stages::import::{TEST_FILE, TRAIN_FILE};
use crate::workspace::{Input, Kind, Stage, run_stage};

/// Arguments of `slm data split`.
#[derive(Debug, Args)]
pub struct Split {
    /// A dataset (JSONL or Parquet)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The divided dataset's name in the workspace
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Share held out for the figures
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    test: f64,
    /// Share held out to watch training
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    validation: f64,
    /// Seeds the choice
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
}

impl Split {
    /// Divides the dataset and prints where the parts are.
    pub fn run(self, context: &Context) -> Result<()> {
        let artefact = context.workspace.artefact(Kind::Datasets, &self.name);
        let _lock = context.workspace.lock(&format!("datasets-{}", self.name))?;
        let settings = SplitSettings {
            validation: self.validation,
            test: self.test,
            seed: self.seed,
        };
        settings.check()?;
        let stage = Stage {
            name: "split",
            version: 1,
            artefact: artefact.clone(),
            inputs: vec![Input::new("rows", &self.file)],
            settings: json!({
                "test": self.test,
                "validation": self.validation,
                "seed": self.seed,
            }),
            resumable: false,
        };
        run_stage(&context.terminal, &stage, |folder| {
            let parts = slm_data::split(slm_data::read_all(&self.file)?, &settings)?;
            for note in &parts.notes {
                context.terminal.warn(note);
            }
            context.terminal.note(format!(
                "split: {} rows to learn from, {} for validation, {} for the test",
                parts.train.len(),
                parts.validation.len(),
                parts.test.len()
            ));
            slm_data::write_all(&folder.join(TRAIN_FILE), &parts.train)?;
            slm_data::write_all(&folder.join(VALIDATION_FILE), &parts.validation)?;
            slm_data::write_all(&folder.join(TEST_FILE), &parts.test)?;
            slm_data::write_ledger(&folder.join(LEDGER_FILE), &parts.ledger)?;
            Ok(())
        })?;
        say_dataset(context, &artefact)
    }
}
