//! A model behind an OpenAI-compatible endpoint, as a baseline or as a teacher.
//!
//! Opens connections only when an endpoint is named. Does not know what its answers
//! are used for.

mod cache;
mod client;
mod subject;

pub use cache::Cache;
pub use client::{Client, Drawing, Purpose, Request, Trouble};
pub use subject::{Frontier, connect};
