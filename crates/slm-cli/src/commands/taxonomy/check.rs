//! `slm taxonomy check`: every fault of every leaf.
//!
//! Does not know what a fault is.

use anyhow::Result;
use clap::Args;
use slm_taxonomy::{Document, Options, Report};

use super::repositories::Git;
use super::{Paths, show};
use crate::commands::Context;
use crate::documents::here;
use crate::failure::Failure;

/// Arguments of `slm taxonomy check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    rigour: Rigour,
}

/// How far a check goes.
#[derive(Debug, Args)]
pub struct Rigour {
    /// Count the documented word limits as errors
    #[arg(long)]
    strict: bool,
    /// Fetch the file lists of the repositories that documents lie in, and hold the patterns
    /// against them
    #[arg(long)]
    documents: bool,
}

impl Check {
    /// Checks, and prints what was found.
    pub fn run(self, context: &Context) -> Result<()> {
        let report = self.rigour.check(&self.paths.paths, context)?;
        self.rigour.note_unread(&report, context);
        show(&report, context)
    }
}

impl Rigour {
    /// The report on the leaves below the paths.
    pub fn check(&self, paths: &[std::path::PathBuf], context: &Context) -> Result<Report> {
        if self.documents && context.offline {
            return Err(Failure::usage("`--documents` opens connections")
                .hint("leave out `--offline` or `--documents`")
                .into());
        }
        let git = Git::new(self.documents);
        let options = Options {
            strict: self.strict,
            repositories: Some(&git),
        };
        Ok(slm_taxonomy::check(paths, options))
    }

    /// Says that documents were not looked at, so that no fault there is not taken for none.
    fn note_unread(&self, report: &Report, context: &Context) {
        let is_remote = |document: &Document| match document {
            Document::Repository { repo, .. } => here(repo).is_none(),
            Document::Local { .. } => false,
        };
        let documents = report
            .leaves
            .iter()
            .filter_map(|leaf| leaf.document.as_ref());
        let count = documents.filter(|document| is_remote(document)).count();
        if !self.documents && count > 0 {
            context.terminal.note(format!(
                "note: documents in repositories elsewhere were not looked at (leaves: {count}); \
                 `--documents` does"
            ));
        }
    }
}
