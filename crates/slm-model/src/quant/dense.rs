//! Panels of [`LANES`] rows that are multiplied as floats: f32, bfloat16 as stored, or NF4, which is
//! widened panel by panel.
//!
//! A product sums the columns of each output in order, one fused multiply-add each.

use std::cell::RefCell;

use half::bf16;

use super::isa::Isa;
use super::nf4::{BLOCK, CODE, Nf4};
use super::{LANES, kernel};

/// A matrix [rows, columns] whose rows lie in panels: [ceil(rows / LANES)][columns][LANES].
pub struct DenseMatrix {
    rows: usize,
    columns: usize,
    panels: Panels,
}

enum Panels {
    F32(Vec<[f32; LANES]>),
    Bf16(Vec<[u16; LANES]>),
    /// Codes, those of the first half of the lanes in the low nibbles; and the scales of each
    /// block of columns.
    Nf4(Vec<[u8; LANES / 2]>, Vec<[f32; LANES]>),
}

thread_local! {
    /// Panels in f32, for those that are widened before they are multiplied.
    static WIDE: RefCell<Vec<[f32; LANES]>> = const { RefCell::new(Vec::new()) };
}

impl DenseMatrix {
    /// Packs a row-major matrix, kept in f32.
    ///
    /// # Panics
    /// When `values` does not hold `rows * columns` numbers.
    pub fn from_f32(values: &[f32], rows: usize, columns: usize) -> Self {
        Self {
            rows,
            columns,
            panels: Panels::F32(pack(values, rows, columns)),
        }
    }

    /// Packs a matrix whose rows `next` gives one after the other, kept in f32.
    pub fn from_rows(rows: usize, columns: usize, next: impl FnMut(&mut [f32])) -> Self {
        Self {
            rows,
            columns,
            panels: Panels::F32(pack_rows(rows, columns, next)),
        }
    }

    /// As [`DenseMatrix::from_rows`], kept in bfloat16.
    pub fn from_bf16_rows(rows: usize, columns: usize, mut next: impl FnMut(&mut [bf16])) -> Self {
        let mut row = vec![bf16::ZERO; columns];
        let bits = |out: &mut [u16]| {
            next(&mut row);
            for (out, value) in out.iter_mut().zip(&row) {
                *out = value.to_bits();
            }
        };
        Self {
            rows,
            columns,
            panels: Panels::Bf16(pack_rows(rows, columns, bits)),
        }
    }

    /// Packs a row-major matrix, kept in bfloat16.
    ///
    /// # Panics
    /// When `values` does not hold `rows * columns` numbers.
    pub fn from_bf16(values: &[bf16], rows: usize, columns: usize) -> Self {
        let bits: Vec<u16> = values.iter().map(|value| value.to_bits()).collect();
        Self {
            rows,
            columns,
            panels: Panels::Bf16(pack(&bits, rows, columns)),
        }
    }

    /// Packs a row-major matrix in NF4. Where a block of it lies in two rows, that is where columns
    /// are no multiple of 64, it is kept in f32.
    ///
    /// # Panics
    /// When `nf4` does not hold `rows * columns` numbers.
    pub fn from_nf4(nf4: &Nf4, rows: usize, columns: usize) -> Self {
        assert_eq!(
            nf4.len(),
            rows * columns,
            "a matrix of {rows} rows and {columns} columns"
        );
        if !columns.is_multiple_of(BLOCK) {
            let mut at = 0;
            return Self::from_rows(rows, columns, |row| {
                nf4.read(at, row);
                at += columns;
            });
        }
        let panels = rows.div_ceil(LANES);
        let blocks = columns / BLOCK;
        let mut codes = vec![[0; LANES / 2]; panels * columns];
        let mut scales = vec![[0.0; LANES]; panels * blocks];
        for row in 0..rows {
            let (panel, lane) = (row / LANES, row % LANES);
            let shift = if lane < LANES / 2 { 0 } else { 4 };
            for (k, codes) in codes[panel * columns..][..columns].iter_mut().enumerate() {
                codes[lane % (LANES / 2)] |= nf4.code(row * columns + k) << shift;
            }
            for (block, scales) in scales[panel * blocks..][..blocks].iter_mut().enumerate() {
                scales[lane] = nf4.scales().get(row * blocks + block);
            }
        }
        Self {
            rows,
            columns,
            panels: Panels::Nf4(codes, scales),
        }
    }

