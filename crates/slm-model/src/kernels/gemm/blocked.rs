//! The loops of a product: blocks that fit the caches, packed, and tiles that fit the registers
//! (Goto and van de Geijn 2008).
//!
//! Each element of the output is summed over the inner size in one fixed order, whatever the
//! number of threads and whichever tile: blocks of at most [`DEPTH`] one after the other, within a
//! block one term after the other. Knows strides; not what a product is for.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

use super::pack::{self, pack};
use super::{Threads, View, Write};

/// Longest run of the inner size that a tile sums in registers.
const DEPTH: usize = 384;

/// Blocks of the inner size that are packed of `a` at once.
const BLOCKS: usize = 4;

/// Numbers of `a` that are packed at once: 4 MB.
const PACKED: usize = 1 << 20;

/// Panels of `b` that a task packs at most.
const PANELS: usize = 8;

/// Tasks that each thread gets where the output is large enough.
const TASKS_PER_THREAD: usize = 4;

/// Uses of a panel up to which it is not packed.
const REUSED: usize = 2;

/// Multiply-adds below which one thread is quicker than several.
const SMALL: usize = 1 << 18;

/// A kernel that computes one tile of the output in registers.
pub(super) trait Tile: Copy + Send + Sync {
    /// Most rows of a tile.
    const ROWS: usize;
    /// Columns of a panel of `b`.
    const COLUMNS: usize;

    /// `target (+)= scale sum_p a[p] b[p]`, with `a` [rows, depth] and `b` [depth, COLUMNS].
    ///
    /// # Panics
    /// As [`Operands::check`].
    fn run(self, operands: Operands<'_>, target: Target);

    /// The transpose of a matrix whose rows are contiguous, as a panel.
    ///
    /// # Shapes
    /// `matrix` [rows, columns] with `rows <= height`; `out` [columns, height], of which the first
    /// `rows` of each column are written.
    fn transpose(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        pack::transpose(matrix, height, 0..matrix.rows, 0..matrix.columns, out);
    }

    /// A matrix whose columns are contiguous, as a panel.
    ///
    /// # Shapes
    /// As [`Tile::transpose`].
    fn copy(self, matrix: View<'_>, height: usize, out: &mut [f32]) {
        pack::transpose(matrix, height, 0..matrix.rows, 0..matrix.columns, out);
    }
}

/// A panel of `a`, packed or where it lies.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    /// From a row to the next; where it is not 1, `term` is.
    pub row: usize,
    /// From a term to the next.
    pub term: usize,
}

/// Panels to multiply.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub a: Rows<'a>,
    /// [depth, columns of the tile].
    pub b: &'a [f32],
    /// Terms to sum, at least one.
    pub depth: usize,
    /// Factor on the sum.
    pub scale: f32,
}

impl Operands<'_> {
    /// Checks that both panels are as long as they must be, and that the target fits the tile.
    ///
    /// # Panics
    /// When not.
    pub fn check<T: Tile>(&self, target: &Target) {
        let (a, last) = (&self.a, self.depth - 1);
        assert!(a.data.len() > (target.rows - 1) * a.row + last * a.term);
        assert!(self.b.len() >= self.depth * T::COLUMNS);
        assert!(a.row == 1 || a.term == 1);
        assert!(target.rows <= T::ROWS && target.columns <= T::COLUMNS);
    }
}

/// A tile of the output.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub start: *mut f32,
    pub row_stride: usize,
    pub rows: usize,
    pub columns: usize,
    /// Whether to add to what is there.
    pub add: bool,
}

impl Target {
    /// Writes the columns of row `i`.
    ///
    /// # Safety
    /// `i < self.rows`; nobody else uses the tile.
    #[inline(always)]
    pub unsafe fn write_row(&self, i: usize, sums: &[f32], scale: f32) {
        for (column, sum) in sums.iter().enumerate().take(self.columns) {
            // SAFETY: `blocked` makes targets inside the output, which holds values where they are
            // added to.
            unsafe {
                let value = self.start.add(i * self.row_stride + column);
                let before = if self.add { *value } else { 0.0 };
                value.write(sum * scale + before);
            }
        }
    }
}

/// The matrix that a product writes to.
#[derive(Clone, Copy)]
pub(super) struct Output {
    start: *mut f32,
    row_stride: usize,
}

// SAFETY: tasks write to tiles that do not overlap.
unsafe impl Send for Output {}
// SAFETY: as above.
unsafe impl Sync for Output {}

impl Output {
    /// A matrix whose rows start `row_stride` apart.
    ///
    /// # Safety
    /// The rows and columns of the products written to it lie in one allocation that nobody else
    /// uses meanwhile.
    pub unsafe fn new(start: *mut f32, row_stride: usize) -> Self {
        Self { start, row_stride }
    }
}

