//! The inference engine: KV cache, prefill and decode, sampling, batched decoding, on the CPU.
//!
//! Knows models, tokens and logits; of text only what `grammar` must, nothing of training nor
//! evaluation.

mod attention;
pub mod bench;
mod cache;
mod elementwise;
pub mod engine;
pub mod error;
mod forward;
pub mod grammar;
pub mod load;
pub mod model;
pub mod request;
mod sample;
mod slot;

pub use bench::{BenchReport, BenchSettings, bench};
pub use cache::Cache;
pub use engine::{Engine, EngineSettings};
pub use error::{InferError, Result};
pub use forward::Span;
pub use grammar::{Constraint, Grammar, GrammarError, Grammars};
pub use load::WeightFormat;
pub use model::Model;
pub use request::{Answer, Ending, Finish, MaskSource, Request, TokenMask};
