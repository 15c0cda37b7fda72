//! One file per command. Each reads its arguments, calls the rooms that know how, and
//! says how it went.

pub mod doctor;

use crate::args::Globals;
use crate::terminal::Terminal;
use crate::workspace::Workspace;

/// What every command gets beside its own arguments.
pub struct Context {
    /// The global options.
    pub globals: Globals,
    /// Where to write.
    pub terminal: Terminal,
    /// Where artefacts live.
    pub workspace: Workspace,
}
