//! GPTQ (Frantar et al. 2023): columns are rounded one after the other, and what each loses is made
//! up for by those not yet rounded, by the second moments of the layer's inputs.
//!
//! With `H = X^T X` of the inputs and `H^-1 = U^T U`, `U` upper triangular, column `i` loses
//! `e = (w - rounded) / U[i, i]`, and each later column `j` takes over `-e U[i, j]`. Each group's
//! scale is searched when its first column is due, its errors weighed by `1 / U[i, i]^2`.

use rayon::prelude::*;

use super::matrix::{Format, QuantizedMatrix, ScaleType, check_values};
use super::rounding::{self, Rounding};
use crate::error::{ModelError, Result};

/// Part of the mean of `H`'s diagonal that is added to it.
const DAMPING: f64 = 0.01;

/// What is known of a layer's inputs, ready for any number of its weights.
pub struct Moments {
    columns: usize,
    /// `U` [columns, columns].
    factor: Vec<f32>,
}

impl Moments {
    /// From `H = X^T X` [columns, columns], as a sum over any number of inputs.
    ///
    /// # Errors
    /// When `H` has another size, or is not positive definite even when damped.
    pub fn new(moments: &[f32], columns: usize) -> Result<Self> {
        if columns == 0 || moments.len() != columns * columns {
            let problem = format!("{} moments of {columns} inputs", moments.len());
            return Err(ModelError::setting(problem, "give columns times columns"));
        }
        let diagonal = |i: usize| f64::from(moments[i * columns + i]);
        let mean = (0..columns).map(diagonal).sum::<f64>() / columns as f64;
        let damping = DAMPING * mean.max(1e-12);
        // Reversed in both directions, so that its lower factor is the upper one of `H`.
        let mut lower = vec![0.0f64; columns * columns];
        for (i, row) in lower.chunks_exact_mut(columns).enumerate() {
            for (j, value) in row.iter_mut().enumerate() {
                let place = (columns - 1 - i) * columns + columns - 1 - j;
                *value = f64::from(moments[place]);
            }
            row[i] += damping;
        }
        if !cholesky(&mut lower, columns) {
            return Err(ModelError::setting(
                "the moments of a layer's inputs are not positive definite",
                "calibrate with other rows; the model may be damaged",
            ));
        }
        let inverse = inverse_transposed(&lower, columns);
        let mut factor = vec![0.0f32; columns * columns];
        for (i, row) in factor.chunks_exact_mut(columns).enumerate() {
            for (j, value) in row.iter_mut().enumerate().skip(i) {
                *value = inverse[(columns - 1 - j) * columns + columns - 1 - i] as f32;
            }
        }
        Ok(Self { columns, factor })
    }

    /// Quantizes a weight [rows, columns] of a layer with these inputs.
    ///
    /// # Errors
    /// When `values` has another size or holds a number that is not finite.
    pub fn quantize(&self, values: &[f32], rows: usize, format: Format) -> Result<QuantizedMatrix> {
        let columns = self.columns;
        check_values(values, rows, columns)?;
        let (width, groups) = (format.group.width(columns), format.group.count(columns));
        let rounding = Rounding {
            bits: format.bits,
            scale: ScaleType::Bf16,
            search: true,
        };
        let importance: Vec<f32> = (0..columns)
            .map(|i| self.factor[i * columns + i].powi(-2))
            .collect();
        let mut codes = vec![0i8; values.len()];
        let mut scales = vec![0.0f32; rows * groups];
        let rows_of = codes
            .par_chunks_mut(columns)
            .zip(scales.par_chunks_mut(groups))
            .zip(values.par_chunks(columns));
        rows_of.for_each(|((codes, scales), values)| {
            let mut left = values.to_vec();
            for (group, scale) in scales.iter_mut().enumerate() {
                let span = group * width..((group + 1) * width).min(columns);
                let weights = Some(&importance[span.clone()]);
                let places = &mut codes[span.clone()];
                *scale = rounding::quantize_group(rounding, &left[span.clone()], weights, places);
                let inverse = if *scale == 0.0 { 0.0 } else { 1.0 / *scale };
                for i in span {
                    codes[i] = rounding.code(left[i], inverse);
                    let row = &self.factor[i * columns..(i + 1) * columns];
                    let error = (left[i] - f32::from(codes[i]) * *scale) / row[i];
                    for (value, factor) in left[i + 1..].iter_mut().zip(&row[i + 1..]) {
                        *value -= error * factor;
                    }
                }
            }
        });
        QuantizedMatrix::from_parts(rows, columns, format, codes, scales, ScaleType::Bf16)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 8];
    let (a8, b8) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    for (a, b) in a8.0.iter().zip(b8.0) {
        for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += a * b;
        }
    }
    let rest: f64 = a8.1.iter().zip(b8.1).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f64>() + rest
}

