//! The tile of a product in AVX2 registers: 6 rows of 16 columns.
//!
//! Knows one tile; the loops around it are `blocked`'s.

use std::arch::x86_64::{
    __m256, _mm256_broadcast_ss, _mm256_castpd_ps, _mm256_castps_pd, _mm256_fmadd_ps,
    _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_setzero_ps, _mm256_storeu_ps,
    _mm256_unpackhi_pd, _mm256_unpackhi_ps, _mm256_unpacklo_pd, _mm256_unpacklo_ps,
};

use super::View;
use super::blocked::{Operands, Target, Tile};
use super::pack::{by_columns, by_squares};

/// Proof that the machine has AVX2 and FMA: only [`Avx2::detect`] makes one.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

impl Avx2 {
    /// The tile, where the machine can run it.
    pub fn detect() -> Option<Self> {
        let there = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        there.then_some(Self(()))
    }
}

const LANES: usize = 8;

impl Tile for Avx2 {
    const ROWS: usize = 6;
    const COLUMNS: usize = 2 * LANES;

    fn run(self, operands: Operands<'_>, target: Target) {
        operands.check::<Self>(&target);
        macro_rules! dispatch {
            ($($rows:literal)+) => {
                match (target.rows, target.columns > LANES) {
                    // SAFETY: `self` proves AVX2 and FMA; `check` proved the operands' bounds.
                    $(($rows, false) => unsafe { multiply::<$rows, 1>(operands, target) },
                    ($rows, true) => unsafe { multiply::<$rows, 2>(operands, target) },)+
                    _ => unreachable!("a tile of {} rows", target.rows),
                }
            };
        }
        dispatch!(1 2 3 4 5 6)
    }

    fn transpose(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        by_squares(matrix, height, LANES, out, |from, to, rows| {
            // SAFETY: `self` proves AVX2; `by_squares` gives squares inside both slices.
            unsafe { transpose_square(from, matrix.row_stride, rows, to, height) }
        });
    }

    fn copy(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        by_columns(matrix, height, out, |from, to| {
            // SAFETY: `self` proves AVX2; `by_columns` gives columns inside both slices.
            unsafe { copy_column(from, to, matrix.rows) }
        });
    }
}

/// `R` rows of `V` vectors.
///
/// # Safety
/// The machine has AVX2 and FMA, the operands and the target hold what [`Operands::check`] asks
/// for.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply<const R: usize, const V: usize>(operands: Operands<'_>, target: Target) {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    let (mut a, mut b) = (operands.a.as_ptr(), operands.b.as_ptr());
    for _ in 0..operands.depth {
        // SAFETY: `a` and `b` advance `depth` times over packed panels of that depth.
        unsafe {
            let mut row = [_mm256_setzero_ps(); V];
            for (v, row) in row.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(b.add(v * LANES));
            }
            for (i, sums) in sums.iter_mut().enumerate() {
                let factor = _mm256_broadcast_ss(&*a.add(i));
                for (sum, row) in sums.iter_mut().zip(row) {
                    *sum = _mm256_fmadd_ps(factor, row, *sum);
                }
            }
            a = a.add(operands.height);
            b = b.add(2 * LANES);
        }
    }
    let mut values = [0.0f32; 2 * LANES];
    for (i, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: `values` holds two vectors.
            unsafe { _mm256_storeu_ps(values.as_mut_ptr().add(v * LANES), *sum) };
        }
        // SAFETY: the caller's target has this row.
        unsafe { target.write_row(i, &values, operands.scale) };
    }
}

/// Copies `count` numbers.
///
/// # Safety
/// The machine has AVX2; both places hold `count` numbers.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn copy_column(from: *const f32, to: *mut f32, count: usize) {
    let whole = count - count % LANES;
    // SAFETY: both loops keep to the `count` numbers.
    unsafe {
        for start in (0..whole).step_by(LANES) {
            _mm256_storeu_ps(to.add(start), _mm256_loadu_ps(from.add(start)));
        }
        for i in whole..count {
            *to.add(i) = *from.add(i);
        }
    }
}

/// Transposes `rows` rows of 8.
///
/// # Safety
/// The machine has AVX2; `from` has `rows` rows of 8 numbers, `stride` apart, and `to` 8 rows of
/// `rows` numbers, `height` apart.
#[target_feature(enable = "avx2,fma")]
unsafe fn transpose_square(
    from: *const f32,
    stride: usize,
    rows: usize,
    to: *mut f32,
    height: usize,
) {
    let mut x = [_mm256_setzero_ps(); LANES];
    for (i, x) in x.iter_mut().enumerate() {
        if i < rows {
            // SAFETY: the row is there.
            *x = unsafe { _mm256_loadu_ps(from.add(i * stride)) };
        }
    }
    for (p, x) in transposed(x).iter().enumerate() {
        let mut column = [0.0f32; LANES];
        // SAFETY: `column` holds a vector, and the panel's column `rows` numbers of it.
        unsafe {
            match rows {
                LANES => _mm256_storeu_ps(to.add(p * height), *x),
                _ => {
                    _mm256_storeu_ps(column.as_mut_ptr(), *x);
                    for (i, value) in column.iter().enumerate().take(rows) {
                        *to.add(p * height + i) = *value;
                    }
                }
            }
        }
    }
}

/// The transpose of 8 rows of 8.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn transposed(x: [__m256; LANES]) -> [__m256; LANES] {
    // Pairs of rows, then fours: lane group `g` of `fours[4 i + j]` holds column `4 g + j` of rows
    // `4 i` to `4 i + 3`.
    let mut fours = x;
    for i in 0..2 {
        let [a, b, c, d] = [x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]];
        let low = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
        let high = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
        let pairs = [low, high].map(|(p, q)| (_mm256_castps_pd(p), _mm256_castps_pd(q)));
        for (j, (p, q)) in pairs.into_iter().enumerate() {
            fours[4 * i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(p, q));
            fours[4 * i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(p, q));
        }
    }
    let mut out = x;
    for j in 0..4 {
        out[j] = _mm256_permute2f128_ps::<0x20>(fours[j], fours[4 + j]);
        out[4 + j] = _mm256_permute2f128_ps::<0x31>(fours[j], fours[4 + j]);
    }
    out
}
