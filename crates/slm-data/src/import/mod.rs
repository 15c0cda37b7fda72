//! Public datasets, from a local copy, as samples.
//!
//! Does not download anything and does not know how the data was licensed; each
//! module says where its set comes from.

pub mod banking77;
pub mod nlupp;
pub mod snips;
pub mod snips_published;

pub use banking77::{banking77, banking77_labels};
pub use nlupp::nlupp;
pub use snips::snips;
pub use snips_published::{PublishedSlotScore, snips_published, weighted_f1};
