//! The instruction sets that kernels are written for, found at run time.
//!
//! An [`Isa`] can only be had by detection, so holding one proves that the machine has it.

use std::sync::OnceLock;

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// Plain Rust, on every machine.
    pub const PORTABLE: Self = Self(Level::Portable);

    /// The fastest one here, or the one that the environment's `SLM_KERNELS` names, to measure
    /// what another machine would do; a name that is not there counts as none.
    pub fn best() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let available = Self::available();
            let asked = Self::asked().unwrap_or_default();
            let named = available.iter().find(|isa| isa.name() == asked);
            named
                .or(available.last())
                .copied()
                .unwrap_or(Self::PORTABLE)
        })
    }

    /// What `SLM_KERNELS` says.
    pub(crate) fn asked() -> Option<String> {
        std::env::var("SLM_KERNELS").ok()
    }

    /// All that this machine has, slowest first.
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            let vnni = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vnni");
            if avx2 {
                found.push(Self(Level::Avx2));
            }
            if avx2 && vnni {
                found.push(Self(Level::Avx512));
            }
        }
        found
    }

    /// Its name, for reports.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512-vnni",
        }
    }

    pub(super) fn level(self) -> Level {
        self.0
    }
}
