//! Token F1 as SQuAD defines it: overlap of normalized tokens, counted as a multiset.
//!
//! Does not know aggregation; its mean over samples is the metric.

use std::collections::HashMap;

use super::Sample;
use super::normalize::tokens;

/// Token F1 of one sample; 0 without a usable answer.
pub fn of_sample(sample: &Sample) -> f64 {
    match sample.answer.cause() {
        Some(_) => 0.0,
        None => token_f1(&sample.answer.raw, &sample.row.target_text()),
    }
}

/// 2 P R / (P + R) over tokens. When either side has no token left, 1 if both
/// have none and 0 otherwise.
pub fn token_f1(output: &str, target: &str) -> f64 {
    let (output, target) = (tokens(output), tokens(target));
    if output.is_empty() || target.is_empty() {
        return f64::from(output.is_empty() && target.is_empty());
    }
    let mut left: HashMap<&str, usize> = HashMap::new();
    for token in &target {
        *left.entry(token).or_default() += 1;
    }
    let mut common = 0;
    for token in &output {
        if let Some(count) = left.get_mut(token.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            common += 1;
        }
    }
    2.0 * f64::from(common) / (output.len() + target.len()) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_count_as_often_as_they_stand() {
        // Output x x y, target x y y z: common x, y = 2 of 3 and 4 tokens.
        assert!((token_f1("x x y", "x y y z") - 4.0 / 7.0).abs() < 1e-12);
        assert_eq!(token_f1("The cat!", "cat"), 1.0);
        assert_eq!(token_f1("dog", "cat"), 0.0);
    }

    #[test]
    fn empty_sides() {
        assert_eq!(token_f1("the", ""), 1.0);
        assert_eq!(token_f1("", "cat"), 0.0);
        assert_eq!(token_f1("cat", "the"), 0.0);
    }
}
