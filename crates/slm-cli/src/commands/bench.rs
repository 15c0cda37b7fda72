//! `slm bench`: how fast this machine trains and generates, on random weights.
//!
//! Does not know where the time goes.

mod generate;
mod shape;
mod train;

use std::fs;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Context;

/// Measure speed on random weights.
#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// LoRA steps: forward, backward and update
    Train(train::BenchTrain),
    /// Prompts and answers
    Generate(generate::BenchGenerate),
}

impl Bench {
    /// Runs the action.
    pub fn run(self, context: &Context) -> Result<()> {
        match self.action {
            Action::Train(command) => command.run(context),
            Action::Generate(command) => command.run(context),
        }
    }
}

/// The most memory that this process has held so far, where the system says so.
fn peak_rss_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
