//! Rotary frequencies as Hugging Face's rope types define them.
//!
//! Knows one rope's settings and its numbers; not configs, tables or tensors. The formulas are
//! those of transformers' `modeling_rope_utils`.

use std::f64::consts::PI;

/// The rotary embedding of a kind of layer.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Elements of a head that turn, its first ones; 0 where no position is embedded.
    pub width: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// How the frequencies are stretched for long contexts.
    pub scaling: RopeScaling,
}

/// How rotary frequencies are stretched (`rope_type`).
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    Default,
    /// All divided by a factor (Chen et al. 2023).
    Linear(f64),
    /// Low frequencies divided, those between interpolated (Llama 3.1).
    Llama3(Llama3Scaling),
    /// By parts, with a factor on cosines and sines (Peng et al. 2023).
    Yarn(YarnScaling),
    /// By a list of factors, another for long sequences (Ding et al. 2024).
    LongRope(LongRopeScaling),
}

/// Llama 3's scaling of rotary frequencies (`rope_type: llama3`).
#[derive(Debug, Clone, PartialEq)]
pub struct Llama3Scaling {
    /// Division of the low frequencies.
    pub factor: f64,
    /// Wavelengths longer than `original / low_freq_factor` are divided by `factor`.
    pub low_freq_factor: f64,
    /// Wavelengths shorter than `original / high_freq_factor` are kept.
    pub high_freq_factor: f64,
    /// Context length before scaling.
    pub original_max_position_embeddings: f64,
}

/// YaRN's scaling of rotary frequencies (`rope_type: yarn`).
#[derive(Debug, Clone, PartialEq)]
pub struct YarnScaling {
    /// Division of the low frequencies.
    pub factor: f64,
    /// Turns within the original context from which a frequency is kept.
    pub beta_fast: f64,
    /// Turns below which it is divided.
    pub beta_slow: f64,
    /// Context length before scaling.
    pub original_max_position_embeddings: f64,
    /// Whether the bounds between kept and divided are rounded to whole pairs.
    pub truncate: bool,
    /// Factor on cosines and sines.
    pub attention_factor: f64,
}

/// LongRoPE's scaling of rotary frequencies (`rope_type: longrope`).
#[derive(Debug, Clone, PartialEq)]
pub struct LongRopeScaling {
    /// Division of each frequency in sequences up to the original context.
    pub short_factor: Vec<f64>,
    /// Division of each frequency in longer ones.
    pub long_factor: Vec<f64>,
    /// Context length before scaling.
    pub original_max_position_embeddings: usize,
    /// Factor on cosines and sines.
    pub attention_factor: f64,
}

impl Rope {
    /// No rotation: positions are not embedded.
    pub fn none() -> Self {
        Self {
            width: 0,
            theta: 1.0,
            scaling: RopeScaling::Default,
        }
    }

    /// Pairs of elements that turn.
    pub fn pairs(&self) -> usize {
        self.width.div_ceil(2)
    }

    /// Frequencies, one per pair, that hold in a sequence of `length` tokens.
    pub fn frequencies(&self, length: usize) -> Vec<f64> {
        let plain: Vec<f64> = (0..self.pairs())
            .map(|i| self.theta.powf(-2.0 * i as f64 / self.width as f64))
            .collect();
        match &self.scaling {
            RopeScaling::Default => plain,
            RopeScaling::Linear(factor) => plain.iter().map(|f| f / factor).collect(),
            RopeScaling::Llama3(scaling) => plain.iter().map(|f| scaling.scale(*f)).collect(),
            RopeScaling::Yarn(scaling) => scaling.scale(&plain, self.width, self.theta),
            RopeScaling::LongRope(scaling) => {
                let factors = scaling.factors(length);
                plain.iter().zip(factors).map(|(f, by)| f / by).collect()
            }
        }
    }

    /// Every set of frequencies there is: one, or that of short and that of long sequences.
    pub fn frequency_sets(&self) -> Vec<Vec<f64>> {
        match self.longest_short() {
            None => vec![self.frequencies(0)],
            Some(short) => vec![
                self.frequencies(short),
                self.frequencies(short.saturating_add(1)),
            ],
        }
    }

    /// Length up to which a sequence counts as short, where long ones turn otherwise.
    pub fn longest_short(&self) -> Option<usize> {
        match &self.scaling {
            RopeScaling::LongRope(scaling) => Some(scaling.original_max_position_embeddings),
            _ => None,
        }
    }

    /// Factor on cosines and sines.
    pub fn attention_factor(&self) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn(scaling) => scaling.attention_factor,
            RopeScaling::LongRope(scaling) => scaling.attention_factor,
            _ => 1.0,
        }
    }
}

