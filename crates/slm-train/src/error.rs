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
        "the {what} is not finite at step {step}, on examples {examples:?}\nhint: look at those rows, lower the learning rate, or clip gradients harder; the last checkpoint is whole"
    )]
    NotFinite {
        /// `loss` or `gradient`.
        what: &'static str,
        /// Step, counted from 1.
        step: u64,
        /// Positions of the batch's examples in the data order.
        examples: Vec<u64>,
    },
    /// The observer asked to stop.
    #[error("stopped at step {step}\nhint: run the same command again to go on from there")]
    Stopped {
        /// Last finished step.
        step: u64,
    },
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
