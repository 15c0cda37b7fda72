//! A matrix of integers with a scale per row and group of columns: what is saved.
//!
//! `value = code * scale`, symmetric, without a zero point; the last group of a row may be shorter.

use half::{bf16, f16};
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

/// How a scale is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScaleType {
    /// bfloat16: what is written here.
    Bf16,
    /// Half precision: what GGUF and GPTQ have.
    F16,
}

impl ScaleType {
    /// The bits of the nearest number.
    pub fn bits(self, value: f32) -> u16 {
        match self {
            Self::Bf16 => bf16::from_f32(value).to_bits(),
            Self::F16 => f16::from_f32(value).to_bits(),
        }
    }

    /// The number of these bits.
    pub fn value(self, bits: u16) -> f32 {
        match self {
            Self::Bf16 => bf16::from_bits(bits).to_f32(),
            Self::F16 => f16::from_bits(bits).to_f32(),
        }
    }

    /// The nearest number that can be stored.
    pub fn round(self, value: f32) -> f32 {
        self.value(self.bits(value))
    }
}

/// The columns that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// So many, a multiple of [`GROUP`]; the last of a row may be fewer.
    Columns(usize),
    /// The whole row, an output channel.
    Channel,
}

impl Group {
    /// Its width in a row of `columns`.
    pub fn width(self, columns: usize) -> usize {
        match self {
            Self::Columns(width) => width,
            Self::Channel => columns.max(1),
        }
    }

    /// Scales of a row of `columns`.
    pub fn count(self, columns: usize) -> usize {
        columns.div_ceil(self.width(columns))
    }
}

/// Width of the codes, and the columns that share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Format {
    /// Width of the codes.
    pub bits: Bits,
    /// The columns that share a scale.
    pub group: Group,
}

impl Format {
    /// Codes of `bits` in groups of [`GROUP`].
    pub fn grouped(bits: Bits) -> Self {
        let group = Group::Columns(GROUP);
        Self { bits, group }
    }
}

/// How scales are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// By the largest magnitude; codes are rounded to nearest.
    Nearest,
    /// The one of several that has the least squared error.
    Search,
}

/// Integer codes and scales, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedMatrix {
    rows: usize,
    columns: usize,
    format: Format,
    scale_type: ScaleType,
    codes: Vec<i8>,
    scales: Vec<f32>,
}

impl QuantizedMatrix {
    /// Quantizes a row-major matrix [rows, columns] in groups of [`GROUP`] by rounding to nearest,
    /// with a search over scales at 4 bits.
    ///
    /// # Errors
    /// When `values` has another size or holds a number that is not finite.
    pub fn quantize(values: &[f32], rows: usize, columns: usize, bits: Bits) -> Result<Self> {
        let method = match bits {
            Bits::Int8 => Method::Nearest,
            Bits::Int4 => Method::Search,
        };
        Self::quantize_as(values, rows, columns, Format::grouped(bits), method)
    }

    /// Quantizes a row-major matrix [rows, columns].
    ///
    /// # Errors
    /// As [`QuantizedMatrix::quantize`].
    pub fn quantize_as(
        values: &[f32],
        rows: usize,
        columns: usize,
        format: Format,
        method: Method,
    ) -> Result<Self> {
        check_values(values, rows, columns)?;
        let (width, groups) = (format.group.width(columns), format.group.count(columns));
        let mut codes = vec![0i8; values.len()];
        let mut scales = vec![0.0; rows * groups];
        let rounding = Rounding {
            bits: format.bits,
            scale: ScaleType::Bf16,
            search: method == Method::Search,
        };
        let by_row = codes
            .par_chunks_mut(columns)
            .zip(scales.par_chunks_mut(groups));
        by_row
            .zip(values.par_chunks(columns))
            .for_each(|((codes, scales), values)| {
                let groups = codes.chunks_mut(width).zip(values.chunks(width));
                for (scale, (codes, values)) in scales.iter_mut().zip(groups) {
                    *scale = rounding::quantize_group(rounding, values, None, codes);
                }
            });
        Ok(Self {
            rows,
            columns,
            format,
            scale_type: ScaleType::Bf16,
            codes,
            scales,
        })
    }

