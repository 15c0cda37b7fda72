//! A frontier model behind an OpenAI-compatible endpoint, as a baseline.
//!
//! The only room of the project that opens a connection. Does not know what its
//! answers are used for.

mod cache;
mod client;
mod subject;

pub use cache::Cache;
pub use subject::{Frontier, connect};
