//! Where tensors live: the devices a user can name, and the one place that turns a name into a
//! burn backend.

use std::fmt;
use std::str::FromStr;

/// A device that this build can run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Device {
    /// burn-flex: the CPU with the fused kernels.
    Flex,
    /// burn-ndarray: the CPU with burn's composed operations.
    NdArray,
    /// An NVIDIA GPU by its number.
    Cuda(usize),
}

/// A device name that means nothing, or a device that is not there.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{problem}\nhint: {hint}")]
pub struct DeviceError {
    problem: String,
    hint: String,
}

impl FromStr for Device {
    type Err = DeviceError;

    /// Reads `auto`, `cpu`, `flex`, `ndarray`, `cuda` or `cuda:N`.
    fn from_str(name: &str) -> Result<Self, DeviceError> {
        match name {
            "auto" | "cpu" | "flex" => Ok(Self::Flex),
            "ndarray" => Ok(Self::NdArray),
            _ => match cuda_number(name) {
                Some(number) => cuda(number),
                None => Err(DeviceError {
                    problem: format!("unknown device `{name}`"),
                    hint: "use auto, cpu, flex, ndarray or cuda[:N]".into(),
                }),
            },
        }
    }
}

fn cuda_number(name: &str) -> Option<usize> {
    match name.strip_prefix("cuda")? {
        "" => Some(0),
        rest => rest.strip_prefix(':')?.parse().ok(),
    }
}

fn cuda(number: usize) -> Result<Device, DeviceError> {
    if !cfg!(feature = "cuda") {
        return Err(DeviceError {
            problem: format!("device `cuda:{number}` is not in this build"),
            hint: "build with `cargo build --release --features cuda`, or use `--device cpu`"
                .into(),
        });
    }
    if !std::path::Path::new("/dev/nvidiactl").exists() && !cfg!(windows) {
        return Err(DeviceError {
            problem: format!("device `cuda:{number}` is not there: no NVIDIA driver is loaded"),
            hint: "install the driver, or use `--device cpu`".into(),
        });
    }
    Ok(Device::Cuda(number))
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flex => write!(f, "flex"),
            Self::NdArray => write!(f, "ndarray"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!("auto".parse::<Device>().unwrap(), Device::Flex);
        assert_eq!("ndarray".parse::<Device>().unwrap(), Device::NdArray);
        assert!(
            "gpu"
                .parse::<Device>()
                .unwrap_err()
                .to_string()
                .contains("unknown device `gpu`")
        );
        assert!("cuda:x".parse::<Device>().is_err());
    }
}
