//! Samples that are right or wrong together, such as rows made from one seed example.
//!
//! Does not know what is counted.

use std::collections::HashMap;
use std::hash::Hash;

use crate::rows::Row;

/// Each row's group, numbered from 0; a row without one is its own.
pub(super) fn of(rows: &[Row]) -> Vec<usize> {
    let own = rows.iter().enumerate();
    numbered(own.map(|(index, row)| match &row.group {
        Some(group) => Ok(group),
        None => Err(index),
    }))
}

/// Numbers from 0 in the order of their first appearance.
pub(super) fn numbered<T: Hash + Eq>(names: impl IntoIterator<Item = T>) -> Vec<usize> {
    let mut known = HashMap::new();
    names
        .into_iter()
        .map(|name| {
            let next = known.len();
            *known.entry(name).or_insert(next)
        })
        .collect()
}

/// How many groups there are, if fewer than samples.
pub(super) fn fewer(groups: &[usize]) -> Option<usize> {
    let count = groups.iter().max().map_or(0, |last| last + 1);
    (count < groups.len()).then_some(count)
}
