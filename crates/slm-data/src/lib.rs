//! Samples, datasets, splits, provenance, and the synthesis of training data.
//!
//! Knows conversations and the seeds they are made from. Does not know tensors,
//! tokens, the network or the terminal.

pub mod agreement;
mod calls;
pub mod card;
pub mod corpus;
pub mod dataset;
pub mod diversity;
pub mod document;
pub mod error;
pub mod eval_row;
pub mod figures;
pub mod flow;
pub mod formats;
mod hash;
pub mod import;
pub mod jsonl;
pub mod ledger;
pub mod minhash;
pub mod mix;
pub mod parallel;
pub mod review;
pub mod sample;
pub mod scan;
pub mod split;
pub mod synthesize;
pub mod teacher;

pub use dataset::{RowReader, SampleReader, SampleWriter, read_all, read_all_as};
pub use error::{DataError, Place, Result};
pub use eval_row::{EvalRow, to_eval_row};
pub use formats::Format;
pub use jsonl::{JsonlReader, JsonlWriter, write_all};
pub use ledger::{Entry, Fate, write_ledger};
pub use sample::{Message, Plain, Role, Sample, content_hash};
pub use split::{Split, SplitSettings, leakage, split};
pub use synthesize::{GrammarTeacher, SeedLeaf, SynthesisSettings, Teacher, synthesize_split};
