//! Rounding of one group of weights to codes and a scale.
//!
//! To nearest: 8 bits make the largest magnitude 127, 4 bits 7.5. With a search, at 4 bits, of
//! several scales of either sign the one with the least squared error is taken, each improved by
//! least squares for its codes.

use super::matrix::{Bits, ScaleType};

/// How a group is rounded.
#[derive(Debug, Clone, Copy)]
pub struct Rounding {
    /// Width of the codes.
    pub bits: Bits,
    /// How the scale is stored, to which it is rounded before codes are chosen.
    pub scale: ScaleType,
    /// Whether several scales are tried.
    pub search: bool,
}

/// The code that the largest magnitude is tried as, at 4 bits. -8 needs the sign of the scale to
/// be that which makes the largest element negative.
const TARGETS: [f32; 12] = [
    7.0, 7.25, 7.5, 8.0, 8.5, 9.0, -7.25, -7.5, -7.75, -8.0, -8.5, -9.0,
];

/// The same at 8 bits.
const TARGETS_OF_8: [f32; 8] = [127.0, 128.0, 130.0, 132.0, -127.0, -128.0, -130.0, -132.0];

/// Adding 1.5 * 2^23 to a small float rounds it to the nearest integer, ties to even, and leaves
/// that integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The least scale that is not taken for zero; bfloat16 has f32's range.
const SMALLEST: f32 = 1e-36;

impl Rounding {
    /// The code of one value.
    pub fn code(self, value: f32, inverse: f32) -> i8 {
        let half = self.bits.half() as f32;
        ((value * inverse).clamp(-half, half - 1.0) + ROUND).to_bits() as i8
    }

    fn codes(self, values: &[f32], scale: f32, codes: &mut [i8]) {
        let inverse = 1.0 / scale;
        for (code, value) in codes.iter_mut().zip(values) {
            *code = self.code(*value, inverse);
        }
    }
}

/// Fills `codes` and returns the scale, already rounded to its stored form when the codes were
/// chosen. `importance` weighs the squared errors of a search.
pub fn quantize_group(
    rounding: Rounding,
    values: &[f32],
    importance: Option<&[f32]>,
    codes: &mut [i8],
) -> f32 {
    let largest = values
        .iter()
        .copied()
        .fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    if largest.abs() < SMALLEST {
        codes.fill(0);
        return 0.0;
    }
    let plain = match rounding.bits {
        Bits::Int8 => 127.0,
        Bits::Int4 => 7.5,
    };
    if rounding.search {
        let targets: &[f32] = match rounding.bits {
            Bits::Int8 => &TARGETS_OF_8,
            Bits::Int4 => &TARGETS,
        };
        return search(rounding, values, importance, largest, targets, codes);
    }
    let scale = rounding.scale.round(largest.abs() / plain);
    if scale.abs() < SMALLEST {
        codes.fill(0);
        return 0.0;
    }
    rounding.codes(values, scale, codes);
    scale
}

fn search(
    rounding: Rounding,
    values: &[f32],
    importance: Option<&[f32]>,
    largest: f32,
    targets: &[f32],
    codes: &mut [i8],
) -> f32 {
    let mut best = (f64::INFINITY, 0.0);
    let mut trial = vec![0i8; values.len()];
    codes.fill(0);
    for target in targets {
        let mut scale = rounding.scale.round(largest / target);
        for _ in 0..2 {
            if scale.abs() < SMALLEST || !scale.is_finite() {
                break;
            }
            rounding.codes(values, scale, &mut trial);
            let error = squared_error(values, importance, &trial, scale);
            if error < best.0 {
                best = (error, scale);
                codes.copy_from_slice(&trial);
            }
            let fitted = least_squares(values, importance, &trial);
            scale = fitted.map_or(scale, |scale| rounding.scale.round(scale));
        }
    }
    best.1
}

fn weight(importance: Option<&[f32]>, place: usize) -> f64 {
    importance.map_or(1.0, |importance| f64::from(importance[place]))
}

fn squared_error(values: &[f32], importance: Option<&[f32]>, codes: &[i8], scale: f32) -> f64 {
    let pairs = values.iter().zip(codes).enumerate();
    pairs
        .map(|(i, (value, code))| {
            weight(importance, i) * f64::from(value - f32::from(*code) * scale).powi(2)
        })
        .sum()
}

/// The scale that fits given codes best: `sum(w value code) / sum(w code^2)`.
fn least_squares(values: &[f32], importance: Option<&[f32]>, codes: &[i8]) -> Option<f32> {
    let (mut above, mut below) = (0.0f64, 0.0f64);
    for (i, (value, code)) in values.iter().zip(codes).enumerate() {
        let weight = weight(importance, i);
        above += weight * f64::from(*value) * f64::from(*code);
        below += weight * f64::from(*code) * f64::from(*code);
    }
    (below > 0.0).then(|| (above / below) as f32)
}
