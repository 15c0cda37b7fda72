//! Intervals, paired tests, correction for many comparisons, and a verdict.
//!
//! Does not know metrics beyond their tallies, nor systems.

pub mod benjamini_hochberg;
pub mod bootstrap;
pub mod calibration;
pub mod mcnemar;
pub mod risk_coverage;
pub mod two_estimates;
pub mod verdict;
pub mod wilson;

/// The two-sided confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// The normal quantile of [`CONFIDENCE`].
pub const Z: f64 = 1.959_963_984_540_054;
