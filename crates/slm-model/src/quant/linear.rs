//! `y = x W^T` for weights of any kind, split over threads by panels of output rows.

use rayon::prelude::*;

use super::activations::{CodeTiles, FloatTiles};
use super::dense::DenseMatrix;
use super::isa::Isa;
use super::packed::PackedMatrix;
use super::{LANES, MAX_TILE};
use crate::place::Product;

/// A weight matrix in one of the kernels' layouts.
pub enum Weights {
    /// Floats.
    Dense(DenseMatrix),
    /// Integers with scales.
    Quantized(PackedMatrix),
}

impl Weights {
    /// Rows, the outputs of a product.
    pub fn rows(&self) -> usize {
        match self {
            Self::Dense(matrix) => matrix.rows(),
            Self::Quantized(matrix) => matrix.rows(),
        }
    }

    /// Columns, the inputs of a product.
    pub fn columns(&self) -> usize {
        match self {
            Self::Dense(matrix) => matrix.columns(),
            Self::Quantized(matrix) => matrix.columns(),
        }
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Dense(matrix) => matrix.bytes(),
            Self::Quantized(matrix) => matrix.bytes(),
        }
    }

    /// Copies row `row`, as floats, to `out`: what an embedding does.
    ///
    /// # Panics
    /// When there is no such row or `out` is not as long as one.
    pub fn copy_row(&self, row: usize, out: &mut [f32]) {
        match self {
            Self::Dense(matrix) => matrix.copy_row(row, out),
            Self::Quantized(matrix) => matrix.copy_row(row, out),
        }
    }
}

/// How many threads a product uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling one.
    One,
    /// All of rayon's, when there is enough work.
    All,
}

/// One or several weight matrices over the same inputs; their outputs follow one another.
pub struct Linear {
    parts: Vec<Weights>,
    /// The same on a device; there are no parts then.
    elsewhere: Option<Box<dyn Product>>,
    rows: usize,
    columns: usize,
    isa: Isa,
}

/// Multiplications below which a product stays on one thread.
const WORTH_SPLITTING: usize = 1 << 18;

/// Panels that pass over one tile of activations before the next, so that it stays in cache.
const PANELS_AT_ONCE: usize = 4;

impl Linear {
    /// Joins weights that read the same inputs.
    ///
    /// # Panics
    /// When there are none or their columns differ.
    pub fn new(parts: Vec<Weights>) -> Self {
        let columns = parts.first().expect("a linear layer has weights").columns();
        assert!(
            parts.iter().all(|part| part.columns() == columns),
            "columns differ"
        );
        let rows = parts.iter().map(Weights::rows).sum();
        Self {
            parts,
            elsewhere: None,
            rows,
            columns,
            isa: Isa::best(),
        }
    }

    /// A layer whose products are computed on a device, in floats.
    pub fn elsewhere(product: Box<dyn Product>, rows: usize, columns: usize) -> Self {
        Self {
            parts: Vec::new(),
            elsewhere: Some(product),
            rows,
            columns,
            isa: Isa::best(),
        }
    }

