//! Compares systems in pairs on the same samples.
//!
//! Does not know how tallies came about.

use super::{Measured, System};
use crate::metrics::{Metric, Tally};
use crate::results::Comparison;
use crate::statistics::mcnemar::Paired;
use crate::statistics::{benjamini_hochberg, bootstrap, verdict};

/// Every pair of systems on every metric that applies to any row.
pub(super) fn pairs(
    metrics: &[Metric],
    systems: &[System],
    measured: &[Measured],
) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for a in 0..systems.len() {
        for b in a + 1..systems.len() {
            for (index, metric) in metrics.iter().enumerate() {
                if let Some(mut comparison) = pair(&measured[a], &measured[b], index) {
                    comparison.a = systems[a].name.clone();
                    comparison.b = systems[b].name.clone();
                    comparison.metric = metric.name().to_string();
                    comparisons.push(comparison);
                }
            }
        }
    }
    let p_values: Vec<f64> = comparisons.iter().map(|c| c.p_value).collect();
    for (comparison, adjusted) in comparisons
        .iter_mut()
        .zip(benjamini_hochberg::adjust(&p_values))
    {
        comparison.p_adjusted = adjusted;
        comparison.verdict = verdict::verdict(
            comparison.difference,
            comparison.low,
            comparison.high,
            adjusted,
        )
        .to_string();
    }
    comparisons
}

/// Two systems on the metric of that index; names are filled in by the caller.
fn pair(a: &Measured, b: &Measured, index: usize) -> Option<Comparison> {
    let difference = a.tallies[index].value()? - b.tallies[index].value()?;
    let (paired, low, high, p_value, test, smallest) = match (&a.tallies[index], &b.tallies[index])
    {
        (Tally::Rights(left), Tally::Rights(right)) if a.groups.is_none() => {
            let paired = Paired::count(left, right);
            let (low, high) = paired.interval();
            let discordant = (paired.only_a + paired.only_b) as f64 / paired.total().max(1) as f64;
            let smallest = verdict::smallest_shown(paired.total(), discordant);
            (
                paired,
                low,
                high,
                paired.p_value(),
                "mcnemar_exact",
                Some(smallest),
            )
        }
        _ => {
            let differences = || {
                let pairs = a.resampled[index].iter().zip(&b.resampled[index]);
                pairs.map(|(left, right)| left - right)
            };
            let (low, high) =
                bootstrap::interval(differences()).unwrap_or((difference, difference));
            let paired = Paired::count(&a.rights, &b.rights);
            let p_value = bootstrap::p_value(differences());
            let smallest = verdict::smallest_shown_by(bootstrap::deviation(differences()));
            (paired, low, high, p_value, "paired_bootstrap", smallest)
        }
    };
    Some(Comparison {
        a: String::new(),
        b: String::new(),
        metric: String::new(),
        difference,
        low: low.min(difference),
        high: high.max(difference),
        p_value,
        test: test.to_string(),
        both_right: paired.both_right,
        only_a: paired.only_a,
        only_b: paired.only_b,
        both_wrong: paired.both_wrong,
        p_adjusted: p_value,
        verdict: String::new(),
        smallest_shown: smallest,
    })
}
