//! The gate of an MLP: `h = act(g) u`, with SiLU (SwiGLU) or tanh-GELU (GeGLU) as `act` (Shazeer
//! 2020); gate and up as two tables, or as the halves of each row of one.

use rayon::prelude::*;

use super::ROWS_PER_TASK;
use super::exp::{exp, tanh};
use crate::vectorized;

const SPAN: usize = 16 * 1024;

/// Activation of the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x / (1 + e^-x)`.
    Silu,
    /// `x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2` (Hendrycks and Gimpel 2016).
    GeluTanh,
}

const SQRT_2_BY_PI: f32 = 0.797_884_6;
const CUBIC: f32 = 0.044_715;

/// An activation known at compile time, so that its loop is vectorized.
trait Act {
    /// `act(g) u`.
    fn value(g: f32, u: f32) -> f32;
    /// Gradients of `act(g) u` towards `g` and `u`, given that towards the product.
    fn gradients(dh: f32, g: f32, u: f32) -> (f32, f32);
}

struct Silu;
struct GeluTanh;

impl Act for Silu {
    #[inline(always)]
    fn value(g: f32, u: f32) -> f32 {
        g / (1.0 + exp(-g)) * u
    }

    /// `silu'(g) = s (1 + g (1 - s))` with `s = sigmoid(g)`.
    #[inline(always)]
    fn gradients(dh: f32, g: f32, u: f32) -> (f32, f32) {
        let s = 1.0 / (1.0 + exp(-g));
        (dh * u * s * (1.0 + g * (1.0 - s)), dh * g * s)
    }
}

impl Act for GeluTanh {
    #[inline(always)]
    fn value(g: f32, u: f32) -> f32 {
        0.5 * g * (1.0 + tanh(SQRT_2_BY_PI * (g + CUBIC * g * g * g))) * u
    }

    /// `gelu'(g) = (1 + t) / 2 + g (1 - t^2) c (1 + 3 a g^2) / 2` with `t` the tanh.
    #[inline(always)]
    fn gradients(dh: f32, g: f32, u: f32) -> (f32, f32) {
        let t = tanh(SQRT_2_BY_PI * (g + CUBIC * g * g * g));
        let slope = SQRT_2_BY_PI * (1.0 + 3.0 * CUBIC * g * g);
        let d = 0.5 * (1.0 + t) + 0.5 * g * (1.0 - t * t) * slope;
        (dh * u * d, dh * 0.5 * g * (1.0 + t))
    }
}

/// The gated product.
///
/// # Shapes
/// `g`, `u` and the result [m, f].
pub fn forward(g: &[f32], u: &[f32], activation: Activation) -> Vec<f32> {
    match activation {
        Activation::Silu => forward_as::<Silu>(g, u),
        Activation::GeluTanh => forward_as::<GeluTanh>(g, u),
    }
}

fn forward_as<A: Act>(g: &[f32], u: &[f32]) -> Vec<f32> {
    let mut h = vec![0.0; g.len()];
    h.par_chunks_mut(SPAN)
        .zip(g.par_chunks(SPAN))
        .zip(u.par_chunks(SPAN))
        .for_each(|((h, g), u)| values::<A>(h, g, u));
    h
}

vectorized! {
    fn values<A: Act>(h: &mut [f32], g: &[f32], u: &[f32]) {
        for ((h, g), u) in h.iter_mut().zip(g).zip(u) {
            *h = A::value(*g, *u);
        }
    }
}

/// Gradients of [`forward`] towards `g` and `u`.
///
/// # Shapes
/// All [m, f].
pub fn backward(dh: &[f32], g: &[f32], u: &[f32], activation: Activation) -> (Vec<f32>, Vec<f32>) {
    match activation {
        Activation::Silu => backward_as::<Silu>(dh, g, u),
        Activation::GeluTanh => backward_as::<GeluTanh>(dh, g, u),
    }
}

fn backward_as<A: Act>(dh: &[f32], g: &[f32], u: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (mut dg, mut du) = (vec![0.0; g.len()], vec![0.0; g.len()]);
    let outputs = dg.par_chunks_mut(SPAN).zip(du.par_chunks_mut(SPAN));
    outputs
        .zip(dh.par_chunks(SPAN))
        .zip(g.par_chunks(SPAN))
        .zip(u.par_chunks(SPAN))
        .for_each(|((((dg, du), dh), g), u)| slopes::<A>(dg, du, dh, g, u));
    (dg, du)
}

