//! A training run's events: one JSON object per line, appended while it goes on.
//!
//! Does not know how training works; lines that it does not know are counted only.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// Events that the curves show, and that are not told in words.
const COMMON: [&str; 3] = ["step", "evaluation", "pace"];

/// One optimizer step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Step, from 1.
    pub step: f64,
    /// Mean loss per learned token.
    pub loss: f64,
    /// Learning rate, where told.
    pub learning_rate: Option<f64>,
    /// Tokens per second, where told.
    pub tokens_per_second: Option<f64>,
    /// Memory of the process, where told.
    pub memory_bytes: Option<f64>,
}

/// What is known of a run so far.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Steps in the order of their number; a step done again replaces the first.
    pub steps: Vec<Step>,
    /// Step and loss on validation rows.
    pub evaluations: Vec<(f64, f64)>,
    /// Steps planned, where told.
    pub planned: Option<f64>,
    /// Seconds since the process began, where told.
    pub elapsed_seconds: Option<f64>,
    /// What the run said in words.
    pub notes: Vec<String>,
    /// Lines that are no JSON, the unfinished last one left out.
    pub damaged: usize,
}

impl Run {
    /// Reads the lines of `events.jsonl`. A last line without line feed is being
    /// written and is left for the next reading.
    pub fn parse(text: &str) -> Self {
        let mut run = Self::default();
        let whole = text.rfind('\n').map_or("", |at| &text[..at]);
        for line in whole.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Value>(line) {
                Ok(value) => run.take(&value),
                Err(_) => run.damaged += 1,
            }
        }
        run
    }

    fn take(&mut self, value: &Value) {
        let number = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_f64)
                .filter(|n| n.is_finite())
        };
        let kind = value.get("event").and_then(Value::as_str).unwrap_or("step");
        if let Some(planned) = number("steps") {
            self.planned = Some(planned);
        }
        if let Some(elapsed) = number("elapsed_seconds") {
            self.elapsed_seconds = Some(elapsed);
        }
        match (kind, number("step"), number("loss")) {
            ("step", Some(step), Some(loss)) => self.push(Step {
                step,
                loss,
                learning_rate: number("learning_rate"),
                tokens_per_second: number("tokens_per_second"),
                memory_bytes: number("memory_bytes"),
            }),
            ("evaluation", Some(step), Some(loss)) => self.evaluations.push((step, loss)),
            _ => {}
        }
        if let Some(message) = value.get("message").and_then(Value::as_str) {
            self.notes.push(slm_eval::report::visible(message));
        } else if let (false, Some(step)) = (COMMON.contains(&kind), number("step")) {
            let kind = slm_eval::report::visible(&kind.replace('_', " "));
            self.notes.push(format!("step {step:.0}: {kind}"));
        }
    }

    /// A resumed run repeats the steps after its last checkpoint.
    fn push(&mut self, step: Step) {
        while self.steps.last().is_some_and(|last| last.step >= step.step) {
            self.steps.pop();
        }
        self.steps.push(step);
    }

    /// Points of a curve, thinned by averaging to at most `most`.
    pub fn curve(&self, most: usize, of: impl Fn(&Step) -> Option<f64>) -> Vec<(f64, f64)> {
        let points: Vec<(f64, f64)> = self
            .steps
            .iter()
            .filter_map(|step| Some((step.step, of(step)?)))
            .collect();
        let width = points.len().div_ceil(most.max(1)).max(1);
        points
            .chunks(width)
            .map(|chunk| {
                let sum = chunk
                    .iter()
                    .fold((0.0, 0.0), |sum, p| (sum.0 + p.0, sum.1 + p.1));
                (sum.0 / chunk.len() as f64, sum.1 / chunk.len() as f64)
            })
            .collect()
    }
}

/// A run and its file.
#[derive(Debug)]
pub struct RunFile {
    /// The file.
    pub path: PathBuf,
    /// What it tells so far.
    pub run: Run,
    /// When it was last written and how long it is, as last seen.
    seen: Option<(SystemTime, u64)>,
}

impl RunFile {
    /// A run that was read from a file.
    pub fn new(path: &Path, run: Run) -> Self {
        Self {
            path: path.to_path_buf(),
            run,
            seen: None,
        }
    }

    /// The name that tells it from others: its folder's, or the file's where it has another
    /// name than runs' files have.
    pub fn name(&self) -> String {
        let folder = self.path.parent().and_then(Path::file_name);
        let name = match (self.path.file_name(), folder) {
            (Some(name), Some(folder)) if name == "events.jsonl" => folder,
            (Some(name), _) => name,
            (None, _) => self.path.as_os_str(),
        };
        name.to_string_lossy().into_owned()
    }

    /// Reads the file again if it was written since; one that went away leaves what is known.
    pub fn refresh(&mut self) {
        let facts = std::fs::metadata(&self.path).ok();
        let now = facts.and_then(|facts| Some((facts.modified().ok()?, facts.len())));
        if now.is_some()
            && now != self.seen
            && let Ok(text) = std::fs::read_to_string(&self.path)
        {
            self.run = Run::parse(&text);
            self.seen = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_evaluations_and_notes_are_read_and_a_torn_line_is_left() {
        let run = Run::parse(concat!(
            "{\"event\":\"started\",\"step\":0,\"steps\":10}\n",
            "{\"event\":\"step\",\"step\":1,\"loss\":3.0,\"learning_rate\":0.1,\"tokens_per_second\":9}\n",
            "{\"event\":\"step\",\"step\":2,\"loss\":2.0}\n",
            "{\"event\":\"evaluation\",\"step\":2,\"loss\":2.5}\n",
            "oops\n",
            "{\"event\":\"step\",\"step\":2,\"loss\":1.5}\n",
            "{\"event\":\"note\",\"message\":\"resumed\\u001b\"}\n",
            "{\"event\":\"step\",\"st",
        ));
        assert_eq!(run.steps.len(), 2);
        assert_eq!(run.steps[1].loss, 1.5);
        assert_eq!(run.evaluations, [(2.0, 2.5)]);
        assert_eq!(run.planned, Some(10.0));
        assert_eq!(run.notes, ["step 0: started", "resumed\u{241b}"]);
        assert_eq!(run.damaged, 1);
    }

    #[test]
    fn lines_without_a_kind_are_steps() {
        let run =
            Run::parse("{\"step\":5,\"loss\":1.0,\"learning_rate\":0.5,\"tokens_per_second\":7}\n");
        assert_eq!(run.steps[0].learning_rate, Some(0.5));
    }

    #[test]
    fn a_curve_is_thinned_by_averaging() {
        let text: String = (1..=100)
            .map(|i| format!("{{\"step\":{i},\"loss\":{i}}}\n"))
            .collect();
        let curve = Run::parse(&text).curve(10, |step| Some(step.loss));
        assert_eq!(curve.len(), 10);
        assert_eq!(curve[0], (5.5, 5.5));
    }
}
