//! Activations cut into tiles of rows, as floats or as 8-bit integers with a scale per group.
//!
//! Each row is cut and quantized by itself, so what becomes of it does not depend on the others.

use super::{GROUP, LANES, MAX_TILE};
use crate::vectorized;

/// Widths of the tiles that `rows` rows are cut into: as many of [`MAX_TILE`] as fit, then powers
/// of two.
pub fn tile_widths(rows: usize) -> impl Iterator<Item = usize> {
    let rest = rows % MAX_TILE;
    let powers = [4, 2, 1].into_iter().filter(move |width| rest & width != 0);
    std::iter::repeat_n(MAX_TILE, rows / MAX_TILE).chain(powers)
}

/// Rows of floats; tile `t` of width `M` lies as [K][M].
pub struct FloatTiles {
    rows: usize,
    columns: usize,
    values: Vec<f32>,
}

impl FloatTiles {
    /// Cuts `x` [rows, columns].
    pub fn new(x: &[f32], rows: usize, columns: usize) -> Self {
        let mut values = vec![0.0; rows * columns];
        let mut first = 0;
        for width in tile_widths(rows) {
            let (from, to) = (first * columns, (first + width) * columns);
            transpose(&x[from..to], &mut values[from..to], width);
            first += width;
        }
        Self {
            rows,
            columns,
            values,
        }
    }

    /// First row, width and values of each tile.
    pub fn tiles(&self) -> impl Iterator<Item = (usize, usize, &[f32])> {
        let mut first = 0;
        tile_widths(self.rows).map(move |width| {
            let row = first;
            first += width;
            (
                row,
                width,
                &self.values[row * self.columns..first * self.columns],
            )
        })
    }
}

/// [width, K] to [K, width].
fn transpose(rows: &[f32], out: &mut [f32], width: usize) {
    let columns = rows.len() / width;
    for (m, row) in rows.chunks_exact(columns.max(1)).enumerate() {
        for (k, value) in row.iter().enumerate() {
            out[k * width + m] = *value;
        }
    }
}

/// Rows as 8-bit codes in -127..=127 with a scale per row and group; tiles lie as [K/4][M] of four
/// columns each, K filled up with zeros to whole groups.
pub struct CodeTiles {
    rows: usize,
    groups: usize,
    codes: Vec<[i8; 4]>,
    scales: Vec<f32>,
    sums: Vec<i32>,
}

/// One tile of [`CodeTiles`]: codes, scales and sums of codes per group.
#[derive(Clone, Copy)]
pub(super) struct CodeTile<'a, const M: usize> {
    pub codes: &'a [[[i8; 4]; M]],
    pub scales: &'a [[f32; M]],
    pub sums: &'a [[i32; M]],
}

/// One tile whose width is known at run time only.
#[derive(Clone, Copy)]
pub(super) struct CodeSlice<'a> {
    codes: &'a [[i8; 4]],
    scales: &'a [f32],
    sums: &'a [i32],
}

impl<'a> CodeSlice<'a> {
    /// The tile as one of width `M`.
    pub fn of_width<const M: usize>(self) -> CodeTile<'a, M> {
        CodeTile {
            codes: self.codes.as_chunks().0,
            scales: self.scales.as_chunks().0,
            sums: self.sums.as_chunks().0,
        }
    }
}

impl CodeTiles {
    /// Quantizes `x` [rows, columns]: scale = max |x| / 127 in a group, code = x / scale rounded
    /// to nearest, ties to even.
    pub fn new(x: &[f32], rows: usize, columns: usize) -> Self {
        let groups = columns.div_ceil(GROUP);
        let steps = groups * GROUP / 4;
        let mut tiles = Self {
            rows,
            groups,
            codes: vec![[0; 4]; rows * steps],
            scales: vec![0.0; rows * groups],
            sums: vec![0; rows * groups],
        };
        quantize_rows(&mut tiles, x, columns);
        tiles
    }

    #[inline(always)]
    fn quantize_row(&mut self, row: &[f32], first: usize, width: usize, m: usize) {
        let steps = GROUP / 4;
        let (whole, rest) = row.as_chunks::<GROUP>();
        let mut last = [0.0; GROUP];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        for (g, values) in whole.iter().chain(last).enumerate() {
            let (codes, scale) = quantize_group(values);
            let place = first * self.groups + g * width + m;
            self.scales[place] = scale;
            self.sums[place] = codes.iter().map(|code| i32::from(*code)).sum();
            let start = (first * self.groups + g * width) * steps + m;
            let places = self.codes[start..].iter_mut().step_by(width);
            for (place, four) in places.zip(codes.as_chunks::<4>().0) {
                *place = *four;
            }
        }
    }

    pub(super) fn tiles(&self) -> impl Iterator<Item = (usize, usize, CodeSlice<'_>)> {
        let steps = GROUP / 4;
        let mut first = 0;
        tile_widths(self.rows).map(move |width| {
            let row = first;
            first += width;
            let groups = row * self.groups..first * self.groups;
            let tile = CodeSlice {
                codes: &self.codes[groups.start * steps..groups.end * steps],
                scales: &self.scales[groups.clone()],
                sums: &self.sums[groups],
            };
            (row, width, tile)
        })
    }
}

vectorized! {
    fn quantize_rows(tiles: &mut CodeTiles, x: &[f32], columns: usize) {
        let mut first = 0;
        for width in tile_widths(tiles.rows) {
            for m in 0..width {
                let row = &x[(first + m) * columns..(first + m + 1) * columns];
                tiles.quantize_row(row, first, width, m);
            }
            first += width;
        }
    }
}

/// Adding 1.5 * 2^23 to a small float rounds it to the nearest integer, ties to even, and leaves
/// that integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// Groups below this are zero: the inverse of their scale would overflow.
const SMALLEST: f32 = 1e-30;

#[inline(always)]
fn quantize_group(values: &[f32; GROUP]) -> ([i8; GROUP], f32) {
    let largest = largest_magnitude(values);
    if largest < SMALLEST {
        return ([0; GROUP], 0.0);
    }
    let inverse = 127.0 / largest;
    let mut codes = [0i8; GROUP];
    for (code, value) in codes.iter_mut().zip(values) {
        *code = ((value * inverse).clamp(-127.0, 127.0) + ROUND).to_bits() as i8;
    }
    (codes, largest / 127.0)
}

/// In lanes, which the compiler makes a vector of; no order can change a largest.
#[inline(always)]
fn largest_magnitude(values: &[f32; GROUP]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [0.0f32; LANES];
    for chunk in values.as_chunks::<LANES>().0 {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value.abs());
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for i in 0..width {
            lanes[i] = larger(lanes[i], lanes[i + width]);
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_cover_all_rows_once() {
        for rows in 0..40 {
            assert_eq!(tile_widths(rows).sum::<usize>(), rows);
        }
    }

    #[test]
    fn a_group_keeps_its_extremes_and_survives_what_is_not_finite() {
        let mut values = [0.0; GROUP];
        values[3] = -2.0;
        values[4] = 1.0;
        let (codes, scale) = quantize_group(&values);
        assert_eq!((codes[3], codes[4], codes[5]), (-127, 64, 0));
        assert_eq!(scale, 2.0 / 127.0);
        values[7] = f32::NAN;
        assert_eq!(quantize_group(&values).0[7], 0);
        assert_eq!(quantize_group(&[1e-45; GROUP]).1, 0.0);
    }
}
