//! Percentile bootstrap by sample (Efron 1979), or by group where samples are alike (Davison and
//! Hinkley 1997, 3.8), the same resamples for every system and metric, so that differences are
//! paired.
//!
//! Does not know what the tallies count.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::CONFIDENCE;
use crate::metrics::Tally;

/// The value of each tally on each resample: `[tally][resample]`, NaN where a
/// resample holds no sample that the tally applies to. Whole groups are drawn;
/// `groups` gives each sample's, from 0. Resample `i` is drawn by ChaCha8 from
/// `seed` in stream `i`, so that threads do not matter.
pub fn resampled(
    tallies: &[&Tally],
    groups: &[usize],
    resamples: usize,
    seed: u64,
) -> Vec<Vec<f64>> {
    let count = groups.iter().max().map_or(0, |last| last + 1);
    let by_resample: Vec<Vec<f64>> = (0..resamples)
        .into_par_iter()
        .map_init(
            || vec![0u32; count],
            |drawn, index| {
                draw(drawn, seed, index as u64);
                let weights: Vec<u32> = groups.iter().map(|group| drawn[*group]).collect();
                tallies
                    .iter()
                    .map(|tally| tally.resampled(&weights).unwrap_or(f64::NAN))
                    .collect()
            },
        )
        .collect();
    (0..tallies.len())
        .map(|tally| by_resample.iter().map(|values| values[tally]).collect())
        .collect()
}

/// How often each group stands in one resample with replacement.
fn draw(weights: &mut [u32], seed: u64, stream: u64) {
    weights.fill(0);
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let count = weights.len() as u32;
    for _ in 0..count {
        weights[random.random_range(0..count) as usize] += 1;
    }
}

/// The 95% percentile interval of resampled values; none without any.
pub fn interval(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    if values.is_empty() {
        return None;
    }
    values.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some((quantile(&values, tail), quantile(&values, 1.0 - tail)))
}

/// The standard deviation of resampled values, which is the standard error of what they
/// estimate; none without any.
pub fn deviation(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (values.len() - 1) as f64).sqrt())
}

/// The quantile of sorted values, interpolated between neighbours.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Two-sided p-value that a difference is 0, from its resampled values: twice the
/// smaller share on either side of 0, with one added to count and total so that
/// no finite bootstrap claims certainty (Davison and Hinkley 1997).
pub fn p_value(differences: impl Iterator<Item = f64>) -> f64 {
    let (mut below, mut above, mut total) = (0u32, 0u32, 0u32);
    for difference in differences.filter(|difference| difference.is_finite()) {
        total += 1;
        below += u32::from(difference <= 0.0);
        above += u32::from(difference >= 0.0);
    }
    (2.0 * f64::from(below.min(above) + 1) / f64::from(total + 1)).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = [0.0, 1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&values, 0.5), 2.0);
        assert_eq!(quantile(&values, 0.1), 0.4);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_same_seed_gives_the_same_values_and_another_seed_others() {
        let tally = Tally::Means((0..50).map(|i| Some(f64::from(i))).collect());
        let alone: Vec<usize> = (0..50).collect();
        let first = resampled(&[&tally], &alone, 20, 7);
        assert_eq!(first, resampled(&[&tally], &alone, 20, 7));
        assert_ne!(first, resampled(&[&tally], &alone, 20, 8));
    }

    #[test]
    fn the_interval_of_a_mean_is_near_the_normal_one() {
        // 400 values, half 0 and half 1: the standard error is 0.5 / 20 = 0.025.
        let tally = Tally::Means((0..400).map(|i| Some(f64::from(i % 2))).collect());
        let alone: Vec<usize> = (0..400).collect();
        let values = resampled(&[&tally], &alone, 2000, 1).remove(0);
        let (low, high) = interval(values.into_iter()).unwrap();
        assert!((low - 0.451).abs() < 0.006, "{low}");
        assert!((high - 0.549).abs() < 0.006, "{high}");
    }

    #[test]
    fn samples_that_are_alike_count_once() {
        // 100 groups of four equal values: the standard error is 0.5 / 10, as of 100 samples.
        let tally = Tally::Means((0..400).map(|i| Some(f64::from(i / 4 % 2))).collect());
        let groups: Vec<usize> = (0..400).map(|i| i / 4).collect();
        let values = resampled(&[&tally], &groups, 2000, 1).remove(0);
        let (low, high) = interval(values.into_iter()).unwrap();
        assert!((low - 0.402).abs() < 0.012, "{low}");
        assert!((high - 0.598).abs() < 0.012, "{high}");
    }

    #[test]
    fn the_deviation_by_hand() {
        let values = [1.0, 2.0, 3.0, 4.0, f64::NAN];
        assert!((deviation(values.into_iter()).unwrap() - (5.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(deviation([1.0].into_iter()), None);
    }

    #[test]
    fn the_same_resamples_pair_two_systems() {
        // The second is always a tenth above the first: whatever is drawn, so is the mean.
        let of = |add: f64| {
            Tally::Means(
                (0..40)
                    .map(|i| Some(f64::from(i % 7) / 10.0 + add))
                    .collect(),
            )
        };
        let (a, b) = (of(0.1), of(0.0));
        let alone: Vec<usize> = (0..40).collect();
        let values = resampled(&[&a, &b], &alone, 200, 5);
        for (a, b) in values[0].iter().zip(&values[1]) {
            assert!((a - b - 0.1).abs() < 1e-12);
        }
    }

    #[test]
    fn p_values_are_two_sided_and_never_zero() {
        let all_above = std::iter::repeat_n(0.5, 999);
        assert!((p_value(all_above) - 2.0 / 1000.0).abs() < 1e-12);
        assert_eq!(p_value([0.0; 10].into_iter()), 1.0);
        assert_eq!(p_value(std::iter::empty()), 1.0);
    }
}