    /// Whether a device computes its products.
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere.is_some()
    }

    /// The same layer on another instruction set, for tests and measurements.
    #[must_use]
    pub fn on(mut self, isa: Isa) -> Self {
        self.isa = isa;
        self
    }

    /// Width of the outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Width of the inputs.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The matrices that were joined.
    pub fn parts(&self) -> &[Weights] {
        &self.parts
    }

    /// Bytes of the weights in memory.
    pub fn bytes(&self) -> usize {
        let parts: usize = self.parts.iter().map(Weights::bytes).sum();
        parts + self.elsewhere.as_ref().map_or(0, |product| product.bytes())
    }

    /// `y = x W^T`. Quantized weights are multiplied with `x` rounded to 8 bits per group.
    ///
    /// # Shapes
    /// `x` [m, columns], result [m, rows].
    ///
    /// # Panics
    /// When `x` is not of that size.
    pub fn apply(&self, x: &[f32], m: usize, threads: Threads) -> Vec<f32> {
        assert_eq!(x.len(), m * self.columns, "inputs of a linear layer");
        if let Some(product) = &self.elsewhere {
            return product.apply(x, m);
        }
        let input = Input::new(&self.parts, x, m, self.columns);
        let panels: usize = self
            .parts
            .iter()
            .map(|part| part.rows().div_ceil(LANES))
            .sum();
        let mut out = vec![[0.0f32; LANES]; panels * m];
        let tasks = if threads == Threads::One || m * self.rows * self.columns < WORTH_SPLITTING {
            1
        } else {
            rayon::current_num_threads()
        };
        let per_task = panels.div_ceil(tasks).max(1);
        if per_task >= panels {
            self.panels(&input, 0, m, &mut out);
        } else {
            out.par_chunks_mut(per_task * m.max(1))
                .enumerate()
                .for_each(|(task, out)| {
                    self.panels(&input, task * per_task, m, out);
                });
        }
        self.gather(&out, m)
    }

    /// Computes the panels from `first` on into `out` [panels][m][LANES].
    fn panels(&self, input: &Input, first: usize, m: usize, out: &mut [[f32; LANES]]) {
        let (mut first, mut out) = (first, out);
        while !out.is_empty() {
            let (part, panel, left) = self.place(first);
            let count = PANELS_AT_ONCE.min(left).min(out.len() / m);
            let (block, rest) = std::mem::take(&mut out).split_at_mut(count * m);
            input.times(self.isa, part, panel, m, block);
            first += count;
            out = rest;
        }
    }

    /// The part that panel number `panel` lies in, its number there, and how many follow in it.
    fn place(&self, mut panel: usize) -> (&Weights, usize, usize) {
        let (last, others) = self.parts.split_last().expect("checked in `new`");
        let panels = |part: &Weights| part.rows().div_ceil(LANES);
        for part in others {
            if panel < panels(part) {
                return (part, panel, panels(part) - panel);
            }
            panel -= panels(part);
        }
        (last, panel, panels(last) - panel)
    }

    /// From panels to rows.
    fn gather(&self, panels: &[[f32; LANES]], m: usize) -> Vec<f32> {
        let mut y = vec![0.0; m * self.rows];
        let mut panels = panels.chunks_exact(m.max(1));
        let mut start = 0;
        for part in &self.parts {
            for first in (0..part.rows()).step_by(LANES) {
                let width = LANES.min(part.rows() - first);
                let panel = panels.next().unwrap_or_default();
                for (y, lanes) in y.chunks_exact_mut(self.rows).zip(panel) {
                    y[start + first..start + first + width].copy_from_slice(&lanes[..width]);
                }
            }
            start += part.rows();
        }
        y
    }
}

/// Activations in the forms that the parts need.
struct Input {
    floats: Option<FloatTiles>,
    codes: Option<CodeTiles>,
}

impl Input {
    fn new(parts: &[Weights], x: &[f32], m: usize, columns: usize) -> Self {
        let dense = parts.iter().any(|part| matches!(part, Weights::Dense(_)));
        let quantized = parts
            .iter()
            .any(|part| matches!(part, Weights::Quantized(_)));
        Self {
            floats: dense.then(|| FloatTiles::new(x, m, columns)),
            codes: quantized.then(|| CodeTiles::new(x, m, columns)),
        }
    }

    /// The panels of `part` from `first` on, as many as `out` [panels][m][LANES] takes.
    fn times(&self, isa: Isa, part: &Weights, first: usize, m: usize, out: &mut [[f32; LANES]]) {
        match (part, &self.floats, &self.codes) {
            (Weights::Dense(matrix), Some(tiles), _) => {
                for (row, width, x) in tiles.tiles() {
                    let count = out.len() / m;
                    matrix.panels(isa, first, count, x, width, &mut out[row..], m);
                }
            }
            (Weights::Quantized(matrix), _, Some(tiles)) => {
                for (row, width, x) in tiles.tiles() {
                    for (i, out) in out.chunks_exact_mut(m).enumerate() {
                        matrix.panel(isa, first + i, x, width, &mut out[row..row + width]);
                    }
                }
            }
            _ => unreachable!("`new` made what the parts need"),
        }
    }
}

const _: () = assert!(
    MAX_TILE == 8,
    "the kernels are written for tiles of 1, 2, 4 and 8 rows"
);

#[cfg(test)]
mod tests {
    use half::bf16;

    use super::*;
    use crate::quant::matrix::{Bits, QuantizedMatrix};
    use crate::quant::nf4::Nf4;
    use crate::quant::testing::random;

    /// Weights of each kind over the same numbers.
    fn kinds(
        values: &[f32],
        rows: usize,
        columns: usize,
    ) -> Vec<(&'static str, Vec<Weights>, Vec<f32>)> {
        let narrow: Vec<bf16> = values.iter().map(|v| bf16::from_f32(*v)).collect();
        let mut kinds = vec![
            (
                "f32",
                vec![Weights::Dense(DenseMatrix::from_f32(values, rows, columns))],
                values.to_vec(),
            ),
            (
                "bf16",
                vec![Weights::Dense(DenseMatrix::from_bf16(
                    &narrow, rows, columns,
                ))],
                narrow.iter().map(|v| v.to_f32()).collect(),
            ),
        ];
        for (name, bits) in [("int8", Bits::Int8), ("int4", Bits::Int4)] {
            let matrix = QuantizedMatrix::quantize(values, rows, columns, bits).unwrap();
            let back = matrix.dequantize();
            kinds.push((
                name,
                vec![Weights::Quantized(PackedMatrix::new(&matrix))],
                back,
            ));
        }
        let nf4 = Nf4::quantize(values).unwrap();
        let matrix = DenseMatrix::from_nf4(&nf4, rows, columns);
        kinds.push(("nf4", vec![Weights::Dense(matrix)], nf4.values()));
        kinds
    }

