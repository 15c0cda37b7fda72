//! GGUF, the file of llama.cpp: models written to it and read from it.
//!
//! `format` knows the container, `blocks` how numbers are packed, `names` what llama.cpp calls our
//! tensors, `describe` what it must know of a model, `vocabulary` and `sentencepiece` how a tokenizer is
//! told; `export` and `import` put these together.

mod blocks;
mod describe;
mod export;
mod format;
mod import;
mod names;
mod sentencepiece;
mod vocabulary;

pub use blocks::{BlockType, dequantize, quantize};
pub use export::{ExportReport, export};
pub use format::{GgufFile, Metadata};
pub use import::import;
