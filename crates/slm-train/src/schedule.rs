//! Learning rate over a run: linear warm-up, then constant, linear, cosine, or a late linear decay.

use serde::{Deserialize, Serialize};

/// Shape of the learning rate behind the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// Stays at the peak.
    Constant,
    /// Falls linearly to zero.
    Linear,
    /// Falls along a half cosine to zero (Loshchilov and Hutter 2017).
    Cosine,
    /// Stays at the peak, then falls linearly to zero over the last 40% (warm-up, stable, decay).
    StableDecay,
}

impl Schedule {
    /// Factor on the peak at `step` (from 0) of `steps`, after `warmup` steps of linear rise.
    pub fn factor(self, step: u64, steps: u64, warmup: u64) -> f64 {
        if step < warmup {
            return (step + 1) as f64 / warmup as f64;
        }
        let progress = (step - warmup) as f64 / (steps - warmup).max(1) as f64;
        match self {
            Self::Constant => 1.0,
            Self::Linear => 1.0 - progress,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
            Self::StableDecay => ((1.0 - progress) / 0.4).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_rises_to_one_and_falls_as_named() {
        for schedule in [Schedule::Linear, Schedule::Cosine, Schedule::StableDecay] {
            assert_eq!(schedule.factor(0, 100, 10), 0.1);
            assert!((schedule.factor(10, 100, 10) - 1.0).abs() < 1e-12);
            assert!(schedule.factor(99, 100, 10) < 0.03);
        }
        assert_eq!(Schedule::Constant.factor(99, 100, 10), 1.0);
        assert_eq!(Schedule::StableDecay.factor(60, 100, 10), 1.0);
        assert!((Schedule::Cosine.factor(55, 100, 10) - 0.5).abs() < 1e-12);
    }
}