    fn by_hand(x: &[f32], w: &[f32], m: usize, k: usize, n: usize) -> Vec<f32> {
        let dot = |r: usize, o: usize| {
            (0..k)
                .map(|i| f64::from(x[r * k + i]) * f64::from(w[o * k + i]))
                .sum::<f64>()
        };
        (0..m * n).map(|i| dot(i / n, i % n) as f32).collect()
    }

    #[test]
    fn products_are_right_on_even_and_uneven_shapes() {
        for (m, k, n) in [
            (1, 32, 16),
            (3, 70, 21),
            (16, 64, 33),
            (13, 5, 1),
            (7, 96, 160),
            (11, 192, 85),
        ] {
            let (x, w) = (random(3, m * k), random(4, n * k));
            for (name, parts, values) in kinds(&w, n, k) {
                for (row, out) in values.chunks(k).enumerate() {
                    let mut copy = vec![0.0; k];
                    parts[0].copy_row(row, &mut copy);
                    assert_eq!(copy, out, "{name}: row {row}");
                }
                let y = Linear::new(parts).apply(&x, m, Threads::All);
                let tolerance = if name.starts_with("int") {
                    0.012 * (k as f32).sqrt()
                } else {
                    1e-5 * k as f32
                };
                for (i, (a, b)) in y.iter().zip(by_hand(&x, &values, m, k, n)).enumerate() {
                    assert!(
                        (a - b).abs() < tolerance,
                        "{name} [{m}, {k}, {n}] at {i}: {a}, by hand {b}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_instruction_set_and_batch_gives_the_same_bits() {
        let extremes: Vec<f32> = (0..24 * 100)
            .map(|i| [1.0, -1.0, 0.0, 127.0, -127.0][i * 7 % 5])
            .collect();
        for (x, w) in [
            (random(5, 24 * 100), random(6, 40 * 100)),
            (vec![0.0; 24 * 100], random(7, 40 * 100)),
            (extremes.clone(), extremes.repeat(2)[..4000].to_vec()),
            (random(8, 24 * 100), vec![0.0; 4000]),
        ] {
            // 64 columns where a whole number of NF4's blocks is to fit them.
            for (kind, columns) in [(0, 100), (1, 100), (2, 100), (3, 100), (4, 100), (4, 64)] {
                let (w, x) = (&w[..40 * columns], &x[..24 * columns]);
                let layer = |isa| Linear::new(kinds(w, 40, columns).swap_remove(kind).1).on(isa);
                let reference = layer(Isa::PORTABLE);
                let one_by_one: Vec<f32> = x
                    .chunks(columns)
                    .flat_map(|row| reference.apply(row, 1, Threads::One))
                    .collect();
                for isa in Isa::available() {
                    let layer = layer(isa);
                    for m in [1, 2, 3, 4, 7, 8, 15, 24] {
                        let y = layer.apply(&x[..m * columns], m, Threads::All);
                        let same = y
                            .iter()
                            .zip(&one_by_one)
                            .all(|(a, b)| a.to_bits() == b.to_bits());
                        assert!(same, "kind {kind}, {} rows on {}", m, isa.name());
                    }
                }
            }
        }
    }

    #[test]
    fn joined_parts_equal_separate_ones() {
        let (k, m) = (48, 5);
        let (a, b, x) = (random(9, 20 * k), random(10, 7 * k), random(11, m * k));
        let alone =
            |w: &[f32], n| Linear::new(kinds(w, n, k).swap_remove(0).1).apply(&x, m, Threads::One);
        let (ya, yb) = (alone(&a, 20), alone(&b, 7));
        let mut parts = kinds(&a, 20, k).swap_remove(0).1;
        parts.extend(kinds(&b, 7, k).swap_remove(0).1);
        parts.extend(kinds(&b, 7, k).swap_remove(3).1);
        let joined = Linear::new(parts).apply(&x, m, Threads::All);
        for row in 0..m {
            assert_eq!(joined[row * 34..row * 34 + 20], ya[row * 20..row * 20 + 20]);
            assert_eq!(
                joined[row * 34 + 20..row * 34 + 27],
                yb[row * 7..row * 7 + 7]
            );
        }
    }
}
