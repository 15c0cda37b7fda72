//! Scores by field, by label and by tag.
//!
//! Does not know samples.

use std::collections::{BTreeMap, BTreeSet};

use super::{metric_name, section, table};
use crate::report::escape;
use crate::report::format;
use crate::results::{FieldScore, Results, SystemResult};
use crate::task::Published;

/// F1 of each JSON field.
pub(crate) fn fields(results: &Results) -> String {
    let of = |system: &SystemResult, name: &str| system.fields.get(name).copied();
    let names: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|s| s.fields.keys())
        .collect();
    scores(results, "fields", "Fields", "Field", &names, of)
}

/// F1 of each label.
pub(crate) fn labels(results: &Results) -> String {
    let of = |system: &SystemResult, name: &str| system.labels.get(name).copied();
    let names: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|s| s.labels.keys())
        .collect();
    scores(results, "labels", "Labels", "Label", &names, of)
}

/// A table of F1 by name and system, with how often each name is in the targets.
/// Names that no target has are gathered in one line: they are inventions.
fn scores(
    results: &Results,
    id: &str,
    title: &str,
    column: &str,
    names: &BTreeSet<&String>,
    of: impl Fn(&SystemResult, &str) -> Option<FieldScore>,
) -> String {
    let support = |name: &str| {
        let counts = results.systems.iter().filter_map(|system| of(system, name));
        counts.map(|score| score.tp + score.fn_).max().unwrap_or(0)
    };
    let (known, invented): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| support(name) > 0);
    if known.is_empty() {
        return String::new();
    }
    let row = |name: &String| {
        let scores = results.systems.iter().map(|system| of(system, name));
        let cells: String = scores
            .map(|score| heat_cell(score.unwrap_or_default()))
            .collect();
        format!(
            "<tr><th scope=\"row\"><code>{}</code></th><td class=\"none\">{}</td>{cells}</tr>",
            escape::html(name),
            format::thousands(support(name) as usize)
        )
    };
    let mut rows: String = known.iter().map(|name| row(name)).collect();
    if !invented.is_empty() {
        let times = |system| {
            let scores = invented.iter().filter_map(|name| of(system, name));
            format!(
                "<td class=\"none\">{} times</td>",
                scores.map(|score| score.fp).sum::<u32>()
            )
        };
        let cells: String = results.systems.iter().map(times).collect();
        rows.push_str("<tr><th scope=\"row\">in no target</th><td class=\"none\">0</td>");
        rows.push_str(&cells);
        rows.push_str("</tr>");
    }
    let systems = results
        .systems
        .iter()
        .map(|system| column_head(&system.name));
    let head = format!(
        "<th scope=\"col\">{column}</th><th scope=\"col\">in targets</th>{}",
        systems.collect::<String>()
    );
    let body = table("plain", &head, &rows);
    let remark = "<p class=\"aside\">F1, and under it precision and recall.</p>";
    section(id, title, &format!("{body}{remark}"))
}

/// F1 on a ground that darkens with it.
fn heat_cell(score: FieldScore) -> String {
    format!(
        "<td class=\"heat h{}\">{}<small>{} \u{b7} {}</small></td>",
        (score.f1 * 10.0).floor().clamp(0.0, 10.0),
        format::score(score.f1),
        format::score(score.precision),
        format::score(score.recall)
    )
}

/// Metrics that are shown by tag beside the first one.
const BY_TAG: [&str; 3] = ["field_f1", "exact_normalized", "label_macro_f1"];

/// The first metric and the most telling others by tag, published parts beside ours.
pub(crate) fn slices(results: &Results) -> String {
    let tags: BTreeSet<&String> = results
        .systems
        .iter()
        .flat_map(|system| system.slices.keys())
        .collect();
    let mut tags: Vec<&String> = tags.into_iter().collect();
    tags.sort_by_key(|tag| tag_order(tag));
    let tables: String = shown_by_tag(results)
        .iter()
        .enumerate()
        .map(|(index, metric)| {
            format!(
                "<details{}><summary>{}</summary>{}</details>",
                if index == 0 { " open" } else { "" },
                metric_name(metric),
                slice_table(results, &tags, metric)
            )
        })
        .collect();
    if tables.is_empty() {
        return tables;
    }
    let remark = "<p class=\"aside\">Label F1 is taken over the labels that each tag\u{2019}s own samples may have, \
                  for each label field by itself where there are several; a declared label that is in none of them counts as 0.</p>";
    section("slices", "By tag", &format!("{tables}{remark}"))
}

