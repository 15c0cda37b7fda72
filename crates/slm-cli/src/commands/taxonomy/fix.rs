//! `slm taxonomy fix`: shows what can be mended, asks, and writes it.
//!
//! Does not know what can be mended.

use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use anyhow::Result;
use clap::Args;
use serde_json::json;
use slm_taxonomy::{MendKind, Mends};

use super::Paths;
use crate::commands::Context;
use crate::failure::Failure;

/// Arguments of `slm taxonomy fix`.
#[derive(Debug, Args)]
pub struct Fix {
    #[command(flatten)]
    paths: Paths,
    /// Write without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Show the changes and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Mend only these: whitespace, quoting, version, order
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind_of)]
    only: Vec<MendKind>,
}

fn kind_of(name: &str) -> Result<MendKind, String> {
    let found = MendKind::ALL.into_iter().find(|(known, _)| *known == name);
    found.map(|(_, kind)| kind).ok_or_else(|| {
        let names = MendKind::ALL.map(|(name, _)| name).join(", ");
        format!("the kinds are {names}")
    })
}

impl Fix {
    /// Shows the changes, and writes them if that is wanted.
    pub fn run(self, context: &Context) -> Result<()> {
        let kinds = match self.only.is_empty() {
            true => MendKind::ALL.map(|(_, kind)| kind).to_vec(),
            false => self.only.clone(),
        };
        let found = slm_taxonomy::fix(&self.paths.paths, &kinds);
        let is_wanted = self.show(&found, context)?;
        if is_wanted {
            for mend in &found.mends {
                mend.write()
                    .map_err(|error| Failure::io("write", Path::new(&mend.path), &error))?;
            }
            let count = found.mends.len();
            context.terminal.note(format!("{} written", files(count)));
        }
        for fault in &found.unreadable {
            let place = match fault.message.contains(&fault.path) {
                true => String::new(),
                false => format!("{}:{}:{}: ", fault.path, fault.line, fault.column),
            };
            context
                .terminal
                .error(&format!("{place}{}", fault.message), Some(&fault.hint));
        }
        match found.unreadable.is_empty() {
            true => Ok(()),
            false => Err(Failure::said_already().into()),
        }
    }

    /// Prints the changes; whether they are to be written.
    fn show(&self, found: &Mends, context: &Context) -> Result<bool> {
        let terminal = &context.terminal;
        let writes = self.yes && !found.mends.is_empty();
        if terminal.is_json() {
            terminal.json(
                &json!({"checked": found.checked, "mends": found.mends, "written": writes}),
            )?;
            return Ok(writes);
        }
        for mend in &found.mends {
            terminal.data(&mend.diff)?;
        }
        if found.mends.is_empty() {
            if found.unreadable.is_empty() {
                terminal.note("nothing to mend");
            }
            return Ok(false);
        }
        let count = files(found.mends.len());
        if self.yes {
            return Ok(true);
        }
        if self.dry_run {
            terminal.note(format!("{count} would change; nothing was written"));
            return Ok(false);
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{count} would change; nothing was written"))
                .hint("add `--yes` to write, or `--dry-run` to look only; nobody is there to be asked")
                .into());
        }
        eprint!("Write {count}? [y/N] ");
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        let is_yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
        if !is_yes {
            terminal.note("nothing was written");
        }
        Ok(is_yes)
    }
}

fn files(count: usize) -> String {
    format!("{count} file{}", if count == 1 { "" } else { "s" })
}
