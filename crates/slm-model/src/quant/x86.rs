//! The kernels of [`super::portable`] for AVX2 and AVX-512 VNNI.
//!
//! All `unsafe` of this room lies here: the vector loads and stores, each behind a function that
//! takes a reference to exactly the bytes it touches, and the entries, which take an [`Isa`] as
//! proof that the machine has the instructions.

use std::arch::x86_64::*;

use super::activations::CodeTile;
use super::isa::{Isa, Level};
use super::nf4::{BLOCK, CODE};
use super::portable::{self, Panels, Step};
use super::{GROUP, LANES};

/// As [`portable::f32_panels`], on `isa`.
pub(super) fn f32_panels<const M: usize, const N: usize>(
    isa: Isa,
    w: Panels<'_, f32>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    match isa.level() {
        Level::Portable => portable::f32_panels::<M, N>(w, x, out, out_stride),
        // SAFETY: an `Isa` is made by detection only, so the machine has what the function enables.
        Level::Avx2 => unsafe { f32_avx2::<M, N>(w, x, out, out_stride) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { f32_avx512::<M, N>(w, x, out, out_stride) },
    }
}

/// As [`portable::bf16_panels`], on `isa`.
pub(super) fn bf16_panels<const M: usize, const N: usize>(
    isa: Isa,
    w: Panels<'_, u16>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    match isa.level() {
        Level::Portable => portable::bf16_panels::<M, N>(w, x, out, out_stride),
        // SAFETY: an `Isa` is made by detection only, so the machine has what the function enables.
        Level::Avx2 => unsafe { bf16_avx2::<M, N>(w, x, out, out_stride) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { bf16_avx512::<M, N>(w, x, out, out_stride) },
    }
}

