//! `slm data review`: rows out to people, their verdicts back in.
//!
//! Does not know what a verdict does to a row; that is slm-data's.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use slm_data::SampleReader;
use slm_data::review::{Reviews, open_review};

use crate::commands::Context;
use crate::stages::dataset::REVIEWS_FILE;
use crate::workspace::create_folder;

/// Arguments of `slm data review`.
#[derive(Debug, Args)]
pub struct ReviewRows {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write rows that nobody has judged yet to a file
    Out {
        /// A dataset (JSONL or Parquet)
        rows: PathBuf,
        /// The file for people to fill in
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// At most so many rows
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        limit: usize,
    },
    /// Read verdicts back; the next build by flow applies them
    In {
        /// The filled file
        file: PathBuf,
    },
}

impl ReviewRows {
    /// Writes rows out, or reads verdicts in.
    pub fn run(self, context: &Context) -> Result<()> {
        let folder = context.workspace.root().join("datasets");
        let path = folder.join(REVIEWS_FILE);
        let mut known = match path.exists() {
            true => Reviews::read(&path)?,
            false => Reviews::default(),
        };
        match self.action {
            Action::Out { rows, to, limit } => {
                let mut open = Vec::new();
                for sample in SampleReader::open(&rows)? {
                    let sample = sample?;
                    if open.len() < limit && known.of(&sample).is_none() {
                        open.push(open_review(&sample));
                    }
                }
                let written = slm_data::write_all(&to, &open)?;
                context.terminal.note(format!(
                    "{written} rows to judge: set `verdict` to accept, reject or edit, with `reason` and, for an edit, `edited`; then `slm data review in {}`",
                    to.display()
                ));
                context.terminal.data(&to.display().to_string())
            }
            Action::In { file } => {
                let newer = Reviews::read(&file)?;
                let count = newer.len();
                known.add(newer);
                create_folder(&folder)?;
                let all = known.write(&path)?;
                context.terminal.note(format!(
                    "{count} {} read, {all} known; build again to apply them",
                    if count == 1 { "verdict" } else { "verdicts" }
                ));
                context.terminal.data(&path.display().to_string())
            }
        }
    }
}
