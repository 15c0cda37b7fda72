//! Word lists, cut into the families' shares.
//!
//! Knows entries only; the files are read in `book`.

use super::Family;

/// Lists shorter than this are closed classes (months, colours): both
/// families use the whole of them.
const CLOSED_BELOW: usize = 24;

/// A word list, cut into the families' shares.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Every entry, in the file's order.
    pub(crate) all: Vec<&'static str>,
    train: Vec<&'static str>,
    held_out: Vec<&'static str>,
}

impl List {
    /// Cuts the entries; a closed class stays whole on both sides.
    pub(crate) fn new(all: Vec<&'static str>) -> Self {
        if all.len() < CLOSED_BELOW {
            return Self {
                train: all.clone(),
                held_out: all.clone(),
                all,
            };
        }
        let by_hash = |(_, entry): &(usize, &&'static str)| hash(entry).is_multiple_of(8);
        let by_place = |(at, _): &(usize, &&'static str)| at % 8 == 3;
        let few = all.iter().enumerate().filter(by_hash).count() < 2;
        let (held_out, train): (Vec<_>, Vec<_>) = all
            .iter()
            .enumerate()
            .partition(|item| if few { by_place(item) } else { by_hash(item) });
        let entries =
            |side: Vec<(usize, &&'static str)>| side.into_iter().map(|(_, entry)| *entry).collect();
        Self {
            train: entries(train),
            held_out: entries(held_out),
            all,
        }
    }

    /// The entries that the family may use.
    pub(crate) fn side(&self, family: Family) -> &[&'static str] {
        match family {
            Family::Train => &self.train,
            Family::HeldOut if self.held_out.is_empty() => &self.train,
            Family::HeldOut => &self.held_out,
        }
    }
}

/// FNV-1a, so that an entry's side depends on nothing but its letters.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    }) >> 7
}
