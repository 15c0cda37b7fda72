//! Panels of a matrix in the order in which a tile reads them.
//!
//! Knows strides; not what is multiplied.

use super::View;
use super::blocked::Tile;

/// Writes the columns of `matrix` one after the other, each followed by zeros up to `height`.
///
/// # Shapes
/// `matrix` [rows, columns] with `rows <= height`; `out` [columns, height].
pub(super) fn pack<T: Tile>(tile: T, matrix: View<'_>, height: usize, out: &mut [f32]) {
    let rows = matrix.rows;
    if rows < height {
        for column in out.chunks_exact_mut(height) {
            column[rows..].fill(0.0);
        }
    }
    if matrix.row_stride == 1 {
        tile.copy(matrix, height, out);
    } else if matrix.column_stride == 1 {
        tile.transpose(matrix, height, out);
    } else {
        transpose(matrix, height, 0..rows, 0..matrix.columns, out);
    }
}

/// Writes some rows and columns of a matrix to their places in a panel.
///
/// # Shapes
/// As [`pack`].
pub(super) fn transpose(
    matrix: View<'_>,
    height: usize,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    out: &mut [f32],
) {
    for i in rows {
        for p in columns.clone() {
            out[p * height + i] = matrix.data[i * matrix.row_stride + p * matrix.column_stride];
        }
    }
}

/// Gives `column` the place of the first number of each column in the matrix and in the panel.
///
/// # Panics
/// When the matrix or `out` is too short.
#[inline(always)]
pub(super) fn by_columns(
    matrix: View<'_>,
    height: usize,
    out: &mut [f32],
    mut column: impl FnMut(*const f32, *mut f32),
) {
    let (rows, columns, stride) = (matrix.rows, matrix.columns, matrix.column_stride);
    assert!(rows <= height && out.len() >= columns * height);
    assert!(columns == 0 || matrix.data.len() >= (columns - 1) * stride + rows);
    for p in 0..columns {
        let (from, to) = (&matrix.data[p * stride..], &mut out[p * height..]);
        column(from.as_ptr(), to.as_mut_ptr());
    }
}

/// Cuts a transposition into squares of `side` whose rows are contiguous: `square` gets the place
/// of the first number in the matrix and in the panel, and how many rows are there; what is left
/// over at the end of the rows is done here.
///
/// # Panics
/// When the matrix or `out` is too short.
#[inline(always)]
pub(super) fn by_squares(
    matrix: View<'_>,
    height: usize,
    side: usize,
    out: &mut [f32],
    mut square: impl FnMut(*const f32, *mut f32, usize),
) {
    let (rows, columns, stride) = (matrix.rows, matrix.columns, matrix.row_stride);
    assert!(rows <= height && out.len() >= columns * height);
    assert!(rows == 0 || matrix.data.len() >= (rows - 1) * stride + columns);
    let whole = columns - columns % side;
    // Along the rows, so that what the processor fetches ahead is what comes next.
    for i in (0..rows).step_by(side) {
        for p in (0..whole).step_by(side) {
            let from = &matrix.data[i * stride + p..];
            let to = &mut out[p * height + i..];
            square(from.as_ptr(), to.as_mut_ptr(), side.min(rows - i));
        }
    }
    transpose(matrix, height, 0..rows, whole..columns, out);
}
