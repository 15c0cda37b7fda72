//! Rounding of one group of weights to codes and a bfloat16 scale.
//!
//! 8 bits: the largest magnitude becomes 127. 4 bits: of several scales of either sign, the one
//! with the least squared error, each improved by least squares for its codes.

use half::bf16;

use super::GROUP;
use super::matrix::Bits;

/// How a group is rounded.
#[derive(Clone, Copy)]
pub struct Rounding {
    bits: Bits,
}

/// The code that the largest magnitude is tried as, at 4 bits. -8 needs the sign of the scale to
/// be that which makes the largest element negative.
const TARGETS: [f32; 12] = [
    7.0, 7.25, 7.5, 8.0, 8.5, 9.0, -7.25, -7.5, -7.75, -8.0, -8.5, -9.0,
];

/// Adding 1.5 * 2^23 to a small float rounds it to the nearest integer, ties to even, and leaves
/// that integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// The least scale that is not taken for zero; bfloat16 has f32's range.
const SMALLEST: f32 = 1e-36;

impl Rounding {
    /// Rounding to codes of `bits`.
    pub fn new(bits: Bits) -> Self {
        Self { bits }
    }

    fn codes(self, values: &[f32], scale: f32, codes: &mut [i8]) {
        let half = self.bits.half() as f32;
        let inverse = 1.0 / scale;
        for (code, value) in codes.iter_mut().zip(values) {
            *code = ((value * inverse).clamp(-half, half - 1.0) + ROUND).to_bits() as i8;
        }
    }
}

/// Fills `codes` and returns the scale, already rounded to bfloat16 when the codes were chosen.
pub fn quantize_group(rounding: Rounding, values: &[f32], codes: &mut [i8]) -> bf16 {
    let largest = values
        .iter()
        .copied()
        .fold(0.0f32, |a, b| if b.abs() > a.abs() { b } else { a });
    if largest.abs() < SMALLEST {
        codes.fill(0);
        return bf16::ZERO;
    }
    match rounding.bits {
        Bits::Int8 => {
            let scale = bf16::from_f32(largest.abs() / 127.0);
            rounding.codes(values, scale.to_f32(), codes);
            scale
        }
        Bits::Int4 => search(rounding, values, largest, codes),
    }
}

fn search(rounding: Rounding, values: &[f32], largest: f32, codes: &mut [i8]) -> bf16 {
    let mut best = (f64::INFINITY, bf16::ZERO);
    let mut trial = [0i8; GROUP];
    let trial = &mut trial[..values.len()];
    for target in TARGETS {
        let mut scale = bf16::from_f32(largest / target);
        for _ in 0..2 {
            if scale.to_f32().abs() < SMALLEST || !scale.is_finite() {
                break;
            }
            rounding.codes(values, scale.to_f32(), trial);
            let error = squared_error(values, trial, scale.to_f32());
            if error < best.0 {
                best = (error, scale);
                codes.copy_from_slice(trial);
            }
            scale = least_squares(values, trial).unwrap_or(scale);
        }
    }
    best.1
}

fn squared_error(values: &[f32], codes: &[i8], scale: f32) -> f64 {
    let pairs = values.iter().zip(codes);
    pairs
        .map(|(value, code)| f64::from(value - f32::from(*code) * scale).powi(2))
        .sum()
}

/// The scale that fits given codes best: `sum(value code) / sum(code^2)`.
fn least_squares(values: &[f32], codes: &[i8]) -> Option<bf16> {
    let mut above = 0.0f64;
    let mut below = 0.0f64;
    for (value, code) in values.iter().zip(codes) {
        above += f64::from(*value) * f64::from(*code);
        below += f64::from(*code) * f64::from(*code);
    }
    (below > 0.0).then(|| bf16::from_f32((above / below) as f32))
}
