//! Matrix products over strided views, in f32.
//!
//! The widest kernel that the machine has is chosen at run time; all of them add in the same
//! order. Knows shapes and strides; not layers.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocked;
mod pack;
mod portable;

use std::ops::Range;
use std::sync::OnceLock;

use blocked::{Output, multiply};

use crate::quant::Isa;

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

    /// Some rows and columns of it.
    fn part(self, rows: Range<usize>, columns: Range<usize>) -> Self {
        debug_assert!(rows.end <= self.rows && columns.end <= self.columns);
        let start = rows.start * self.row_stride + columns.start * self.column_stride;
        Self {
            data: &self.data[start.min(self.data.len())..],
            rows: rows.len(),
            columns: columns.len(),
            ..self
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    product_by(
        Kernel::best(),
        out,
        row_stride,
        (a, b),
        write,
        scale,
        threads,
    );
}

/// `scale * a b`, row-major, in memory of its own.
///
/// # Shapes
/// `a` [m, k], `b` [k, n], result [m, n].
///
/// # Panics
/// When shapes disagree.
pub fn new_product(a: View<'_>, b: View<'_>, scale: f32) -> Vec<f32> {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    assert_eq!(k, b.rows, "inner sizes of a product differ");
    if m == 0 || n == 0 || k == 0 {
        return vec![0.0; m * n];
    }
    let mut out = Vec::with_capacity(m * n);
    // SAFETY: the allocation holds all rows, and the product writes each of their numbers before
    // the length says that they are there.
    unsafe {
        let output = Output::new(out.as_mut_ptr(), n);
        Kernel::best().multiply(output, (a, b), Write::Set, scale, Threads::All);
        out.set_len(m * n);
    }
    out
}

/// [`product`] by one kernel.
fn product_by(
    kernel: Kernel,
    out: &mut [f32],
    row_stride: usize,
    (a, b): (View<'_>, View<'_>),
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
    if k == 0 {
        if write == Write::Set {
            for row in out.chunks_mut(row_stride).take(m) {
                row[..n].fill(0.0);
            }
        }
        return;
    }
    // SAFETY: the assertion above keeps every row of the output inside `out`, which is borrowed
    // mutably until the product is done.
    let output = unsafe { Output::new(out.as_mut_ptr(), row_stride) };
    kernel.multiply(output, (a, b), write, scale, threads);
}

/// The tiles that products are made of.
#[derive(Clone, Copy)]
enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
}

impl Kernel {
    /// The fastest one here, of those that `SLM_KERNELS` leaves.
    fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| {
            let most = match Isa::asked().as_deref() {
                Some("portable") => 1,
                Some("avx2") => 2,
                _ => usize::MAX,
            };
            let mut left = Self::available();
            left.truncate(most);
            left.pop().unwrap_or(Self::Portable)
        })
    }

    /// All that this machine can run, slowest first.
    fn available() -> Vec<Self> {
        #[allow(unused_mut)]
        let mut found = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Avx2::detect().map(Self::Avx2));
            found.extend(avx512::Avx512::detect().map(Self::Avx512));
        }
        found
    }

    fn multiply(
        self,
        out: Output,
        factors: (View<'_>, View<'_>),
        write: Write,
        scale: f32,
        threads: Threads,
    ) {
        match self {
            Self::Portable => multiply(portable::Portable, out, factors, write, scale, threads),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(tile) => multiply(tile, out, factors, write, scale, threads),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(tile) => multiply(tile, out, factors, write, scale, threads),
        }
    }
}

/// How many threads a product uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    new_product(View::new(x, m, k), View::new(w, n, k).t(), 1.0)
}

/// Gradient of [`linear`] towards `x`: `dx = dy W`.
///
/// # Shapes
/// `dy` [m, n], `w` [n, k], result [m, k].
pub fn linear_dx(dy: &[f32], w: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    new_product(View::new(dy, m, n), View::new(w, n, k), 1.0)
}

/// Gradient of [`linear`] towards `w`: `dw = dy^T x`.
///
/// # Shapes
/// `dy` [m, n], `x` [m, k], result [n, k].
pub fn linear_dw(dy: &[f32], x: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
    new_product(View::new(dy, m, n).t(), View::new(x, m, k), 1.0)
}

#[cfg(test)]
mod tests;