/// Tags of the rows first, then what rows were parted by, with lengths in their order.
fn tag_order(tag: &str) -> (bool, &str, u8, usize) {
    let parted = ["length", "language", "output"];
    let Some((by, rest)) = tag.split_once(": ").filter(|(by, _)| parted.contains(by)) else {
        return (false, tag, 0, 0);
    };
    match (by, rest.split(' ').next()) {
        ("length", Some("below")) => (true, by, 0, 0),
        ("length", Some("from")) => (true, by, 2, 0),
        ("length", Some(number)) => (true, by, 1, number.parse().unwrap_or(0)),
        _ => (true, tag, 0, 0),
    }
}

/// The names of what is shown: the first metric, then the others and their fields.
fn shown_by_tag(results: &Results) -> Vec<String> {
    let slices = results
        .systems
        .iter()
        .flat_map(|system| system.slices.values());
    let measured: BTreeSet<&String> = slices.flat_map(|part| part.keys()).collect();
    let mut shown: Vec<String> = Vec::new();
    let first = results.metrics.first().map(String::as_str);
    for name in first.into_iter().chain(BY_TAG) {
        let of_name = measured.iter().filter(|found| {
            found.as_str() == name
                || found
                    .split_once(' ')
                    .is_some_and(|(plain, _)| plain == name)
        });
        for found in of_name {
            if !shown.contains(found) {
                shown.push((*found).clone());
            }
        }
    }
    shown
}

fn slice_table(results: &Results, tags: &[&String], metric: &str) -> String {
    let has_metric = |part: &BTreeMap<String, f64>| part.contains_key(metric);
    let published: Vec<&Published> = results
        .published
        .iter()
        .filter(|published| published.slices.values().any(has_metric))
        .collect();
    let ours = results
        .systems
        .iter()
        .map(|system| column_head(&system.name));
    let theirs = published
        .iter()
        .map(|published| column_head(&format!("{} (published)", published.name)));
    let head: String = ours.chain(theirs).collect();
    let rows: String = tags
        .iter()
        .filter(|tag| {
            let mut systems = results.systems.iter();
            systems.any(|system| {
                system
                    .slices
                    .get(**tag)
                    .is_some_and(|part| part.contains_key(metric))
            })
        })
        .map(|tag| slice_row(results, &published, tag, metric))
        .collect();
    let head = format!("<th scope=\"col\">Tag</th><th scope=\"col\">samples</th>{head}");
    table("plain", &head, &rows)
}

fn slice_row(results: &Results, published: &[&Published], tag: &str, metric: &str) -> String {
    let values = || {
        results
            .systems
            .iter()
            .map(|system| system.slices.get(tag).and_then(|part| part.get(metric)))
    };
    let n = values().flatten().map(|value| value.n).max().unwrap_or(0);
    let none = || "<td class=\"none\">\u{2013}</td>".to_string();
    let ours = values().map(|value| match value {
        Some(value) => format!(
            "<td><span class=\"score\">{}</span><small>{}</small></td>",
            format::score(value.value),
            format::interval(value)
        ),
        None => none(),
    });
    let theirs = published.iter().map(|published| {
        let value = published.slices.get(tag).and_then(|part| part.get(metric));
        value.map_or_else(none, |value| {
            format!("<td><i>{}</i></td>", format::score(*value))
        })
    });
    let cells: String = ours.chain(theirs).collect();
    format!(
        "<tr><th scope=\"row\">{}</th><td class=\"none\">{}</td>{cells}</tr>",
        escape::html(tag),
        format::thousands(n)
    )
}

fn column_head(name: &str) -> String {
    format!("<th scope=\"col\">{}</th>", escape::html(name))
}
