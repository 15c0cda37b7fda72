//! The tile of a product in AVX2 registers: 6 rows of 16 columns.
//!
//! Knows one tile; the loops around it are `blocked`'s.

use std::arch::x86_64::{
    __m256, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm256_add_ps, _mm256_broadcast_ss,
    _mm256_castpd_ps, _mm256_castps_pd, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_mul_ps,
    _mm256_permute2f128_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
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

/// How far ahead of a transposition its rows are fetched.
const AHEAD: usize = 8 * LANES;

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
/// The machine has AVX2 and FMA, the operands and the target hold what [`Operands::check`] asks for.
#[target_feature(enable = "avx2,fma")]
unsafe fn multiply<const R: usize, const V: usize>(operands: Operands<'_>, target: Target) {
    // So that the rows of the output are there when the sums are.
    for row in 0..R {
        let row = target.start.wrapping_add(row * target.row_stride);
        // A prefetch may be of any address.
        _mm_prefetch::<_MM_HINT_T0>(row.cast());
        _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(target.columns - 1).cast());
    }
    // SAFETY: as the caller's.
    let sums = unsafe {
        match operands.a.row {
            1 => sums::<R, V, true>(operands),
            _ => sums::<R, V, false>(operands),
        }
    };
    let scale = _mm256_set1_ps(operands.scale);
    let whole = target.columns == V * LANES;
    // Written out row by row: a loop that is not unrolled would keep the sums in memory.
    macro_rules! store {
        ($($i:literal)+) => {
            $(if $i < R {
                let mut values = [0.0f32; 2 * LANES];
                for (v, sum) in sums[$i].iter().enumerate() {
                    // SAFETY: whole rows of the target hold `V` vectors, and `values` two.
                    unsafe {
                        let to = target.start.wrapping_add($i * target.row_stride + v * LANES);
                        let value = _mm256_mul_ps(*sum, scale);
                        match (whole, target.add) {
                            (true, true) => {
                                _mm256_storeu_ps(to, _mm256_add_ps(_mm256_loadu_ps(to), value))
                            }
                            (true, false) => _mm256_storeu_ps(to, value),
                            (false, _) => {
                                _mm256_storeu_ps(values.as_mut_ptr().add(v * LANES), value)
                            }
                        }
                    }
                }
                if !whole {
                    // SAFETY: the caller's target has this row.
                    unsafe { target.write_row($i, &values, 1.0) };
                }
            })+
        };
    }
    store!(0 1 2 3 4 5);
}

/// The sums of a tile; `ADJACENT` says that the rows of `a` are.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn sums<const R: usize, const V: usize, const ADJACENT: bool>(
    operands: Operands<'_>,
) -> [[__m256; V]; R] {
    let mut sums = [[_mm256_setzero_ps(); V]; R];
    let Operands { a, b, depth, .. } = operands;
    // Three rows to a pointer, so that all addresses stay in registers.
    let mut rows = [0, 1].map(|group| a.data.as_ptr().wrapping_add(3 * group * a.row));
    let mut columns = b.as_ptr();
    for _ in 0..depth {
        // SAFETY: the pointers advance `depth` times over panels of that depth.
        unsafe {
            let mut row = [_mm256_setzero_ps(); V];
            for (v, row) in row.iter_mut().enumerate() {
                *row = _mm256_loadu_ps(columns.add(v * LANES));
            }
            // Written out row by row: a loop that is not unrolled would keep the sums in memory.
            macro_rules! add {
                ($($i:literal)+) => {
                    $(if $i < R {
                        let a = match ADJACENT {
                            true => rows[0].add($i),
                            false => rows[$i / 3].add($i % 3 * a.row),
                        };
                        let factor = _mm256_broadcast_ss(&*a);
                        for (sum, row) in sums[$i].iter_mut().zip(row) {
                            *sum = _mm256_fmadd_ps(factor, row, *sum);
                        }
                    })+
                };
            }
            add!(0 1 2 3 4 5);
        }
        for rows in &mut rows {
            *rows = rows.wrapping_add(a.term);
        }
        columns = columns.wrapping_add(2 * LANES);
    }
    sums
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
            // What the next panel will copy; a prefetch may be of any address.
            _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(start + 2 * LANES).cast());
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
            // A prefetch may be of any address.
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(i * stride + AHEAD).cast());
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
