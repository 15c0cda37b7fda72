//! What a reviewer reads first: the verdict, the gates, systems by metrics, and the
//! forest plots.
//!
//! Does not know samples.

use super::{metric_name, row_head, section, table};
use crate::report::chart;
use crate::report::escape;
use crate::report::format;
use crate::results::{Results, SystemResult};

/// The outcome in sentences, the first set large, and what a reader must know.
pub(crate) fn verdict(results: &Results) -> String {
    let mut sentences = results.verdict.iter();
    let Some(first) = sentences.next() else {
        return String::new();
    };
    let rest: String = sentences
        .map(|sentence| format!("<p>{}</p>", marked(sentence)))
        .collect();
    let notes: String = results
        .notes
        .iter()
        .filter(|note| {
            !results
                .verdict
                .iter()
                .any(|said| said.contains(note.as_str()))
        })
        .map(|note| format!("<li>{}</li>", marked(note)))
        .collect();
    let notes = if notes.is_empty() {
        notes
    } else {
        format!("<ul class=\"notes\">{notes}</ul>")
    };
    section(
        "verdict",
        "Verdict",
        &format!("<p class=\"first\">{}</p>{rest}{notes}", marked(first)),
    )
}

/// A sentence in which names in backticks are set apart.
fn marked(sentence: &str) -> String {
    escape::html(sentence)
        .split('`')
        .enumerate()
        .map(|(index, part)| {
            if index % 2 == 1 {
                format!("<b>{part}</b>")
            } else {
                part.to_string()
            }
        })
        .collect()
}

/// Thresholds and whether they were met.
pub(crate) fn gates(results: &Results) -> String {
    if results.gates.is_empty() {
        return String::new();
    }
    let rows: String = results
        .gates
        .iter()
        .map(|gate| {
            let (class, outcome) = if gate.passed {
                ("good", "passed")
            } else {
                ("bad", "failed")
            };
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"{class}\">{outcome}</td></tr>",
                escape::html(&gate.gate),
                escape::html(&gate.found)
            )
        })
        .collect();
    section(
        "gates",
        "Gates",
        &table(
            "gates",
            "<th>Gate</th><th>Found</th><th>Outcome</th>",
            &rows,
        ),
    )
}

/// Systems by metrics with intervals; published scores below.
pub(crate) fn overview(results: &Results) -> String {
    if results.systems.is_empty() {
        return String::new();
    }
    let head: String = results
        .metrics
        .iter()
        .map(|metric| format!("<th scope=\"col\">{}</th>", metric_name(metric)))
        .collect();
    let ours: String = results
        .systems
        .iter()
        .map(|system| {
            let cells: String = results
                .metrics
                .iter()
                .map(|m| metric_cell(results, system, m))
                .collect();
            let note = system
                .info
                .note
                .as_deref()
                .map(|note| format!("<small>{}</small>", escape::html(note)));
            format!(
                "<tr>{}{cells}</tr>",
                row_head(&system.name, note.as_deref().unwrap_or(""))
            )
        })
        .collect();
    let published: String = results
        .published
        .iter()
        .enumerate()
        .map(|(index, published)| {
            let cell = |metric: &String| match published.metrics.get(metric) {
                Some(value) => format!("<td>{}</td>", format::score(*value)),
                None => "<td class=\"none\">\u{2013}</td>".into(),
            };
            let cells: String = results.metrics.iter().map(cell).collect();
            let mark = format!("<small>published, source {}</small>", index + 1);
            format!(
                "<tr class=\"published\">{}{cells}</tr>",
                row_head(&published.name, &mark)
            )
        })
        .collect();
    let body = table(
        "scores",
        &format!("<th scope=\"col\">System</th>{head}"),
        &format!("{ours}{published}"),
    );
    section("results", "Results", &format!("{body}{}", sources(results)))
}

fn sources(results: &Results) -> String {
    let items: String = results
        .published
        .iter()
        .map(|published| {
            let note = published
                .note
                .as_deref()
                .map(|note| format!(" {note}"))
                .unwrap_or_default();
            format!(
                "<li>{}: {}.{}</li>",
                escape::html(&published.name),
                escape::html(published.source.trim_end_matches('.')),
                escape::html(&note)
            )
        })
        .collect();
    if items.is_empty() {
        return items;
    }
    format!("<ol class=\"sources\">{items}</ol>")
}

fn metric_cell(results: &Results, system: &SystemResult, metric: &str) -> String {
    let Some(value) = system.metrics.get(metric) else {
        return "<td class=\"none\">\u{2013}</td>".into();
    };
    let best = results
        .systems
        .iter()
        .filter_map(|other| other.metrics.get(metric))
        .all(|other| other.value <= value.value);
    let n = if value.n == results.samples {
        String::new()
    } else {
        format!("<small>n = {}</small>", format::thousands(value.n))
    };
    format!(
        "<td{}><span class=\"score\">{}</span><small>{}</small>{n}</td>",
        if best && results.systems.len() > 1 {
            " class=\"best\""
        } else {
            ""
        },
        format::score(value.value),
        format::interval(value)
    )
}

/// One forest plot per metric.
pub(crate) fn forest(results: &Results) -> String {
    let panels: String = results
        .metrics
        .iter()
        .map(|metric| (metric, chart::panel(results, metric)))
        .filter(|(_, panel)| !panel.is_empty())
        .map(|(metric, panel)| {
            format!(
                "<figure><figcaption>{}</figcaption>{panel}</figure>",
                metric_name(metric)
            )
        })
        .collect();
    if panels.is_empty() {
        return panels;
    }
    let legend = if results.published.is_empty() {
        "Dot: value; bar: 95% interval."
    } else {
        "Dot: value; bar: 95% interval; diamond: published by others, no interval given."
    };
    section(
        "forest",
        "Scores with their intervals",
        &format!("<div class=\"panels\">{panels}</div><p class=\"aside\">{legend}</p>"),
    )
}
