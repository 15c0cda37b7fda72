//! Selective answering: the most confident answers are kept, the others handed on. Risk is the
//! share of wrong answers among those kept, coverage the share kept (El-Yaniv and Wiener 2010).
//!
//! Answers of equal confidence are kept or handed on together: no threshold parts them. Does
//! not know to whom the others go.

use serde::{Deserialize, Serialize};

use super::calibration::Judged;

/// What is kept at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Answers with at least this confidence are kept.
    pub threshold: f64,
    /// The share kept.
    pub coverage: f64,
    /// The share of wrong answers among them.
    pub risk: f64,
}

/// Every threshold that changes what is kept, from the strictest on.
pub fn curve(answers: &[Judged]) -> Vec<Kept> {
    let mut sorted = answers.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut kept, mut wrong) = (0, 0);
    sorted
        .chunk_by(|a, b| a.0 == b.0)
        .map(|tied| {
            kept += tied.len();
            wrong += tied.iter().filter(|(_, right)| !right).count();
            Kept {
                threshold: tied[0].0,
                coverage: kept as f64 / answers.len() as f64,
                risk: wrong as f64 / kept as f64,
            }
        })
        .collect()
}

/// The mean risk over all coverages (Geifman et al. 2019, AURC): within a group of equal
/// confidence the order is random, and the expected risk is taken. None without answers.
pub fn area(answers: &[Judged]) -> Option<f64> {
    let mut sorted = answers.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut kept, mut wrong, mut sum) = (0_usize, 0.0, 0.0);
    for tied in sorted.chunk_by(|a, b| a.0 == b.0) {
        let of_tied = tied.iter().filter(|(_, right)| !right).count() as f64 / tied.len() as f64;
        for _ in tied {
            kept += 1;
            wrong += of_tied;
            sum += wrong / kept as f64;
        }
    }
    (kept > 0).then(|| sum / kept as f64)
}

/// The largest share that can be kept so that at least `accuracy` of it is right; none where no
/// threshold gives that.
pub fn at_accuracy(answers: &[Judged], accuracy: f64) -> Option<Kept> {
    curve(answers)
        .into_iter()
        .rev()
        .find(|kept| 1.0 - kept.risk >= accuracy - 1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: [Judged; 5] = [
        (0.9, true),
        (0.2, false),
        (0.8, false),
        (0.8, true),
        (0.5, true),
    ];

    #[test]
    fn the_curve_by_hand() {
        let curve = curve(&ANSWERS);
        let points: Vec<(f64, f64, f64)> = curve
            .iter()
            .map(|kept| (kept.threshold, kept.coverage, kept.risk))
            .collect();
        assert_eq!(
            points,
            [
                (0.9, 0.2, 0.0),
                (0.8, 0.6, 1.0 / 3.0),
                (0.5, 0.8, 0.25),
                (0.2, 1.0, 0.4)
            ]
        );
    }

    #[test]
    fn the_area_by_hand() {
        // Risks at 1..5 kept: 0, 0.5/2, 1/3, 1/4, 2/5.
        let wanted = (0.0 + 0.25 + 1.0 / 3.0 + 0.25 + 0.4) / 5.0;
        assert!((area(&ANSWERS).unwrap() - wanted).abs() < 1e-12);
        assert_eq!(area(&[]), None);
    }

    #[test]
    fn the_largest_coverage_with_the_accuracy_is_taken() {
        assert_eq!(at_accuracy(&ANSWERS, 0.75).unwrap().coverage, 0.8);
        assert_eq!(at_accuracy(&ANSWERS, 0.95).unwrap().threshold, 0.9);
        assert_eq!(at_accuracy(&ANSWERS, 0.6).unwrap().coverage, 1.0);
        assert_eq!(at_accuracy(&[(0.5, false)], 0.5), None);
    }
}
