//! A matrix of integers with a scale per row and group of [`GROUP`] columns: what is saved.
//!
//! `value = code * scale`, symmetric, without a zero point; the last group of a row may be shorter.

use half::bf16;
use rayon::prelude::*;

use super::GROUP;
use super::rounding::{self, Rounding};
use crate::error::{ModelError, Result};

/// Width of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bits {
    /// 8 bits, -128..=127.
    Int8,
    /// 4 bits, -8..=7.
    Int4,
}

impl Bits {
    /// The width as a number.
    pub fn width(self) -> usize {
        match self {
            Self::Int8 => 8,
            Self::Int4 => 4,
        }
    }

    /// Half the number of codes: the smallest is `-half`, the largest `half - 1`.
    pub fn half(self) -> i32 {
        1 << (self.width() - 1)
    }
}

/// Integer codes and scales, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedMatrix {
    rows: usize,
    columns: usize,
    bits: Bits,
    codes: Vec<i8>,
    scales: Vec<bf16>,
}

impl QuantizedMatrix {
    /// Quantizes a row-major matrix [rows, columns] by rounding to nearest, with a search over
    /// scales at 4 bits.
    ///
    /// # Errors
    /// When `values` has another size or holds a number that is not finite.
    pub fn quantize(values: &[f32], rows: usize, columns: usize, bits: Bits) -> Result<Self> {
        if values.len() != rows * columns || rows == 0 || columns == 0 {
            let problem = format!("{} numbers are no matrix [{rows}, {columns}]", values.len());
            return Err(ModelError::setting(
                problem,
                "give rows times columns numbers",
            ));
        }
        if let Some(place) = values.iter().position(|v| !v.is_finite()) {
            let (row, column) = (place / columns, place % columns);
            let problem = format!(
                "the weight at row {row}, column {column} is {}",
                values[place]
            );
            return Err(ModelError::setting(
                problem,
                "the model is damaged; train or fetch it again",
            ));
        }
        let groups = columns.div_ceil(GROUP);
        let mut codes = vec![0i8; values.len()];
        let mut scales = vec![bf16::ZERO; rows * groups];
        let rounding = Rounding::new(bits);
        let by_row = codes
            .par_chunks_mut(columns)
            .zip(scales.par_chunks_mut(groups));
        by_row
            .zip(values.par_chunks(columns))
            .for_each(|((codes, scales), values)| {
                let groups = codes.chunks_mut(GROUP).zip(values.chunks(GROUP));
                for (scale, (codes, values)) in scales.iter_mut().zip(groups) {
                    *scale = rounding::quantize_group(rounding, values, codes);
                }
            });
        Ok(Self {
            rows,
            columns,
            bits,
            codes,
            scales,
        })
    }

    /// A matrix from its codes and scales, as read from a file.
    ///
    /// # Errors
    /// When their numbers do not fit the shape or a code is out of range.
    pub fn from_parts(
        rows: usize,
        columns: usize,
        bits: Bits,
        codes: Vec<i8>,
        scales: Vec<bf16>,
    ) -> Result<Self> {
        let groups = columns.div_ceil(GROUP);
        if rows == 0
            || columns == 0
            || codes.len() != rows * columns
            || scales.len() != rows * groups
        {
            let problem = format!(
                "{} codes and {} scales are no matrix [{rows}, {columns}] in groups of {GROUP}",
                codes.len(),
                scales.len()
            );
            return Err(ModelError::setting(
                problem,
                "the file is damaged; write it again",
            ));
        }
        let half = bits.half();
        if let Some(code) = codes
            .iter()
            .find(|code| !(-half..half).contains(&i32::from(**code)))
        {
            let problem = format!("code {code} does not fit {} bits", bits.width());
            return Err(ModelError::setting(
                problem,
                "the file is damaged; write it again",
            ));
        }
        Ok(Self {
            rows,
            columns,
            bits,
            codes,
            scales,
        })
    }

    /// Rows, the outputs of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, the inputs of a product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Width of the codes.
    pub fn bits(&self) -> Bits {
        self.bits
    }

    /// The codes, row-major.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The scales, one per row and group.
    pub fn scales(&self) -> &[bf16] {
        &self.scales
    }

    /// Bytes as stored, codes packed: what a row does not fill of its last word counts.
    pub fn bytes(&self) -> usize {
        let words = self.columns.div_ceil(32 / self.bits.width());
        4 * words * self.rows + size_of_val(self.scales.as_slice())
    }

    /// The values that the codes stand for, row-major.
    pub fn dequantize(&self) -> Vec<f32> {
        let groups = self.columns.div_ceil(GROUP);
        let rows = self
            .codes
            .chunks_exact(self.columns)
            .zip(self.scales.chunks_exact(groups));
        rows.flat_map(|(codes, scales)| {
            codes.chunks(GROUP).zip(scales).flat_map(|(codes, scale)| {
                let scale = scale.to_f32();
                codes.iter().map(move |code| f32::from(*code) * scale)
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::testing::random;

    #[test]
    fn error_stays_within_half_a_step() {
        let (rows, columns) = (5, 70);
        let values = random(1, rows * columns);
        let matrix = QuantizedMatrix::quantize(&values, rows, columns, Bits::Int8).unwrap();
        let back = matrix.dequantize();
        for (i, (a, b)) in values.iter().zip(&back).enumerate() {
            let scale = matrix.scales[i / columns * 3 + i % columns / GROUP].to_f32();
            assert!(
                (a - b).abs() <= scale * 0.5001 + 1e-9,
                "at {i}: {a} became {b}, step {scale}"
            );
        }
        assert_eq!(matrix.bytes(), rows * (18 * 4 + 3 * 2));
    }

    #[test]
    fn the_search_beats_the_plain_scale() {
        let values = random(2, 64 * 96);
        let matrix = QuantizedMatrix::quantize(&values, 64, 96, Bits::Int4).unwrap();
        let square = |a: &[f32]| {
            a.iter()
                .zip(&values)
                .map(|(a, b)| (a - b).powi(2) as f64)
                .sum::<f64>()
        };
        let plain: Vec<f32> = values
            .chunks(GROUP)
            .flat_map(|group| {
                let scale = group.iter().fold(0.0f32, |m, v| m.max(v.abs())) / 7.0;
                group.iter().map(move |v| (v / scale).round() * scale)
            })
            .collect();
        let (searched, plain) = (square(&matrix.dequantize()), square(&plain));
        assert!(
            searched < 0.85 * plain,
            "searched {searched}, plain {plain}"
        );
    }

    #[test]
    fn zeros_and_codes_survive_exactly() {
        for bits in [Bits::Int8, Bits::Int4] {
            let zeros = QuantizedMatrix::quantize(&[0.0; 40], 1, 40, bits).unwrap();
            assert_eq!(zeros.dequantize(), vec![0.0; 40]);
            let huge = QuantizedMatrix::quantize(&[3e38, -3e38, 1e-38, 0.0], 1, 4, bits).unwrap();
            assert!(huge.dequantize().iter().all(|v| v.is_finite()));
        }
        let refused = QuantizedMatrix::quantize(&[1.0, f32::NAN], 1, 2, Bits::Int4).unwrap_err();
        assert!(
            refused.to_string().contains("row 0, column 1 is NaN"),
            "{refused}"
        );
    }
}
