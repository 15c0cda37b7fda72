//! How far a changed model is from its original: perplexity, KL divergence, and how often both
//! would take the same token.

use rayon::prelude::*;
use serde::Serialize;
use slm_model::quant::Threads;

use crate::awake::awake;
use crate::calibrate::check_sequences;
use crate::error::Result;
use crate::model::Model;

/// What two models say to the same texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fidelity {
    /// Tokens that were predicted.
    pub tokens: usize,
    /// `e` to the mean negative log-likelihood of the texts' tokens, by the original.
    pub perplexity_before: f64,
    /// The same by the changed model.
    pub perplexity_after: f64,
    /// Mean of `sum p ln(p / q)` over positions, in nats, `p` the original's and `q` the changed
    /// model's probabilities.
    pub kl_divergence: f64,
    /// Part of the positions at which both find the same token likeliest.
    pub top_token_agreement: f64,
}

/// Compares two models of one vocabulary on texts, each from its first token on.
///
/// # Errors
/// When a text does not fit a model, or there is none.
pub fn fidelity(original: &Model, changed: &Model, texts: &[Vec<u32>]) -> Result<Fidelity> {
    check_sequences(original, texts)?;
    check_sequences(changed, texts)?;
    let vocabulary = original.config().vocab_size;
    let mut sums = [0.0f64; 4];
    for tokens in texts.iter().filter(|tokens| tokens.len() > 1) {
        let before = awake(|| original.all_logits(tokens, Threads::All));
        let after = awake(|| changed.all_logits(tokens, Threads::All));
        let rows = before
            .par_chunks_exact(vocabulary)
            .zip(after.par_chunks_exact(vocabulary))
            .zip(&tokens[1..]);
        let rows: Vec<[f64; 4]> = rows
            .map(|((before, after), next)| position(before, after, *next as usize))
            .collect();
        for row in rows {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += value;
            }
        }
    }
    let tokens: usize = texts.iter().map(|tokens| tokens.len() - 1).sum();
    let mean = sums.map(|sum| sum / tokens.max(1) as f64);
    Ok(Fidelity {
        tokens,
        perplexity_before: mean[0].exp(),
        perplexity_after: mean[1].exp(),
        kl_divergence: mean[2],
        top_token_agreement: mean[3],
    })
}

/// Negative log-likelihoods of the next token by both, the divergence, and whether they agree.
fn position(before: &[f32], after: &[f32], next: usize) -> [f64; 4] {
    let (p, q) = (log_softmax(before), log_softmax(after));
    let divergence: f64 = p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum();
    let likeliest = |logits: &[f64]| {
        let larger = |best: usize, i: usize| if logits[i] > logits[best] { i } else { best };
        (0..logits.len()).fold(0, larger)
    };
    let agree = likeliest(&p) == likeliest(&q);
    [-p[next], -q[next], divergence, f64::from(u8::from(agree))]
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shifted: Vec<f64> = logits
        .iter()
        .map(|l| f64::from(*l) - f64::from(largest))
        .collect();
    let sum: f64 = shifted.iter().map(|l| l.exp()).sum();
    let log = sum.ln();
    shifted.into_iter().map(|l| l - log).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_that_of_the_formula() {
        let before = [0.0f32, 2f32.ln()];
        let after = [0.0f32, 0.0];
        let [p, q, divergence, agree] = position(&before, &after, 1);
        let (third, half) = (1.0f64 / 3.0, 0.5f64);
        let expected = third * (third / half).ln() + 2.0 * third * (2.0 * third / half).ln();
        assert!((p + (2.0 * third).ln()).abs() < 1e-7 && (q + half.ln()).abs() < 1e-7);
        assert!((divergence - expected).abs() < 1e-7);
        assert_eq!(agree, 0.0);
        let [p, q, divergence, agree] = position(&before, &before, 0);
        assert!(p == q && divergence.abs() < 1e-12 && agree == 1.0);
    }
}
