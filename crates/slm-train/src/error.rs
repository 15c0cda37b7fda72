//! What can go wrong in a training run.

use slm_model::ModelError;

/// A problem of a training run.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// From the model's files or settings.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A setting or an input does not fit.
    #[error("{problem}\nhint: {hint}")]
    Setting {
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// The loss or a gradient is not finite.
    #[error(
        "the {what} is not finite at step {step}, on {}\nhint: look at those rows, lower the learning rate, or clip gradients harder; the last checkpoint is whole",
        listed(rows)
    )]
    NotFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// Step, counted from 1.
        step: u64,
        /// Where the rows of the step's batches came from.
        rows: Vec<String>,
    },
    /// The observer asked to stop.
    #[error("stopped at step {step}\nhint: run the same command again to go on from there")]
    Stopped {
        /// Last finished step.
        step: u64,
    },
}

/// Most rows that a message names.
const NAMED: usize = 12;

/// Rows as a message has them.
fn listed(rows: &[String]) -> String {
    let named: Vec<&str> = rows.iter().take(NAMED).map(String::as_str).collect();
    match rows.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// Result of this crate's fallible functions.
pub type Result<T> = std::result::Result<T, TrainError>;

impl TrainError {
    /// A setting that does not fit.
    pub fn setting(problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Setting {
            problem: problem.into(),
            hint: hint.into(),
        }
    }
}
