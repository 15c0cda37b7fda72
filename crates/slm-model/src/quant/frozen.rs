//! A matrix that is only read while others learn: packed in memory, widened tile by tile inside
//! each product, so that no f32 copy of it ever exists.
//!
//! Linear layers are held in NF4 (QLoRA), or as a quantized checkpoint has them. The embedding and the head, which QLoRA does not
//! quantize, are held in bfloat16: lossless where the checkpoint stores them so, as most do, and
//! half the memory of f32. Knows matrices; not burn, not layers.

use half::bf16;
use half::slice::HalfFloatSliceExt;
use rayon::prelude::*;

use super::matrix::QuantizedMatrix;
use super::nf4::{BLOCK, Nf4};
use crate::error::Result;
use crate::kernels::gemm::{Threads, View, Write, product};
use crate::ops::Resident;

/// Widened numbers held at once: 1 MB.
const TILE: usize = 256 * 1024;

/// Rows that one task widens.
const TASK_VALUES: usize = 16 * 1024;

/// A packed matrix [rows, columns], row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct FrozenMatrix {
    rows: usize,
    columns: usize,
    stored: Stored,
    /// What of it lies on a device.
    resident: Resident,
}

/// A matrix's codes and scales, for backends that widen them by their own operations.
pub(crate) enum Pieces {
    /// All values, row-major.
    Floats(Vec<f32>),
    /// Codes of the whole as one line, from 0 to 15, and the scales of its blocks.
    Nf4 {
        /// A code each.
        codes: Vec<u8>,
        /// A scale for each block.
        scales: Vec<f32>,
    },
    /// Codes row by row, from 0, and the scales of each row's groups.
    Integers {
        /// A code each, half the range above its value.
        codes: Vec<u8>,
        /// Width of the codes.
        bits: usize,
        /// [rows, groups].
        scales: Vec<f32>,
        /// Columns of a group.
        width: usize,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Stored {
    Nf4(Nf4),
    Bf16(Vec<bf16>),
    F32(Vec<f32>),
    Codes(QuantizedMatrix),
}

impl FrozenMatrix {
    /// Packs a matrix in NF4.
    ///
    /// # Errors
    /// When a value is not finite.
    ///
    /// # Panics
    /// When `values` is not of `rows * columns`.
    pub fn nf4(values: &[f32], rows: usize, columns: usize) -> Result<Self> {
        assert_eq!(values.len(), rows * columns, "values of another shape");
        Ok(Self::packed_nf4(Nf4::quantize(values)?, rows, columns))
    }

    /// Holds a matrix that is in NF4 already.
    ///
    /// # Panics
    /// When `nf4` is not of `rows * columns`.
    pub fn packed_nf4(nf4: Nf4, rows: usize, columns: usize) -> Self {
        assert_eq!(nf4.len(), rows * columns, "values of another shape");
        let stored = Stored::Nf4(nf4);
        Self {
            rows,
            columns,
            stored,
            resident: Resident::default(),
        }
    }

    /// Holds a matrix that is quantized already, as a checkpoint has it.
    pub fn codes(matrix: QuantizedMatrix) -> Self {
        Self {
            rows: matrix.rows(),
            columns: matrix.columns(),
            stored: Stored::Codes(matrix),
            resident: Resident::default(),
        }
    }

    /// Holds a matrix as it is.
    ///
    /// # Panics
    /// When `values` is not of `rows * columns`.
    pub fn floats(values: Vec<f32>, rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "values of another shape");
        Self {
            rows,
            columns,
            stored: Stored::F32(values),
            resident: Resident::default(),
        }
    }

    /// Holds a matrix in bfloat16, rounded to nearest even.
    ///
    /// # Panics
    /// When `values` is not of `rows * columns`.
    pub fn bf16(values: &[f32], rows: usize, columns: usize) -> Self {
        assert_eq!(values.len(), rows * columns, "values of another shape");
        let stored = Stored::Bf16(values.iter().map(|value| bf16::from_f32(*value)).collect());
        Self {
            rows,
            columns,
            stored,
            resident: Resident::default(),
        }
    }

    /// Rows and columns.
    pub fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match &self.stored {
            Stored::Nf4(nf4) => nf4.bytes(),
            Stored::Bf16(values) => 2 * values.len(),
            Stored::F32(values) => 4 * values.len(),
            Stored::Codes(matrix) => matrix.codes().len() + 4 * matrix.scales().len(),
        }
    }

    /// What of it lies on a device.
    pub(crate) fn resident(&self) -> &Resident {
        &self.resident
    }

    /// Its codes and scales.
    pub(crate) fn pieces(&self) -> Pieces {
        match &self.stored {
            Stored::Bf16(_) | Stored::F32(_) => Pieces::Floats(self.dequantize()),
            Stored::Nf4(nf4) => {
                let blocks = nf4.len().div_ceil(BLOCK);
                Pieces::Nf4 {
                    codes: (0..nf4.len()).map(|at| nf4.code(at)).collect(),
                    scales: (0..blocks).map(|block| nf4.scales().get(block)).collect(),
                }
            }
            Stored::Codes(matrix) => {
                let half = matrix.bits().half();
                let stored = |code: &i8| (i32::from(*code) + half) as u8;
                Pieces::Integers {
                    codes: matrix.codes().iter().map(stored).collect(),
                    bits: matrix.bits().width(),
                    scales: matrix.scales().to_vec(),
                    width: matrix.format().group.width(self.columns),
                }
            }
        }
    }