/// Replaces the lower triangle of a symmetric matrix by `L` of `L L^T`; whether it could.
fn cholesky(matrix: &mut [f64], n: usize) -> bool {
    for j in 0..n {
        let (above, below) = matrix.split_at_mut((j + 1) * n);
        let row = &mut above[j * n..];
        let pivot = row[j] - dot(&row[..j], &row[..j]);
        if pivot.is_nan() || pivot <= 0.0 {
            return false;
        }
        row[j] = pivot.sqrt();
        let (row, diagonal) = (&row[..j], row[j]);
        below
            .par_chunks_exact_mut(n)
            .with_min_len(32)
            .for_each(|other| {
                other[j] = (other[j] - dot(&other[..j], row)) / diagonal;
            });
    }
    true
}

/// The inverse of a lower triangular matrix, transposed: row `j` holds column `j` of the inverse.
fn inverse_transposed(lower: &[f64], n: usize) -> Vec<f64> {
    let mut inverse = vec![0.0f64; n * n];
    inverse
        .par_chunks_exact_mut(n)
        .enumerate()
        .for_each(|(j, column)| {
            column[j] = 1.0 / lower[j * n + j];
            for i in j + 1..n {
                let row = &lower[i * n..(i + 1) * n];
                column[i] = -dot(&row[j..i], &column[j..i]) / row[i];
            }
        });
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::matrix::{Bits, Group, Method};
    use crate::quant::testing::random;

    /// Inputs [count, columns] whose neighbours go together.
    fn inputs(count: usize, columns: usize) -> Vec<f32> {
        let noise = random(11, count * columns);
        let mut x = noise.clone();
        for row in x.chunks_exact_mut(columns) {
            for i in 1..columns {
                row[i] = 0.9 * row[i - 1] + 0.3 * row[i];
            }
        }
        x
    }

    fn moments(x: &[f32], columns: usize) -> Vec<f32> {
        let mut h = vec![0.0f32; columns * columns];
        for row in x.chunks_exact(columns) {
            for i in 0..columns {
                for j in 0..columns {
                    h[i * columns + j] += row[i] * row[j];
                }
            }
        }
        h
    }

    #[test]
    fn the_factor_is_that_of_the_inverse() {
        let n = 20;
        let h = moments(&inputs(100, n), n);
        let factor = Moments::new(&h, n).unwrap().factor;
        let mean = (0..n).map(|i| h[i * n + i]).sum::<f32>() / n as f32;
        // (H + damping) U^T U is the unit matrix.
        for i in 0..n {
            for j in 0..n {
                let mut sum = 0.0f64;
                for k in 0..n {
                    let damped = h[i * n + k] + if i == k { 0.01 * mean } else { 0.0 };
                    let inverse: f64 = (0..n)
                        .map(|l| f64::from(factor[l * n + k]) * f64::from(factor[l * n + j]))
                        .sum();
                    sum += f64::from(damped) * inverse;
                }
                let expected = f64::from(i == j);
                assert!((sum - expected).abs() < 1e-3, "at {i}, {j}: {sum}");
            }
        }
    }

    #[test]
    fn outputs_are_nearer_than_by_rounding_to_nearest() {
        let (rows, columns) = (24, 100);
        let x = inputs(400, columns);
        let moments = Moments::new(&moments(&x, columns), columns).unwrap();
        let weight = random(12, rows * columns);
        let loss = |matrix: &QuantizedMatrix| {
            let back = matrix.dequantize();
            let mut sum = 0.0f64;
            for x in x.chunks_exact(columns) {
                for (w, q) in weight.chunks_exact(columns).zip(back.chunks_exact(columns)) {
                    let error: f32 = w.iter().zip(q).zip(x).map(|((w, q), x)| (w - q) * x).sum();
                    sum += f64::from(error) * f64::from(error);
                }
            }
            sum
        };
        for group in [Group::Columns(32), Group::Columns(64), Group::Channel] {
            let format = Format {
                bits: Bits::Int4,
                group,
            };
            let ours = moments.quantize(&weight, rows, format).unwrap();
            let nearest =
                QuantizedMatrix::quantize_as(&weight, rows, columns, format, Method::Search);
            let (ours, nearest) = (loss(&ours), loss(&nearest.unwrap()));
            assert!(
                ours < 0.5 * nearest,
                "{group:?}: {ours}, by rounding {nearest}"
            );
        }
    }
}
