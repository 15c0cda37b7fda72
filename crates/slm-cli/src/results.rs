//! Results from files and on the terminal, and what their gates mean for the exit code.
//!
//! Does not know how results come about.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Result;
use slm_eval::report::{Embedded, extract};
use slm_eval::{Options, Results, Row, System, Task, report};

use crate::commands::Context;
use crate::failure::Failure;
use crate::stages::evaluate::{REPORT_FILE, RESULTS_FILE};

/// The width of tables where the terminal does not say.
const WIDTH: usize = 100;

/// The results of systems, with the command of this process.
pub fn scored(task: &Task, rows: &[Row], systems: &[System]) -> Results {
    Results {
        command: Some(command_line(env::args_os())),
        ..slm_eval::score(task, rows, systems, &Options::default())
    }
}

/// A command as a POSIX shell reads it, whatever path the program was called by.
fn command_line(args: impl Iterator<Item = OsString>) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = args.skip(1).map(|arg| {
        let arg = arg.to_string_lossy();
        match !arg.is_empty() && arg.chars().all(plain) {
            true => arg.into_owned(),
            false => format!("'{}'", arg.replace('\'', r"'\''")),
        }
    });
    std::iter::once("slm".to_owned())
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Writes the table, or the results as JSON, to stdout.
///
/// # Errors
/// stdout cannot be written.
pub fn show_results(context: &Context, results: &Results) -> Result<()> {
    if context.terminal.is_json() {
        return context.terminal.json(results);
    }
    context.terminal.data(&report::table(results, width()))
}

/// Fails, with the gates' exit code, where a gate failed.
///
/// # Errors
/// A gate failed.
pub fn gates_of(results: &Results) -> Result<()> {
    let failed: Vec<String> = results
        .gates
        .iter()
        .filter(|gate| !gate.passed)
        .map(|gate| format!("{} (found {})", gate.gate, gate.found))
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        [one] => Err(Failure::gate(format!("a gate failed: {one}")).into()),
        several => Err(Failure::gate(format!(
            "{} gates failed: {}",
            several.len(),
            several.join("; ")
        ))
        .into()),
    }
}

fn width() -> usize {
    let columns = env::var("COLUMNS").ok();
    columns
        .and_then(|columns| columns.parse().ok())
        .filter(|columns| (40..=400).contains(columns))
        .unwrap_or(WIDTH)
}

/// Results from a `results.json`, a report, or a folder that holds either.
///
/// # Errors
/// There are none, or they cannot be read.
pub fn read_results(path: &Path) -> Result<Results> {
    let file: PathBuf = match path.is_dir() {
        true => path.join(RESULTS_FILE),
        false => path.to_owned(),
    };
    match is_page(&file) {
        true => Ok(read_page(&file)?.results),
        false => Ok(Results::load(&file)?),
    }
}

/// Results with their samples, where a report holds these.
///
/// # Errors
/// There are no results, or they cannot be read.
pub fn read_evaluation(path: &Path) -> Result<Embedded> {
    if is_page(path) {
        return read_page(path);
    }
    let results = read_results(path)?;
    let beside = match path.is_dir() {
        true => path.join(REPORT_FILE),
        false => path.with_file_name(REPORT_FILE),
    };
    let page = match beside.is_file() {
        true => read_page(&beside)?,
        false => Embedded::default(),
    };
    // A report of something else may lie there.
    let samples = match page.results.task == results.task {
        true => page.samples,
        false => Vec::new(),
    };
    Ok(Embedded {
        results,
        samples,
        ..Embedded::default()
    })
}

fn is_page(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "html")
}

fn read_page(path: &Path) -> Result<Embedded> {
    let page = std::fs::read_to_string(path)
        .map_err(|error| Failure::io("read the report", path, &error))?;
    let found =
        extract(&page).map_err(|error| Failure::new(format!("{}: {error}", path.display())))?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_reads_the_same_in_a_shell() {
        let args = [
            "/usr/bin/slm",
            "eval",
            "score",
            "--out",
            "a b",
            "it's",
            "x=1",
            "",
        ];
        assert_eq!(
            command_line(args.into_iter().map(OsString::from)),
            r"slm eval score --out 'a b' 'it'\''s' x=1 ''"
        );
    }
}
