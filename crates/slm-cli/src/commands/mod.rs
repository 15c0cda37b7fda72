//! One file per command. Each reads its arguments, calls the rooms that know how, and
//! says how it went.

pub mod batch;
pub mod bench;
pub mod data;
pub mod doctor;
pub mod eval;
pub mod generate;
pub mod model;
pub mod quantize;
pub mod run;
pub mod taxonomy;
pub mod tui;

use slm_model::Device;

use crate::terminal::Terminal;
use crate::workspace::Workspace;

/// What every command gets beside its own arguments.
pub struct Context {
    /// What computes.
    pub device: Device,
    /// Whether connections are forbidden.
    pub offline: bool,
    /// Where to write.
    pub terminal: Terminal,
    /// Where artefacts live.
    pub workspace: Workspace,
}
