//! `slm data mix`: one dataset of several.
//!
//! Does not know how rows are chosen; that is slm-data's.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use clap::Args;
use slm_data::mix::{Source, Weight};

use crate::commands::Context;

/// Arguments of `slm data mix`.
#[derive(Debug, Args)]
pub struct Mix {
    /// Sources as FILE (all rows), FILE=COUNT, or FILE=SHARE% of the mixture
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<Wanted>,
    /// The file to write: Parquet where it ends in `.parquet`, JSONL otherwise
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Seeds the choice
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    seed: u64,
}

/// A source as the command line names it.
#[derive(Clone, Debug)]
struct Wanted(Source);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, weight) = match text.rsplit_once('=') {
            None => (text, Weight::All),
            Some((path, share)) if share.ends_with('%') => {
                let number = share.trim_end_matches('%').parse::<f64>();
                (
                    path,
                    Weight::Share(number.map_err(|_| format!("`{share}` is no share"))? / 100.0),
                )
            }
            Some((path, count)) => (
                path,
                Weight::Count(count.parse().map_err(|_| {
                    format!("`{count}` is neither a count nor a share such as 30%")
                })?),
            ),
        };
        Ok(Self(Source {
            path: path.into(),
            weight,
        }))
    }
}

impl Mix {
    /// Mixes, and says what was taken.
    pub fn run(self, context: &Context) -> Result<()> {
        let sources: Vec<Source> = self.sources.into_iter().map(|wanted| wanted.0).collect();
        let account = slm_data::mix::mix(&sources, self.seed, &self.to)?;
        if context.terminal.is_json() {
            return context
                .terminal
                .json(&serde_json::json!({"file": self.to, "sources": account}));
        }
        for taken in &account {
            let line = format!(
                "{}: {} of {} rows",
                taken.path.display(),
                taken.taken,
                taken.rows
            );
            match taken.taken < taken.wanted {
                true => context.terminal.warn(format!(
                    "{line}, though {} were wanted: no row is taken twice",
                    taken.wanted
                )),
                false => context.terminal.note(line),
            }
        }
        context.terminal.data(&self.to.display().to_string())
    }
}
