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

use anyhow::Result;
use slm_model::Device;
use slm_model::place::{Place, place_of};

use crate::failure::Failure;
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

impl Context {
    /// For commands that compute with the host's kernels only.
    ///
    /// # Errors
    /// The device that was asked for is another.
    pub fn check_host(&self) -> Result<()> {
        match self.device {
            Device::Flex => Ok(()),
            other => Err(Failure::usage(format!("this is computed on the CPU, not on `{other}`"))
                .hint("leave `--device` out; `slm train`, `generate`, `chat`, `batch`, `eval run` and `bench` run on a GPU")
                .into()),
        }
    }

    /// Where the linear layers of answers are multiplied, if not by the host's own kernels.
    pub fn place(&self) -> Option<Box<dyn Place>> {
        place_of(self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::describe;

    #[test]
    fn what_is_asked_of_a_gpu_is_refused_where_only_the_cpu_does_it() {
        let context = |device| Context {
            device,
            offline: true,
            terminal: Terminal::new(crate::terminal::Format::Text, true),
            workspace: Workspace::new("workspace"),
        };
        context(Device::Flex).check_host().unwrap();
        let refused = context(Device::Cuda(1)).check_host().unwrap_err();
        let (problem, hint, code) = describe(&refused);
        assert!(problem.contains("`cuda:1`"), "{problem}");
        assert!(hint.is_some() && code == 2);
    }
}
