//! The kernels, by instruction set and by the width of a tile, both known at run time only.

use super::activations::CodeSlice;
use super::isa::Isa;
use super::portable::STEP;
use super::{LANES, MAX_TILE};

#[cfg(not(target_arch = "x86_64"))]
use self::only_portable as by_isa;
#[cfg(target_arch = "x86_64")]
use super::x86 as by_isa;

/// Sums over `k` of `panel[k][lane] * x[k][m]`, in order, by fused multiply-add.
///
/// # Shapes
/// `panel` [K][LANES], `x` [K][width], `out` [width][LANES].
///
/// # Panics
/// When `width` is not 1, 2, 4 or 8, or `out` has fewer rows.
pub fn f32_panel(
    isa: Isa,
    panel: &[[f32; LANES]],
    x: &[f32],
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match width {
        1 => by_isa::f32_panel::<1>(isa, panel, x.as_chunks().0, &mut out[..1]),
        2 => by_isa::f32_panel::<2>(isa, panel, x.as_chunks().0, &mut out[..2]),
        4 => by_isa::f32_panel::<4>(isa, panel, x.as_chunks().0, &mut out[..4]),
        MAX_TILE => {
            by_isa::f32_panel::<MAX_TILE>(isa, panel, x.as_chunks().0, &mut out[..MAX_TILE])
        }
        other => panic!("no kernel for tiles of {other} rows"),
    }
}

/// As [`f32_panel`], for weights in bfloat16.
pub(super) fn bf16_panel(
    isa: Isa,
    panel: &[[u16; LANES]],
    x: &[f32],
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match width {
        1 => by_isa::bf16_panel::<1>(isa, panel, x.as_chunks().0, &mut out[..1]),
        2 => by_isa::bf16_panel::<2>(isa, panel, x.as_chunks().0, &mut out[..2]),
        4 => by_isa::bf16_panel::<4>(isa, panel, x.as_chunks().0, &mut out[..4]),
        MAX_TILE => {
            by_isa::bf16_panel::<MAX_TILE>(isa, panel, x.as_chunks().0, &mut out[..MAX_TILE])
        }
        other => panic!("no kernel for tiles of {other} rows"),
    }
}

/// One panel of 8-bit weights times a tile of codes; see [`super::portable::int8_panel`].
pub(super) fn int8_panel(
    isa: Isa,
    codes: &[[u8; STEP]],
    scales: &[[u16; LANES]],
    x: CodeSlice<'_>,
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match width {
        1 => by_isa::int8_panel::<1>(isa, codes, scales, x.of_width(), &mut out[..1]),
        2 => by_isa::int8_panel::<2>(isa, codes, scales, x.of_width(), &mut out[..2]),
        4 => by_isa::int8_panel::<4>(isa, codes, scales, x.of_width(), &mut out[..4]),
        MAX_TILE => {
            by_isa::int8_panel::<MAX_TILE>(isa, codes, scales, x.of_width(), &mut out[..MAX_TILE])
        }
        other => panic!("no kernel for tiles of {other} rows"),
    }
}

/// One panel of 4-bit weights times a tile of codes; see [`super::portable::int4_panel`].
pub(super) fn int4_panel(
    isa: Isa,
    codes: &[[u8; STEP]],
    scales: &[[u16; LANES]],
    x: CodeSlice<'_>,
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match width {
        1 => by_isa::int4_panel::<1>(isa, codes, scales, x.of_width(), &mut out[..1]),
        2 => by_isa::int4_panel::<2>(isa, codes, scales, x.of_width(), &mut out[..2]),
        4 => by_isa::int4_panel::<4>(isa, codes, scales, x.of_width(), &mut out[..4]),
        MAX_TILE => {
            by_isa::int4_panel::<MAX_TILE>(isa, codes, scales, x.of_width(), &mut out[..MAX_TILE])
        }
        other => panic!("no kernel for tiles of {other} rows"),
    }
}

/// The same entries where no other instruction set is written yet.
#[cfg(not(target_arch = "x86_64"))]
mod only_portable {
    use super::super::activations::CodeTile;
    use super::super::{LANES, isa::Isa, portable, portable::STEP};

    pub fn f32_panel<const M: usize>(
        _: Isa,
        w: &[[f32; LANES]],
        x: &[[f32; M]],
        out: &mut [[f32; LANES]],
    ) {
        portable::f32_panel(w, x, out);
    }

    pub fn bf16_panel<const M: usize>(
        _: Isa,
        w: &[[u16; LANES]],
        x: &[[f32; M]],
        out: &mut [[f32; LANES]],
    ) {
        portable::bf16_panel(w, x, out);
    }

    pub fn int8_panel<const M: usize>(
        _: Isa,
        w: &[[u8; STEP]],
        s: &[[u16; LANES]],
        x: CodeTile<'_, M>,
        out: &mut [[f32; LANES]],
    ) {
        portable::int8_panel(w, s, x, out);
    }

    pub fn int4_panel<const M: usize>(
        _: Isa,
        w: &[[u8; STEP]],
        s: &[[u16; LANES]],
        x: CodeTile<'_, M>,
        out: &mut [[f32; LANES]],
    ) {
        portable::int4_panel(w, s, x, out);
    }
}
