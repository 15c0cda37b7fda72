//! Routing, simulated from logged answers: what the small model is unsure of goes to the
//! frontier model, the rest stays.
//!
//! PGR, APGR and CPT as RouteLLM defines them (Ong et al. 2024). Answers of equal confidence go
//! together, since no threshold parts them. Does not know where confidences come from, nor what
//! an answer says.

use serde::{Deserialize, Serialize};

/// Points that a curve is thinned to.
const POINTS: usize = 101;

/// One sample as a router sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The small model's confidence.
    pub confidence: f64,
    /// Whether the small model is right.
    pub small: bool,
    /// Whether the frontier model is right.
    pub large: bool,
}

/// What one threshold gives.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Answers with less confidence than this are sent on; none sends nothing.
    pub threshold: Option<f64>,
    /// Share of samples sent to the frontier model.
    pub sent: f64,
    /// Share of samples answered right by whoever answers.
    pub accuracy: f64,
    /// Cost of 1,000 samples, where prices are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

/// The cheapest way to a wanted accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wanted {
    /// The accuracy.
    pub accuracy: f64,
    /// The point that sends the least and reaches it; none where no point does.
    pub point: Option<Point>,
}

/// Routing between two systems.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Routing {
    /// The system that answers first.
    pub small: String,
    /// The system that the rest is sent to.
    pub large: String,
    /// Samples with a confidence and both answers.
    pub n: usize,
    /// Accuracy against the share sent, from nothing to everything.
    pub curve: Vec<Point>,
    /// Share sent and accuracy of a router that knows who is right.
    pub oracle: Vec<(f64, f64)>,
    /// Mean performance gap recovered over all shares; none where the frontier model is not
    /// the better one. A random router has 0.5.
    pub apgr: Option<f64>,
    /// APGR of the oracle.
    pub apgr_oracle: Option<f64>,
    /// Least share sent that recovers half of the gap.
    pub cpt50: Option<f64>,
    /// Least share sent that recovers four fifths of the gap.
    pub cpt80: Option<f64>,
    /// The cheapest ways to wanted accuracies.
    pub wanted: Vec<Wanted>,
}

impl Routing {
    /// Says what each point costs, given the costs of 1,000 answers of both systems. A sample
    /// that is sent has been answered by the small model first, so it costs both.
    pub fn price(&mut self, small: f64, large: f64) {
        let wanted = self
            .wanted
            .iter_mut()
            .filter_map(|wanted| wanted.point.as_mut());
        for point in self.curve.iter_mut().chain(wanted) {
            point.cost = Some(small + large * point.sent);
        }
    }
}

/// Simulates routing; none without samples.
pub fn simulate(names: (&str, &str), samples: &[Sample], targets: &[f64]) -> Option<Routing> {
    if samples.is_empty() {
        return None;
    }
    let curve = curve(samples);
    let oracle = oracle(samples);
    let plain: Vec<(f64, f64)> = curve
        .iter()
        .map(|point| (point.sent, point.accuracy))
        .collect();
    let wanted = targets
        .iter()
        .map(|accuracy| Wanted {
            accuracy: *accuracy,
            point: curve
                .iter()
                .find(|point| point.accuracy >= accuracy - 1e-12)
                .copied(),
        })
        .collect();
    Some(Routing {
        small: names.0.to_string(),
        large: names.1.to_string(),
        n: samples.len(),
        apgr: apgr(&plain),
        apgr_oracle: apgr(&oracle),
        cpt50: cpt(&curve, 0.5),
        cpt80: cpt(&curve, 0.8),
        wanted,
        oracle: thinned(&oracle),
        curve: thinned(&curve),
    })
}

/// Every threshold, the least confident first.
fn curve(samples: &[Sample]) -> Vec<Point> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
    let n = samples.len() as f64;
    let mut right = samples.iter().filter(|sample| sample.small).count() as f64;
    let mut sent = 0.0;
    let point = |threshold, sent: f64, right: f64| Point {
        threshold,
        sent: sent / n,
        accuracy: right / n,
        cost: None,
    };
    let mut points = vec![point(None, sent, right)];
    let groups: Vec<&[Sample]> = sorted
        .chunk_by(|a, b| a.confidence == b.confidence)
        .collect();
    for (index, tied) in groups.iter().enumerate() {
        sent += tied.len() as f64;
        right += tied.iter().map(gain).sum::<f64>();
        // Everything below the next confidence is sent; above all of them, everything is.
        let next = groups
            .get(index + 1)
            .map_or(f64::MAX, |next| next[0].confidence);
        points.push(point(Some(next), sent, right));
    }
    points
}

/// What sending a sample changes in the count of right answers.
fn gain(sample: &Sample) -> f64 {
    f64::from(sample.large) - f64::from(sample.small)
}

