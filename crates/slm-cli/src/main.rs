//! `slm`: the binary. Reads arguments, calls a command, prints an error if there is
//! one, and ends with its exit code: 0 done, 1 error, 2 usage, 100 a gate failed.

mod args;
mod commands;
mod device;
mod failure;
mod frontier;
mod nearest;
mod recipe;
mod terminal;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Cli, Command};
use commands::Context;
use terminal::Terminal;
use workspace::Workspace;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let terminal = Terminal::new(cli.globals.format, cli.globals.quiet);
    let context = Context {
        workspace: Workspace::new(&cli.globals.workspace),
        terminal: terminal.clone(),
        globals: cli.globals,
    };
    match run(cli.command, &context) {
        Ok(()) => ExitCode::from(failure::EXIT_DONE),
        Err(error) => {
            let (message, hint, exit) = failure::describe(&error);
            terminal.error(&message, hint.as_deref());
            ExitCode::from(exit)
        }
    }
}

fn run(command: Command, context: &Context) -> Result<()> {
    match command {
        Command::Doctor(command) => command.run(context),
    }
}
