//! Flows: synthesis described in YAML as a list of blocks, in the shape of sdg_hub's `flow.yaml`.
//!
//! A flow is checked as a whole before anything runs. Does not know the network: who is asked
//! is behind [`crate::teacher::ChatTeacher`].

mod blocks;
mod calibrate;
mod check;
mod estimate;
mod funnel;
mod inputs;
mod instructlab;
mod pattern;
mod perturb;
mod prompt;
mod read;
mod row;
mod run;
mod shipped;
mod spec;
mod teacher;
#[cfg(test)]
mod tests;

pub use blocks::reasons;
pub use calibrate::{Calibration, Calibrations, Labelled, calibrate};
pub use estimate::{Estimate, Prices, estimate};
pub use funnel::{BlockCount, Funnel};
pub use inputs::LeafFacts;
pub use prompt::{Prompt, PromptMessage};
pub use read::{parse_flow, read_flow};
pub use row::{Call, Judgment, Row, Trace};
pub use shipped::{SHIPPED, shipped_flow};
pub use spec::{BLOCK_TYPES, Block, Flow, Metadata, Step, Variant};
pub use teacher::{FlowSettings, FlowTeacher, TRACE};
