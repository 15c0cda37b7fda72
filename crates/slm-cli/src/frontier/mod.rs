//! A model behind an OpenAI-compatible endpoint, as a baseline or as a teacher.
//!
//! Opens connections only when an endpoint is named. Does not know what its answers
//! are used for.

mod answer;
mod budget;
mod client;
mod pace;
mod request;
mod server;
mod subject;

pub use budget::{Limits, Tokens};
pub use client::{Endpoint, Purpose};
pub use pace::Rates;
pub use server::Server;
pub use subject::{Asks, Frontier, Manner};
