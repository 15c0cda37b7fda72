//! The tile of a product in plain Rust: 6 rows of 8 columns.
//!
//! Knows one tile; the loops around it are `blocked`'s.

use super::blocked::{Operands, Target, Tile};

/// The tile that every machine can run.
#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Tile for Portable {
    const ROWS: usize = 6;
    const COLUMNS: usize = 8;

    fn run(self, operands: Operands<'_>, target: Target) {
        operands.check::<Self>(&target);
        match target.rows {
            1 => multiply::<1>(operands, target),
            2 => multiply::<2>(operands, target),
            3 => multiply::<3>(operands, target),
            4 => multiply::<4>(operands, target),
            5 => multiply::<5>(operands, target),
            6 => multiply::<6>(operands, target),
            rows => unreachable!("a tile of {rows} rows"),
        }
    }
}

fn multiply<const R: usize>(operands: Operands<'_>, target: Target) {
    let mut sums = [[0.0f32; 8]; R];
    let Operands { a, b, depth, scale } = operands;
    for term in 0..depth {
        let columns = &b[term * 8..][..8];
        for (i, sums) in sums.iter_mut().enumerate() {
            let factor = a.data[i * a.row + term * a.term];
            for (sum, b) in sums.iter_mut().zip(columns) {
                *sum = fused(factor, *b, *sum);
            }
        }
    }
    for (i, sums) in sums.iter().enumerate() {
        // SAFETY: `check` proved that the target has this row.
        unsafe { target.write_row(i, sums, scale) };
    }
}

/// `a b + c`, rounded once where the machine can do so in one instruction.
#[inline(always)]
fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}
