//! What training does to the embeddings: uniform noise (NEFTune, Jain et al. 2023), and words of
//! the prompt left out.
//!
//! The noise of a step is a function of the seed, the step and the place in it, so a resumed run
//! draws what the unbroken one drew. Does not know models; evaluation never sees it.

use std::collections::HashSet;

use rayon::prelude::*;
use slm_model::ops::Packing;

use crate::batch::{self, Batch};
use crate::settings::TrainSettings;

/// The noise of one batch.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Size; 5 is usual, 0 for none.
    pub alpha: f64,
    /// Share of the prompt's tokens that are left out.
    pub dropout: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Step, from 1.
    pub step: u64,
    /// Number of the batch in the step, from 0.
    pub batch: u64,
}

impl Noise {
    /// The noise of a step, should the settings ask for any.
    pub fn of(settings: &TrainSettings, step: u64) -> Option<Self> {
        let noise = Self {
            alpha: settings.neftune_alpha,
            dropout: settings.prompt_dropout,
            seed: settings.seed,
            step,
            batch: 0,
        };
        (noise.alpha > 0.0 || noise.dropout > 0.0).then_some(noise)
    }

    /// 0 for each token that is left out, 1 for the others. Only tokens that are not learned and
    /// do not occur in what their example learns are left out, so that nothing that is to be
    /// copied goes missing.
    ///
    /// # Shapes
    /// Result [m], m the rows of the batch.
    pub fn kept(&self, batch: &Batch) -> Vec<f32> {
        let key = mix(mix(mix(!self.seed) ^ self.step) ^ self.batch);
        let mut kept = vec![1.0; batch.tokens.len()];
        for example in 0..batch.examples() {
            let learned = &batch.labels[batch.labelled(example)];
            let learned: HashSet<u32> = learned.iter().copied().collect();
            let rows = batch.packing.bounds[example]..batch.packing.bounds[example + 1];
            for (row, kept) in rows.clone().zip(&mut kept[rows]) {
                let draw = (mix(key ^ row as u64) >> 11) as f64 / (1u64 << 53) as f64;
                if draw < self.dropout && !learned.contains(&batch.tokens[row]) {
                    *kept = 0.0;
                }
            }
        }
        kept
    }

    /// Uniform in -1..1 times `alpha / sqrt(T d)`, T the tokens of the row's sample.
    ///
    /// # Shapes
    /// Result [m, d], m the rows of `packing`.
    pub fn values(&self, packing: &Packing, width: usize) -> Vec<f32> {
        let key = mix(mix(mix(self.seed) ^ self.step) ^ self.batch);
        let mut scales = Vec::with_capacity(packing.positions.len());
        for span in packing.bounds.windows(2) {
            let tokens = span[1] - span[0];
            let scale = (self.alpha / ((tokens * width) as f64).sqrt()) as f32;
            scales.extend(std::iter::repeat_n(scale, tokens));
        }
        let mut out = vec![0.0; scales.len() * width];
        let rows = out.par_chunks_mut(width.max(1)).zip(&scales).enumerate();
        rows.for_each(|(row, (out, scale))| {
            for (column, out) in out.iter_mut().enumerate() {
                let draw = mix(key ^ (row * width + column) as u64);
                // The upper 24 bits fill a float's mantissa: 0..1 in equal steps.
                let unit = (draw >> 40) as f32 / (1u64 << 24) as f32;
                *out = (2.0 * unit - 1.0) * scale;
            }
        });
        out
    }
}

/// SplitMix64's step and finalizer (Steele et al. 2014).
fn mix(x: u64) -> u64 {
    batch::mix(x.wrapping_add(0x9e37_79b9_7f4a_7c15))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Example;

    const NOISE: Noise = Noise {
        alpha: 5.0,
        dropout: 0.5,
        seed: 1,
        step: 3,
        batch: 0,
    };

    #[test]
    fn each_sample_has_the_size_of_its_length() {
        let (lengths, width) = ([4, 100], 16);
        let values = NOISE.values(&Packing::of_lengths(&lengths), width);
        let (short, long) = values.split_at(4 * width);
        for (part, tokens) in [(short, 4.0), (long, 100.0)] {
            let bound = 5.0 / (tokens * 16.0f32).sqrt();
            let largest = part.iter().fold(0.0f32, |most, v| most.max(v.abs()));
            assert!(
                largest <= bound && largest > 0.8 * bound,
                "{largest}, {bound}"
            );
            let mean = part.iter().sum::<f32>() / part.len() as f32;
            assert!(mean.abs() < 0.25 * bound, "mean {mean}");
        }
    }

    #[test]
    fn only_words_of_the_prompt_that_no_answer_needs_are_left_out() {
        let example = |answer: [u32; 2]| {
            let prompt: Vec<u32> = (0..100).collect();
            Example {
                trained: prompt.iter().map(|_| false).chain([true; 2]).collect(),
                tokens: prompt.into_iter().chain(answer).collect(),
            }
        };
        let batch = Batch::pack(&[example([7, 8]), example([90, 7])]);
        let kept = |noise: Noise| noise.kept(&batch);
        let steps = (1..60).map(|step| kept(Noise { step, ..NOISE }));
        let mut missing = vec![0; batch.tokens.len()];
        for kept in steps {
            for (missing, kept) in missing.iter_mut().zip(kept) {
                *missing += usize::from(kept == 0.0);
            }
        }
        for (row, missing) in missing.into_iter().enumerate() {
            let needed = [7, 8, 100, 101, 102 + 7, 102 + 90, 202, 203].contains(&row);
            assert!(needed == (missing == 0) && missing < 50, "{row}: {missing}");
        }
        assert_eq!(kept(NOISE), kept(NOISE));
        let none = Noise {
            dropout: 0.0,
            ..NOISE
        };
        assert!(kept(none).iter().all(|kept| *kept == 1.0));
    }

    #[test]
    fn the_same_place_draws_the_same_and_another_does_not() {
        let packing = Packing::of_lengths(&[7]);
        let first = NOISE.values(&packing, 8);
        assert_eq!(first, NOISE.values(&packing, 8));
        for other in [
            Noise { step: 4, ..NOISE },
            Noise { batch: 1, ..NOISE },
            Noise { seed: 2, ..NOISE },
        ] {
            assert_ne!(first, other.values(&packing, 8));
        }
    }
}
