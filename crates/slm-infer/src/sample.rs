//! Choosing a token from logits.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::elementwise::sum_of_exponentials;
use crate::request::Request;

/// The token chosen and the logarithm of its probability at temperature 1; nothing when all are
/// forbidden.
pub fn choose(logits: &[f32], request: &Request, rng: &mut ChaCha8Rng) -> Option<(u32, f32)> {
    let best = likeliest(logits)?;
    let largest = logits[best];
    let token = if request.temperature > 0.0 {
        draw(logits, largest, request, rng)
    } else {
        best
    };
    let log_probability = logits[token] - largest - sum_of_exponentials(logits, largest).ln();
    Some((token as u32, log_probability))
}

/// The first of the largest logits.
fn likeliest(logits: &[f32]) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, logit) in logits.iter().enumerate() {
        if *logit > best.map_or(f32::NEG_INFINITY, |best| logits[best]) {
            best = Some(i);
        }
    }
    best
}

fn draw(logits: &[f32], largest: f32, request: &Request, rng: &mut ChaCha8Rng) -> usize {
    let weight = |i: usize| f64::from(((logits[i] - largest) / request.temperature).exp());
    let weights: Vec<f64> = (0..logits.len())
        .map(weight)
        .map(|w| if w.is_nan() { 0.0 } else { w })
        .collect();
    let candidates = candidates(&weights, request);
    let total: f64 = candidates.iter().map(|i| weights[*i]).sum();
    let mut left = rng.random::<f64>() * total;
    for i in &candidates {
        left -= weights[*i];
        if left < 0.0 {
            return *i;
        }
    }
    candidates.last().copied().unwrap_or_default()
}

/// Makes tokens that were there less likely, each once.
pub fn penalize(logits: &mut [f32], seen: impl Iterator<Item = u32>, penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let seen: BTreeSet<u32> = seen.collect();
    for token in seen {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit > 0.0 {
                *logit / penalty
            } else {
                *logit * penalty
            };
        }
    }
}

/// The tokens that top-k, top-p and min-p leave; by falling weight where one of the former is on,
/// else in order. The likeliest has the weight 1.
fn candidates(weights: &[f64], request: &Request) -> Vec<usize> {
    let least = f64::from(request.min_p);
    let likely = |i: &usize| weights[*i] > 0.0 && weights[*i] >= least;
    if request.top_k == 0 && request.top_p >= 1.0 {
        return (0..weights.len()).filter(likely).collect();
    }
    // What is rarer than (1 - top_p) / n cannot be needed to reach top_p.
    let total: f64 = weights.iter().sum();
    let rare = total * (1.0 - f64::from(request.top_p)) / weights.len() as f64;
    let mut kept: Vec<usize> = (0..weights.len())
        .filter(|i| likely(i) && weights[*i] >= rare)
        .collect();
    kept.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    if request.top_k > 0 {
        kept.truncate(request.top_k);
    }
    let enough = f64::from(request.top_p) * kept.iter().map(|i| weights[*i]).sum::<f64>();
    let mut reached = 0.0;
    let needed = kept.iter().position(|i| {
        reached += weights[*i];
        reached >= enough
    });
    kept.truncate(needed.map_or(kept.len(), |last| last + 1));
    kept
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn request(temperature: f32, top_k: usize, top_p: f32) -> Request {
        Request {
            temperature,
            top_k,
            top_p,
            ..Request::greedy(vec![0], 1, vec![])
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_largest_and_tells_its_probability() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let logits = [0.0, 2.0, 2.0, f32::NEG_INFINITY];
        let (token, log_probability) = choose(&logits, &request(0.0, 0, 1.0), &mut rng).unwrap();
        let expected = -(2.0 + (-2.0f32).exp()).ln();
        assert_eq!(token, 1);
        assert!((log_probability - expected).abs() < 1e-6);
        assert_eq!(
            choose(&[f32::NEG_INFINITY; 3], &request(0.0, 0, 1.0), &mut rng),
            None
        );
    }

    #[test]
    fn draws_follow_the_probabilities_and_the_seed() {
        let logits = [1.0f32, 0.0, -1.0];
        let draws = |seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            (0..4000)
                .map(|_| choose(&logits, &request(1.0, 0, 1.0), &mut rng).unwrap().0)
                .collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
        let share = draws(1).iter().filter(|t| **t == 0).count() as f32 / 4000.0;
        assert!(
            (share - 0.665).abs() < 0.03,
            "share of the likeliest: {share}"
        );
    }

    #[test]
    fn min_p_leaves_what_is_likely_enough_and_repetition_costs() {
        let weights = [0.1, 1.0, 0.05, 0.3, 0.15];
        let asked = Request {
            min_p: 0.12,
            ..request(1.0, 0, 1.0)
        };
        assert_eq!(candidates(&weights, &asked), [1, 3, 4]);
        let mut logits = [2.0, -2.0, 1.0, 4.0];
        penalize(&mut logits, [0, 1, 0, 9].into_iter(), 2.0);
        assert_eq!(logits, [1.0, -4.0, 1.0, 4.0]);
    }

    #[test]
    fn top_k_and_top_p_cut_the_tail() {
        let weights = [0.1, 0.4, 0.05, 0.3, 0.15];
        assert_eq!(candidates(&weights, &request(1.0, 2, 1.0)), [1, 3]);
        assert_eq!(candidates(&weights, &request(1.0, 0, 0.8)), [1, 3, 4]);
        assert_eq!(candidates(&weights, &request(1.0, 3, 0.5)), [1, 3]);
        assert_eq!(candidates(&weights, &request(1.0, 0, 1e-6)), [1]);
        assert_eq!(candidates(&weights, &request(1.0, 0, 1.0)), [0, 1, 2, 3, 4]);
    }
}
