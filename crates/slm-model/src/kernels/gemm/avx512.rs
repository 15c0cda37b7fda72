//! The tile of a product in AVX-512 registers: 12 rows of 32 columns.
//!
//! Knows one tile; the loops around it are `blocked`'s.

use std::arch::x86_64::{
    __m512, __mmask16, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm512_add_ps, _mm512_castpd_ps,
    _mm512_castps_pd, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_storeu_ps,
    _mm512_maskz_loadu_ps, _mm512_mul_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4,
    _mm512_unpackhi_pd, _mm512_unpackhi_ps, _mm512_unpacklo_pd, _mm512_unpacklo_ps,
};

use super::View;
use super::blocked::{Operands, Target, Tile};
use super::pack::{by_columns, by_squares};

/// Proof that the machine has AVX-512F: only [`Avx512::detect`] makes one.
#[derive(Clone, Copy)]
pub(super) struct Avx512(());

impl Avx512 {
    /// The tile, where the machine can run it.
    pub fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

const LANES: usize = 16;

/// How far ahead of a transposition its rows are fetched.
const AHEAD: usize = 4 * LANES;

impl Tile for Avx512 {
    const ROWS: usize = 12;
    const COLUMNS: usize = 2 * LANES;

    fn run(self, operands: Operands<'_>, target: Target) {
        operands.check::<Self>(&target);
        macro_rules! dispatch {
            ($($rows:literal)+) => {
                match (target.rows, target.columns > LANES) {
                    // SAFETY: `self` proves AVX-512F; `check` proved the bounds of the operands.
                    $(($rows, false) => unsafe { multiply::<$rows, 1>(operands, target) },
                    ($rows, true) => unsafe { multiply::<$rows, 2>(operands, target) },)+
                    _ => unreachable!("a tile of {} rows", target.rows),
                }
            };
        }
        dispatch!(1 2 3 4 5 6 7 8 9 10 11 12)
    }

    fn transpose(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        by_squares(matrix, height, LANES, out, |from, to, rows| {
            // SAFETY: `self` proves AVX-512F; `by_squares` gives squares inside both slices.
            unsafe { transpose_square(from, matrix.row_stride, rows, to, height) }
        });
    }

