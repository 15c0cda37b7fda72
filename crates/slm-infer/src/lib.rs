//! The inference engine: KV cache, prefill and decode, sampling, batched decoding, on the CPU.
//!
//! Knows models, tokens and logits; of text only what `grammar` must, nothing of training nor
//! evaluation.

mod attention;
mod awake;
pub mod bench;
mod cache;
mod calibrate;
mod elementwise;
pub mod engine;
pub mod error;
mod fidelity;
mod forward;
pub mod grammar;
pub mod load;
pub mod model;
pub mod request;
mod sample;
mod slot;

pub use bench::{BenchReport, BenchSettings, SharedReport, SharedSettings, bench, bench_shared};
pub use cache::Cache;
pub use calibrate::calibrate;
pub use engine::{Engine, EngineSettings};
pub use error::{InferError, Result};
pub use fidelity::{Fidelity, fidelity};
pub use forward::Span;
pub use grammar::{Constraint, Grammar, GrammarError, Grammars};
pub use load::WeightFormat;
pub use model::Model;
pub use request::{Answer, Ending, Ends, Finish, MaskSource, Request, TokenMask};
