//! Tokenizer and chat template, decoder, checkpoints, LoRA layers, quantized weights and kernels.
//!
//! Does not know the training loop nor evaluation.

pub mod checkpoint;
pub mod config;
pub mod error;

pub use checkpoint::Checkpoint;
pub use config::ModelConfig;
pub use error::{ModelError, Result};