/// Sends first what only the frontier model has right and last what only the small one has.
fn oracle(samples: &[Sample]) -> Vec<(f64, f64)> {
    let mut gains: Vec<f64> = samples.iter().map(gain).collect();
    gains.sort_by(|a, b| b.total_cmp(a));
    let n = samples.len() as f64;
    let mut right = samples.iter().filter(|sample| sample.small).count() as f64;
    let mut points = vec![(0.0, right / n)];
    for (index, gain) in gains.iter().enumerate() {
        right += gain;
        points.push(((index + 1) as f64 / n, right / n));
    }
    points
}

/// ∫ PGR over the share sent, PGR(s) = (accuracy(s) − small) / (large − small), by the
/// trapezoid rule over the whole curve.
fn apgr(curve: &[(f64, f64)]) -> Option<f64> {
    let (small, large) = (curve.first()?.1, curve.last()?.1);
    if large <= small {
        return None;
    }
    let area: f64 = curve
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0) * f64::midpoint(pair[0].1, pair[1].1))
        .sum();
    Some((area - small) / (large - small))
}

/// Least share sent that recovers a share of the gap.
fn cpt(curve: &[Point], recovered: f64) -> Option<f64> {
    let (small, large) = (curve.first()?.accuracy, curve.last()?.accuracy);
    if large <= small {
        return None;
    }
    let least = small + recovered * (large - small) - 1e-12;
    curve
        .iter()
        .find(|point| point.accuracy >= least)
        .map(|point| point.sent)
}

/// At most so many points, evenly spread, both ends kept.
fn thinned<T: Copy>(points: &[T]) -> Vec<T> {
    if points.len() <= POINTS {
        return points.to_vec();
    }
    (0..POINTS)
        .map(|index| points[index * (points.len() - 1) / (POINTS - 1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(confidence: f64, small: bool, large: bool) -> Sample {
        Sample {
            confidence,
            small,
            large,
        }
    }

    /// Small: 2 of 4 right; large: 3 of 4.
    fn samples() -> Vec<Sample> {
        vec![
            sample(0.1, false, true),
            sample(0.4, false, true),
            sample(0.7, true, false),
            sample(0.9, true, true),
        ]
    }

    fn close(left: Option<f64>, right: f64) {
        assert!(
            (left.unwrap() - right).abs() < 1e-12,
            "{left:?} is not {right}"
        );
    }

    #[test]
    fn the_curve_and_its_measures_by_hand() {
        let found = simulate(("s", "l"), &samples(), &[0.75, 0.9, 1.0]).unwrap();
        let points: Vec<(f64, f64)> = found.curve.iter().map(|p| (p.sent, p.accuracy)).collect();
        assert_eq!(
            points,
            [
                (0.0, 0.5),
                (0.25, 0.75),
                (0.5, 1.0),
                (0.75, 0.75),
                (1.0, 0.75)
            ]
        );
        // PGR: 0, 1, 2, 1, 1; trapezoids 0.25 (0.5 + 1.5 + 1.5 + 1).
        close(found.apgr, 1.125);
        close(found.cpt50, 0.25);
        close(found.cpt80, 0.25);
        assert_eq!(found.wanted[0].point.unwrap().threshold, Some(0.4));
        assert_eq!(found.wanted[1].point.unwrap().sent, 0.5);
        let mut priced = found.clone();
        priced.price(1.0, 20.0);
        assert_eq!(priced.wanted[2].point.unwrap().cost, Some(11.0));
        assert_eq!(found.curve[0].threshold, None);
        // The oracle keeps (1, 1) and (1, 0) for last: 0.5, 0.75, 1, 1, 0.75.
        close(found.apgr_oracle, 0.25 * (0.5 + 1.5 + 2.0 + 1.5));
    }

    #[test]
    fn equal_confidences_go_together() {
        let tied: Vec<Sample> = samples()
            .iter()
            .map(|sample| Sample {
                confidence: 0.5,
                ..*sample
            })
            .collect();
        let found = simulate(("s", "l"), &tied, &[]).unwrap();
        assert_eq!(found.curve.len(), 2);
        // One straight line, as a random router draws it.
        close(found.apgr, 0.5);
    }

    #[test]
    fn without_a_gap_there_is_nothing_to_recover() {
        let turned: Vec<Sample> = samples()
            .iter()
            .map(|s| sample(s.confidence, s.large, s.small))
            .collect();
        let found = simulate(("s", "l"), &turned, &[0.99]).unwrap();
        assert_eq!((found.apgr, found.cpt50), (None, None));
        assert!(simulate(("s", "l"), &[], &[]).is_none());
    }

    #[test]
    fn long_curves_are_thinned_with_both_ends() {
        let many: Vec<Sample> = (0..1000)
            .map(|i| sample(f64::from(i), i % 2 == 0, true))
            .collect();
        let found = simulate(("s", "l"), &many, &[]).unwrap();
        assert_eq!(found.curve.len(), POINTS);
        assert_eq!(
            (found.curve[0].sent, found.curve[POINTS - 1].sent),
            (0.0, 1.0)
        );
    }
}
