//! Norm, rotation, activation and softmax on rows of floats, each row by itself and in one fixed
//! order, so that a row's result does not depend on its batch. Compiled for each instruction set;
//! without fused operations, so that all give the same bits.

use rayon::prelude::*;
use slm_model::kernels::exp::tanh;
use slm_model::kernels::gated::Activation;
use slm_model::quant::Threads;
use slm_model::vectorized;

/// Elements below which a pass over rows stays on one thread.
const WORTH_SPLITTING: usize = 1 << 15;

/// Partial sums of a reduction, one per lane of a vector.
const LANES: usize = 16;

/// `x / sqrt(mean(x^2) + epsilon) * weight`, row by row.
///
/// # Shapes
/// `x` [m, weight.len()], result the same.
pub fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32, threads: Threads) -> Vec<f32> {
    let mut out = vec![0.0; x.len()];
    let width = weight.len();
    over_rows(&mut out, width, threads, |row, out| {
        norm_row(&x[row * width..(row + 1) * width], weight, epsilon, out);
    });
    out
}

vectorized! {
    fn norm_row(x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
        let scale = 1.0 / (sum_of_squares(x) / weight.len() as f32 + epsilon).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
}

/// `act(gate) * up`, where each row holds gate and up after one another.
///
/// # Shapes
/// `x` [m, 2 width], result [m, width].
pub fn gated(x: &[f32], width: usize, activation: Activation, threads: Threads) -> Vec<f32> {
    let one = match activation {
        Activation::Silu => silu_row,
        Activation::GeluTanh => gelu_row,
    };
    let mut out = vec![0.0; x.len() / 2];
    over_rows(&mut out, width, threads, |row, out| {
        let (gate, up) = x[2 * row * width..2 * (row + 1) * width].split_at(width);
        one(gate, up, out);
    });
    out
}

vectorized! {
    fn silu_row(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            *out = gate / (1.0 + exp(-gate)) * up;
        }
    }
}

vectorized! {
    fn gelu_row(gate: &[f32], up: &[f32], out: &mut [f32]) {
        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
            let inner = 0.797_884_6 * (gate + 0.044_715 * gate * gate * gate);
            *out = 0.5 * gate * (1.0 + tanh(inner)) * up;
        }
    }
}

/// Multiplies `x` by a factor, unless that is one.
pub fn scale(x: &mut [f32], factor: f32) {
    if factor != 1.0 {
        x.iter_mut().for_each(|x| *x *= factor);
    }
}

vectorized! {
    /// Replaces each `x` by `cap tanh(scale x / cap)`.
    pub fn soft_cap(x: &mut [f32], scale: f32, cap: f32) {
        for x in x.iter_mut() {
            *x = cap * tanh(*x * scale / cap);
        }
    }
}

