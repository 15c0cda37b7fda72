//! The command line.
//!
//! Knows names, defaults and help texts; does not know what a command does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;
use crate::terminal::Format;

/// From a taxonomy written by domain experts to a small language model that does their
/// job, measured against others.
#[derive(Debug, Parser)]
#[command(name = "slm", version, arg_required_else_help = true)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Clone, Debug, Args)]
pub struct Globals {
    /// Where datasets, runs, models and reports are kept
    #[arg(long, global = true, value_name = "DIR", default_value = "workspace")]
    pub workspace: PathBuf,
    /// What computes: auto, cpu, flex, ndarray, cuda or cuda:N
    #[arg(long, global = true, value_name = "DEVICE", default_value = "auto")]
    pub device: String,
    /// How data is written to stdout
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub format: Format,
    /// Open no connection
    #[arg(long, global = true)]
    pub offline: bool,
    /// Say nothing on stderr but warnings and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all stages of a recipe
    Run(commands::run::Run),
    /// Look after the leaves
    Taxonomy(commands::taxonomy::Taxonomy),
    /// Make and look at datasets
    Data(commands::data::Data),
    /// Run a recipe up to the trained model
    Train(commands::run::Run),
    /// Make a smaller copy of a model
    Quantize(commands::quantize::Quantize),
    /// Look after checkpoints
    Model(commands::model::Models),
    /// Measure systems, and look at what was measured
    Eval(commands::eval::Eval),
    /// Ask a local model once
    Generate(commands::generate::Generate),
    /// Talk with a local model
    Chat(commands::generate::Chat),
    /// Answer a file of requests in OpenAI's batch format
    Batch(commands::batch::Batch),
    /// Measure speed on random weights
    Bench(commands::bench::Bench),
    /// Look at a report, runs or a dataset
    Tui(commands::tui::Tui),
    /// Show what this machine offers
    Doctor(commands::doctor::Doctor),
}
