//! The kernels in plain Rust: the reference for every other instruction set, which must give the
//! same bits.
//!
//! `M` activation rows times one panel of [`LANES`] weight rows. Floats are accumulated by fused
//! multiply-add, column by column; integers exactly within a group, then scaled and accumulated by
//! fused multiply-add, group by group.

use super::activations::CodeTile;
use super::nf4::{BLOCK, CODE};
use super::{GROUP, LANES};

/// Bytes of one step of packed weights: four columns of each lane.
pub(super) const STEP: usize = 4 * LANES;

/// One step of packed weights, in one line of the cache: a vector load never touches two.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Step(pub [u8; STEP]);

/// Panels of floats [K][LANES] that start `stride` apart.
#[derive(Clone, Copy)]
pub struct Panels<'a, T> {
    /// The first panel and all after it.
    pub data: &'a [[T; LANES]],
    /// From the start of a panel to that of the next.
    pub stride: usize,
}

impl<'a, T> Panels<'a, T> {
    /// The first `N` panels, `columns` long.
    #[inline(always)]
    pub(super) fn each<const N: usize>(self, columns: usize) -> [&'a [[T; LANES]]; N] {
        std::array::from_fn(|i| &self.data[i * self.stride..i * self.stride + columns])
    }

    /// The panels after the first `count`.
    pub(super) fn skip(self, count: usize) -> Self {
        Self {
            data: &self.data[count * self.stride..],
            stride: self.stride,
        }
    }
}

/// `N` panels times `M` rows.
///
/// # Shapes
/// `w` [N][K][LANES], `x` [K][M], `out` [N][M][LANES], panels `out_stride` rows apart.
pub(super) fn f32_panels<const M: usize, const N: usize>(
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
        let mut sums = [[0.0f32; LANES]; M];
        for (w, x) in panel.iter().zip(x) {
            accumulate(&mut sums, w, x);
        }
        out[..M].copy_from_slice(&sums);
    }
}

/// As [`f32_panels`], for weights in bfloat16.
pub(super) fn bf16_panels<const M: usize, const N: usize>(
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
        let mut sums = [[0.0f32; LANES]; M];
        for (w, x) in panel.iter().zip(x) {
            accumulate(&mut sums, &w.map(widen), x);
        }
        out[..M].copy_from_slice(&sums);
    }
}

/// # Shapes
/// `codes` [numbers][LANES / 2], the first half of the lanes in the low nibbles, `scales`
/// [numbers / BLOCK][LANES], `out` [numbers][LANES].
pub(super) fn widen_nf4(
    codes: &[[u8; LANES / 2]],
    scales: &[[f32; LANES]],
    out: &mut [[f32; LANES]],
) {
    let blocks = codes.chunks(BLOCK).zip(out.chunks_mut(BLOCK));
    for ((codes, out), scale) in blocks.zip(scales) {
        for (codes, out) in codes.iter().zip(out) {
            for (lane, byte) in codes.iter().enumerate() {
                let high = lane + LANES / 2;
                out[lane] = CODE[usize::from(byte & 15)] * scale[lane];
                out[high] = CODE[usize::from(byte >> 4)] * scale[high];
            }
        }
    }
}

fn accumulate<const M: usize>(sums: &mut [[f32; LANES]; M], w: &[f32; LANES], x: &[f32; M]) {
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, w) in sums.iter_mut().zip(w) {
            *sum = w.mul_add(*x, *sum);
        }
    }
}

/// bfloat16 bits as f32.
pub(super) fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// A scale's bits as f32: half precision or bfloat16.
pub(super) fn widen_scale<const F16: bool>(bits: u16) -> f32 {
    match F16 {
        true => half::f16::from_bits(bits).to_f32(),
        false => widen(bits),
    }
}

/// # Shapes
/// `codes` [groups * GROUP / 4][LANES * 4] holding value + 128, `scales` [groups][LANES] in half
/// precision if `F16`, else in bfloat16.
pub(super) fn int8_panel<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    let steps = GROUP / 4;
    let mut sums = [[0.0f32; LANES]; M];
    for (g, scale) in scales.iter().enumerate() {
        let mut dots: [[i32; LANES]; M] = std::array::from_fn(|m| [-128 * x.sums[g][m]; LANES]);
        let group = g * steps..(g + 1) * steps;
        for (codes, x) in codes[group.clone()].iter().zip(&x.codes[group]) {
            add_products(&mut dots, &codes.0, x);
        }
        scale_group::<M, F16>(&mut sums, &dots, scale, &x.scales[g]);
    }
    out.copy_from_slice(&sums);
}

/// As [`int8_panel`] for 4 bits: value + 8, in steps whose low nibbles are the first half of a
/// group and whose high nibbles are the second. `codes` [groups * GROUP / 8][LANES * 4].
pub(super) fn int4_panel<const M: usize, const F16: bool>(
    codes: &[Step],
    scales: &[[u16; LANES]],
    x: CodeTile<'_, M>,
    out: &mut [[f32; LANES]],
) {
    let half = GROUP / 8;
    let mut sums = [[0.0f32; LANES]; M];
    for (g, scale) in scales.iter().enumerate() {
        let mut dots: [[i32; LANES]; M] = std::array::from_fn(|m| [-8 * x.sums[g][m]; LANES]);
        for step in 0..half {
            let bytes = codes[g * half + step].0;
            let place = g * 2 * half + step;
            add_products(&mut dots, &bytes.map(|b| b & 15), &x.codes[place]);
            add_products(&mut dots, &bytes.map(|b| b >> 4), &x.codes[place + half]);
        }
        scale_group::<M, F16>(&mut sums, &dots, scale, &x.scales[g]);
    }
    out.copy_from_slice(&sums);
}

fn add_products<const M: usize>(dots: &mut [[i32; LANES]; M], w: &[u8; STEP], x: &[[i8; 4]; M]) {
    for (dots, x) in dots.iter_mut().zip(x) {
        for (dot, w) in dots.iter_mut().zip(w.as_chunks::<4>().0) {
            *dot += (0..4)
                .map(|i| i32::from(w[i]) * i32::from(x[i]))
                .sum::<i32>();
        }
    }
}

fn scale_group<const M: usize, const F16: bool>(
    sums: &mut [[f32; LANES]; M],
    dots: &[[i32; LANES]; M],
    weight_scales: &[u16; LANES],
    x_scales: &[f32; M],
) {
    for m in 0..M {
        for lane in 0..LANES {
            let scale = widen_scale::<F16>(weight_scales[lane]) * x_scales[m];
            sums[m][lane] = (dots[m][lane] as f32).mul_add(scale, sums[m][lane]);
        }
    }
}
