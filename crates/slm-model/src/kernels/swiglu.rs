//! SwiGLU's gate: `h = silu(g) u`, `silu(x) = x / (1 + e^-x)` (Shazeer 2020).

use rayon::prelude::*;

use super::exp::{exp, vectorized};

const SPAN: usize = 16 * 1024;

/// The gated product.
///
/// # Shapes
/// `g`, `u` and the result [m, f].
pub fn forward(g: &[f32], u: &[f32]) -> Vec<f32> {
    let mut h = vec![0.0; g.len()];
    h.par_chunks_mut(SPAN)
        .zip(g.par_chunks(SPAN))
        .zip(u.par_chunks(SPAN))
        .for_each(|((h, g), u)| {
            vectorized(|| {
                for ((h, g), u) in h.iter_mut().zip(g).zip(u) {
                    *h = g / (1.0 + exp(-g)) * u;
                }
            });
        });
    h
}

/// Gradients of [`forward`] towards `g` and `u`.
///
/// `silu'(g) = s (1 + g (1 - s))` with `s = sigmoid(g)`.
///
/// # Shapes
/// All [m, f].
pub fn backward(dh: &[f32], g: &[f32], u: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dg, mut du) = (vec![0.0; g.len()], vec![0.0; g.len()]);
    let outputs = dg.par_chunks_mut(SPAN).zip(du.par_chunks_mut(SPAN));
    outputs
        .zip(dh.par_chunks(SPAN))
        .zip(g.par_chunks(SPAN))
        .zip(u.par_chunks(SPAN))
        .for_each(|((((dg, du), dh), g), u)| {
            vectorized(|| {
                for ((((dg, du), dh), g), u) in dg.iter_mut().zip(du).zip(dh).zip(g).zip(u) {
                    let s = 1.0 / (1.0 + exp(-g));
                    *du = dh * g * s;
                    *dg = dh * u * s * (1.0 + g * (1.0 - s));
                }
            });
        });
    (dg, du)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot, random};

    #[test]
    fn gradients_match_finite_differences() {
        let (g, u, w) = (random(1, 100), random(2, 100), random(3, 100));
        let (dg, du) = backward(&w, &g, &u);
        check_gradient(&g, &dg, 1, |g| dot(&forward(g, &u), &w));
        check_gradient(&u, &du, 1, |u| dot(&forward(&g, u), &w));
    }
}
