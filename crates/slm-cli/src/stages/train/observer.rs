//! A training run's events on the terminal.
//!
//! Does not know how a run works.

use slm_train::{Event, Observer};

use crate::terminal::{Progress, Terminal, clock};

/// Shows progress while a run goes on.
pub struct Shown<'a> {
    terminal: &'a Terminal,
    progress: Option<Progress>,
}

impl<'a> Shown<'a> {
    /// Nothing is shown before the run begins.
    pub fn new(terminal: &'a Terminal) -> Self {
        Self {
            terminal,
            progress: None,
        }
    }

    /// Takes the bar away.
    pub fn finish(self) {
        if let Some(progress) = self.progress {
            progress.finish();
        }
    }
}

impl Observer for Shown<'_> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started {
                step,
                steps,
                trained_parameters,
            } => {
                let from = match step {
                    0 => String::new(),
                    step => format!(", going on after step {step}"),
                };
                self.terminal.note(format!(
                    "train: {steps} steps, {trained_parameters} parameters learn{from}"
                ));
                let mut progress = self.terminal.progress("train", *steps, "steps");
                progress.resume_at(*step);
                self.progress = Some(progress);
            }
            Event::Step {
                step,
                loss,
                tokens_per_second,
                ..
            } => {
                if let Some(progress) = &mut self.progress {
                    let message = format!("loss {loss:.4}, {tokens_per_second:.0} tokens/s");
                    progress.set(*step, &message);
                }
            }
            Event::Evaluation { step, loss } => {
                self.terminal
                    .note(format!("train: step {step}: validation loss {loss:.4}"));
            }
            Event::Pace {
                step_seconds,
                seconds_left,
                ..
            } => {
                let left = clock(*seconds_left);
                let text = format!("train: {step_seconds:.2} s a step, about {left} to go");
                self.terminal.note(text);
            }
            Event::StoppedEarly { step, evaluations } => {
                self.terminal.note(format!(
                    "train: stopped at step {step}: {evaluations} evaluations without a lower loss"
                ));
            }
            Event::BestLoaded { step, loss } => {
                self.terminal.note(format!(
                    "train: took the state of step {step}, validation loss {loss:.4}"
                ));
            }
            Event::Note { message } => self.terminal.warn(message),
            Event::Checkpoint { .. } => {}
        }
    }
}
