//! Tasks, metrics, statistics, baselines and the report.
//!
//! A task says what is asked and how answers are judged; rows carry prompts and
//! targets; a subject (or a predictions file) gives answers; [`score`](score::score)
//! turns the three into [`Results`](results::Results), and the report shows them.
//!
//! This crate does not know tensors, tokenizers, the network or the terminal:
//! whoever answers is behind [`Subject`](subject::Subject) or in a file.

pub mod answer;
pub mod baseline;
pub mod cost;
pub mod error;
pub mod gate;
pub mod junit;
pub mod leakage;
pub mod log;
pub mod metrics;
pub mod predictions;
pub mod prompt;
pub mod regression;
pub mod report;
pub mod results;
pub mod review;
pub mod robustness;
pub mod routing;
pub mod rows;
pub mod score;
pub mod statistics;
pub mod subject;
pub mod suggest;
pub mod task;

mod calls;
pub mod schema;

pub use error::{EvalError, Problem};
pub use predictions::{Prediction, Predictions};
pub use results::Results;
pub use rows::{Message, Row};
pub use score::{Beside, Options, System, score};
pub use subject::Subject;
pub use task::{OutputType, Task};
