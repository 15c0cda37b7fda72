//! A decoder's rotary tables, grown to the longest sequence it has met.
//!
//! A context of a million tokens costs nothing until it is used. Knows ropes and packings; not
//! layers or tensors.

use std::sync::{Arc, Mutex, PoisonError};

use crate::kernels::rope::Table;
use crate::ops::{Packing, Rotation};
use crate::rotary::Rope;

/// Shorter tables than this are not worth growing later.
const SHORTEST: usize = 256;

/// One table per rope.
#[derive(Debug)]
pub struct RotaryTables {
    ropes: Vec<Rope>,
    tables: Mutex<Vec<Arc<Table>>>,
}

impl RotaryTables {
    /// Tables of `ropes`, still empty.
    pub fn new(ropes: &[Rope]) -> Self {
        let tables = ropes.iter().map(|rope| Arc::new(tabulate(rope, 0)));
        Self {
            ropes: ropes.to_vec(),
            tables: Mutex::new(tables.collect()),
        }
    }

    /// How each rope turns the rows of `packing`.
    pub fn rotations(&self, packing: &Packing) -> Vec<Rotation> {
        let last = packing.positions.iter().copied().max().unwrap_or(0);
        let length = last as usize + 1;
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let rotations = self.ropes.iter().zip(tables.iter_mut());
        rotations
            .map(|(rope, table)| {
                if table.len() < length {
                    let grown = length.next_power_of_two().max(SHORTEST);
                    *table = Arc::new(tabulate(rope, grown));
                }
                Rotation {
                    rows: Arc::new(rows(rope, table, packing)),
                    table: table.clone(),
                }
            })
            .collect()
    }
}

fn tabulate(rope: &Rope, length: usize) -> Table {
    Table::new(&rope.frequency_sets(), length, rope.attention_factor())
}

/// The table's row of each row of the packing: its position, in the set of frequencies that holds
/// for its sample's length.
fn rows(rope: &Rope, table: &Table, packing: &Packing) -> Vec<u32> {
    let Some(short) = rope.longest_short() else {
        return packing.positions.clone();
    };
    let samples = packing.bounds.windows(2);
    samples
        .flat_map(|span| {
            let set = usize::from(span[1] - span[0] > short);
            let positions = &packing.positions[span[0]..span[1]];
            positions
                .iter()
                .map(move |position| table.row_of(set, *position))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotary::{LongRopeScaling, RopeScaling};

    #[test]
    fn tables_grow_and_long_samples_turn_by_their_own_frequencies() {
        let scaling = LongRopeScaling {
            short_factor: vec![1.0],
            long_factor: vec![2.0],
            original_max_position_embeddings: 3,
            attention_factor: 1.0,
        };
        let rope = Rope {
            width: 2,
            theta: 100.0,
            scaling: RopeScaling::LongRope(scaling),
        };
        let tables = RotaryTables::new(&[rope]);
        let rotation = &tables.rotations(&Packing::of_lengths(&[3, 4]))[0];
        assert_eq!(rotation.table.len(), SHORTEST);
        let cosine = |row: usize| rotation.table.row(rotation.rows[row] as usize).0[0];
        assert_eq!(cosine(2), 2f32.cos());
        assert_eq!(cosine(5), 1f32.cos());
        let longer = &tables.rotations(&Packing::of_lengths(&[300]))[0];
        assert_eq!(longer.table.len(), 512);
    }
}
