//! The kernels, by instruction set and by the width of a tile, both known at run time only.

use super::activations::CodeSlice;
use super::isa::Isa;
use super::matrix::ScaleType;
pub use super::portable::Panels;
use super::portable::Step;
use super::{LANES, MAX_TILE};

#[cfg(not(target_arch = "x86_64"))]
use self::only_portable as by_isa;
#[cfg(target_arch = "x86_64")]
use super::x86 as by_isa;

/// Calls a kernel of fixed sizes and gives the number of panels it took.
macro_rules! in_tile {
    ($kernel:ident, $m:expr, $n:expr, $isa:expr, $w:expr, $x:expr, $out:expr, $stride:expr) => {{
        by_isa::$kernel::<{ $m }, { $n }>($isa, $w, $x.as_chunks().0, $out, $stride);
        $n
    }};
}

/// Calls a kernel of packed integers whose tile width is known at run time only.
macro_rules! in_width {
    ($kernel:ident, $f16:literal, $isa:expr, $codes:expr, $scales:expr, $x:expr, $width:expr, $out:expr) => {
        match $width {
            1 => by_isa::$kernel::<1, $f16>($isa, $codes, $scales, $x.of_width(), &mut $out[..1]),
            2 => by_isa::$kernel::<2, $f16>($isa, $codes, $scales, $x.of_width(), &mut $out[..2]),
            4 => by_isa::$kernel::<4, $f16>($isa, $codes, $scales, $x.of_width(), &mut $out[..4]),
            MAX_TILE => by_isa::$kernel::<MAX_TILE, $f16>(
                $isa,
                $codes,
                $scales,
                $x.of_width(),
                &mut $out[..MAX_TILE],
            ),
            other => panic!("no kernel for tiles of {other} rows"),
        }
    };
}

/// Sums over `k` of `panel[k][lane] * x[k][m]`, in order, by fused multiply-add, for `count` panels.
///
/// # Shapes
/// `w` [count][K][LANES], `x` [K][width], `out` [count][width][LANES], panels `out_stride` rows
/// apart.
///
/// # Panics
/// When `width` is not 1, 2, 4 or 8, or a slice is too short.
pub fn f32_panels(
    isa: Isa,
    w: Panels<'_, f32>,
    count: usize,
    x: &[f32],
    width: usize,
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    let (mut w, mut out, mut left) = (w, out, count);
    while left > 0 {
        let taken = match (width, left) {
            (1, 4..) => in_tile!(f32_panels, 1, 4, isa, w, x, out, out_stride),
            (1, _) => in_tile!(f32_panels, 1, 1, isa, w, x, out, out_stride),
            (2, 4..) => in_tile!(f32_panels, 2, 4, isa, w, x, out, out_stride),
            (2, 2..) => in_tile!(f32_panels, 2, 2, isa, w, x, out, out_stride),
            (2, _) => in_tile!(f32_panels, 2, 1, isa, w, x, out, out_stride),
            (4, 2..) => in_tile!(f32_panels, 4, 2, isa, w, x, out, out_stride),
            (4, _) => in_tile!(f32_panels, 4, 1, isa, w, x, out, out_stride),
            (MAX_TILE, _) => in_tile!(f32_panels, MAX_TILE, 1, isa, w, x, out, out_stride),
            (other, _) => panic!("no kernel for tiles of {other} rows"),
        };
        left -= taken;
        if left > 0 {
            w = w.skip(taken);
            out = &mut out[taken * out_stride..];
        }
    }
}

/// Widens panels of NF4: each code's value times the scale of its block of columns.
///
/// # Shapes
/// `codes` [numbers][LANES / 2] as [`super::DenseMatrix`] has them, `scales` [numbers / BLOCK][LANES],
/// `out` [numbers][LANES].
pub(super) fn widen_nf4(
    isa: Isa,
    codes: &[[u8; LANES / 2]],
    scales: &[[f32; LANES]],
    out: &mut [[f32; LANES]],
) {
    by_isa::widen_nf4(isa, codes, scales, out);
}

