//! Tokenizer and chat template, decoder, checkpoints, LoRA layers, quantized weights and kernels.
//!
//! Does not know the training loop nor evaluation.

mod assistant_spans;
pub mod block;
mod builder;
pub mod checkpoint;
pub mod config;
pub mod conversation;
pub mod decoder;
pub mod device;
pub mod error;
pub mod family;
pub mod gguf;
pub mod head;
mod json_file;
pub mod kernels;
pub mod lineage;
pub mod linear;
pub mod lora;
pub mod ops;
pub mod place;
pub mod quant;
pub mod rotary;
mod rotary_tables;
pub mod template;
pub mod tokenizer;
mod tokenizer_check;
mod tokenizer_files;
pub mod tokenizer_training;
pub mod weights;

pub use checkpoint::Checkpoint;
pub use config::ModelConfig;
pub use conversation::{ChatMessage, Conversation};
pub use device::Device;
pub use error::{ModelError, Result};
pub use family::{Family, LlamaShape};
pub use tokenizer::Tokenizer;
