//! Fused CPU kernels on row-major `f32` slices, forward and backward, threaded with rayon.
//!
//! Knows slices and shapes only; not burn, not models. Each backward is checked against finite
//! differences in its file, and against burn's composed operations in `ops`.

pub mod attention;
pub mod cross_entropy;
pub mod exp;
pub mod frozen_head;
pub mod gated;
pub mod gemm;
pub mod norm;
pub mod rope;

/// Rows handled by one parallel task of a row-wise kernel.
pub(crate) const ROWS_PER_TASK: usize = 64;

#[cfg(test)]
pub(crate) mod testing {
    //! Random inputs and finite differences for the kernels' tests.
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// `count` values, uniform in -1..1, the same for a seed.
    pub fn random(seed: u64, count: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    /// Checks `gradient` of `loss` at `x` against central differences, at every `stride`-th place.
    pub fn check_gradient(
        x: &[f32],
        gradient: &[f32],
        stride: usize,
        loss: impl Fn(&[f32]) -> f64,
    ) {
        let step = 1e-2f32;
        for i in (0..x.len()).step_by(stride.max(1)) {
            let mut moved = x.to_vec();
            moved[i] = x[i] + step;
            let up = loss(&moved);
            moved[i] = x[i] - step;
            let slope = (up - loss(&moved)) / (2.0 * step as f64);
            let difference = (slope - gradient[i] as f64).abs();
            assert!(
                difference < 2e-2 * (1.0 + slope.abs()),
                "at {i}: finite difference {slope}, gradient {}",
                gradient[i]
            );
        }
    }

    /// Sum of products, the loss whose gradient towards `y` is `weight`.
    pub fn dot(y: &[f32], weight: &[f32]) -> f64 {
        y.iter()
            .zip(weight)
            .map(|(a, b)| *a as f64 * *b as f64)
            .sum()
    }
}