vectorized! {
    fn slopes<A: Act>(dg: &mut [f32], du: &mut [f32], dh: &[f32], g: &[f32], u: &[f32]) {
        for ((((dg, du), dh), g), u) in dg.iter_mut().zip(du).zip(dh).zip(g).zip(u) {
            (*dg, *du) = A::gradients(*dh, *g, *u);
        }
    }
}

/// The gated product of rows that hold gate and up one after the other.
///
/// # Shapes
/// `gu` [m, 2 f], result [m, f].
pub fn joined_forward(gu: &[f32], f: usize, activation: Activation) -> Vec<f32> {
    match activation {
        Activation::Silu => joined_forward_as::<Silu>(gu, f),
        Activation::GeluTanh => joined_forward_as::<GeluTanh>(gu, f),
    }
}

fn joined_forward_as<A: Act>(gu: &[f32], f: usize) -> Vec<f32> {
    let mut h = vec![0.0; gu.len() / 2];
    h.par_chunks_mut(f * ROWS_PER_TASK)
        .zip(gu.par_chunks(2 * f * ROWS_PER_TASK))
        .for_each(|(h, gu)| {
            for (h, gu) in h.chunks_exact_mut(f).zip(gu.chunks_exact(2 * f)) {
                let (g, u) = gu.split_at(f);
                values::<A>(h, g, u);
            }
        });
    h
}

/// Gradient of [`joined_forward`] towards `gu`.
///
/// # Shapes
/// `dh` [m, f], `gu` and the result [m, 2 f].
pub fn joined_backward(dh: &[f32], gu: &[f32], f: usize, activation: Activation) -> Vec<f32> {
    match activation {
        Activation::Silu => joined_backward_as::<Silu>(dh, gu, f),
        Activation::GeluTanh => joined_backward_as::<GeluTanh>(dh, gu, f),
    }
}

fn joined_backward_as<A: Act>(dh: &[f32], gu: &[f32], f: usize) -> Vec<f32> {
    let mut dgu = vec![0.0; gu.len()];
    dgu.par_chunks_mut(2 * f * ROWS_PER_TASK)
        .zip(gu.par_chunks(2 * f * ROWS_PER_TASK))
        .zip(dh.par_chunks(f * ROWS_PER_TASK))
        .for_each(|((dgu, gu), dh)| {
            let rows = dgu.chunks_exact_mut(2 * f).zip(gu.chunks_exact(2 * f));
            for ((dgu, gu), dh) in rows.zip(dh.chunks_exact(f)) {
                let ((dg, du), (g, u)) = (dgu.split_at_mut(f), gu.split_at(f));
                slopes::<A>(dg, du, dh, g, u);
            }
        });
    dgu
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot, random};

    const BOTH: [Activation; 2] = [Activation::Silu, Activation::GeluTanh];

    #[test]
    fn values_are_those_of_the_formulas() {
        let half = forward(&[1.0, -2.0], &[1.0, 2.0], Activation::GeluTanh);
        // torch.nn.functional.gelu(x, approximate="tanh")
        assert!((half[0] - 0.841_192).abs() < 1e-6, "{half:?}");
        assert!((half[1] + 2.0 * 0.045_402_3).abs() < 1e-6, "{half:?}");
        let silu = forward(&[1.0], &[2.0], Activation::Silu);
        assert!((silu[0] - 2.0 * 0.731_058_6).abs() < 1e-6, "{silu:?}");
    }

    #[test]
    fn gradients_match_finite_differences() {
        for act in BOTH {
            let (g, u, w) = (random(1, 100), random(2, 100), random(3, 100));
            let (dg, du) = backward(&w, &g, &u, act);
            check_gradient(&g, &dg, 1, |g| dot(&forward(g, &u, act), &w));
            check_gradient(&u, &du, 1, |u| dot(&forward(&g, u, act), &w));
        }
    }

    #[test]
    fn joined_rows_equal_two_tables() {
        let (m, f) = (70, 5);
        for act in BOTH {
            let (gu, w) = (random(4, m * 2 * f), random(5, m * f));
            let half = |from: usize| -> Vec<f32> {
                let rows = gu.chunks_exact(2 * f);
                rows.flat_map(|row| row[from..from + f].to_vec()).collect()
            };
            let (g, u) = (half(0), half(f));
            assert_eq!(joined_forward(&gu, f, act), forward(&g, &u, act));
            let d = joined_backward(&w, &gu, f, act);
            let (dg, du) = backward(&w, &g, &u, act);
            for (row, d) in d.chunks_exact(2 * f).enumerate() {
                assert_eq!(d[..f], dg[row * f..(row + 1) * f]);
                assert_eq!(d[f..], du[row * f..(row + 1) * f]);
            }
        }
    }
}
