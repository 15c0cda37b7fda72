//! Every metric over the samples of each tag, with intervals of its own.
//!
//! A tag is often a leaf, so label metrics are taken over the labels of the tag's own samples:
//! each label field by itself, as `label_macro_f1 /field`, and as the plain name where it is
//! clear which field that means. Does not know how slices are shown.

use std::collections::BTreeMap;

use super::{Measured, Options, groups, resample, values};
use crate::metrics::tag_labels::TagLabels;
use crate::metrics::{Metric, Sample, Tally};
use crate::results::MetricValue;
use crate::rows::Row;
use crate::task::{SliceBy, Task};

/// Tags beyond the largest so many get no slice of their own.
const MOST_SLICES: usize = 50;

/// Fewer rows than this are not parted by length.
const FEWEST_FOR_LENGTH: usize = 60;

/// A system's tallies of one tag, by name.
pub(super) type Named = Vec<(String, Tally)>;

/// The rows of each tag, then those of each further slice, by their positions.
pub(super) fn members(task: &Task, rows: &[Row]) -> Vec<(String, Vec<usize>)> {
    let mut members = tagged(rows);
    for by in &task.slices {
        let of_kind = derived(task, rows, *by);
        // A slice that holds every row says nothing new.
        if of_kind.len() > 1 {
            members.extend(of_kind);
        }
    }
    members
}

/// The rows by what they are, under names like `length: short`.
fn derived(task: &Task, rows: &[Row], by: SliceBy) -> Vec<(String, Vec<usize>)> {
    let lengths: Vec<usize> = rows
        .iter()
        .map(|row| row.question().chars().count())
        .collect();
    let mut sorted = lengths.clone();
    sorted.sort_unstable();
    let third = |of: usize| sorted.get(sorted.len() * of / 3).copied().unwrap_or(0);
    let (short, long) = (third(1), third(2));
    let name = |index: usize, row: &Row| match by {
        SliceBy::Length if rows.len() < FEWEST_FOR_LENGTH || short == long => None,
        SliceBy::Length => Some(match lengths[index] {
            length if length < short => format!("length: below {short}"),
            length if length < long => format!("length: {short} to {}", long - 1),
            _ => format!("length: from {long}"),
        }),
        SliceBy::Language => row
            .language
            .as_ref()
            .map(|language| format!("language: {language}")),
        SliceBy::Output => Some(format!("output: {}", row.kind(task).name())),
    };
    let mut members: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        if let Some(name) = name(index, row) {
            members.entry(name).or_default().push(index);
        }
    }
    let mut members: Vec<(String, Vec<usize>)> = members.into_iter().collect();
    if by == SliceBy::Length {
        members.sort_by_key(|(_, indices)| indices.iter().map(|index| lengths[*index]).min());
    }
    members
}

fn tagged(rows: &[Row]) -> Vec<(String, Vec<usize>)> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, row) in rows.iter().enumerate() {
        for tag in &row.tags {
            members.entry(tag).or_default().push(index);
        }
    }
    if members.len() > MOST_SLICES {
        let mut sizes: Vec<usize> = members.values().map(Vec::len).collect();
        sizes.sort_unstable_by(|a, b| b.cmp(a));
        members.retain(|_, indices| indices.len() > sizes[MOST_SLICES]);
    }
    members
        .into_iter()
        .map(|(tag, indices)| (tag.to_string(), indices))
        .collect()
}

/// One system's tallies of each tag. The names are the same for all systems, since they
/// follow from the rows.
pub(super) fn of_system(
    task: &Task,
    metrics: &[Metric],
    tallies: &[Tally],
    samples: &[Sample],
    tags: &[(String, Vec<usize>)],
) -> Vec<Named> {
    let of_tag = |(_, indices): &(String, Vec<usize>)| {
        let labels = TagLabels::of(task, samples, indices);
        let own = |metric: &Metric| labels.tally(metric.label_score()?);
        let mut named: Named = metrics
            .iter()
            .zip(tallies)
            .map(|(metric, tally)| {
                let tally = own(metric).unwrap_or_else(|| tally.subset(indices));
                (metric.name().to_string(), tally)
            })
            .collect();
        let plain = Metric::LabelMacroF1;
        if let (Some(tally), false) = (own(&plain), metrics.contains(&plain)) {
            named.push((plain.name().to_string(), tally));
        }
        if labels.fields.len() > 1 {
            let fields = labels.fields.into_iter();
            named.extend(fields.map(|(field, tally)| (field_name(&field), tally)));
        }
        named
    };
    tags.iter().map(of_tag).collect()
}

/// What the macro F1 of one label field is called in slices.
fn field_name(field: &str) -> String {
    match field {
        "" => format!("{} (answer)", Metric::LabelMacroF1.name()),
        field => format!("{} {field}", Metric::LabelMacroF1.name()),
    }
}

/// The tags with the values of each system in order.
pub(super) fn values_by_tag(
    tags: &[(String, Vec<usize>)],
    systems: Vec<Vec<Named>>,
    all: &[usize],
    options: &Options,
) -> Vec<(String, Vec<BTreeMap<String, MetricValue>>)> {
    let mut by_system: Vec<_> = systems.into_iter().map(Vec::into_iter).collect();
    tags.iter()
        .map(|(tag, indices)| {
            let (names, mut parts): (Vec<Vec<String>>, Vec<Measured>) = by_system
                .iter_mut()
                .map(|named| {
                    let (names, tallies) = named.next().unwrap_or_default().into_iter().unzip();
                    let part = Measured {
                        tallies,
                        ..Measured::default()
                    };
                    (names, part)
                })
                .unzip();
            let own: Vec<usize> = indices.iter().map(|index| all[*index]).collect();
            resample(&mut parts, &groups::numbered(own), options);
            let found = names.iter().zip(&parts);
            let found = found.map(|(names, part)| values(names, part)).collect();
            (tag.clone(), found)
        })
        .collect()
}
