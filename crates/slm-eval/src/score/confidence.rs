//! What confidences are worth, and what routing by them would give.
//!
//! Does not know how a system came to be sure.

use super::{Measured, System};
use crate::metrics::{Sample, is_right};
use crate::predictions::Predictions;
use crate::results::{Confidence, Review, Role};
use crate::routing::{self, Routing};
use crate::rows::Row;
use crate::statistics::calibration::{Judged, calibration};
use crate::statistics::risk_coverage;

/// Accuracies for which thresholds are looked up.
const WANTED: [f64; 4] = [0.9, 0.95, 0.98, 0.99];
/// How sure an answer is taken to be that does not say, or is missing.
const UNSURE: f64 = 0.0;
/// Points that a curve is thinned to.
const POINTS: usize = 101;

/// Calibration and selective answering of a system; none where no answer has a confidence.
pub(super) fn of_system(samples: &[Sample], predictions: &Predictions) -> Option<Confidence> {
    let sure = |sample: &Sample| predictions.get(&sample.row.id)?.confidence;
    let told: Vec<Judged> = samples
        .iter()
        .filter_map(|sample| Some((sure(sample)?, is_right(sample))))
        .collect();
    // What says nothing of itself, or is missing, is what one is least sure of.
    let judged: Vec<Judged> = samples
        .iter()
        .map(|sample| (sure(sample).unwrap_or(UNSURE), is_right(sample)))
        .collect();
    let calibration = calibration(&told)?;
    let curve = risk_coverage::curve(&judged);
    let thinned = match curve.len() {
        0..=POINTS => curve,
        n => (0..POINTS)
            .map(|at| curve[at * (n - 1) / (POINTS - 1)])
            .collect(),
    };
    Some(Confidence {
        calibration,
        risk_area: risk_coverage::area(&judged),
        risk_coverage: thinned,
        review: WANTED
            .into_iter()
            .map(|accuracy| Review {
                accuracy,
                kept: risk_coverage::at_accuracy(&judged, accuracy),
            })
            .collect(),
    })
}

/// Each system with confidences before the frontier model. The accuracy of the frontier model
/// itself is among those that are wanted.
pub(super) fn routing(rows: &[Row], systems: &[System], measured: &[Measured]) -> Vec<Routing> {
    let is_frontier = |system: &System| system.info.role == Some(Role::Frontier);
    let Some(large) = systems.iter().position(is_frontier) else {
        return Vec::new();
    };
    let simulated = |small: usize| {
        let sure = |row: &Row| systems[small].predictions.get(&row.id)?.confidence;
        if !rows.iter().any(|row| sure(row).is_some()) {
            return None;
        }
        let samples: Vec<routing::Sample> = rows
            .iter()
            .enumerate()
            .filter_map(|(index, row)| {
                Some(routing::Sample {
                    confidence: sure(row).unwrap_or(UNSURE),
                    small: measured[small].rights[index]?,
                    large: measured[large].rights[index]?,
                })
            })
            .collect();
        let right = samples.iter().filter(|sample| sample.large).count();
        let mut wanted = vec![right as f64 / samples.len().max(1) as f64];
        wanted.extend(WANTED);
        routing::simulate(
            (&systems[small].name, &systems[large].name),
            &samples,
            &wanted,
        )
    };
    (0..systems.len())
        .filter(|small| *small != large)
        .filter_map(simulated)
        .collect()
}
