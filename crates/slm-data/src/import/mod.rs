//! Public datasets, from a local copy, as samples.
//!
//! Does not download anything and does not know how the data was licensed; each
//! module says where its set comes from.

pub mod snips;

pub use snips::snips;
