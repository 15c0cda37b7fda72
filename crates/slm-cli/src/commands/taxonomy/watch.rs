//! `slm taxonomy watch`: checks again whenever a file is saved, until it is stopped.
//!
//! Does not know what a fault is.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::check::Rigour;
use super::{Paths, print, show};
use crate::commands::Context;

/// How often files are looked at. A look at very many files takes a tenth of the time at most.
const SHORTEST_WAIT: Duration = Duration::from_millis(300);

/// Arguments of `slm taxonomy watch`.
#[derive(Debug, Args)]
pub struct Watch {
    #[command(flatten)]
    paths: Paths,
    #[command(flatten)]
    rigour: Rigour,
}

impl Watch {
    /// Checks, then waits for the next save, without end.
    pub fn run(self, context: &Context) -> Result<()> {
        let paths = &self.paths.paths;
        let mut watch = slm_taxonomy::Watch::new(paths);
        let mut report = self.rigour.check(paths, context)?;
        if report.leaves.is_empty() {
            // There is nothing to watch; the report says why.
            return show(&report, context);
        }
        loop {
            print(&report, context)?;
            context.terminal.note("watching; Ctrl-C ends");
            loop {
                let start = Instant::now();
                let changed = watch.changed();
                if !changed.is_empty() {
                    for path in &changed {
                        context
                            .terminal
                            .note(format!("\nsaved: {}", path.display()));
                    }
                    report = self.rigour.check(paths, context)?;
                    break;
                }
                std::thread::sleep(SHORTEST_WAIT.max(start.elapsed() * 9));
            }
        }
    }
}