/// One product and how it is cut.
struct Product<'a> {
    out: Output,
    a: View<'a>,
    b: View<'a>,
    scale: f32,
    /// Rows of a panel of `a`.
    height: usize,
    /// Terms of a block of the inner size, the last excepted.
    depth: usize,
    /// Whether the first block adds to the output.
    add: bool,
    /// Whether tiles read `a` where it lies.
    in_place: bool,
    threads: Threads,
}

/// `out (+)= scale a b`.
pub(super) fn multiply<T: Tile>(
    tile: T,
    out: Output,
    (a, b): (View<'_>, View<'_>),
    write: Write,
    scale: f32,
    threads: Threads,
) {
    let (m, k, n) = (a.rows, a.columns, b.columns);
    let (height, depth) = (even(m, T::ROWS), even(k, DEPTH));
    let product = Product {
        out,
        a,
        b,
        scale,
        height,
        depth,
        in_place: read_in_place(a, height, depth, n <= REUSED * T::COLUMNS),
        add: write == Write::Add,
        threads: if m * n * k < SMALL {
            Threads::One
        } else {
            threads
        },
    };
    let chunk = product.depth * BLOCKS;
    let rows = (PACKED / chunk.min(k)).next_multiple_of(product.height);
    let mut packed = BUFFERS.with(|buffers| buffers[0].take());
    for from in (0..k).step_by(chunk) {
        for first in (0..m).step_by(rows) {
            product.chunk(
                tile,
                first..(first + rows).min(m),
                from..(from + chunk).min(k),
                &mut packed,
            );
        }
    }
    BUFFERS.with(|buffers| buffers[0].set(packed));
}

/// Whether tiles read `a` where it lies, because packing it would cost more than it saves; `few` says
/// that few columns use each panel.
fn read_in_place(a: View<'_>, height: usize, depth: usize, few: bool) -> bool {
    match (a.row_stride, a.column_stride) {
        (stride, 1) => few || spread(stride, height, depth),
        (1, _) => few,
        _ => false,
    }
}

/// Whether `rows` rows of `length` numbers, `stride` apart, stay together in a cache of 64 sets of 8
/// lines: that no set gets more than 6.
fn spread(stride: usize, rows: usize, length: usize) -> bool {
    const SETS: usize = 64;
    const LINE: usize = 16;
    let mut lines = [0u8; SETS];
    for row in 0..rows {
        for line in row * stride / LINE..=(row * stride + length - 1) / LINE {
            lines[line % SETS] = lines[line % SETS].saturating_add(1);
        }
    }
    lines.iter().all(|count| *count <= 6)
}

/// The size of parts of `total`, as even as can be, of at most `most`.
fn even(total: usize, most: usize) -> usize {
    total.div_ceil(total.div_ceil(most).max(1)).max(1)
}

thread_local! {
    /// Packed panels of `a` for all tasks, of `a` for one, and of `b`, kept from product to product.
    /// They are taken while in use, because a thread that waits for others may begin another
    /// product.
    static BUFFERS: [Cell<Vec<f32>>; 3] = const { [const { Cell::new(Vec::new()) }; 3] };
}

/// `count` numbers of a buffer, at a multiple of 64 bytes.
fn aligned(buffer: &mut Vec<f32>, count: usize) -> &mut [f32] {
    if buffer.len() < count + 16 {
        *buffer = vec![0.0; count + 16];
    }
    let skip = buffer.as_ptr().align_offset(64).min(16);
    &mut buffer[skip..skip + count]
}