    fn copy(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        by_columns(matrix, height, out, |from, to| {
            // SAFETY: `self` proves AVX-512F; `by_columns` gives columns inside both slices.
            unsafe { copy_column(from, to, matrix.rows) }
        });
    }
}

/// The lowest `count` lanes.
fn lanes(count: usize) -> __mmask16 {
    ((1u32 << count.min(LANES)) - 1) as __mmask16
}

/// `R` rows of `V` vectors.
///
/// # Safety
/// The machine has AVX-512F, the operands and the target hold what [`Operands::check`] asks for.
#[target_feature(enable = "avx512f")]
unsafe fn multiply<const R: usize, const V: usize>(operands: Operands<'_>, target: Target) {
    // So that the rows of the output are there when the sums are.
    for row in 0..R {
        let row = target.start.wrapping_add(row * target.row_stride);
        for v in 0..V {
            // A prefetch may be of any address.
            _mm_prefetch::<_MM_HINT_T0>(row.wrapping_add(v * LANES).cast());
        }
    }
    // SAFETY: as the caller's.
    let sums = unsafe {
        match operands.a.row {
            1 => sums::<R, V, true>(operands),
            _ => sums::<R, V, false>(operands),
        }
    };
    let scale = _mm512_set1_ps(operands.scale);
    // A load without lanes touches no memory and gives zeros.
    let loads = if target.add { u16::MAX } else { 0 };
    let mut masks = [0; V];
    for (v, mask) in masks.iter_mut().enumerate() {
        *mask = lanes(target.columns.saturating_sub(v * LANES));
    }
    // Written out row by row: a loop that is not unrolled would keep the sums in memory.
    macro_rules! store {
        ($($i:literal)+) => {
            $(if $i < R {
                for (v, sum) in sums[$i].iter().enumerate() {
                    // SAFETY: the masks keep loads and stores to the target's columns.
                    unsafe {
                        let to = target.start.add($i * target.row_stride + v * LANES);
                        let before = _mm512_maskz_loadu_ps(masks[v] & loads, to);
                        let value = _mm512_add_ps(before, _mm512_mul_ps(*sum, scale));
                        _mm512_mask_storeu_ps(to, masks[v], value);
                    }
                }
            })+
        };
    }
    store!(0 1 2 3 4 5 6 7 8 9 10 11);
}

/// The sums of a tile; `ADJACENT` says that the rows of `a` are.
///
/// # Safety
/// As [`multiply`].
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn sums<const R: usize, const V: usize, const ADJACENT: bool>(
    operands: Operands<'_>,
) -> [[__m512; V]; R] {
    let mut sums = [[_mm512_setzero_ps(); V]; R];
    let Operands { a, b, depth, .. } = operands;
    // Three rows to a pointer, so that all addresses stay in registers.
    let mut rows = [0, 1, 2, 3].map(|group| a.data.as_ptr().wrapping_add(3 * group * a.row));
    let mut columns = b.as_ptr();
    for _ in 0..depth {
        // SAFETY: the pointers advance `depth` times over panels of that depth.
        unsafe {
            let mut row = [_mm512_setzero_ps(); V];
            for (v, row) in row.iter_mut().enumerate() {
                *row = _mm512_loadu_ps(columns.add(v * LANES));
            }
            // Written out row by row: a loop that is not unrolled would keep the sums in memory.
            macro_rules! add {
                ($($i:literal)+) => {
                    $(if $i < R {
                        let a = match ADJACENT {
                            true => rows[0].add($i),
                            false => rows[$i / 3].add($i % 3 * a.row),
                        };
                        let factor = _mm512_set1_ps(*a);
                        for (sum, row) in sums[$i].iter_mut().zip(row) {
                            *sum = _mm512_fmadd_ps(factor, row, *sum);
                        }
                    })+
                };
            }
            add!(0 1 2 3 4 5 6 7 8 9 10 11);
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
/// The machine has AVX-512F; both places hold `count` numbers.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn copy_column(from: *const f32, to: *mut f32, count: usize) {
    for start in (0..count).step_by(LANES) {
        let mask = lanes(count - start);
        // SAFETY: the mask keeps to the `count` numbers.
        unsafe {
            let value = _mm512_maskz_loadu_ps(mask, from.add(start));
            _mm512_mask_storeu_ps(to.add(start), mask, value);
            // What the next panel will copy; a prefetch may be of any address.
            _mm_prefetch::<_MM_HINT_T1>(from.wrapping_add(start + 2 * LANES).cast());
        }
    }
}

/// Transposes `rows` rows of 16.
///
/// # Safety
/// The machine has AVX-512F; `from` has `rows` rows of 16 numbers, `stride` apart, and `to` 16 rows
/// of `rows` numbers, `height` apart.
#[target_feature(enable = "avx512f")]
unsafe fn transpose_square(
    from: *const f32,
    stride: usize,
    rows: usize,
    to: *mut f32,
    height: usize,
) {
    let mut x = [_mm512_setzero_ps(); LANES];
    for (i, x) in x.iter_mut().enumerate() {
        if i < rows {
            // SAFETY: the row is there; a prefetch may be of any address.
            *x = unsafe { _mm512_loadu_ps(from.add(i * stride)) };
            _mm_prefetch::<_MM_HINT_T0>(from.wrapping_add(i * stride + AHEAD).cast());
        }
    }
    let x = transposed(x);
    let mask = lanes(rows);
    for (p, x) in x.iter().enumerate() {
        // SAFETY: the mask keeps the store to the `rows` numbers of the row.
        unsafe { _mm512_mask_storeu_ps(to.add(p * height), mask, *x) };
    }
}

/// The transpose of 16 rows of 16.
#[inline]
#[target_feature(enable = "avx512f")]
fn transposed(x: [__m512; LANES]) -> [__m512; LANES] {
    // Pairs of rows, then fours: lane group `g` of `fours[4 i + j]` holds column `4 g + j` of rows
    // `4 i` to `4 i + 3`.
    let mut fours = x;
    for i in 0..4 {
        let [a, b, c, d] = [x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]];
        let low = (_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
        let high = (_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
        let pairs = [low, high].map(|(p, q)| (_mm512_castps_pd(p), _mm512_castps_pd(q)));
        for (j, (p, q)) in pairs.into_iter().enumerate() {
            fours[4 * i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, q));
            fours[4 * i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, q));
        }
    }
    let mut out = x;
    for j in 0..4 {
        let [a, b, c, d] = [fours[j], fours[4 + j], fours[8 + j], fours[12 + j]];
        // Lane groups 0 and 1, 2 and 3 of two fours each; then one group of all four.
        let (ab, cd) = (
            _mm512_shuffle_f32x4::<0x44>(a, b),
            _mm512_shuffle_f32x4::<0x44>(c, d),
        );
        out[j] = _mm512_shuffle_f32x4::<0x88>(ab, cd);
        out[4 + j] = _mm512_shuffle_f32x4::<0xdd>(ab, cd);
        let (ab, cd) = (
            _mm512_shuffle_f32x4::<0xee>(a, b),
            _mm512_shuffle_f32x4::<0xee>(c, d),
        );
        out[8 + j] = _mm512_shuffle_f32x4::<0x88>(ab, cd);
        out[12 + j] = _mm512_shuffle_f32x4::<0xdd>(ab, cd);
    }
    out
}
