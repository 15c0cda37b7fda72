//! A frontier model behind an OpenAI-compatible endpoint, as a baseline.
//!
//! Opens connections only when a recipe names an endpoint. Does not know what its answers
//! are used for.

mod cache;
mod client;
mod subject;

pub use cache::Cache;
pub use subject::{Frontier, connect};
