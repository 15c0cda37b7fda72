//! What a run tells while it goes on: to an observer, and to `events.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use slm_model::ModelError;

use crate::error::Result;

/// One line of `events.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins, or goes on behind `step`.
    Started {
        /// Steps done before.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Parameters that are trained.
        trained_parameters: u64,
    },
    /// An optimizer step.
    Step {
        /// Step, from 1.
        step: u64,
        /// Steps in all.
        steps: u64,
        /// Mean loss per learned token, in nats.
        loss: f64,
        /// Learning rate of AdamW.
        learning_rate: f64,
        /// Global gradient norm before clipping.
        gradient_norm: f64,
        /// Global gradient norm after clipping.
        #[serde(default)]
        clipped_norm: f64,
        /// Tokens of the step, learned or not.
        tokens: u64,
        /// Tokens per second of the step.
        tokens_per_second: f64,
        /// Seconds since the process began training.
        elapsed_seconds: f64,
        /// Bytes of the process in memory behind the step, where the system tells them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memory_bytes: Option<u64>,
    },
    /// What the run will take, from its first steps.
    Pace {
        /// Step, from 1.
        step: u64,
        /// Seconds of a step.
        step_seconds: f64,
        /// Seconds to the end, evaluations not counted.
        seconds_left: f64,
    },
    /// Mean loss on the validation rows.
    Evaluation {
        /// Step, from 1.
        step: u64,
        /// Mean loss per learned token, in nats.
        loss: f64,
    },
    /// A checkpoint was written.
    Checkpoint {
        /// Step, from 1.
        step: u64,
    },
    /// Training ended before its last step, because the validation loss fell no more.
    StoppedEarly {
        /// Last step.
        step: u64,
        /// Evaluations in a row without a lower loss.
        evaluations: u64,
    },
    /// The state of the lowest validation loss was taken as the result.
    BestLoaded {
        /// Its step.
        step: u64,
        /// Its validation loss.
        loss: f64,
    },
    /// Something the user should know.
    Note {
        /// What.
        message: String,
    },
}

/// Hears a run's events.
pub trait Observer {
    /// Called for each event.
    fn event(&mut self, event: &Event);

    /// Asked after each step; a run stops with its progress saved when this is true.
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// An observer that does nothing.
pub struct Silent;

impl Observer for Silent {
    fn event(&mut self, _: &Event) {}
}

/// Appends events to a file as JSON lines.
pub struct Log {
    file: File,
    path: std::path::PathBuf,
}

impl Log {
    /// Opens the log for appending. A last line that a killed writer left unfinished is cut
    /// off.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn open(path: &Path) -> Result<Self> {
        let writing = |e| ModelError::io("write", path, e);
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)
            .map_err(writing)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(writing)?;
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(writing)?;
        }
        Ok(Self {
            file,
            path: path.to_path_buf(),
        })
    }

    /// Appends one event.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&mut self, event: &Event) -> Result<()> {
        let mut line = serde_json::to_string(event).unwrap_or_default();
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| ModelError::io("write", &self.path, e))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_killed_writer_left_unfinished_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        let event = Event::Checkpoint { step: 3 };
        Log::open(&path).unwrap().write(&event).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"event\":\"st")).unwrap();
        Log::open(&path).unwrap().write(&event).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            format!("{whole}{whole}")
        );
    }
}
