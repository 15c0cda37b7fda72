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
    /// For commands whose whole work is to answer.
    ///
    /// # Errors
    /// The device that was asked for is one that answers are not computed on.
    pub fn check_answers(&self) -> Result<()> {
        match answers_on(self.device) {
            true => Ok(()),
            false => Err(Failure::usage(format!(
                "answers are computed on the CPU, not on `{}`",
                self.device
            ))
            .hint("leave `--device` out; training is what runs on a GPU")
            .into()),
        }
    }
}

/// Whether answers are computed on a device.
pub fn answers_on(device: Device) -> bool {
    match device {
        Device::Flex | Device::NdArray => true,
        Device::Cuda(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::describe;

    #[test]
    fn answers_asked_of_a_gpu_are_refused_and_not_given_by_the_cpu() {
        let context = |device| Context {
            device,
            offline: true,
            terminal: Terminal::new(crate::terminal::Format::Text, true),
            workspace: Workspace::new("workspace"),
        };
        context(Device::Flex).check_answers().unwrap();
        let refused = context(Device::Cuda(1)).check_answers().unwrap_err();
        let (problem, hint, code) = describe(&refused);
        assert!(problem.contains("`cuda:1`"), "{problem}");
        assert!(hint.is_some() && code == 2);
    }
}