    /// Widens `out.len()` values from flat position `start` on, on the calling thread.
    fn read(&self, start: usize, out: &mut [f32]) {
        match &self.stored {
            Stored::Nf4(nf4) => nf4.read(start, out),
            Stored::Bf16(values) => values[start..start + out.len()].convert_to_f32_slice(out),
            Stored::F32(values) => out.copy_from_slice(&values[start..start + out.len()]),
            Stored::Codes(matrix) => matrix.read(start, out),
        }
    }

    /// Widens whole rows, on all threads.
    fn read_rows(&self, first: usize, out: &mut [f32]) {
        let span = (TASK_VALUES / self.columns.max(1)).max(1) * self.columns.max(1);
        let start = first * self.columns;
        let tasks = out.par_chunks_mut(span).enumerate();
        tasks.for_each(|(task, part)| self.read(start + task * span, part));
    }

    /// Calls `work` with each tile of widened rows and the number of its first row.
    pub(crate) fn for_tiles(&self, mut work: impl FnMut(usize, usize, &[f32])) {
        let height = (TILE / self.columns.max(1)).clamp(1, self.rows.max(1));
        let mut tile = vec![0.0; height * self.columns];
        for first in (0..self.rows).step_by(height) {
            let rows = height.min(self.rows - first);
            let tile = &mut tile[..rows * self.columns];
            self.read_rows(first, tile);
            work(first, rows, tile);
        }
    }

    /// `y = x W^T`.
    ///
    /// # Shapes
    /// `x` [m, columns]; result [m, rows].
    pub fn linear(&self, x: &[f32], m: usize) -> Vec<f32> {
        let mut y = vec![0.0; m * self.rows];
        self.linear_into(x, m, &mut y);
        y
    }

    /// [`FrozenMatrix::linear`] into `y`.
    pub fn linear_into(&self, x: &[f32], m: usize, y: &mut [f32]) {
        if m == 0 {
            return;
        }
        let (n, k) = (self.rows, self.columns);
        let x = View::new(x, m, k);
        self.for_tiles(|first, rows, tile| {
            let w = View::new(tile, rows, k).t();
            product(&mut y[first..], n, x, w, Write::Set, 1.0, Threads::All);
        });
    }

    /// Gradient of [`FrozenMatrix::linear`] towards `x`: `dx = dy W`.
    ///
    /// # Shapes
    /// `dy` [m, rows]; result [m, columns].
    pub fn linear_dx(&self, dy: &[f32], m: usize) -> Vec<f32> {
        let mut dx = vec![0.0; m * self.columns];
        self.linear_dx_into(dy, m, &mut dx);
        dx
    }

    /// [`FrozenMatrix::linear_dx`] into `dx`.
    pub fn linear_dx_into(&self, dy: &[f32], m: usize, dx: &mut [f32]) {
        if m == 0 {
            return;
        }
        let (n, k) = (self.rows, self.columns);
        self.for_tiles(|first, rows, tile| {
            let write = if first == 0 { Write::Set } else { Write::Add };
            let (dy, w) = (
                View::strided(&dy[first..], m, rows, n),
                View::new(tile, rows, k),
            );
            product(dx, k, dy, w, write, 1.0, Threads::All);
        });
    }

    /// Copies rows, as an embedding does.
    ///
    /// # Shapes
    /// Result [chosen, columns].
    pub fn gather(&self, chosen: &[u32]) -> Vec<f32> {
        let mut out = vec![0.0; chosen.len() * self.columns];
        for (row, out) in chosen.iter().zip(out.chunks_exact_mut(self.columns.max(1))) {
            self.read(*row as usize * self.columns, out);
        }
        out
    }

    /// Sum of squares of each row.
    pub fn row_squares(&self) -> Vec<f32> {
        let mut squares = vec![0.0; self.rows];
        self.for_tiles(|first, _, tile| {
            for (square, row) in squares[first..]
                .iter_mut()
                .zip(tile.chunks_exact(self.columns))
            {
                *square = row.iter().map(|v| *v as f64 * *v as f64).sum::<f64>() as f32;
            }
        });
        squares
    }

    /// The whole matrix widened, for backends without host kernels and for tests.
    pub fn dequantize(&self) -> Vec<f32> {
        let mut out = vec![0.0; self.rows * self.columns];
        self.read_rows(0, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::gemm;
    use crate::kernels::testing::random;

    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (x, y) in a.iter().zip(b) {
            assert!((x - y).abs() < 1e-4 * (1.0 + y.abs()), "{x}, not {y}");
        }
    }

    #[test]
    fn products_by_tiles_are_those_of_the_widened_matrix() {
        // Several tiles: 700 rows of 901 columns are 2.4 of them, and no row ends with a block.
        let (m, n, k) = (5, 700, 901);
        let (x, dy) = (random(1, m * k), random(2, m * n));
        let values = random(3, n * k);
        for matrix in [
            FrozenMatrix::nf4(&values, n, k).unwrap(),
            FrozenMatrix::bf16(&values, n, k),
        ] {
            let wide = matrix.dequantize();
            close(&matrix.linear(&x, m), &gemm::linear(&x, &wide, m, k, n));
            close(
                &matrix.linear_dx(&dy, m),
                &gemm::linear_dx(&dy, &wide, m, k, n),
            );
            close(
                &matrix.gather(&[699, 0]),
                &[&wide[699 * k..], &wide[..k]].concat(),
            );
            let squares: Vec<f32> = wide
                .chunks(k)
                .map(|r| r.iter().map(|v| v * v).sum())
                .collect();
            close(&matrix.row_squares(), &squares);
        }
    }

    #[test]
    fn no_rows_of_input_are_fine() {
        let matrix = FrozenMatrix::bf16(&[1.0; 6], 2, 3);
        assert!(matrix.linear(&[], 0).is_empty() && matrix.linear_dx(&[], 0).is_empty());
    }
}
