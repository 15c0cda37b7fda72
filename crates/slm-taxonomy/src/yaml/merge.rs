//! The merge key `<<`: a mapping takes over the entries of others, as readers of YAML 1.1 do.
//!
//! An entry of its own goes before one taken over; of those taken over, the first of a list goes
//! before the others, and a later `<<` before an earlier one, as in PyYAML. Each keeps the place
//! where it is written.
//!
//! Source: <https://yaml.org/type/merge.html>, and `flatten_mapping` of PyYAML's constructor.

use super::{Entry, Node, Value};
use std::collections::HashSet;

/// The entries taken over so far, of which later ones go before earlier ones.
#[derive(Debug, Default)]
pub(super) struct Merged(Vec<Entry>);

/// Takes over a mapping's entries, or those of a list of mappings; false where the value is
/// something else, of which nothing is taken.
pub(super) fn taken(node: Node, merged: &mut Merged) -> bool {
    match node.value {
        Value::Mapping(entries) => merged.0.extend(entries),
        Value::Sequence(items) => {
            let all = items
                .iter()
                .all(|item| matches!(item.value, Value::Mapping(_)));
            if !all {
                return false;
            }
            for item in items.into_iter().rev() {
                if let Value::Mapping(entries) = item.value {
                    merged.0.extend(entries);
                }
            }
        }
        Value::Scalar(_) => return false,
    }
    true
}

/// A mapping's own entries, then those taken over whose keys it lacks.
pub(super) fn merged_into(mut own: Vec<Entry>, merged: Merged) -> Vec<Entry> {
    if merged.0.is_empty() {
        return own;
    }
    let mut keys: HashSet<String> = own.iter().map(|entry| entry.key.clone()).collect();
    let mut taken: Vec<Entry> = Vec::new();
    for entry in merged.0.into_iter().rev() {
        if keys.insert(entry.key.clone()) {
            taken.push(entry);
        }
    }
    taken.reverse();
    own.append(&mut taken);
    own
}
