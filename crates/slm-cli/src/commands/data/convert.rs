//! `slm data convert`: a dataset in another form.
//!
//! Does not know the forms; those are slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use slm_data::{Format, SampleReader, SampleWriter};

use super::inspect::format_of;
use crate::commands::Context;
use crate::failure::Failure;

/// Arguments of `slm data convert`.
#[derive(Debug, Args)]
pub struct Convert {
    /// A dataset (JSONL or Parquet): messages, sharegpt, prompt-completion, alpaca or text
    #[arg(value_name = "IN")]
    from: PathBuf,
    /// The file to write: Parquet where it ends in `.parquet`, JSONL otherwise
    #[arg(value_name = "OUT")]
    to: PathBuf,
    /// How the rows are written [default: as the first row tells]
    #[arg(long, value_name = "FORMAT", value_parser = format_of)]
    data_format: Option<Format>,
}

impl Convert {
    /// Writes the rows once more, one after the other.
    pub fn run(self, context: &Context) -> Result<()> {
        let mut writer = SampleWriter::create(&self.to)?;
        for sample in SampleReader::open_as(&self.from, self.data_format)? {
            let Ok(sample) = sample else {
                // A second reading tells every bad row.
                return Err(slm_data::read_all_as(&self.from, self.data_format)
                    .err()
                    .map_or_else(|| self.changed().into(), Into::into));
            };
            writer.write(&sample)?;
        }
        let rows = writer.finish()?;
        context.terminal.note(format!("{rows} rows"));
        match context.terminal.is_json() {
            true => context
                .terminal
                .json(&serde_json::json!({"file": self.to, "rows": rows})),
            false => context.terminal.data(&self.to.display().to_string()),
        }
    }

    fn changed(&self) -> Failure {
        Failure::new(format!(
            "`{}` changed while it was read",
            self.from.display()
        ))
    }
}
