//! Matrix products over strided views, by the `gemm` crate.
//!
//! The one place that hands raw pointers to it; every bound is checked here first.

use gemm::Parallelism;

/// A strided matrix over a slice.
#[derive(Clone, Copy)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// A row-major matrix `[rows, columns]` that fills `data`.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix.
    pub fn new(data: &'a [f32], rows: usize, columns: usize) -> Self {
        Self::strided(data, rows, columns, columns)
    }

    /// A row-major matrix whose rows start `row_stride` apart.
    ///
    /// # Panics
    /// When `data` is shorter than the matrix.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(
            rows == 0 || columns == 0 || (rows - 1) * row_stride + columns <= data.len(),
            "view [{rows}, {columns}] exceeds its data"
        );
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride: 1,
        }
    }

    /// The transpose, without a copy.
    pub fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// What to do with what the output holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// Overwrite it.
    Set,
    /// Add to it.
    Add,
}

/// `out (+)= scale * a b`, where the rows of `out` start `row_stride` apart.
///
/// # Shapes
/// `a` [m, k], `b` [k, n], `out` [m, n].
///
/// # Panics
/// When shapes or bounds disagree.
pub fn product(
    out: &mut [f32],
    row_stride: usize,
    a: View<'_>,
    b: View<'_>,
    write: Write,
    scale: f32,
    threads: Threads,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "inner sizes of a product differ");
    if m == 0 || n == 0 {
        return;
    }
    assert!(
        (m - 1) * row_stride + n <= out.len() && n <= row_stride,
        "output of a product is too small"
    );
    let parallelism = match threads {
        Threads::One => Parallelism::None,
        Threads::All => Parallelism::Rayon(0),
    };
    // SAFETY: `View::strided` and the assertion above keep every access inside the slices; `out`
    // is borrowed mutably, so it overlaps neither input.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            row_stride as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// How many threads a product uses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread only, for products inside a parallel task.
    One,
    /// All of rayon's.
    All,
}

/// `y = x W^T`.
///
/// # Shapes
/// `x` [m, k], `w` [n, k], result [m, n].
pub fn linear(x: &[f32], w: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    let mut y = vec![0.0; m * n];
    product(
        &mut y,
        n,
        View::new(x, m, k),
        View::new(w, n, k).t(),
        Write::Set,
        1.0,
        Threads::All,
    );
    y
}

/// Gradient of [`linear`] towards `x`: `dx = dy W`.
///
/// # Shapes
/// `dy` [m, n], `w` [n, k], result [m, k].
pub fn linear_dx(dy: &[f32], w: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    let mut dx = vec![0.0; m * k];
    product(
        &mut dx,
        k,
        View::new(dy, m, n),
        View::new(w, n, k),
        Write::Set,
        1.0,
        Threads::All,
    );
    dx
}

/// Gradient of [`linear`] towards `w`: `dw = dy^T x`.
///
/// # Shapes
/// `dy` [m, n], `x` [m, k], result [n, k].
pub fn linear_dw(dy: &[f32], x: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    let mut dw = vec![0.0; n * k];
    product(
        &mut dw,
        k,
        View::new(dy, m, n).t(),
        View::new(x, m, k),
        Write::Set,
        1.0,
        Threads::All,
    );
    dw
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::testing::{check_gradient, dot, random};

    #[test]
    fn linear_and_its_gradients() {
        let (m, k, n) = (5, 7, 6);
        let (x, w, g) = (random(1, m * k), random(2, n * k), random(3, m * n));
        let y = linear(&x, &w, m, k, n);
        let by_hand: f32 = (0..k).map(|i| x[2 * k + i] * w[4 * k + i]).sum();
        assert!((y[2 * n + 4] - by_hand).abs() < 1e-5);
        check_gradient(&x, &linear_dx(&g, &w, m, k, n), 1, |x| {
            dot(&linear(x, &w, m, k, n), &g)
        });
        check_gradient(&w, &linear_dw(&g, &x, m, k, n), 1, |w| {
            dot(&linear(&x, w, m, k, n), &g)
        });
    }
}
