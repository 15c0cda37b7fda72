//! Batches, packing, loss, optimizers, schedules and resumable training runs.
//!
//! Does not know evaluation tasks, the terminal, or where data comes from.

pub mod batch;
pub mod checkpoint;
pub mod error;
pub mod events;
pub mod learner;
pub mod optimizer;
pub mod renaming;
pub mod run;
pub mod schedule;
pub mod settings;

pub use batch::{Example, Source};
pub use error::{Result, TrainError};
pub use events::{Event, Observer};
pub use renaming::Renaming;
pub use run::{Outcome, train};
pub use settings::{Method, TrainSettings};