/// Adds `y` to `x`.
pub fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// Rotates each head of a row by `angles`: pairs are an element and that as many later as there
/// are angles; what is left of a head stays.
///
/// # Shapes
/// `row` [heads * head_dim], `angles` [at most head_dim / 2] of (cosine, sine).
pub fn rotate(row: &mut [f32], head_dim: usize, angles: &[(f32, f32)]) {
    for head in row.chunks_exact_mut(head_dim) {
        let (first, second) = head[..2 * angles.len()].split_at_mut(angles.len());
        for ((a, b), (cosine, sine)) in first.iter_mut().zip(second).zip(angles) {
            (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
        }
    }
}

vectorized! {
    /// Softmax of `scale * scores`, in place.
    pub fn softmax(scores: &mut [f32], scale: f32) {
        let largest = largest(scores);
        for score in scores.iter_mut() {
            *score = exp((*score - largest) * scale);
        }
        let inverse = 1.0 / sum(scores);
        for score in scores.iter_mut() {
            *score *= inverse;
        }
    }
}

vectorized! {
    /// The sum of `e^(x - largest)`.
    pub fn sum_of_exponentials(x: &[f32], largest: f32) -> f32 {
        reduce(x, #[inline(always)] |x| exp(x - largest))
    }
}

/// `e^x`, to within 2 units in the last place, 0 below -87.
///
/// `x = n ln 2 + r`, a polynomial for `e^r` (Cephes), `2^n` by the exponent's bits. Without
/// branches, so that the compiler makes vectors of it.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0;
    let clamped = x.clamp(-87.3, 88.3);
    let n = clamped * std::f32::consts::LOG2_E + ROUND - ROUND;
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let tail = ((((1.987_569_1e-4 * r + 1.398_2e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r
        + 1.666_666_5e-1)
        * r
        + 0.5;
    let value = tail * r * r + r + 1.0;
    let power = f32::from_bits(((n as i32 + 127) as u32) << 23);
    if x < -87.3 { 0.0 } else { value * power }
}

/// The largest of `x`, in lanes, which no order can change.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    lanes
        .into_iter()
        .chain(rest.iter().copied())
        .fold(f32::NEG_INFINITY, larger)
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    reduce(
        x,
        #[inline(always)]
        |x| x,
    )
}

#[inline(always)]
fn sum_of_squares(x: &[f32]) -> f32 {
    reduce(
        x,
        #[inline(always)]
        |x| x * x,
    )
}

/// Sums in [`LANES`] partial sums, then those pairwise.
#[inline(always)]
fn reduce(x: &[f32], map: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += map(*x);
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += map(*x);
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
    }
    lanes[0]
}

fn over_rows(
    out: &mut [f32],
    width: usize,
    threads: Threads,
    row: impl Fn(usize, &mut [f32]) + Sync,
) {
    if threads == Threads::One || out.len() < WORTH_SPLITTING {
        out.chunks_exact_mut(width)
            .enumerate()
            .for_each(|(i, out)| row(i, out));
    } else {
        out.par_chunks_exact_mut(width)
            .enumerate()
            .for_each(|(i, out)| row(i, out));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_accurate() {
        for i in -880..=880 {
            let x = i as f32 / 10.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            assert!(
                (got - want).abs() <= want * 2.5e-7 + 1e-37,
                "exp({x}) = {got}, is {want}"
            );
        }
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert!(exp(1000.0).is_finite());
    }

    #[test]
    fn softmax_sums_to_one_and_norm_has_unit_mean_square() {
        let mut scores: Vec<f32> = (0..37).map(|i| (i as f32 * 1.7).sin() * 30.0).collect();
        softmax(&mut scores, 0.5);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let x: Vec<f32> = (0..100).map(|i| (i as f32).cos() * 3.0).collect();
        let y = rms_norm(&x, &[1.0; 50], 0.0, Threads::One);
        for row in y.chunks(50) {
            assert!((row.iter().map(|v| v * v).sum::<f32>() / 50.0 - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn rotation_keeps_lengths_and_turns_by_the_angle() {
        let mut row = vec![1.0, 0.0, 0.0, 2.0];
        let angle = 0.3f32;
        rotate(&mut row, 4, &[(angle.cos(), angle.sin()), (1.0, 0.0)]);
        assert_eq!(row, vec![angle.cos(), 0.0, angle.sin(), 2.0]);
        let mut row = vec![1.0, 0.0, 7.0, 0.0, 1.0, 8.0];
        rotate(&mut row, 3, &[(0.0, 1.0)]);
        assert_eq!(row, vec![0.0, 1.0, 7.0, -1.0, 0.0, 8.0]);
    }

    #[test]
    fn gates_are_those_of_their_formulas() {
        let y = gated(&[1.0, -2.0, 3.0, 4.0], 2, Activation::Silu, Threads::One);
        for (got, (gate, up)) in y.iter().zip([(1.0f32, 3.0f32), (-2.0, 4.0)]) {
            assert!((got - gate / (1.0 + (-gate).exp()) * up).abs() < 1e-6);
        }
        // torch.nn.functional.gelu(x, approximate="tanh")
        let y = gated(
            &[1.0, -2.0, 1.0, 1.0],
            2,
            Activation::GeluTanh,
            Threads::One,
        );
        assert!((y[0] - 0.841_192).abs() < 1e-6 && (y[1] + 0.045_402_3).abs() < 1e-6);
    }

    #[test]
    fn bounds_are_soft() {
        let mut x: Vec<f32> = (-300..300).map(|i| i as f32).collect();
        soft_cap(&mut x, 0.5, 30.0);
        for (i, x) in (-300..300).zip(x) {
            let exact = 30.0 * (f64::from(i) * 0.5 / 30.0).tanh();
            assert!(
                (f64::from(x) - exact).abs() < 2e-5,
                "at {i}: {x}, not {exact}"
            );
        }
    }
}
