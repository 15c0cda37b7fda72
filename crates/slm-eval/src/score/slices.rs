//! Every metric over the samples of each tag, with intervals of its own.
//!
//! A tag is often a leaf, so label metrics are taken over the labels of the tag's own samples:
//! each label field by itself, as `label_macro_f1 /field`, and as the plain name where it is
//! clear which field that means. Does not know how slices are shown.

use std::collections::BTreeMap;

use super::{Measured, Options, resample, values};
use crate::metrics::tag_labels::TagLabels;
use crate::metrics::{Metric, Sample, Tally};
use crate::results::MetricValue;
use crate::rows::Row;
use crate::task::Task;

/// Tags beyond the largest so many get no slice of their own.
const MOST_SLICES: usize = 50;

/// A system's tallies of one tag, by name.
pub(super) type Named = Vec<(String, Tally)>;

/// The rows of each tag, by their positions.
pub(super) fn members(rows: &[Row]) -> Vec<(String, Vec<usize>)> {
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
            resample(&mut parts, indices.len(), options);
            let found = names.iter().zip(&parts);
            let found = found.map(|(names, part)| values(names, part)).collect();
            (tag.clone(), found)
        })
        .collect()
}