impl Product<'_> {
    /// The rows `rows` with the terms `terms`: packs that part of `a`, and gives the columns out
    /// to tasks.
    fn chunk<T: Tile>(
        &self,
        tile: T,
        rows: Range<usize>,
        terms: Range<usize>,
        buffer: &mut Vec<f32>,
    ) {
        let row_panels = rows.len().div_ceil(self.height);
        let grid = Grid::new::<T>(row_panels, self.b.columns, self.threads);
        // Where no two tasks share rows of `a`, each packs its own.
        let shared = grid.strips() > 1 && !self.in_place;
        let packed = shared.then(|| self.pack_rows(tile, &rows, &terms, buffer));
        let task = |number| self.task(tile, &rows, &terms, packed, grid.part(number));
        match self.threads {
            Threads::One => (0..grid.tasks()).for_each(task),
            Threads::All => (0..grid.tasks())
                .into_par_iter()
                .with_max_len(1)
                .for_each(task),
        }
    }

    /// The panels of some rows of `a`.
    fn pack_rows<'b, T: Tile>(
        &self,
        tile: T,
        rows: &Range<usize>,
        terms: &Range<usize>,
        buffer: &'b mut Vec<f32>,
    ) -> &'b [f32] {
        let span = terms.len() * self.height;
        let packed = aligned(buffer, rows.len().div_ceil(self.height) * span);
        let pack_panel = |(panel, packed): (usize, &mut [f32])| {
            let first = rows.start + panel * self.height;
            let rows = first..(first + self.height).min(rows.end);
            pack(tile, self.a.part(rows, terms.clone()), self.height, packed);
        };
        match self.threads {
            Threads::One => packed
                .chunks_exact_mut(span)
                .enumerate()
                .for_each(pack_panel),
            Threads::All => {
                let panels = packed.par_chunks_exact_mut(span).enumerate();
                panels
                    .with_min_len((SMALL / 16 / span).max(1))
                    .for_each(pack_panel);
            }
        }
        packed
    }

    /// One part of the output: packs its columns of `b` block by block, and runs the tiles.
    fn task<T: Tile>(
        &self,
        tile: T,
        rows: &Range<usize>,
        terms: &Range<usize>,
        packed: Option<&[f32]>,
        (row_panels, panels): (Range<usize>, Range<usize>),
    ) {
        let columns = panels.start * T::COLUMNS..(panels.end * T::COLUMNS).min(self.b.columns);
        let [mut own, mut buffer] = BUFFERS.with(|[_, own, strip]| [own.take(), strip.take()]);
        for from in terms.clone().step_by(self.depth) {
            let to = (from + self.depth).min(terms.end);
            let span = (to - from) * T::COLUMNS;
            let strip = aligned(&mut buffer, panels.len() * span);
            for (panel, strip) in strip.chunks_exact_mut(span).enumerate() {
                let first = columns.start + panel * T::COLUMNS;
                let last = (first + T::COLUMNS).min(columns.end);
                let part = self.b.part(from..to, first..last);
                pack(tile, part.t(), T::COLUMNS, strip);
            }
            for row_panel in row_panels.clone() {
                let first = rows.start + row_panel * self.height;
                let last = (first + self.height).min(rows.end);
                let packed_rows = |data| Rows {
                    data,
                    row: 1,
                    term: self.height,
                };
                let a = if self.in_place {
                    let part = self.a.part(first..last, from..to);
                    Rows {
                        data: part.data,
                        row: part.row_stride,
                        term: part.column_stride,
                    }
                } else if let Some(packed) = packed {
                    let start = row_panel * terms.len() + (from - terms.start);
                    packed_rows(&packed[start * self.height..(start + to - from) * self.height])
                } else {
                    let own = aligned(&mut own, (to - from) * self.height);
                    pack(tile, self.a.part(first..last, from..to), self.height, own);
                    packed_rows(own)
                };
                for (panel, strip) in strip.chunks_exact(span).enumerate() {
                    let operands = Operands {
                        a,
                        b: strip,
                        depth: to - from,
                        scale: self.scale,
                    };
                    let column = columns.start + panel * T::COLUMNS;
                    // SAFETY: row and column lie in the output; no other task has this tile.
                    let start = unsafe { self.out.start.add(first * self.out.row_stride + column) };
                    let target = Target {
                        start,
                        row_stride: self.out.row_stride,
                        rows: last - first,
                        columns: (columns.end - column).min(T::COLUMNS),
                        add: self.add || from > 0,
                    };
                    tile.run(operands, target);
                }
            }
        }
        BUFFERS.with(|buffers| {
            buffers[1].set(own);
            buffers[2].set(buffer);
        });
    }
}

/// The tasks of a chunk: groups of row panels by strips of column panels.
struct Grid {
    row_panels: usize,
    panels: usize,
    /// Row panels of a group.
    group: usize,
    /// Column panels of a strip.
    strip: usize,
}

impl Grid {
    fn new<T: Tile>(row_panels: usize, columns: usize, threads: Threads) -> Self {
        let panels = columns.div_ceil(T::COLUMNS);
        let wanted = match threads {
            Threads::One => 1,
            Threads::All => rayon::current_num_threads() * TASKS_PER_THREAD,
        };
        let strip = panels.div_ceil(wanted).min(PANELS);
        // Too few columns for all threads: the rows are divided too, each part packing `b` again.
        let groups = (wanted / panels.div_ceil(strip)).clamp(1, row_panels);
        Self {
            row_panels,
            panels,
            group: row_panels.div_ceil(groups),
            strip,
        }
    }

    fn strips(&self) -> usize {
        self.panels.div_ceil(self.strip)
    }

    fn tasks(&self) -> usize {
        self.row_panels.div_ceil(self.group) * self.strips()
    }

    /// Row panels and column panels of a task.
    fn part(&self, number: usize) -> (Range<usize>, Range<usize>) {
        let cut =
            |part: usize, size: usize, total: usize| part * size..(part * size + size).min(total);
        let (group, strip) = (number / self.strips(), number % self.strips());
        (
            cut(group, self.group, self.row_panels),
            cut(strip, self.strip, self.panels),
        )
    }
}
