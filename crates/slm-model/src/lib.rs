//! Tokenizer and chat template, decoder, checkpoints, LoRA layers, quantized weights and kernels.
//!
//! Does not know the training loop nor evaluation.

pub mod block;
mod builder;
pub mod checkpoint;
pub mod config;
pub mod decoder;
pub mod device;
pub mod error;
pub mod family;
pub mod head;
mod json_file;
pub mod kernels;
pub mod lineage;
pub mod linear;
pub mod lora;
pub mod ops;
pub mod quant;
pub mod rotary;
mod rotary_tables;
pub mod tokenizer;
pub mod tokenizer_training;
pub mod weights;

pub use checkpoint::Checkpoint;
pub use config::ModelConfig;
pub use device::Device;
pub use error::{ModelError, Result};
pub use family::{Family, LlamaShape};
pub use tokenizer::{ChatMessage, Tokenizer};
