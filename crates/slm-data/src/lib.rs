//! Samples, datasets, splits, provenance, and the synthesis of training data.
//!
//! Knows conversations and the seeds they are made from. Does not know tensors,
//! tokens, the network or the terminal.

pub mod error;
pub mod import;
pub mod jsonl;
pub mod sample;

pub use error::{DataError, Place, Result};
pub use jsonl::{JsonlReader, JsonlWriter, SampleReader, read_all, write_all};
pub use sample::{Message, Role, Sample, content_hash};