    /// A matrix from its codes and scales, as read from a file; scales that `scale_type` cannot
    /// hold are rounded to it.
    ///
    /// # Errors
    /// When their numbers do not fit the shape or a code is out of range.
    pub fn from_parts(
        rows: usize,
        columns: usize,
        format: Format,
        codes: Vec<i8>,
        scales: Vec<f32>,
        scale_type: ScaleType,
    ) -> Result<Self> {
        let groups = format.group.count(columns);
        if rows == 0
            || columns == 0
            || codes.len() != rows * columns
            || scales.len() != rows * groups
        {
            let problem = format!(
                "{} codes and {} scales are no matrix [{rows}, {columns}] with {groups} scales a row",
                codes.len(),
                scales.len()
            );
            return Err(ModelError::setting(
                problem,
                "the file is damaged; write it again",
            ));
        }
        let half = format.bits.half();
        if let Some(code) = codes
            .iter()
            .find(|code| !(-half..half).contains(&i32::from(**code)))
        {
            let problem = format!("code {code} does not fit {} bits", format.bits.width());
            return Err(ModelError::setting(
                problem,
                "the file is damaged; write it again",
            ));
        }
        let rounded = scales.into_iter().map(|scale| scale_type.round(scale));
        Ok(Self {
            rows,
            columns,
            format,
            scale_type,
            codes,
            scales: rounded.collect(),
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

    /// Width of the codes, and the columns that share a scale.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width of the codes.
    pub fn bits(&self) -> Bits {
        self.format.bits
    }

    /// How the scales are stored.
    pub fn scale_type(&self) -> ScaleType {
        self.scale_type
    }

    /// The codes, row-major.
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The scales, one per row and group.
    pub fn scales(&self) -> &[f32] {
        &self.scales
    }

    /// The scale of an element.
    pub fn scale(&self, row: usize, column: usize) -> f32 {
        let group = self.format.group;
        self.scales[row * group.count(self.columns) + column / group.width(self.columns)]
    }

    /// Writes the values from flat position `start` on to `out`.
    ///
    /// # Panics
    /// When `out` reaches beyond the last value.
    pub fn read(&self, start: usize, out: &mut [f32]) {
        let width = self.format.group.width(self.columns);
        let (mut at, mut rest) = (start, out);
        while !rest.is_empty() {
            let column = at % self.columns;
            let end = ((column / width + 1) * width).min(self.columns);
            let here = rest.len().min(end - column);
            let scale = self.scale(at / self.columns, column);
            let (now, later) = rest.split_at_mut(here);
            for (out, code) in now.iter_mut().zip(&self.codes[at..at + here]) {
                *out = f32::from(*code) * scale;
            }
            at += here;
            rest = later;
        }
    }

    /// Bytes as stored, codes packed: what a row does not fill of its last word counts.
    pub fn bytes(&self) -> usize {
        let words = self.columns.div_ceil(32 / self.format.bits.width());
        4 * words * self.rows + 2 * self.scales.len()
    }

    /// The values that the codes stand for, row-major.
    pub fn dequantize(&self) -> Vec<f32> {
        let group = self.format.group;
        let rows = self
            .codes
            .chunks_exact(self.columns)
            .zip(self.scales.chunks_exact(group.count(self.columns)));
        rows.flat_map(|(codes, scales)| {
            let groups = codes.chunks(group.width(self.columns)).zip(scales);
            groups.flat_map(|(codes, scale)| codes.iter().map(|code| f32::from(*code) * *scale))
        })
        .collect()
    }
}

/// Refuses what is no matrix of finite numbers.
pub(super) fn check_values(values: &[f32], rows: usize, columns: usize) -> Result<()> {
    if values.len() != rows * columns || rows == 0 || columns == 0 {
        let problem = format!("{} numbers are no matrix [{rows}, {columns}]", values.len());
        return Err(ModelError::setting(
            problem,
            "give rows times columns numbers",
        ));
    }
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(place) => {
            let (row, column) = (place / columns, place % columns);
            let problem = format!(
                "the weight at row {row}, column {column} is {}",
                values[place]
            );
            Err(ModelError::setting(
                problem,
                "the model is damaged; train or fetch it again",
            ))
        }
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
            let scale = matrix.scale(i / columns, i % columns);
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
    fn wider_groups_and_whole_rows_share_a_scale() {
        let values = random(3, 4 * 150);
        for (group, scales) in [(Group::Columns(64), 3), (Group::Channel, 1)] {
            for bits in [Bits::Int8, Bits::Int4] {
                let mut squares = Vec::new();
                for method in [Method::Nearest, Method::Search] {
                    let format = Format { bits, group };
                    let matrix =
                        QuantizedMatrix::quantize_as(&values, 4, 150, format, method).unwrap();
                    assert_eq!(matrix.scales().len(), 4 * scales);
                    let back = matrix.dequantize();
                    let mut part = vec![0.0; 301];
                    matrix.read(37, &mut part);
                    assert_eq!(part, back[37..338]);
                    let step = if bits == Bits::Int8 {
                        1.0 / 127.0
                    } else {
                        1.0 / 7.5
                    };
                    let errors = values.iter().zip(&back).map(|(a, b)| (a - b).abs());
                    // A search may give up the largest values for the others.
                    let bound = if method == Method::Search { 2.0 } else { 0.51 };
                    assert!(errors.clone().all(|error| error < bound * step));
                    squares.push(errors.map(|error| error * error).sum::<f32>());
                }
                assert!(squares[1] <= squares[0], "{squares:?}");
            }
        }
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