/// As [`f32_panels`], for weights in bfloat16.
pub(super) fn bf16_panels(
    isa: Isa,
    w: Panels<'_, u16>,
    count: usize,
    x: &[f32],
    width: usize,
    out: &mut [[f32; LANES]],
    out_stride: usize,
) {
    let (mut w, mut out, mut left) = (w, out, count);
    while left > 0 {
        let taken = match (width, left) {
            (1, 4..) => in_tile!(bf16_panels, 1, 4, isa, w, x, out, out_stride),
            (1, _) => in_tile!(bf16_panels, 1, 1, isa, w, x, out, out_stride),
            (2, 4..) => in_tile!(bf16_panels, 2, 4, isa, w, x, out, out_stride),
            (2, 2..) => in_tile!(bf16_panels, 2, 2, isa, w, x, out, out_stride),
            (2, _) => in_tile!(bf16_panels, 2, 1, isa, w, x, out, out_stride),
            (4, 2..) => in_tile!(bf16_panels, 4, 2, isa, w, x, out, out_stride),
            (4, _) => in_tile!(bf16_panels, 4, 1, isa, w, x, out, out_stride),
            (MAX_TILE, _) => in_tile!(bf16_panels, MAX_TILE, 1, isa, w, x, out, out_stride),
            (other, _) => panic!("no kernel for tiles of {other} rows"),
        };
        left -= taken;
        if left > 0 {
            w = w.skip(taken);
            out = &mut out[taken * out_stride..];
        }
    }
}

/// One panel of 8-bit weights times a tile of codes; see [`super::portable::int8_panel`].
pub(super) fn int8_panel(
    isa: Isa,
    codes: &[Step],
    scales: &[[u16; LANES]],
    kind: ScaleType,
    x: CodeSlice<'_>,
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match kind {
        ScaleType::Bf16 => in_width!(int8_panel, false, isa, codes, scales, x, width, out),
        ScaleType::F16 => in_width!(int8_panel, true, isa, codes, scales, x, width, out),
    }
}

/// One panel of 4-bit weights times a tile of codes; see [`super::portable::int4_panel`].
pub(super) fn int4_panel(
    isa: Isa,
    codes: &[Step],
    scales: &[[u16; LANES]],
    kind: ScaleType,
    x: CodeSlice<'_>,
    width: usize,
    out: &mut [[f32; LANES]],
) {
    match kind {
        ScaleType::Bf16 => in_width!(int4_panel, false, isa, codes, scales, x, width, out),
        ScaleType::F16 => in_width!(int4_panel, true, isa, codes, scales, x, width, out),
    }
}

/// The same entries where no other instruction set is written yet.
#[cfg(not(target_arch = "x86_64"))]
mod only_portable {
    use super::super::activations::CodeTile;
    use super::super::portable::{self, Panels, Step};
    use super::super::{LANES, isa::Isa};

    pub fn f32_panels<const M: usize, const N: usize>(
        _: Isa,
        w: Panels<'_, f32>,
        x: &[[f32; M]],
        out: &mut [[f32; LANES]],
        stride: usize,
    ) {
        portable::f32_panels::<M, N>(w, x, out, stride);
    }

    pub fn bf16_panels<const M: usize, const N: usize>(
        _: Isa,
        w: Panels<'_, u16>,
        x: &[[f32; M]],
        out: &mut [[f32; LANES]],
        stride: usize,
    ) {
        portable::bf16_panels::<M, N>(w, x, out, stride);
    }

    pub fn widen_nf4(
        _: Isa,
        codes: &[[u8; LANES / 2]],
        scales: &[[f32; LANES]],
        out: &mut [[f32; LANES]],
    ) {
        portable::widen_nf4(codes, scales, out);
    }

    pub fn int8_panel<const M: usize, const F16: bool>(
        _: Isa,
        w: &[Step],
        s: &[[u16; LANES]],
        x: CodeTile<'_, M>,
        out: &mut [[f32; LANES]],
    ) {
        portable::int8_panel::<M, F16>(w, s, x, out);
    }

    pub fn int4_panel<const M: usize, const F16: bool>(
        _: Isa,
        w: &[Step],
        s: &[[u16; LANES]],
        x: CodeTile<'_, M>,
        out: &mut [[f32; LANES]],
    ) {
        portable::int4_panel::<M, F16>(w, s, x, out);
    }
}
