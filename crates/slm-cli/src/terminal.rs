//! What reaches the user: data on stdout, everything else on stderr.
//!
//! Does not know what is being done; commands hand it words, tables and counts.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::failure::Failure;

/// How data is written to stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs: one JSON document.
    Json,
    /// For code hosts: faults as SARIF 2.1.0 (`slm taxonomy check`, `diff`)
    Sarif,
    /// For GitHub: faults as annotations (`slm taxonomy check`, `diff`)
    Github,
}

/// The user's terminal, or the pipes in its place.
#[derive(Clone, Debug)]
pub struct Terminal {
    format: Format,
    quiet: bool,
    interactive: bool,
    colour: bool,
}

impl Terminal {
    /// Looks at stderr and at `NO_COLOR` once.
    pub fn new(format: Format, quiet: bool) -> Self {
        let interactive = io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format,
            quiet,
            interactive,
            colour: interactive && !refused,
        }
    }

    /// How data goes out.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Refuses the formats that only reports of faults have.
    pub fn refuse_reports(&self) -> Result<()> {
        let name = match self.format {
            Format::Text | Format::Json => return Ok(()),
            Format::Sarif => "sarif",
            Format::Github => "github",
        };
        Err(Failure::usage(format!("this command has no format `{name}`"))
            .hint("`sarif` and `github` are for `slm taxonomy check` and `diff`; use `text` or `json`")
            .into())
    }

    /// Whether data goes out as JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether data for people may carry colours: stdout is a terminal and `NO_COLOR` is unset.
    pub fn paints_data(&self) -> bool {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        io::stdout().is_terminal() && !refused
    }

    /// A line on stderr about what is going on; silent under `--quiet`.
    pub fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            eprintln!("{}", text.as_ref());
        }
    }

    /// A line on stderr about something that the user should know but that stops nothing.
    pub fn warn(&self, text: impl AsRef<str>) {
        let label = self.paint("warning:", "1;33");
        eprintln!("{label} {}", text.as_ref());
    }

    /// The last lines of a run that failed.
    pub fn error(&self, message: &str, hint: Option<&str>) {
        eprintln!("{} {message}", self.paint("error:", "1;31"));
        if let Some(hint) = hint {
            eprintln!("{} {hint}", self.paint("hint:", "1;36"));
        }
    }

    /// Data for the user, as text, with a newline at its end.
    pub fn data(&self, text: &str) -> Result<()> {
        let newline = if text.ends_with('\n') || text.is_empty() {
            ""
        } else {
            "\n"
        };
        write_stdout(format!("{text}{newline}").as_bytes())
    }

    /// Data for a program: one JSON document.
    pub fn json(&self, value: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        write_stdout(text.as_bytes())
    }

    /// A count that grows to `total`, shown with its rate and the time left.
    pub fn progress(&self, label: &str, total: u64, unit: &'static str) -> Progress {
        Progress::new(self, label, total, unit)
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// Writes to stdout; a reader that has gone away (`slm ... | head`) is no error.
fn write_stdout(bytes: &[u8]) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot write to stdout: {error}")).into()),
    }
}

/// How often a plain line is written where there is no terminal to draw a bar on.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// Work in progress: a bar on a terminal, now and then a plain line elsewhere.
pub struct Progress {
    label: String,
    unit: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    /// Where counting began: work restored from an earlier run says nothing about speed.
    first: u64,
    last_line: Instant,
    bar: Option<ProgressBar>,
    plain: bool,
}

impl Progress {
    fn new(terminal: &Terminal, label: &str, total: u64, unit: &'static str) -> Self {
        let bar = (terminal.interactive && !terminal.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_style(bar_style(unit));
            bar.set_prefix(label.to_owned());
            bar
        });
        let now = Instant::now();
        Self {
            label: label.to_owned(),
            unit,
            total,
            done: 0,
            started: now,
            first: 0,
            last_line: now,
            plain: bar.is_none() && !terminal.quiet,
            bar,
        }
    }

    /// Says that `done` was there already when this run began.
    pub fn resume_at(&mut self, done: u64) {
        self.first = done;
        self.set(done, "");
    }

    /// Sets how much is done, with a word on how it goes (a loss, a file name).
    pub fn set(&mut self, done: u64, message: &str) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(message.to_owned());
        } else if self.plain && self.last_line.elapsed() >= PLAIN_INTERVAL {
            self.last_line = Instant::now();
            eprintln!("{}", self.line(message));
        }
    }

    /// Takes the bar away. The caller says in words how it ended.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, message: &str) -> String {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        let rate = self.done.saturating_sub(self.first) as f64 / seconds;
        let left = match rate > 0.0 {
            true => clock(self.total.saturating_sub(self.done) as f64 / rate),
            false => "?".to_owned(),
        };
        let mut line = format!(
            "{}: {}/{} {}, {rate:.1} {}/s, {left} left",
            self.label, self.done, self.total, self.unit, self.unit
        );
        if !message.is_empty() {
            line.push_str(", ");
            line.push_str(message);
        }
        line
    }
}

fn bar_style(unit: &str) -> ProgressStyle {
    let template = format!(
        "{{prefix:>12}} [{{bar:30}}] {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left {{msg}}"
    );
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// Seconds as `m:ss`, or `h:mm:ss` from an hour on.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Bytes in the unit that reads best, decimal as disks are sold.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_as_people_write_them() {
        assert_eq!(clock(7.4), "0:07");
        assert_eq!(clock(3_725.0), "1:02:05");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(29_500_000), "29.5 MB");
    }

    #[test]
    fn a_plain_line_has_rate_and_time_left() {
        let terminal = Terminal {
            format: Format::Text,
            quiet: true,
            interactive: false,
            colour: false,
        };
        let mut progress = terminal.progress("train", 100, "steps");
        progress.started = Instant::now() - Duration::from_secs(10);
        progress.resume_at(20);
        progress.set(40, "loss 0.5");
        let line = progress.line("loss 0.5");
        assert!(
            line.starts_with("train: 40/100 steps, 2.0 steps/s, 0:30 left"),
            "{line}"
        );
        assert!(line.ends_with("loss 0.5"), "{line}");
    }
}
