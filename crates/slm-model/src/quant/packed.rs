//! Quantized weights in the order in which the kernels read them.
//!
//! Codes are stored unsigned (code + half the range), in panels of [`LANES`] rows; a step holds
//! four columns of each row. 8 bits: [panels][groups * 8][LANES * 4]. 4 bits: [panels][groups * 4]
//! [LANES * 4], low nibbles the first half of a group, high nibbles the second. Scales:
//! [panels][groups][LANES], as wide as stored; a scale of more than [`GROUP`] columns stands once
//! for each of the kernel's groups. Missing rows and columns are codes of zero.

use super::activations::CodeSlice;
use super::isa::Isa;
use super::matrix::{Bits, QuantizedMatrix, ScaleType};
use super::portable::{STEP, Step};
use super::{GROUP, LANES, kernel};

/// A [`QuantizedMatrix`] packed for products.
pub struct PackedMatrix {
    rows: usize,
    columns: usize,
    bits: Bits,
    kind: ScaleType,
    codes: Vec<Step>,
    scales: Vec<[u16; LANES]>,
}

impl PackedMatrix {
    /// Packs `matrix`; nothing is rounded.
    pub fn new(matrix: &QuantizedMatrix) -> Self {
        let (rows, columns, bits) = (matrix.rows(), matrix.columns(), matrix.bits());
        let groups = columns.div_ceil(GROUP);
        let panels = rows.div_ceil(LANES);
        let empty = if bits == Bits::Int8 { 128 } else { 0x88 };
        let mut packed = Self {
            rows,
            columns,
            bits,
            kind: matrix.scale_type(),
            codes: vec![Step([empty; STEP]); panels * groups * steps_per_group(bits)],
            scales: vec![[0; LANES]; panels * groups],
        };
        for row in 0..rows {
            for g in 0..groups {
                let bits = packed.kind.bits(matrix.scale(row, g * GROUP));
                packed.scales[row / LANES * groups + g][row % LANES] = bits;
            }
        }
        for (row, codes) in matrix.codes().chunks_exact(columns).enumerate() {
            for (column, code) in codes.iter().enumerate() {
                packed.put(row, column, (i32::from(*code) + bits.half()) as u8);
            }
        }
        packed
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

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.codes.as_slice()) + size_of_val(self.scales.as_slice())
    }

    /// Copies row `row`, as floats, to `out`.
    ///
    /// # Panics
    /// When the matrix has no such row or `out` is not as long as one.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        assert!(
            row < self.rows && out.len() == self.columns,
            "row {row} of {}",
            self.rows
        );
        let first_scale = row / LANES * self.columns.div_ceil(GROUP);
        for (column, out) in out.iter_mut().enumerate() {
            let bits = self.scales[first_scale + column / GROUP][row % LANES];
            let scale = self.kind.value(bits);
            let (step, byte, shift) = self.place(row, column);
            let mask = if self.bits == Bits::Int8 { 0xff } else { 15 };
            let code = i32::from((self.codes[step].0[byte] >> shift) & mask) - self.bits.half();
            *out = code as f32 * scale;
        }
    }

    /// One panel times one tile of `width` rows of activations.
    pub(super) fn panel(
        &self,
        isa: Isa,
        panel: usize,
        x: CodeSlice<'_>,
        width: usize,
        out: &mut [[f32; LANES]],
    ) {
        let groups = self.columns.div_ceil(GROUP);
        let scales = &self.scales[panel * groups..(panel + 1) * groups];
        let steps = groups * steps_per_group(self.bits);
        let codes = &self.codes[panel * steps..(panel + 1) * steps];
        match self.bits {
            Bits::Int8 => kernel::int8_panel(isa, codes, scales, self.kind, x, width, out),
            Bits::Int4 => kernel::int4_panel(isa, codes, scales, self.kind, x, width, out),
        }
    }

    fn put(&mut self, row: usize, column: usize, code: u8) {
        let (step, byte, shift) = self.place(row, column);
        let mask = if self.bits == Bits::Int8 {
            0
        } else {
            0xf0 >> shift
        };
        let place = &mut self.codes[step].0[byte];
        *place = (*place & mask) | (code << shift);
    }

    /// Step, byte within it and shift of a code.
    fn place(&self, row: usize, column: usize) -> (usize, usize, u32) {
        let groups = self.columns.div_ceil(GROUP);
        let per_group = steps_per_group(self.bits);
        let (group, within) = (column / GROUP, column % GROUP);
        let first = (row / LANES * groups + group) * per_group;
        let byte = row % LANES * 4 + within % 4;
        let quad = within / 4;
        let shift = if quad < per_group { 0 } else { 4 };
        (first + quad % per_group, byte, shift)
    }
}

/// Steps that hold one group of a panel.
fn steps_per_group(bits: Bits) -> usize {
    GROUP * bits.width() / 32
}