/// As [`portable::widen_nf4`], on `isa`.
pub(super) fn widen_nf4(
    isa: Isa,
    codes: &[[u8; LANES / 2]],
    scales: &[[f32; LANES]],
    out: &mut [[f32; LANES]],
) {
    match isa.level() {
        Level::Portable => portable::widen_nf4(codes, scales, out),
        // SAFETY: an `Isa` is made by detection only, so the machine has what the function enables.
        Level::Avx2 => unsafe { widen_nf4_avx2(codes, scales, out) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { widen_nf4_avx512(codes, scales, out) },
    }
}

/// As [`portable::int8_panel`], on `isa`.
pub(super) fn int8_panel<const M: usize, const F16: bool>(
    isa: Isa,
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    match isa.level() {
        Level::Portable => portable::int8_panel::<M, F16>(codes, scales, x, out),
        // SAFETY: an `Isa` is made by detection only, so the machine has what the function enables.
        Level::Avx2 => unsafe { int8_avx2::<M, F16>(codes, scales, x, out) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { int8_avx512::<M, F16>(codes, scales, x, out) },
    }
}

/// As [`portable::int4_panel`], on `isa`.
pub(super) fn int4_panel<const M: usize, const F16: bool>(
    isa: Isa,
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    match isa.level() {
        Level::Portable => portable::int4_panel::<M, F16>(codes, scales, x, out),
        // SAFETY: an `Isa` is made by detection only, so the machine has what the function enables.
        Level::Avx2 => unsafe { int4_avx2::<M, F16>(codes, scales, x, out) },
        // SAFETY: as above.
        Level::Avx512 => unsafe { int4_avx512::<M, F16>(codes, scales, x, out) },
    }
}

/// Calls an AVX2 function for at most four of the `M` rows at a time, what sixteen registers hold.
macro_rules! in_fours {
    ($rows:ident, $m:ident, $out:ident, [$($more:ident)?], $($argument:expr),*) => {
        match $m {
            1 => $rows::<M, 1 $(, $more)?>($($argument,)* 0, $out),
            2 => $rows::<M, 2 $(, $more)?>($($argument,)* 0, $out),
            _ => {
                for first in (0..$m).step_by(4) {
                    $rows::<M, 4 $(, $more)?>($($argument,)* first, $out);
                }
            }
        }
    };
}

#[target_feature(enable = "avx2,fma,f16c")]
fn f32_avx2<const M: usize, const N: usize>(
    w: Panels<'_, f32>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    for (panel, out) in w
        .each::<N>(x.len())
        .into_iter()
        .zip(out.chunks_mut(out_stride))
    {
        in_fours!(f32_rows, M, out, [], panel, x)
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn bf16_avx2<const M: usize, const N: usize>(
    w: Panels<'_, u16>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    for (panel, out) in w
        .each::<N>(x.len())
        .into_iter()
        .zip(out.chunks_mut(out_stride))
    {
        in_fours!(bf16_rows, M, out, [], panel, x)
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn widen_nf4_avx2(codes: &[[u8; LANES / 2]], scales: &[[f32; LANES]], out: &mut [[f32; LANES]]) {
    let (low, high) = halves_f32(&CODE);
    let value = |code: __m256i| {
        let (low, high) = (
            _mm256_permutevar8x32_ps(low, code),
            _mm256_permutevar8x32_ps(high, code),
        );
        // The fourth bit says which half of the table.
        _mm256_blendv_ps(
            low,
            high,
            _mm256_castsi256_ps(_mm256_slli_epi32::<28>(code)),
        )
    };
    let blocks = codes.chunks(BLOCK).zip(out.chunks_mut(BLOCK));
    for ((codes, out), scale) in blocks.zip(scales) {
        let (first, second) = halves_f32(scale);
        for (codes, out) in codes.iter().zip(out) {
            let codes = nibbles(codes);
            let one = value(_mm256_cvtepu8_epi32(codes));
            let two = value(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(codes, codes)));
            let (to, rest) = out.split_at_mut(LANES / 2);
            // SAFETY: each half has the eight floats that an unaligned store writes.
            unsafe {
                _mm256_storeu_ps(to.as_mut_ptr(), _mm256_mul_ps(one, first));
                _mm256_storeu_ps(rest.as_mut_ptr(), _mm256_mul_ps(two, second));
            }
        }
    }
}

/// The low nibbles of eight bytes, then the high ones, a byte each.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn nibbles(codes: &[u8; LANES / 2]) -> __m128i {
    let mask = _mm_set1_epi8(15);
    let bytes = _mm_cvtsi64_si128(i64::from_le_bytes(*codes));
    let high = _mm_and_si128(_mm_srli_epi16::<4>(bytes), mask);
    _mm_unpacklo_epi64(_mm_and_si128(bytes, mask), high)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int8_avx2<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    in_fours!(int8_rows, M, out, [F16], codes, scales, x)
}

#[target_feature(enable = "avx2,fma,f16c")]
fn int4_avx2<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    in_fours!(int4_rows, M, out, [F16], codes, scales, x)
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn f32_rows<const M: usize, const ROWS: usize>(
    panel: &[[f32; LANES]],
    x: &[[f32; M]],
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for (w, x) in panel.iter().zip(x) {
        let (low, high) = halves_f32(w);
        for (sum, x) in sums.iter_mut().zip(&x[first..]) {
            let x = _mm256_set1_ps(*x);
            sum[0] = _mm256_fmadd_ps(low, x, sum[0]);
            sum[1] = _mm256_fmadd_ps(high, x, sum[1]);
        }
    }
    store_rows(&sums, first, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn bf16_rows<const M: usize, const ROWS: usize>(
    panel: &[[u16; LANES]],
    x: &[[f32; M]],
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for (w, x) in panel.iter().zip(x) {
        let (low, high) = halves_bf16(w);
        for (sum, x) in sums.iter_mut().zip(&x[first..]) {
            let x = _mm256_set1_ps(*x);
            sum[0] = _mm256_fmadd_ps(low, x, sum[0]);
            sum[1] = _mm256_fmadd_ps(high, x, sum[1]);
        }
    }
    store_rows(&sums, first, out);
}

/// `maddubs` takes one unsigned factor: |w|, against x with the sign of w. A pair of products is
/// at most 2 * 128 * 127, within 16 bits.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn int8_rows<const M: usize, const ROWS: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let (ones, flip) = (_mm256_set1_epi16(1), _mm256_set1_epi8(-128));
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let groups = codes
        .chunks_exact(GROUP / 4)
        .zip(x.codes.chunks_exact(GROUP / 4));
    for ((scale, x_scale), (codes, xs)) in scales.iter().zip(x.scales).zip(groups) {
        let mut dots = [[_mm256_setzero_si256(); 2]; ROWS];
        for (code, x) in codes.iter().zip(xs) {
            for (half, w) in halves_u8(code).into_iter().enumerate() {
                let w = _mm256_xor_si256(w, flip);
                let size = _mm256_abs_epi8(w);
                for (dot, x) in dots.iter_mut().zip(&x[first..]) {
                    let x = _mm256_sign_epi8(
                        _mm256_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8))),
                        w,
                    );
                    let pairs = _mm256_maddubs_epi16(size, x);
                    dot[half] = _mm256_add_epi32(dot[half], _mm256_madd_epi16(pairs, ones));
                }
            }
        }
        scale_rows::<ROWS, F16>(&mut sums, &dots, scale, &x_scale[first..]);
    }
    store_rows(&sums, first, out);
}

/// Sixteen products of a nibble (at most 15) and a code (at most 127) fit 16 bits, so a whole
/// group is added up before it is widened.
#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn int4_rows<const M: usize, const ROWS: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    first: usize,
    out: &mut [[f32; LANES]],
) {
    let (ones, mask) = (_mm256_set1_epi16(1), _mm256_set1_epi8(15));
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    let groups = codes
        .chunks_exact(GROUP / 8)
        .zip(x.codes.chunks_exact(GROUP / 4));
    for (g, (scale, (codes, xs))) in scales.iter().zip(groups).enumerate() {
        let (x_first, x_second) = xs.split_at(GROUP / 8);
        let mut pairs = [[_mm256_setzero_si256(); 2]; ROWS];
        for (code, (xa, xb)) in codes.iter().zip(x_first.iter().zip(x_second)) {
            for (half, w) in halves_u8(code).into_iter().enumerate() {
                let a = _mm256_and_si256(w, mask);
                let b = _mm256_and_si256(_mm256_srli_epi16::<4>(w), mask);
                for (sum, (xa, xb)) in pairs.iter_mut().zip(xa[first..].iter().zip(&xb[first..])) {
                    let xa = _mm256_set1_epi32(i32::from_le_bytes(xa.map(|b| b as u8)));
                    let xb = _mm256_set1_epi32(i32::from_le_bytes(xb.map(|b| b as u8)));
                    sum[half] = _mm256_add_epi16(sum[half], _mm256_maddubs_epi16(a, xa));
                    sum[half] = _mm256_add_epi16(sum[half], _mm256_maddubs_epi16(b, xb));
                }
            }
        }
        let mut dots = [[_mm256_setzero_si256(); 2]; ROWS];
        for ((dot, pairs), sum) in dots.iter_mut().zip(&pairs).zip(&x.sums[g][first..]) {
            let offset = _mm256_set1_epi32(-8 * sum);
            dot[0] = _mm256_add_epi32(_mm256_madd_epi16(pairs[0], ones), offset);
            dot[1] = _mm256_add_epi32(_mm256_madd_epi16(pairs[1], ones), offset);
        }
        scale_rows::<ROWS, F16>(&mut sums, &dots, scale, &x.scales[g][first..]);
    }
    store_rows(&sums, first, out);
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn scale_rows<const ROWS: usize, const F16: bool>(
    sums: &mut [[__m256; 2]; ROWS],
    dots: &[[__m256i; 2]; ROWS],
    scale: &[u16; LANES],
    x_scales: &[f32],
) {
    let (low, high) = match F16 {
        true => halves_f16(scale),
        false => halves_bf16(scale),
    };
    for ((sum, dot), x_scale) in sums.iter_mut().zip(dots).zip(x_scales) {
        let x_scale = _mm256_set1_ps(*x_scale);
        let (a, b) = (_mm256_mul_ps(low, x_scale), _mm256_mul_ps(high, x_scale));
        sum[0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[0]), a, sum[0]);
        sum[1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[1]), b, sum[1]);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn halves_f32(values: &[f32; LANES]) -> (__m256, __m256) {
    let (low, high) = values.split_at(8);
    // SAFETY: each half has the eight floats that an unaligned load reads.
    unsafe {
        (
            _mm256_loadu_ps(low.as_ptr()),
            _mm256_loadu_ps(high.as_ptr()),
        )
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn halves_bf16(values: &[u16; LANES]) -> (__m256, __m256) {
    // SAFETY: the array has the 32 bytes that an unaligned load reads.
    let both = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    let low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(both));
    let high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(both));
    let wide = |half| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(half));
    (wide(low), wide(high))
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn halves_f16(values: &[u16; LANES]) -> (__m256, __m256) {
    // SAFETY: the array has the 32 bytes that an unaligned load reads.
    let both = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    (
        _mm256_cvtph_ps(_mm256_castsi256_si128(both)),
        _mm256_cvtph_ps(_mm256_extracti128_si256::<1>(both)),
    )
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn halves_u8(values: &Step) -> [__m256i; 2] {
    let (low, high) = values.0.split_at(32);
    // SAFETY: each half has the 32 bytes that an unaligned load reads.
    unsafe {
        [
            _mm256_loadu_si256(low.as_ptr().cast()),
            _mm256_loadu_si256(high.as_ptr().cast()),
        ]
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
#[inline]
fn store_rows<const ROWS: usize>(
    sums: &[[__m256; 2]; ROWS],
    first: usize,
    out: &mut [[f32; LANES]],
) {
    for (out, sum) in out[first..].iter_mut().zip(sums) {
        let (low, high) = out.split_at_mut(8);
        // SAFETY: each half has the eight floats that an unaligned store writes.
        unsafe {
            _mm256_storeu_ps(low.as_mut_ptr(), sum[0]);
            _mm256_storeu_ps(high.as_mut_ptr(), sum[1]);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn f32_avx512<const M: usize, const N: usize>(
    w: Panels<'_, f32>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    let panels = w.each::<N>(x.len());
    let mut sums = [[_mm512_setzero_ps(); M]; N];
    for (k, x) in x.iter().enumerate() {
        for (sums, panel) in sums.iter_mut().zip(&panels) {
            let w = load_f32(&panel[k]);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = _mm512_fmadd_ps(w, _mm512_set1_ps(*x), *sum);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(out_stride)) {
        store(sums, out);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn bf16_avx512<const M: usize, const N: usize>(
    w: Panels<'_, u16>,
    x: &[[f32; M]],
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    let panels = w.each::<N>(x.len());
    let mut sums = [[_mm512_setzero_ps(); M]; N];
    for (k, x) in x.iter().enumerate() {
        for (sums, panel) in sums.iter_mut().zip(&panels) {
            let w = load_bf16(&panel[k]);
            for (sum, x) in sums.iter_mut().zip(x) {
                *sum = _mm512_fmadd_ps(w, _mm512_set1_ps(*x), *sum);
            }
        }
    }
    for (sums, out) in sums.iter().zip(out.chunks_mut(out_stride)) {
        store(sums, out);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni,avx2,fma,f16c")]
fn widen_nf4_avx512(codes: &[[u8; LANES / 2]], scales: &[[f32; LANES]], out: &mut [[f32; LANES]]) {
    let table = load_f32(&CODE);
    let blocks = codes.chunks(BLOCK).zip(out.chunks_mut(BLOCK));
    for ((codes, out), scale) in blocks.zip(scales) {
        let scale = load_f32(scale);
        for (codes, out) in codes.iter().zip(out) {
            let codes = _mm512_cvtepu8_epi32(nibbles(codes));
            let values = _mm512_mul_ps(_mm512_permutexvar_ps(codes, table), scale);
            store(&[values], std::slice::from_mut(out));
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn int8_avx512<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    let mut sums = [_mm512_setzero_ps(); M];
    let groups = codes
        .chunks_exact(GROUP / 4)
        .zip(x.codes.chunks_exact(GROUP / 4));
    for (g, (scale, (codes, xs))) in scales.iter().zip(groups).enumerate() {
        let mut dots = [_mm512_setzero_si512(); M];
        for (dot, sum) in dots.iter_mut().zip(&x.sums[g]) {
            *dot = _mm512_set1_epi32(-128 * sum);
        }
        for (code, x) in codes.iter().zip(xs) {
            let w = load_u8(code);
            for (dot, x) in dots.iter_mut().zip(x) {
                let x = _mm512_set1_epi32(i32::from_le_bytes(x.map(|b| b as u8)));
                *dot = _mm512_dpbusd_epi32(*dot, w, x);
            }
        }
        scale_group::<M, F16>(&mut sums, &dots, scale, &x.scales[g]);
    }
    store(&sums, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn int4_avx512<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    let mask = _mm512_set1_epi8(15);
    let mut sums = [_mm512_setzero_ps(); M];
    let groups = codes
        .chunks_exact(GROUP / 8)
        .zip(x.codes.chunks_exact(GROUP / 4));
    for (g, (scale, (codes, xs))) in scales.iter().zip(groups).enumerate() {
        let mut dots = [_mm512_setzero_si512(); M];
        for (dot, sum) in dots.iter_mut().zip(&x.sums[g]) {
            *dot = _mm512_set1_epi32(-8 * sum);
        }
        let (x_first, x_second) = xs.split_at(GROUP / 8);
        for (code, (xa, xb)) in codes.iter().zip(x_first.iter().zip(x_second)) {
            let w = load_u8(code);
            let a = _mm512_and_si512(w, mask);
            let b = _mm512_and_si512(_mm512_srli_epi16::<4>(w), mask);
            for (dot, (xa, xb)) in dots.iter_mut().zip(xa.iter().zip(xb)) {
                let xa = _mm512_set1_epi32(i32::from_le_bytes(xa.map(|b| b as u8)));
                let xb = _mm512_set1_epi32(i32::from_le_bytes(xb.map(|b| b as u8)));
                *dot = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(*dot, a, xa), b, xb);
            }
        }
        scale_group::<M, F16>(&mut sums, &dots, scale, &x.scales[g]);
    }
    store(&sums, out);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn scale_group<const M: usize, const F16: bool>(
    sums: &mut [__m512; M],
    dots: &[__m512i; M],
    scale: &[u16; LANES],
    x_scales: &[f32; M],
) {
    let scale = match F16 {
        true => load_f16(scale),
        false => load_bf16(scale),
    };
    for ((sum, dot), x_scale) in sums.iter_mut().zip(dots).zip(x_scales) {
        let scale = _mm512_mul_ps(scale, _mm512_set1_ps(*x_scale));
        *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(*dot), scale, *sum);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn load_f32(values: &[f32; LANES]) -> __m512 {
    // SAFETY: the array has the sixteen floats that an unaligned load reads.
    unsafe { _mm512_loadu_ps(values.as_ptr()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn load_bf16(values: &[u16; LANES]) -> __m512 {
    // SAFETY: the array has the 32 bytes that an unaligned load reads.
    let narrow = unsafe { _mm256_loadu_si256(values.as_ptr().cast()) };
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(narrow)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn load_f16(values: &[u16; LANES]) -> __m512 {
    // SAFETY: the array has the 32 bytes that an unaligned load reads.
    _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(values.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn load_u8(values: &Step) -> __m512i {
    // SAFETY: the array has the 64 bytes that an unaligned load reads.
    unsafe { _mm512_loadu_si512(values.0.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
fn store<const M: usize>(sums: &[__m512; M], out: &mut [[f32; LANES]]) {
    for (out, sum) in out.iter_mut().zip(sums) {
        // SAFETY: the array has the sixteen floats that an unaligned store writes.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), *sum) }
    }
}