impl Llama3Scaling {
    /// Scales one frequency as transformers' `_compute_llama3_parameters` does.
    fn scale(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * PI / frequency;
        let original = self.original_max_position_embeddings;
        if wavelength < original / self.high_freq_factor {
            return frequency;
        }
        if wavelength > original / self.low_freq_factor {
            return frequency / self.factor;
        }
        let smooth = (original / wavelength - self.low_freq_factor)
            / (self.high_freq_factor - self.low_freq_factor);
        (1.0 - smooth) * frequency / self.factor + smooth * frequency
    }
}

impl YarnScaling {
    /// The factor that the paper recommends for a stretch by `factor`, times `weight` in its
    /// logarithm: `0.1 weight ln(factor) + 1`.
    pub fn recommended_factor(factor: f64, weight: f64) -> f64 {
        if factor <= 1.0 {
            1.0
        } else {
            0.1 * weight * factor.ln() + 1.0
        }
    }

    /// Blends kept and divided frequencies, as `_compute_yarn_parameters` does.
    fn scale(&self, plain: &[f64], width: usize, theta: f64) -> Vec<f64> {
        let bound = |turns: f64| {
            let original = self.original_max_position_embeddings;
            width as f64 * (original / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln())
        };
        let (mut low, mut high) = (bound(self.beta_fast), bound(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        low = low.max(0.0);
        high = high.min(width as f64 - 1.0);
        if low == high {
            high += 0.001;
        }
        let blend = |(i, frequency): (usize, &f64)| {
            let divided = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            frequency / self.factor * divided + frequency * (1.0 - divided)
        };
        plain.iter().enumerate().map(blend).collect()
    }
}

impl LongRopeScaling {
    /// The factor that `_compute_longrope_parameters` takes for a context stretched by `factor`.
    pub fn recommended_factor(factor: f64, original: f64) -> f64 {
        if factor <= 1.0 {
            1.0
        } else {
            (1.0 + factor.ln() / original.ln()).sqrt()
        }
    }

    fn factors(&self, length: usize) -> &[f64] {
        if length > self.original_max_position_embeddings {
            &self.long_factor
        } else {
            &self.short_factor
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(scaling: RopeScaling) -> Rope {
        Rope {
            width: 8,
            theta: 10_000.0,
            scaling,
        }
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (a, b) in found.iter().zip(expected) {
            assert!(
                (a - b).abs() <= 1e-6 * b.abs(),
                "{found:?}, not {expected:?}"
            );
        }
    }

    #[test]
    fn plain_and_linear_frequencies() {
        close(
            &rope(RopeScaling::Default).frequencies(9),
            &[1.0, 0.1, 0.01, 0.001],
        );
        close(
            &rope(RopeScaling::Linear(4.0)).frequencies(9),
            &[0.25, 0.025, 0.0025, 0.00025],
        );
        assert!(Rope::none().frequencies(9).is_empty());
    }

    /// By hand: at 64 positions and theta 1e4, 32 turns lie at `8 ln(64 / 64 pi) / 2 ln 1e4 < 0`
    /// and 1 turn at `8 ln(64 / 2 pi) / 2 ln 1e4 = 1.008`, rounded up to 2.
    #[test]
    fn yarn_keeps_fast_pairs_and_divides_slow_ones() {
        let scaling = YarnScaling {
            factor: 4.0,
            beta_fast: 32.0,
            beta_slow: 1.0,
            original_max_position_embeddings: 64.0,
            truncate: true,
            attention_factor: YarnScaling::recommended_factor(4.0, 1.0),
        };
        let rope = rope(RopeScaling::Yarn(scaling));
        close(
            &rope.frequencies(9),
            &[1.0, 0.1 * 0.5 + 0.025 * 0.5, 0.0025, 0.00025],
        );
        assert!((rope.attention_factor() - 1.138_629_4).abs() < 1e-6);
    }

    #[test]
    fn longrope_switches_behind_the_original_context() {
        let scaling = LongRopeScaling {
            short_factor: vec![1.0; 4],
            long_factor: vec![1.0, 2.0, 4.0, 8.0],
            original_max_position_embeddings: 16,
            attention_factor: LongRopeScaling::recommended_factor(4.0, 16.0),
        };
        let rope = rope(RopeScaling::LongRope(scaling));
        close(&rope.frequencies(16), &[1.0, 0.1, 0.01, 0.001]);
        close(&rope.frequencies(17), &[1.0, 0.05, 0.0025, 0.000_125]);
        assert_eq!(rope.frequency_sets().len(), 2);
        assert!((rope.attention_factor() - 1.5f64.sqrt()).abs() < 1e-12);
    }
}
