//! InstructLab taxonomy files: leaves, and diagnostics with their place in the file.
//!
//! [`check`] reads a taxonomy and reports every fault of every file; [`render`] shows the
//! faults to people, [`tree`] the leaves. The crate reads files below the paths it is given
//! and knows nothing of tensors, the network or how a dataset is made from a leaf.

mod annotations;
mod changed;
mod check;
mod codes;
mod diagnostic;
mod draft;
pub mod extension;
mod fix;
pub mod git;
pub mod leaf;
mod render;
mod repositories;
mod sarif;
mod source;
mod stats;
mod suggest;
mod tree_view;
mod walk;
mod watch;
pub mod yaml;

pub use annotations::annotations;
pub use changed::{Changed, ChangedError, ChangedLeaf, EMPTY_BASE, LeafStatus, changed};
pub use check::{Options, check};
pub use codes::{Code, Severity, explain};
pub use diagnostic::{Diagnostic, Report, Snippet};
pub use draft::{Attribution, Draft, DraftDocument, DraftError};
pub use extension::{Extension, Output, PartKind, Parts, Slot, SlotKind};
pub use fix::{Mend, MendKind, Mends, fix, mended_text};
pub use leaf::{Document, Kind, Leaf, QuestionAnswer, SeedExample};
pub use render::{render, summary};
pub use repositories::{Lookup, Repositories, fits};
pub use sarif::sarif;
pub use source::{Position, Source, Span};
pub use stats::{Stats, stats};
pub use suggest::nearest;
pub use tree_view::tree;
pub use watch::Watch;