    /// Rows, the outputs of a product.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns, the inputs of a product.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32(panels) => size_of_val(panels.as_slice()),
            Panels::Bf16(panels) => size_of_val(panels.as_slice()),
            Panels::Nf4(codes, scales) => {
                size_of_val(codes.as_slice()) + size_of_val(scales.as_slice())
            }
        }
    }

    /// Copies row `row` to `out`.
    ///
    /// # Panics
    /// When the matrix has no such row or `out` is not as long as one.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.rows && out.len() == self.columns,
            "row {row} of {}",
            self.rows
        );
        let (start, lane) = (row / LANES * self.columns, row % LANES);
        for (k, out) in out.iter_mut().enumerate() {
            *out = match &self.panels {
                Panels::F32(panels) => panels[start + k][lane],
                Panels::Bf16(panels) => bf16::from_bits(panels[start + k][lane]).to_f32(),
                Panels::Nf4(codes, scales) => {
                    let byte = codes[start + k][lane % (LANES / 2)];
                    let code = if lane < LANES / 2 {
                        byte & 15
                    } else {
                        byte >> 4
                    };
                    CODE[usize::from(code)] * scales[(start + k) / BLOCK][lane]
                }
            };
        }
    }

    /// `count` panels from `first` on times one tile of `width` rows of activations, [K][width].
    pub(super) fn panels(
        &self,
        isa: Isa,
        first: usize,
        count: usize,
        x: &[f32],
        width: usize,
        out: &mut [[f32; LANES]],
        out_stride: usize,
    ) {
        let (start, stride) = (first * self.columns, self.columns);
        match &self.panels {
            Panels::F32(panels) => {
                let w = kernel::Panels {
                    data: &panels[start..],
                    stride,
                };
                kernel::f32_panels(isa, w, count, x, width, out, out_stride);
            }
            Panels::Bf16(panels) => {
                let w = kernel::Panels {
                    data: &panels[start..],
                    stride,
                };
                kernel::bf16_panels(isa, w, count, x, width, out, out_stride);
            }
            Panels::Nf4(codes, scales) => WIDE.with_borrow_mut(|wide| {
                let numbers = count * stride;
                wide.resize(numbers.max(wide.len()), [0.0; LANES]);
                let data = &mut wide[..numbers];
                let (codes, scales) = (&codes[start..], &scales[start / BLOCK..]);
                kernel::widen_nf4(isa, &codes[..numbers], scales, data);
                let w = kernel::Panels { data, stride };
                kernel::f32_panels(isa, w, count, x, width, out, out_stride);
            }),
        }
    }
}

fn pack<T: Copy + Default>(values: &[T], rows: usize, columns: usize) -> Vec<[T; LANES]> {
    assert_eq!(
        values.len(),
        rows * columns,
        "a matrix of {rows} rows and {columns} columns"
    );
    let mut left = values.chunks_exact(columns.max(1));
    pack_rows(rows, columns, |row| {
        if let Some(values) = left.next() {
            row.copy_from_slice(values);
        }
    })
}

fn pack_rows<T: Copy + Default>(
    rows: usize,
    columns: usize,
    mut next: impl FnMut(&mut [T]),
) -> Vec<[T; LANES]> {
    let mut panels = vec![[T::default(); LANES]; rows.div_ceil(LANES) * columns];
    let mut values = vec![T::default(); columns];
    for row in 0..rows {
        next(&mut values);
        let (start, lane) = (row / LANES * columns, row % LANES);
        for (panel, value) in panels[start..start + columns].iter_mut().zip(&values) {
            panel[lane] = *value;
        }
    }
    panels
}
