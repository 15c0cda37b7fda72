//! Calibration of confidences: does an answer given with 0.8 turn out right in 8 of 10 cases?
//!
//! Expected calibration error over equal-width bins (Naeini et al. 2015; Guo et al. 2017) and
//! the Brier score (1950). Does not know where confidences come from.

use serde::{Deserialize, Serialize};

/// Bins of equal width from 0 to 1.
pub const BINS: usize = 10;

/// An answer's confidence and whether it is right.
pub type Judged = (f64, bool);

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Answers in it.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

/// How far confidences can be taken at their word.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Answers with a confidence.
    pub n: usize,
    /// Σ n_b / n · |accuracy_b − confidence_b|
    pub expected_error: f64,
    /// The largest |accuracy_b − confidence_b| of a bin with answers.
    pub largest_error: f64,
    /// Mean of (confidence − right)².
    pub brier: f64,
    /// Bins from 0 to 1; those without answers are left out.
    pub bins: Vec<Bin>,
}

/// The calibration of answers; none without any. A confidence of just 1 falls into the last bin.
pub fn calibration(answers: &[Judged]) -> Option<Calibration> {
    if answers.is_empty() {
        return None;
    }
    let n = answers.len();
    let mut sums = [(0_usize, 0.0, 0_usize); BINS];
    let mut brier = 0.0;
    for (confidence, right) in answers {
        let bin = &mut sums[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.0 += 1;
        bin.1 += confidence;
        bin.2 += usize::from(*right);
        brier += (confidence - f64::from(*right)).powi(2);
    }
    let bins: Vec<Bin> = sums
        .into_iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, confidence, right)| Bin {
            n,
            confidence: confidence / n as f64,
            accuracy: right as f64 / n as f64,
        })
        .collect();
    let gap = |bin: &Bin| (bin.accuracy - bin.confidence).abs();
    Some(Calibration {
        n,
        expected_error: bins.iter().map(|bin| bin.n as f64 * gap(bin)).sum::<f64>() / n as f64,
        largest_error: bins.iter().map(gap).fold(0.0, f64::max),
        brier: brier / n as f64,
        bins,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Bin 0.2: 0.2 and 0.25, one right: |0.5 − 0.225| = 0.275, 2 of 5.
        // Bin 0.9: 0.95, 1.0 and 0.9, two right: |2/3 − 0.95| = 0.28333, 3 of 5.
        let answers = [
            (0.2, false),
            (0.25, true),
            (0.95, true),
            (1.0, true),
            (0.9, false),
        ];
        let found = calibration(&answers).unwrap();
        assert_eq!((found.n, found.bins.len(), found.bins[1].n), (5, 2, 3));
        assert!((found.expected_error - (0.4 * 0.275 + 0.6 * 0.283_333_333)).abs() < 1e-8);
        assert!((found.largest_error - 0.283_333_333).abs() < 1e-8);
        let brier = (0.04 + 0.5625 + 0.0025 + 0.0 + 0.81) / 5.0;
        assert!((found.brier - brier).abs() < 1e-12);
    }

    #[test]
    fn the_perfectly_calibrated_have_no_error() {
        let answers: Vec<Judged> = (0..10).map(|index| (0.3, index < 3)).collect();
        assert!(calibration(&answers).unwrap().expected_error < 1e-12);
        assert_eq!(calibration(&[]), None);
    }
}
