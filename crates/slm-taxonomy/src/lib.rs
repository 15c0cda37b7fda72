//! InstructLab taxonomy files: leaves, and diagnostics with their place in the file.
//!
//! [`check`] reads a taxonomy and reports every fault of every file; [`render`] shows the
//! faults to people, [`tree`] the leaves. The crate reads files below the paths it is given
//! and knows nothing of tensors, the network or how a dataset is made from a leaf.

mod check;
mod codes;
mod diagnostic;
pub mod extension;
pub mod leaf;
mod render;
mod source;
mod suggest;
mod tree_view;
mod walk;
pub mod yaml;

pub use check::{Options, check};
pub use codes::{Code, Severity, explain};
pub use diagnostic::{Diagnostic, Report, Snippet};
pub use extension::{Extension, Output, PartKind, Parts, Slot, SlotKind};
pub use leaf::{Document, Kind, Leaf, QuestionAnswer, SeedExample};
pub use render::{render, summary};
pub use source::{Position, Source, Span};
pub use suggest::nearest;
pub use tree_view::tree;
