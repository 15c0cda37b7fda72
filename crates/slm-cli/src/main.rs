//! `slm`: the binary. Reads arguments, calls a command, prints an error if there is
//! one, and ends with its exit code: 0 done, 1 error, 2 usage, 100 a gate failed.

mod adapter;
mod args;
mod commands;
mod constraint;
mod documents;
mod failure;
mod frontier;
mod hub;
mod local;
mod pipeline;
mod recipe;
mod results;
mod stages;
mod teacher;
mod terminal;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Cli, Command, Globals};
use commands::Context;
use failure::Failure;
use terminal::Terminal;
use workspace::Workspace;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.globals.format, cli.globals.quiet);
    match context(cli.globals, &terminal).and_then(|context| run(cli.command, &context)) {
        Ok(()) => ExitCode::from(failure::EXIT_DONE),
        Err(error) => {
            let (message, hint, exit) = failure::describe(&error);
            if !message.is_empty() {
                terminal.error(&message, hint.as_deref());
            }
            ExitCode::from(exit)
        }
    }
}

fn context(globals: Globals, terminal: &Terminal) -> Result<Context> {
    let device = globals
        .device
        .parse()
        .map_err(|error: slm_model::device::DeviceError| Failure::usage(error.to_string()))?;
    Ok(Context {
        device,
        offline: globals.offline,
        terminal: terminal.clone(),
        workspace: Workspace::new(globals.workspace),
    })
}

fn run(command: Command, context: &Context) -> Result<()> {
    if !matches!(command, Command::Taxonomy(_)) {
        context.terminal.refuse_reports()?;
    }
    match command {
        Command::Run(command) => command.run(context),
        Command::Taxonomy(command) => command.run(context),
        Command::Data(command) => command.run(context),
        Command::Train(command) => command.train(context),
        Command::Quantize(command) => command.run(context),
        Command::Eval(command) => command.run(context),
        Command::Model(command) => command.run(context),
        Command::Generate(command) => command.run(context),
        Command::Chat(command) => command.run(context),
        Command::Batch(command) => command.run(context),
        Command::Bench(command) => command.run(context),
        Command::Tui(command) => command.run(context),
        Command::Doctor(command) => command.run(context),
    }
}
