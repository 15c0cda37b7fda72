//! Batches, packing, loss, optimizers, schedules and resumable training runs.
//!
//! Does not know evaluation tasks, the terminal, or where data comes from.

pub mod batch;
pub mod checkpoint;
pub mod distillation;
pub mod error;
pub mod events;
pub mod forecast;
pub mod heap;
pub mod learner;
pub mod noise;
pub mod objective;
pub mod optimizer;
pub mod renaming;
pub mod run;
pub mod schedule;
pub mod settings;
mod state_file;
pub mod tensorboard;
mod update;

pub use batch::{Example, Source};
pub use error::{Result, TrainError};
pub use events::{Event, Observer};
pub use renaming::Renaming;
pub use run::{Outcome, train};
pub use settings::{Method, Objective, Precision, TrainSettings};
