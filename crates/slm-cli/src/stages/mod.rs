//! The stages of a pipeline: each names what it reads and what shapes it, and hands
//! the work to the room that knows how.
//!
//! Knows which artefact lies where; does not know how the work is done.

pub mod create;
pub mod dataset;
pub mod evaluate;
pub mod flow;
pub mod import;
pub mod merge;
pub mod overlap;
pub mod quantize;
pub mod synthesize;
pub mod train;
