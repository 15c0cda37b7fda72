//! `slm taxonomy watch`: checks again whenever a file is saved, until it is stopped.
//!
//! Does not know what a fault is.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::check::Rigour;
use super::{Paths, print};
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
        loop {
            print(&self.rigour.check(paths, context)?, context)?;
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
                    break;
                }
                std::thread::sleep(SHORTEST_WAIT.max(start.elapsed() * 9));
            }
        }
    }
}
